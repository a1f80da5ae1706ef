// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "support/gguf_builder.hpp"

namespace gguf_fuse::test_support {

/// The sizes of a random model; RandomModel's functions set them one by one.
struct ModelShape {
  std::string architecture = "llama";
  std::uint32_t layers = 2;
  std::uint64_t embedding = 64;
  std::uint32_t heads = 4;
  std::uint32_t kv_heads = 2;
  std::uint64_t head_size = 16;
  std::uint64_t value_size = 0;                    ///< 0: head_size
  std::vector<std::uint32_t> kv_heads_by_layer{};  ///< empty: kv_heads in all
  std::uint64_t feed_forward = 96;
  std::uint32_t experts = 0;
  std::uint32_t experts_used = 2;
  std::uint64_t expert_size = 0;  ///< 0: feed_forward
  std::uint64_t vocabulary = 32;
  std::uint32_t window = 0;  ///< of attention; 0: 32 where the architecture needs one
  std::string matrix_type = "Q8_0";

  [[nodiscard]] std::uint64_t expert_feed_forward() const { return expert_size != 0 ? expert_size : feed_forward; }
  [[nodiscard]] std::uint64_t value_head() const { return value_size != 0 ? value_size : head_size; }
};

/// The tensors of a model of this shape, in the order in which converters write them.
[[nodiscard]] std::vector<TensorSpec> model_tensors(const ModelShape& shape);

/// general.architecture, the hyperparameters under the architecture's prefix, and a tokenizer without words.
void write_model_keys(const ModelShape& shape, HeaderWriter& writer);

/// Architectures with a row of their own.
[[nodiscard]] std::vector<std::string_view> known_architectures();
/// Whether an architecture is a mixture of experts whatever the caller says.
[[nodiscard]] bool always_has_experts(std::string_view architecture);

}  // namespace gguf_fuse::test_support
