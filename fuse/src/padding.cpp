// SPDX-License-Identifier: MIT
#include "padding.hpp"

#include <algorithm>

namespace gguf_fuse::fuse::detail {
namespace {

constexpr std::uint64_t kStep = std::uint64_t{1} << 16;

Result<bool> range_is_zero(Source& source, Gap range) {
  std::vector<std::byte> buffer;
  for (std::uint64_t at = range.begin; at < range.end; at += buffer.size()) {
    buffer.resize(std::min(kStep, range.end - at));
    GGUF_FUSE_CHECK(source.read_at(at, buffer));
    if (!all_zero(buffer)) return false;
  }
  return true;
}

}  // namespace

bool all_zero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte byte) { return byte == std::byte{0}; });
}

std::vector<Gap> gaps_of(const Container& container) {
  std::vector<Gap> gaps;
  std::uint64_t end = container.header->size();
  for (const TensorInfo& tensor : container.tensors) {
    const std::uint64_t begin = container.data_offset + tensor.offset;
    if (begin != end) gaps.push_back({.begin = end, .end = begin});
    end = begin + tensor.bytes;
  }
  return gaps;
}

Result<bool> padding_is_zero(Model& model) {
  for (std::size_t i = 0; i < model.sources.size(); ++i) {
    const Container& container = model.info.shards[i];
    std::vector<Gap> gaps = gaps_of(container);
    const std::uint64_t end =
        container.tensors.empty() ? container.header->size() : container.data_offset + container.data_bytes;
    gaps.push_back({.begin = end, .end = container.file_bytes.value_or(end)});
    for (const Gap& gap : gaps) {
      GGUF_FUSE_ASSIGN(const bool zero, range_is_zero(*model.sources[i], gap));
      if (!zero) return false;
    }
  }
  return true;
}

}  // namespace gguf_fuse::fuse::detail
