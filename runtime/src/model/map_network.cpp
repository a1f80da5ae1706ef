// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "model/architecture.hpp"
#include "model/layer_tensors.hpp"
#include "model/network.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

/// The file alone says how many tokens there are; kernels count rows in 32 bits.
constexpr std::uint64_t kMostTokens = std::uint64_t{1} << 24;

/// Which tensors a network has beside those of its blocks, and where everything belongs.
class Mapper {
 public:
  Mapper(TensorPlaces& tensors, const LayerParts& parts, const std::string& path, Network& network)
      : tensors_(tensors), parts_(parts), path_(path), network_(network) {
    for (const Layer& layer : network.layers) {
      mixers_.push_back(layer.mixer.block.get());
      feed_forwards_.push_back(layer.feed_forward.block.get());
    }
  }

  Result<void> map() {
    GGUF_FUSE_CHECK(map_ends());
    const ModelSizes& sizes = network_.sizes;
    for (std::size_t i = 0; i < sizes.layers; ++i) {
      GGUF_FUSE_CHECK(map_mixer(i));
      GGUF_FUSE_CHECK(map_feed_forward(i));
    }
    for (std::size_t i = 0; i < sizes.next_token_layers; ++i) {
      tensors_.leave_out(fmt::format("blk.{}.", sizes.layers + i));
    }
    return {};
  }

 private:
  Result<void> map_ends() {
    GGUF_FUSE_ASSIGN(const std::uint64_t vocabulary, tensors_.rows_of("token_embd.weight"));
    if (vocabulary == 0 || vocabulary > kMostTokens) {
      return fail({.code = ErrorCode::BadTensorShape,
                   .path = path_,
                   .subject = "token_embd.weight",
                   .expected = fmt::format("1 to {} rows", kMostTokens),
                   .actual = std::to_string(vocabulary)});
    }
    const std::uint32_t embedding = network_.sizes.embedding;
    GGUF_FUSE_CHECK(map_rope_factors());

    // Embeddings that serve as the head, too, are the head's.
    const bool own = network_.architecture->own_output || tensors_.has("output.weight");
    const std::size_t layers = network_.layers.size();
    tensors_.use_group(own ? TensorRole::Input : TensorRole::Output, layers);
    GGUF_FUSE_CHECK(tensors_.matrix("token_embd.weight", vocabulary, embedding, network_.embedding.table));
    Output& output = network_.output;
    tensors_.use_group(TensorRole::Output, layers);
    GGUF_FUSE_CHECK(map_norm(tensors_, "output_norm", output.norm));
    if (tensors_.has("output.bias")) GGUF_FUSE_CHECK(tensors_.floats("output.bias", vocabulary, output.bias));
    return own ? tensors_.matrix("output.weight", vocabulary, embedding, output.matrix) : Result<void>();
  }

  /// A norm that the architecture has; `part` is its name without ".weight", `tensors` are those it stands among.
  template <typename Tensors>
  Result<void> map_norm(Tensors& tensors, const std::string& part, StreamNorm& out) const {
    const Architecture& architecture = *network_.architecture;
    out.kind = architecture.norm;
    if (!architecture.norm_weights) return {};
    GGUF_FUSE_CHECK(tensors.floats(part + ".weight", network_.sizes.embedding, out.weight));
    if (!architecture.norm_biases) return {};
    return tensors.floats(part + ".bias", network_.sizes.embedding, out.bias);
  }

  Result<void> map_rope_factors() {
    const RopeParameters& rope = *network_.ropes.global;
    const auto host_floats = [&](const std::string& tensor, std::vector<float>& out) {
      return tensors_.host_floats(tensor, rope.rotated / 2, out);
    };
    RopeFactors& factors = network_.rope_factors;
    if (network_.ropes.factors_required || tensors_.has("rope_freqs.weight")) {
      GGUF_FUSE_CHECK(host_floats("rope_freqs.weight", factors.all));
    }
    const std::string far = "rope_factors_long.weight";
    const std::string near = "rope_factors_short.weight";
    if (!rope.two_sets_of_factors && !tensors_.has(far) && !tensors_.has(near)) return {};
    GGUF_FUSE_CHECK(host_floats(far, factors.far));
    return host_floats(near, factors.near);
  }

  /// Attention's norm, and the feed-forward's, which may be the same one.
  Result<void> map_pre_norm(LayerTensors& tensors, bool of_mixer, Layer& layer) const {
    const Architecture& architecture = *network_.architecture;
    if (!architecture.pre_norms) return {};
    std::string part(of_mixer ? "attn_norm" : architecture.feed_forward_norm);
    if (of_mixer && !architecture.attention_norm_if_there.empty()) {
      const std::string other(architecture.attention_norm_if_there);
      GGUF_FUSE_ASSIGN(const bool there, tensors.has({other + ".weight"}));
      if (there) part = other;
    } else if (!of_mixer && architecture.residual == Residual::ByNorm && layer.parallel) {
      part = "attn_norm";
    }
    return map_norm(tensors, part, of_mixer ? layer.mixer.norm : layer.feed_forward.norm);
  }

  Result<void> map_mixer(std::size_t index) {
    Layer& layer = network_.layers[index];
    HalfLayer& half = layer.mixer;
    LayerTensors tensors(tensors_, parts_, mixers_, index);
    tensors_.use_group(TensorRole::Mixer, index);
    GGUF_FUSE_CHECK(half.block->map(tensors));
    const Architecture& architecture = *network_.architecture;
    if (architecture.residual == Residual::ByNorm) {
      GGUF_FUSE_ASSIGN(const bool two, tensors.has({std::string(architecture.feed_forward_norm) + ".weight"}));
      layer.parallel = !two;
    }
    GGUF_FUSE_CHECK(map_pre_norm(tensors, true, layer));
    half.ending.waits = architecture.post_norms || layer.parallel;
    if (!architecture.post_norms) return {};
    // What follows computes this norm together with its own.
    tensors_.use_group(TensorRole::FeedForward, index);
    return tensors.floats("post_attention_norm.weight", network_.sizes.embedding, half.ending.norm);
  }

  Result<void> map_feed_forward(std::size_t index) {
    const Architecture& architecture = *network_.architecture;
    HalfLayer& half = network_.layers[index].feed_forward;
    LayerTensors tensors(tensors_, parts_, feed_forwards_, index);
    tensors_.use_group(TensorRole::FeedForward, index);
    GGUF_FUSE_CHECK(half.block->map(tensors));
    GGUF_FUSE_CHECK(map_pre_norm(tensors, false, network_.layers[index]));
    half.ending.waits = architecture.post_norms;
    if (!architecture.post_norms) return {};
    const bool last = index + 1 == network_.layers.size();
    tensors_.use_group(last ? TensorRole::Output : TensorRole::Mixer, index + 1);
    GGUF_FUSE_CHECK(tensors.open_floats("layer_output_scale.weight", 1, half.ending.scale, Peers::All));
    return tensors.floats("post_ffw_norm.weight", network_.sizes.embedding, half.ending.norm);
  }

  TensorPlaces& tensors_;
  const LayerParts& parts_;
  const std::string& path_;
  Network& network_;
  std::vector<const Block*> mixers_, feed_forwards_;
};

}  // namespace

Result<void> map_network(TensorPlaces& tensors, std::span<const TensorView> views, const std::string& path,
                         Network& network) {
  const LayerParts parts(views, path);
  return Mapper(tensors, parts, path, network).map();
}

}  // namespace gguf_fuse::runtime::detail
