// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "gguf_fuse/kernels/namespace.hpp"
#include "gguf_fuse/loader/tensor_type.hpp"

namespace gguf_fuse::kernels::detail {

/// A part of a block that is read as one plane: `bytes` bytes at `source` in the file's block, as words of `word`
/// bytes. Decode includes know it by its name.
struct Region {
  std::string_view name{};
  std::uint16_t source = 0;
  std::uint16_t bytes = 0;  ///< 0: no region
  std::uint16_t word = 0;
};

using Regions = std::array<Region, 6>;

/// Rewrites what the kernels want in another order of bits. `packed` holds the regions' bytes one after the other.
using RearrangeBlock = void (*)(const std::byte* file, std::byte* packed);

/// How the blocks of one type are packed. The type's sizes are the loader's (TensorType), and the decode include is
/// named after it. A scale at the start of each row becomes a plane of its own behind those of the regions.
struct Packing {
  std::string_view type;
  Regions regions{};
  RearrangeBlock rearrange = nullptr;
  bool row_factors = false;  ///< such a plane, of floats that are no part of the file (PackedShape::factors_at)
};

/// The families of types, a file each: packing_basic.cpp and so on.
[[nodiscard]] std::span<const Packing> basic_packings();
[[nodiscard]] std::span<const Packing> k_packings();
[[nodiscard]] std::span<const Packing> iq_packings();
[[nodiscard]] std::span<const Packing> ik_packings();

/// Null when the kernels do not compute with the type.
[[nodiscard]] const Packing* find_packing(const TensorType& type);

/// Elements are floats: no blocks in the file, no scales, and never 8-bit activations.
[[nodiscard]] inline bool holds_floats(const TensorType& type) { return type.block_elements == 1; }

struct PackedBlock {
  std::uint32_t elements = 0;
  std::uint32_t bytes = 0;
};

/// A block as kernels see it: the file's, of floats a group of 32.
[[nodiscard]] PackedBlock packed_block(const TensorType& type);

/// The lines by which a program includes what decodes this type, with what that needs to know of the packing
/// (decode/parts.cl); and those after which another type's may follow. The type is one that find_packing() knows.
[[nodiscard]] std::string include_decode(const TensorType& type);
[[nodiscard]] std::string forget_decode(const TensorType& type);

}  // namespace gguf_fuse::kernels::detail
