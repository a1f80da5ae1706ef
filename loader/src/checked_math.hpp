// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <limits>
#include <optional>

namespace gguf_fuse::loader::detail {

// Sizes and offsets stay below 2^63 so that they fit every signed type other readers use.
inline constexpr std::uint64_t kSizeLimit = std::uint64_t{1} << 63;

[[nodiscard]] inline std::optional<std::uint64_t> checked_multiply(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product) || product >= kSizeLimit) return std::nullopt;
  return product;
}

[[nodiscard]] inline std::optional<std::uint64_t> checked_add(std::uint64_t a, std::uint64_t b) {
  std::uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum) || sum >= kSizeLimit) return std::nullopt;
  return sum;
}

}  // namespace gguf_fuse::loader::detail
