// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gguf_fuse/fuse/rules.hpp"
#include "support/gguf_builder.hpp"
#include "support/model_shape.hpp"

namespace gguf_fuse::test_support {

/// A tiny model of random weights, shaped like those of an architecture:
///
///   const Bytes file = RandomModel("qwen35moe").layers(4).experts(8)
///                          .type("Q4_0").type("attn_v", "Q6_K", 1).bias("attn_q").drop("attn_v", 3).build();
///
/// Architectures with a row of their own (known_architectures()) get their tensors and keys, so that llama.cpp loads
/// them; any other name gets llama's. A part is a tensor's name without `blk.N.` and without its suffix: "attn_q",
/// "ffn_gate_exps", "token_embd"; no layer means all layers. Functions that change tensors act when the table is made,
/// in the order of their calls. Impossible wishes throw std::invalid_argument.
class RandomModel {
 public:
  using Layer = std::optional<std::uint32_t>;

  explicit RandomModel(std::string architecture = "llama");

  // Sizes. The defaults are small enough to try every truncation of the file.
  RandomModel& layers(std::uint32_t count) { return shape_.layers = count, *this; }
  RandomModel& embedding(std::uint64_t size) { return shape_.embedding = size, *this; }
  RandomModel& heads(std::uint32_t query, std::uint32_t key_value, std::uint64_t size);
  /// Size of a head's values where it is not the keys'.
  RandomModel& value_size(std::uint64_t size) { return shape_.value_size = size, *this; }
  /// Key/value heads per layer, stored as an array.
  RandomModel& key_value_heads(std::vector<std::uint32_t> counts) {
    return shape_.kv_heads_by_layer = std::move(counts), *this;
  }
  RandomModel& feed_forward(std::uint64_t size) { return shape_.feed_forward = size, *this; }
  /// A mixture: `count` experts of `size` hidden units each (0: as feed_forward). 0 experts: a dense model.
  RandomModel& experts(std::uint32_t count, std::uint32_t used = 2, std::uint64_t size = 0);
  /// attention.sliding_window, which architectures with a window have anyway.
  RandomModel& window(std::uint32_t size) { return shape_.window = size, *this; }
  RandomModel& vocabulary(std::uint64_t size) { return shape_.vocabulary = size, *this; }
  /// K-quants need rows of 256: sets embedding, head and feed-forward sizes so that every matrix can have any type.
  RandomModel& wide();

  // Types. Where the type for all matrices does not fit a row it becomes F16, as engines' quantizers do. gpt-oss's
  // experts are MXFP4 unless named here.
  RandomModel& type(std::string_view type) { return shape_.matrix_type = type, *this; }
  RandomModel& type(std::string_view part, std::string_view type, Layer layer = std::nullopt);

  // Tensors.
  /// Adds `part`.bias (F32) beside `part`.weight.
  RandomModel& bias(std::string_view part, Layer layer = std::nullopt);
  /// Adds `part`.scale, or `part`.input_scale: F32, one for the tensor or one an expert. A value makes all of them
  /// equal.
  RandomModel& scale(std::string_view part, Layer layer = std::nullopt, std::string_view suffix = "scale",
                     std::optional<float> value = std::nullopt);
  /// Removes a part with its bias and scales.
  RandomModel& drop(std::string_view part, Layer layer = std::nullopt);
  /// Puts another tensor at the end.
  RandomModel& tensor(TensorSpec spec);
  /// Changes the table as it stands by then; for everything that has no function of its own.
  RandomModel& edit(std::function<void(std::vector<TensorSpec>&)> change);
  /// Joins a rule's parts where all are there: what the fused file must hold, made without the library's planner.
  RandomModel& fused(RuleId rule, Layer layer = std::nullopt);
  /// Takes ffn_*_exps apart into a tensor for each expert, expert by expert, as converters of 2023 wrote them.
  RandomModel& unstacked(Layer layer = std::nullopt);

  // The file.
  RandomModel& seed(std::uint64_t value);
  RandomModel& version(std::uint32_t value) { return builder_.version(value), *this; }
  RandomModel& big_endian(bool value = true);
  RandomModel& alignment(std::uint64_t value) { return builder_.alignment(value), *this; }
  RandomModel& unpadded_end(bool value = true) { return builder_.unpadded_end(value), *this; }
  RandomModel& keys(std::function<void(HeaderWriter&)> write) { return more_keys_.push_back(std::move(write)), *this; }
  /// general.tensor_extra: tensor names and whether each may use 4-bit activations.
  RandomModel& prec_a4(std::vector<std::pair<std::string, bool>> entries);

  [[nodiscard]] Bytes build() const { return builder().build(); }
  [[nodiscard]] std::vector<Bytes> build_shards(std::size_t tensors_per_shard) const;
  /// build() into a file; returns the path.
  std::string write(const std::string& path) const;
  /// The tensor table as it will be written.
  [[nodiscard]] std::vector<TensorSpec> table() const;

 private:
  using Table = std::vector<TensorSpec>;
  /// Takes the model as an argument: it may have been copied or moved since the edit was asked for.
  using Edit = std::function<void(const RandomModel&, Table&)>;
  using PartEdit = std::function<void(const RandomModel&, Table&, std::size_t)>;

  [[nodiscard]] GgufBuilder builder() const;
  RandomModel& edit_parts(std::string_view part, Layer layer, PartEdit change);
  void fuse_layer(Table& table, RuleId id, std::uint32_t layer) const;
  void unstack_layer(Table& table, std::uint32_t layer) const;

  ModelShape shape_;
  std::uint64_t seed_ = 1;
  bool big_endian_ = false;
  std::vector<Edit> edits_;
  std::vector<std::function<void(HeaderWriter&)>> more_keys_;
  GgufBuilder builder_;
};

/// A random choice of everything above, for property tests: equal seeds give equal models. Legal GGUF always; what is
/// fusable in it is left to chance.
[[nodiscard]] RandomModel any_model(std::uint64_t seed);

}  // namespace gguf_fuse::test_support
