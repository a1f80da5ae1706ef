// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "gguf_fuse/kernels/matmul.hpp"
#include "gguf_fuse/kernels/namespace.hpp"

namespace gguf_fuse::kernels {

// The operations of matmul.hpp in plain C++ over host memory, for tests: one element after the other,
// from the bytes of the file, with nothing in common with packing and kernels.

/// A row as the file stores it, as floats; `kind` says whether as they are or as activations of that kind are
/// multiplied with them (IQ6_K's are rounded for those of 8 bits). `row` holds whole blocks of out.size() elements.
/// Errors: UnsupportedType, InvalidArgument (sizes that do not fit).
[[nodiscard]] Result<void> decode_row_reference(const TensorType& type, std::span<const std::byte> row,
                                                std::span<float> out, Activations kind = Activations::F32);

/// What a sum becomes, in double; SiluOai: the gate's part, behind its limit.
[[nodiscard]] double activated_reference(Activation activation, double sum);

/// What gate and up become, in double.
[[nodiscard]] double gated_reference(Activation activation, double gate, double up);

/// result[token * rows + row] = sum over columns of weights[row][column] * activations[token][column], in double.
/// `weights` is float[rows][columns], `activations` float[tokens][columns].
[[nodiscard]] std::vector<double> matmul_reference(std::span<const float> weights, std::span<const float> activations,
                                                   std::uint32_t columns);

/// out[token] = factor * table[tokens[token]], float[rows][columns].
[[nodiscard]] std::vector<float> embed_reference(std::span<const float> table, std::uint32_t columns, float factor,
                                                 std::span<const std::int32_t> tokens);

}  // namespace gguf_fuse::kernels
