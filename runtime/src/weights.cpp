// SPDX-License-Identifier: MIT
#include "weights.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "layer_parts.hpp"
#include "tensor_places.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

/// The file alone says how many tokens there are; kernels count rows in 32 bits.
constexpr std::uint64_t kMostTokens = std::uint64_t{1} << 24;

/// Says which tensors a model has and where each belongs.
class Mapper {
 public:
  Mapper(TensorPlaces& tensors, const LayerParts& parts, const std::string& path,
         const Hyperparameters& hyperparameters, const BlockDevices& places)
      : tensors_(tensors),
        parts_(parts),
        path_(path),
        hp_(hyperparameters),
        arch_(*hyperparameters.architecture),
        places_(places) {}

  Result<void> map() {
    Weights& weights = tensors_.weights();
    GGUF_FUSE_CHECK(map_ends(weights));
    weights.layers.resize(hp_.layers.size());
    for (std::size_t i = 0; i < weights.layers.size(); ++i) {
      layer_ = i;
      prefix_ = fmt::format("blk.{}.", i);
      GGUF_FUSE_CHECK(map_attention(i, weights.layers[i]));
      GGUF_FUSE_CHECK(map_feed_forward(i, weights.layers[i]));
    }
    for (std::size_t i = 0; i < hp_.next_token_layers; ++i) {
      tensors_.leave_out(fmt::format("blk.{}.", hp_.layers.size() + i));
    }
    return {};
  }

 private:
  [[nodiscard]] std::string name(std::string_view part, std::string_view suffix = ".weight") const {
    return fmt::format("{}{}{}", prefix_, part, suffix);
  }
  Result<void> matrix(std::string_view part, std::uint64_t rows, std::uint64_t columns, Matrix& out) {
    return tensors_.matrix(name(part), rows, columns, out);
  }
  Result<void> floats(std::string_view part, std::uint64_t count, Buffer& out) {
    return tensors_.floats(name(part), count, out);
  }
  /// A part that the architecture leaves open; `part` is its whole name.
  Result<void> open_floats(const std::string& part, std::uint64_t count, Buffer& out, LayerKind kind = LayerKind::Any) {
    GGUF_FUSE_ASSIGN(const bool there, parts_.has(layer_, {part}, kind));
    return there ? tensors_.floats(prefix_ + part, count, out) : Result<void>{};
  }

  Result<void> map_ends(Weights& weights) {
    GGUF_FUSE_ASSIGN(const std::uint64_t vocabulary, tensors_.rows_of("token_embd.weight"));
    if (vocabulary == 0 || vocabulary > kMostTokens) {
      return fail({.code = ErrorCode::BadTensorShape,
                   .path = path_,
                   .subject = "token_embd.weight",
                   .expected = fmt::format("1 to {} rows", kMostTokens),
                   .actual = std::to_string(vocabulary)});
    }
    tensors_.use_device(places_.embedding);
    GGUF_FUSE_CHECK(tensors_.matrix("token_embd.weight", vocabulary, hp_.embedding, weights.embedding));
    GGUF_FUSE_CHECK(map_rope_factors(weights));

    tensors_.use_device(places_.output);
    GGUF_FUSE_CHECK(tensors_.floats("output_norm.weight", hp_.embedding, weights.output_norm));
    if (tensors_.has("output.bias")) GGUF_FUSE_CHECK(tensors_.floats("output.bias", vocabulary, weights.output_bias));
    const bool own = arch_.own_output || tensors_.has("output.weight");
    if (!own && places_.output == places_.embedding) return {};  // the embeddings serve as the output, too
    return tensors_.matrix(own ? "output.weight" : "token_embd.weight", vocabulary, hp_.embedding, weights.output);
  }

