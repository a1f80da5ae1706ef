// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "gguf_fuse/kernels/namespace.hpp"
#include "gguf_fuse/loader/export.hpp"

namespace gguf_fuse::kernels {

/// How kernels are written for a device.
enum class Style : std::uint8_t {
  Vector,  ///< explicit 16-wide vectors, one work-item a tile of 16 rows
  Group,   ///< one lane a row, work-groups
};

/// How four products of 8-bit numbers are summed into a 32-bit one.
enum class DotProduct : std::uint8_t {
  None,        ///< no instruction for it: plain OpenCL C
  VnniAvx512,  ///< vpdpbusd on 512 bits, inline assembly: unsigned x signed
  VnniAvx,     ///< the same on 256 bits, VEX encoded (AVX-VNNI)
  KhrInteger,  ///< cl_khr_integer_dot_product with the packed 4x8-bit form
  Dp4a,        ///< NVIDIA's dp4a, inline PTX
};

/// What was found out about a device, and so how to write kernels for it.
struct DeviceProfile {
  Style style = Style::Vector;
  DotProduct dot = DotProduct::None;
  bool eight_bit = true;           ///< products with 8-bit activations are faster than with floats
  bool half_arithmetic = false;    ///< cl_khr_fp16
  bool prefetch = false;           ///< the compiler knows clang's __builtin_prefetch, and a CPU runs it
  bool host_memory = false;        ///< buffers lie in host memory: map() copies nothing
  unsigned compute_units = 1;      ///< cores of a CPU, multiprocessors of a GPU
  std::size_t max_work_group = 1;  ///< work-items
  std::string reason{};            ///< one line a decision, for people
};

/// "vector" or "group".
[[nodiscard]] GGUF_FUSE_EXPORT std::string_view style_name(Style style);
[[nodiscard]] GGUF_FUSE_EXPORT std::optional<Style> style_by_name(std::string_view name);
/// "none", "vnni-avx512", "vnni-avx", "khr-integer" or "dp4a".
[[nodiscard]] GGUF_FUSE_EXPORT std::string_view dot_product_name(DotProduct dot);
[[nodiscard]] GGUF_FUSE_EXPORT std::optional<DotProduct> dot_product_by_name(std::string_view name);

}  // namespace gguf_fuse::kernels
