// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace gguf_fuse::loader::detail {

static_assert(std::endian::native == std::endian::little, "byte order is converted from little-endian hosts only");

/// The scalar stored at the start of `bytes`; 0 where they are too few.
template <typename T>
[[nodiscard]] T load(std::span<const std::byte> bytes, bool big_endian) {
  if (bytes.size() < sizeof(T)) return T{};
  std::byte raw[sizeof(T)];
  for (std::size_t i = 0; i < sizeof(T); ++i) raw[i] = bytes[big_endian ? sizeof(T) - 1 - i : i];
  T value;
  std::memcpy(&value, raw, sizeof(T));
  return value;
}

/// Stores `value` at the start of `out`.
template <typename T>
void store(std::span<std::byte> out, T value, bool big_endian) {
  std::byte raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof(T));
  for (std::size_t i = 0; i < sizeof(T); ++i) out[i] = raw[big_endian ? sizeof(T) - 1 - i : i];
}

}  // namespace gguf_fuse::loader::detail
