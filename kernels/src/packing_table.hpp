// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "gguf_fuse/loader/tensor_type.hpp"

namespace gguf_fuse {

/// A part of a block that is read as one plane: `bytes` bytes at `source` in the file's block, as words of `word`
/// bytes.
struct Region {
  std::uint16_t source = 0;
  std::uint16_t bytes = 0;  ///< 0: no region
  std::uint16_t word = 0;
};

/// Rewrites what the kernels want in another order of bits. `packed` holds the regions' bytes one after the other.
using RearrangeBlock = void (*)(const std::byte* file, std::byte* packed);

/// One row of the packing table. The decode include is named after the type.
struct Packing {
  std::string_view type;
  std::uint32_t elements = 0;  ///< of a packed block
  std::uint32_t bytes = 0;     ///< of a packed block, and of the `elements` elements in the file
  bool floats = false;         ///< elements are floats: no scales, and never 8-bit activations
  std::array<Region, 5> regions{};
  RearrangeBlock rearrange = nullptr;

  /// E.g. "decode/q4_k.cl".
  [[nodiscard]] std::string decode_file() const;
};

/// Null when the kernels do not compute with the type.
[[nodiscard]] const Packing* find_packing(const TensorType& type);

}  // namespace gguf_fuse
