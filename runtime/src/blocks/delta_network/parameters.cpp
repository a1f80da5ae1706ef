// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>

#include "blocks/delta_network/delta_network.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

/// What the kernels have room for.
constexpr std::uint32_t kLargestSize = 256;
constexpr std::uint32_t kMostWidth = 16;
constexpr std::uint32_t kMultiple = 16;

Result<std::uint32_t> read_number(const Keys& keys, std::string_view key, std::uint32_t most, std::uint32_t multiple) {
  GGUF_FUSE_ASSIGN(const std::uint32_t number, keys.size(key));
  if (number <= most && number % multiple == 0 && number > 1) return number;
  return fail(keys.bad(
      ErrorCode::UnsupportedHyperparameter, key,
      fmt::format("{}, at most {}", multiple == 1 ? "2 or more" : fmt::format("a multiple of {}", multiple), most),
      std::to_string(number)));
}

Result<DeltaParameters> read_parameters(const Keys& keys) {
  DeltaParameters delta;
  GGUF_FUSE_ASSIGN(delta.size, read_number(keys, "ssm.state_size", kLargestSize, kMultiple));
  GGUF_FUSE_ASSIGN(delta.width, read_number(keys, "ssm.conv_kernel", kMostWidth, 1));
  GGUF_FUSE_ASSIGN(delta.key_heads, keys.size("ssm.group_count"));
  GGUF_FUSE_ASSIGN(delta.value_heads, keys.size("ssm.time_step_rank"));
  GGUF_FUSE_ASSIGN(const std::uint32_t inner, keys.size("ssm.inner_size"));
  const std::uint64_t values = std::uint64_t{delta.value_heads} * delta.size;
  if (delta.value_heads % delta.key_heads != 0) {
    return fail(keys.bad(ErrorCode::BadHyperparameter, "ssm.time_step_rank",
                         fmt::format("a multiple of {} key heads", delta.key_heads),
                         std::to_string(delta.value_heads)));
  }
  if (values != inner) {
    return fail(keys.bad(ErrorCode::UnsupportedHyperparameter, "ssm.inner_size",
                         fmt::format("{} heads of {}", delta.value_heads, delta.size), std::to_string(inner)));
  }
  return delta;
}

/// Which layers are recurrent: the file's list, or all but every so-manieth.
Result<std::vector<bool>> read_recurrent(const Keys& keys, std::size_t layers) {
  GGUF_FUSE_ASSIGN(auto listed, keys.flags("attention.recurrent_layers", layers));
  if (listed) return std::move(*listed);
  GGUF_FUSE_ASSIGN(const std::uint32_t interval, keys.size("full_attention_interval"));
  std::vector<bool> recurrent;
  for (std::size_t i = 0; i < layers; ++i) recurrent.push_back((i + 1) % interval != 0);
  return recurrent;
}

}  // namespace

Result<Mixers> DeltaNetwork::read(const Keys& keys, const ModelSizes& sizes, const DeltaTraits& traits) {
  GGUF_FUSE_ASSIGN(Mixers mixers, Attention::read(keys, sizes, traits.attention));
  GGUF_FUSE_ASSIGN(const DeltaParameters delta, read_parameters(keys));
  GGUF_FUSE_ASSIGN(const std::vector<bool> recurrent, read_recurrent(keys, sizes.layers));
  for (std::size_t i = 0; i < sizes.layers; ++i) {
    if (recurrent[i]) mixers.blocks[i] = std::make_unique<DeltaNetwork>(sizes, traits, delta);
  }
  return mixers;
}

}  // namespace gguf_fuse::runtime::detail