  Result<void> map_rope_factors(Weights& weights) {
    const std::uint64_t pairs = hp_.rope.rotated / 2;
    const auto host_floats = [&](const std::string& tensor, std::vector<float>& out) {
      return tensors_.host_floats(tensor, pairs, out);
    };
    const auto global = [](const LayerParameters& layer) { return !layer.local; };
    const bool wanted = arch_.global_rope_factors && std::any_of(hp_.layers.begin(), hp_.layers.end(), global);
    if (wanted || tensors_.has("rope_freqs.weight")) {
      GGUF_FUSE_CHECK(host_floats("rope_freqs.weight", weights.rope_factors));
    }
    const std::string far = "rope_factors_long.weight";
    const std::string near = "rope_factors_short.weight";
    if (!hp_.rope.two_sets_of_factors && !tensors_.has(far) && !tensors_.has(near)) return {};
    GGUF_FUSE_CHECK(host_floats(far, weights.rope_factors_long));
    return host_floats(near, weights.rope_factors_short);
  }

  Result<void> map_attention(std::size_t index, LayerWeights& out) {
    const LayerParameters& layer = hp_.layers[index];
    tensors_.use_device(places_.attention[index]);
    GGUF_FUSE_CHECK(arch_.latent_attention ? map_latent(layer, out.latent) : map_qkv(layer, out));
    const std::uint64_t columns =
        arch_.latent_attention ? std::uint64_t{layer.heads.heads} * hp_.latent.value : layer.heads.q_columns();
    GGUF_FUSE_CHECK(matrix("attn_output", hp_.embedding, columns, out.output));
    GGUF_FUSE_CHECK(biased("attn_output", hp_.embedding, out.output_bias));
    GGUF_FUSE_CHECK(floats("attn_norm", hp_.embedding, out.attention_norm));
    if (arch_.sinks) GGUF_FUSE_CHECK(floats("attn_sinks", layer.heads.heads, out.sinks));
    GGUF_FUSE_ASSIGN(const bool norms, parts_.has(index, {"attn_q_norm.weight", "attn_k_norm.weight"}));
    if (arch_.head_norm || (arch_.head_norm_if_there && norms)) {
      GGUF_FUSE_CHECK(floats("attn_q_norm", layer.heads.size, out.q_norm));
      GGUF_FUSE_CHECK(floats("attn_k_norm", layer.heads.size, out.k_norm));
    }
    return {};
  }

  /// The bias that the architecture asks for, or that the model has.
  Result<void> biased(std::string_view part, std::uint64_t count, Buffer& out) {
    if (arch_.biases) return tensors_.floats(name(part, ".bias"), count, out);
    return open_floats(fmt::format("{}.bias", part), count, out);
  }

  Result<void> map_qkv(const LayerParameters& layer, LayerWeights& out) {
    const std::uint64_t q = layer.heads.q_columns();
    const std::uint64_t kv = layer.heads.kv_columns();
    // The projection of K serves as V, too.
    bool no_value = false;
    if (arch_.value_from_key && !layer.local) {
      GGUF_FUSE_ASSIGN(const bool there, parts_.has(layer_, {"attn_v.weight"}, LayerKind::SameSight));
      no_value = !there;
    }
    GGUF_FUSE_CHECK(tensors_.matrices({{.name = prefix_ + "attn_q", .rows = q},
                                       {.name = prefix_ + "attn_k", .rows = kv},
                                       {.name = prefix_ + (no_value ? "attn_k" : "attn_v"), .rows = kv}},
                                      hp_.embedding, out.qkv));
    return map_qkv_bias(q, kv, out.qkv_bias);
  }

  Result<void> map_qkv_bias(std::uint64_t q, std::uint64_t kv, Buffer& out) {
    GGUF_FUSE_ASSIGN(const bool there, parts_.has(layer_, {"attn_q.bias", "attn_k.bias", "attn_v.bias"}));
    if (!there) return {};
    const std::pair<std::string_view, std::uint64_t> biases[] = {{"attn_q", q}, {"attn_k", kv}, {"attn_v", kv}};
    std::uint64_t offset = 0;
    for (const auto& [part, rows] : biases) {
      GGUF_FUSE_CHECK(tensors_.floats_at(name(part, ".bias"), rows, offset, q + 2 * kv, out));
      offset += rows;
    }
    return {};
  }

