// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string>
#include <vector>

#include "gguf_fuse/kernels/device.hpp"
#include "gguf_fuse/kernels/matmul.hpp"
#include "packing_table.hpp"

namespace gguf_fuse {

/// The program of a matrix product. Its text includes the product once for each different type. Sizes are arguments of
/// the kernel, so that few programs serve a model.
[[nodiscard]] ProgramSpec matmul_program(const DeviceProfile& profile, const MatmulShape& shape);

/// The program of embed() for a type.
[[nodiscard]] ProgramSpec embed_program(const DeviceProfile& profile, const Packing& packing);

/// Whether a packed matrix can be read: its type, its blocks, its place in the buffer. Errors: UnsupportedType,
/// InvalidArgument.
[[nodiscard]] Result<void> check_matrix(const Matrix& matrix);

}  // namespace gguf_fuse
