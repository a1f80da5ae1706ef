// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

namespace gguf_fuse {

// Block functions of the packing table (docs/kernels.md shows the orders they make). All words are little-endian.

void rearrange_q5_0(const std::byte* file, std::byte* packed);
void rearrange_q5_1(const std::byte* file, std::byte* packed);
void rearrange_q8_0(const std::byte* file, std::byte* packed);
void rearrange_q2_k(const std::byte* file, std::byte* packed);
void rearrange_q3_k(const std::byte* file, std::byte* packed);
void rearrange_q4_k(const std::byte* file, std::byte* packed);
void rearrange_q5_k(const std::byte* file, std::byte* packed);
void rearrange_q6_k(const std::byte* file, std::byte* packed);

}  // namespace gguf_fuse