  Result<void> map_latent(const LayerParameters& layer, LatentWeights& out) {
    const LatentParameters& latent = hp_.latent;
    const std::uint64_t heads = layer.heads.heads;
    const std::uint64_t q = heads * (latent.plain + latent.rope);
    if (latent.q_rank > 0) {
      GGUF_FUSE_CHECK(matrix("attn_q_a", latent.q_rank, hp_.embedding, out.q_a));
      GGUF_FUSE_CHECK(floats("attn_q_a_norm", latent.q_rank, out.q_a_norm));
      GGUF_FUSE_CHECK(matrix("attn_q_b", q, latent.q_rank, out.q_b));
    } else {
      GGUF_FUSE_CHECK(matrix("attn_q", q, hp_.embedding, out.q_b));
    }
    GGUF_FUSE_CHECK(matrix("attn_kv_a_mqa", latent.kv_rank + latent.rope, hp_.embedding, out.kv_a));
    GGUF_FUSE_CHECK(floats("attn_kv_a_norm", latent.kv_rank, out.kv_a_norm));
    GGUF_FUSE_CHECK(matrix("attn_k_b", heads * latent.kv_rank, latent.plain, out.k_b));
    return matrix("attn_v_b", heads * latent.value, latent.kv_rank, out.v_b);
  }

  Result<void> map_feed_forward(std::size_t index, LayerWeights& out) {
    const LayerParameters& layer = hp_.layers[index];
    tensors_.use_device(places_.feed_forward[index]);
    GGUF_FUSE_CHECK(floats(arch_.feed_forward_norm, hp_.embedding, out.feed_forward_norm));
    const std::string_view suffix = layer.experts && !arch_.dense_beside_experts ? "_shexp" : "";
    if (layer.feed_forward > 0) GGUF_FUSE_CHECK(map_dense(suffix, layer.feed_forward, out.dense));
    if (layer.experts) GGUF_FUSE_CHECK(map_experts(out.experts));
    if (!arch_.post_norms) return {};
    GGUF_FUSE_CHECK(floats("post_attention_norm", hp_.embedding, out.post_attention_norm));
    // What follows computes this norm together with its own.
    const bool last = index + 1 == hp_.layers.size();
    tensors_.use_device(last ? places_.output : places_.attention[index + 1]);
    GGUF_FUSE_CHECK(open_floats("layer_output_scale.weight", 1, out.output_scale));
    return floats("post_ffw_norm", hp_.embedding, out.post_feed_forward_norm);
  }

  Result<void> map_dense(std::string_view suffix, std::uint64_t rows, DenseWeights& out) {
    const auto part = [&](std::string_view which) { return fmt::format("{}ffn_{}{}", prefix_, which, suffix); };
    GGUF_FUSE_CHECK(tensors_.matrix(part("gate") + ".weight", rows, hp_.embedding, out.gate));
    GGUF_FUSE_CHECK(tensors_.matrix(part("up") + ".weight", rows, hp_.embedding, out.up));
    GGUF_FUSE_CHECK(tensors_.matrix(part("down") + ".weight", hp_.embedding, rows, out.down));
    const LayerKind kind = hp_.layers[layer_].experts ? LayerKind::Experts : LayerKind::Dense;
    GGUF_FUSE_CHECK(open_floats(fmt::format("ffn_down{}.bias", suffix), hp_.embedding, out.down_bias, kind));
    const std::string gate = fmt::format("ffn_gate{}.bias", suffix);
    const std::string up = fmt::format("ffn_up{}.bias", suffix);
    GGUF_FUSE_ASSIGN(const bool there, parts_.has(layer_, {gate, up}, kind));
    if (!there) return {};
    GGUF_FUSE_CHECK(tensors_.floats_at(prefix_ + gate, rows, 0, 2 * rows, out.gate_up_bias));
    return tensors_.floats_at(prefix_ + up, rows, rows, 2 * rows, out.gate_up_bias);
  }

