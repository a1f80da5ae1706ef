// SPDX-License-Identifier: MIT
#include "model/network.hpp"

#include <fmt/format.h>

#include <cmath>

#include "model/architecture.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

// More than any model has.
constexpr std::uint32_t kMostLayers = 4096;

Result<void> count_layers(const Keys& keys, ModelSizes& sizes) {
  GGUF_FUSE_ASSIGN(const std::uint32_t count, keys.size("block_count"));
  GGUF_FUSE_ASSIGN(sizes.next_token_layers, keys.count("nextn_predict_layers"));
  if (count > kMostLayers || sizes.next_token_layers >= count) {
    return fail(keys.bad(ErrorCode::BadHyperparameter, "block_count",
                         fmt::format("{} to {}", sizes.next_token_layers + 1, kMostLayers), std::to_string(count)));
  }
  sizes.layers = count - sizes.next_token_layers;
  return {};
}

/// What some models of an architecture have and the kernels do not compute.
Result<void> refuse_others(const Keys& keys) {
  for (const std::string_view key : {"attention.shared_kv_layers", "embedding_length_per_layer_input"}) {
    GGUF_FUSE_ASSIGN(const std::uint32_t value, keys.count(key));
    if (value != 0) return fail(keys.bad(ErrorCode::UnsupportedHyperparameter, key, "0", std::to_string(value)));
  }
  return {};
}

Result<void> read_factors(const Keys& keys, Network& network) {
  const Architecture& architecture = *network.architecture;
  const bool rms = architecture.norm == Norm::Rms;
  GGUF_FUSE_ASSIGN(network.sizes.epsilon,
                   keys.amount(rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon"));
  GGUF_FUSE_ASSIGN(network.output.softcap, keys.amount("final_logit_softcapping"));
  // What MiniCPM's files leave out (configuration_minicpm.py: scale_depth, dim_model_base).
  const double layers = network.sizes.layers, embedding = network.sizes.embedding;
  GGUF_FUSE_ASSIGN(network.embedding.factor, keys.factor_or_one("embedding_scale"));
  GGUF_FUSE_ASSIGN(network.sizes.residual_factor, keys.factor_or_one("residual_scale", 1.4 / std::sqrt(layers)));
  GGUF_FUSE_ASSIGN(const float logits, keys.factor_or_one("logit_scale", embedding / 256));
  if (architecture.scaled_embedding) network.embedding.factor = std::sqrt(static_cast<float>(network.sizes.embedding));
  network.output.factor = architecture.logit_scale_multiplies ? logits : 1 / logits;
  return {};
}

Result<void> add_mixers(const Keys& keys, Network& network) {
  const ModelSizes& sizes = network.sizes;
  struct Read {
    const Keys& keys;
    const ModelSizes& sizes;
    Result<Mixers> operator()(const AttentionTraits& traits) const { return Attention::read(keys, sizes, traits); }
    Result<Mixers> operator()(const LatentTraits& traits) const { return LatentAttention::read(keys, sizes, traits); }
    Result<Mixers> operator()(const DeltaTraits& traits) const { return DeltaNetwork::read(keys, sizes, traits); }
  };
  GGUF_FUSE_ASSIGN(Mixers mixers, std::visit(Read{keys, sizes}, network.architecture->mixer));
  const Residual residual = network.architecture->residual;
  bool parallel = residual == Residual::Parallel;
  if (residual == Residual::ByKey) {
    GGUF_FUSE_ASSIGN(parallel, keys.flag("use_parallel_residual"));
  }
  network.layers.resize(sizes.layers);
  for (std::size_t i = 0; i < sizes.layers; ++i) {
    network.layers[i].mixer.block = std::move(mixers.blocks[i]);
    network.layers[i].parallel = parallel;
  }
  network.ropes = std::move(mixers.ropes);
  return {};
}

Result<void> add_feed_forwards(const Keys& keys, Network& network) {
  const Architecture& architecture = *network.architecture;
  const ModelSizes& sizes = network.sizes;
  GGUF_FUSE_ASSIGN(const std::vector<DenseParameters> dense,
                   DenseParameters::read(keys, sizes, architecture.dense, architecture.activation));
  const MixtureTraits traits = architecture.mixture.value_or(MixtureTraits{});
  GGUF_FUSE_ASSIGN(auto mixture, MixtureParameters::read(keys, sizes, traits, dense.front().size));
  if (mixture) mixture->activation = architecture.activation;
  for (std::size_t i = 0; i < sizes.layers; ++i) {
    auto& block = network.layers[i].feed_forward.block;
    const bool is_mixture = mixture && mixture->in_layer(i);
    if (is_mixture && !traits.dense_beside) {
      block = std::make_unique<Mixture>(*mixture, traits);
      continue;
    }
    if (dense[i].size == 0) return fail(keys.missing("feed_forward_length"));
    if (is_mixture) {
      block = std::make_unique<MixtureBesideDense>(*mixture, traits, dense[i].size);
    } else {
      block = std::make_unique<Dense>(dense[i]);
    }
  }
  return {};
}

Error unknown_architecture(std::string_view name, const std::string& path) {
  return {.code = ErrorCode::UnsupportedArchitecture,
          .path = path,
          .subject = "general.architecture",
          .expected = fmt::format("one of {}", architectures().size()),
          .actual = escape_text(name)};
}

}  // namespace

Result<Network> read_network(const Metadata& metadata, const std::string& path) {
  GGUF_FUSE_ASSIGN(const std::string_view name, metadata.get_string("general.architecture"));
  Network network{.architecture = find_architecture(name)};
  if (network.architecture == nullptr) return fail(unknown_architecture(name, path));
  const Keys keys(metadata, name, path);
  GGUF_FUSE_ASSIGN(network.sizes.embedding, keys.size("embedding_length"));
  GGUF_FUSE_ASSIGN(network.sizes.train_context, keys.size("context_length"));
  GGUF_FUSE_CHECK(refuse_others(keys));
  GGUF_FUSE_CHECK(count_layers(keys, network.sizes));
  GGUF_FUSE_CHECK(read_factors(keys, network));
  GGUF_FUSE_CHECK(add_mixers(keys, network));
  GGUF_FUSE_CHECK(add_feed_forwards(keys, network));
  return network;
}

}  // namespace gguf_fuse::runtime::detail