  Result<void> map_experts(ExpertWeights& out) {
    const std::uint32_t experts = hp_.experts.router.experts;
    const TensorPlaces::ExpertSizes inner{
        .experts = experts, .rows = hp_.experts.feed_forward, .columns = hp_.embedding};
    const TensorPlaces::ExpertSizes outer{
        .experts = experts, .rows = hp_.embedding, .columns = hp_.experts.feed_forward};
    GGUF_FUSE_CHECK(matrix("ffn_gate_inp", experts, hp_.embedding, out.router));
    GGUF_FUSE_CHECK(tensors_.experts(
        {{.name = prefix_ + "ffn_gate_exps", .out = &out.gate}, {.name = prefix_ + "ffn_up_exps", .out = &out.up}},
        inner));
    GGUF_FUSE_CHECK(tensors_.experts({{.name = prefix_ + "ffn_down_exps", .out = &out.down}}, outer));
    if (arch_.biases) {
      const std::uint64_t all = experts * inner.rows;
      GGUF_FUSE_CHECK(tensors_.floats(name("ffn_gate_exps", ".bias"), all, out.gate_bias, experts));
      GGUF_FUSE_CHECK(tensors_.floats(name("ffn_up_exps", ".bias"), all, out.up_bias, experts));
      GGUF_FUSE_CHECK(
          tensors_.floats(name("ffn_down_exps", ".bias"), outer.experts * outer.rows, out.down_bias, outer.experts));
      GGUF_FUSE_CHECK(tensors_.floats(name("ffn_gate_inp", ".bias"), experts, out.router_bias));
    }
    if (arch_.selection_bias)
      GGUF_FUSE_CHECK(tensors_.floats(name("exp_probs_b", ".bias"), experts, out.selection_bias));
    if (arch_.selection_bias_if_there) {
      GGUF_FUSE_CHECK(open_floats("exp_probs_b.bias", experts, out.selection_bias, LayerKind::Experts));
    }
    GGUF_FUSE_CHECK(open_floats("ffn_down_exps.scale", experts, out.factor, LayerKind::Experts));
    if (arch_.shared_gate) GGUF_FUSE_CHECK(matrix("ffn_gate_inp_shexp", 1, hp_.embedding, out.shared_gate));
    if (!arch_.dense_beside_experts) return {};
    GGUF_FUSE_CHECK(tensors_.floats(name("ffn_gate_inp", ".scale"), hp_.embedding, out.router_norm));
    GGUF_FUSE_CHECK(floats("pre_ffw_norm_2", hp_.embedding, out.norm));
    GGUF_FUSE_CHECK(floats("post_ffw_norm_1", hp_.embedding, out.dense_post_norm));
    return floats("post_ffw_norm_2", hp_.embedding, out.post_norm);
  }

  TensorPlaces& tensors_;
  const LayerParts& parts_;
  const std::string& path_;
  const Hyperparameters& hp_;
  const Architecture& arch_;
  const BlockDevices& places_;
  std::size_t layer_ = 0;
  std::string prefix_;
};

}  // namespace

Result<std::unique_ptr<WeightMap>> map_weights(const PlannedFile& file, std::span<const TensorView> views,
                                               const std::string& path, const Hyperparameters& hyperparameters,
                                               const std::vector<std::shared_ptr<Device>>& devices,
                                               const BlockDevices& places) {
  TensorPlaces tensors(file, views, path, devices);
  const LayerParts parts(views, path, hyperparameters);
  GGUF_FUSE_CHECK(Mapper(tensors, parts, path, hyperparameters, places).map());
  GGUF_FUSE_ASSIGN(auto map, tensors.finish(hyperparameters.architecture->name));
  // Owners are told by finish(), so a shared matrix is copied behind it.
  if (map->weights.output.shape.type == nullptr) map->weights.output = map->weights.embedding;
  return map;
}

}  // namespace gguf_fuse::runtime::detail
