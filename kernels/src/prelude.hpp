// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string_view>

#include "gguf_fuse/kernels/matmul.hpp"

namespace gguf_fuse::kernels::detail {

// Numbers that the host and the OpenCL kernels share, apart from those that public headers have. Kernels know all of
// them by the names that the table in prelude.cpp gives them, and write none of them themselves
// (scripts/check_prelude.sh).

/// Flags of matrix products.
inline constexpr std::uint32_t kFlagBias = 1;
inline constexpr std::uint32_t kFlagAdd = 2;
inline constexpr std::uint32_t kFlagUpBias = 4;
inline constexpr std::uint32_t kFlagWeighInput = 8;
/// Flags of route_tokens.
inline constexpr std::uint32_t kRouteNormalise = 1;
inline constexpr std::uint32_t kRouteSelectionBias = 2;
inline constexpr std::uint32_t kRouteExpertFactor = 4;
inline constexpr std::uint32_t kRouteOneToken = 8;  ///< slots are choices: nothing is left to group

/// Flags of norms of rows: they have weights, a bias; and of prepare, beside these: there is a branch, which has a
/// norm.
inline constexpr std::uint32_t kNormWeight = 1;
inline constexpr std::uint32_t kNormBias = 2;
inline constexpr std::uint32_t kPrepareBranch = 4;
inline constexpr std::uint32_t kPrepareBranchNorm = 8;
inline constexpr std::uint32_t kPrepareScaled = 16;

/// Work-items of a work-group, where a group works on one row.
inline constexpr std::uint32_t kGroupLanes = 64;
inline constexpr std::uint32_t kGroupRowTiles = 4;  ///< of a work-group of matrix products, in batches
inline constexpr std::uint32_t kGroupSlices = 16;   ///< of the columns, for one token

/// Bytes of one token's activations in a group of columns: 8-bit values and four floats, or floats.
[[nodiscard]] constexpr std::uint32_t token_group_bytes(Activations kind) {
  return kind == Activations::Q8 ? kGroupElements + 4 * sizeof(float) : kGroupElements * sizeof(float);
}

/// Positions of a tile of the cache, and elements of a head that share a scale there.
inline constexpr std::uint32_t kCacheTile = 16;
inline constexpr std::uint32_t kCacheBlock = 32;

/// Floats before the partial sums of attention, and of a head beside its elements: the largest score, and the sum.
inline constexpr std::uint32_t kPartialHeader = 16;
inline constexpr std::uint32_t kPartialSums = 2;

inline constexpr std::uint32_t kPointwiseChunk = 1024;  ///< columns that a vector-style task takes
inline constexpr std::uint32_t kConvChannels = 256;     ///< that a vector-style task takes
inline constexpr std::uint32_t kDeltaSingleBlocks =
    4;  ///< sixteens of columns of one token's that a vector-style task takes
/// Floats of a tile and value head between the launches of the delta rule: two matrices and two vectors of its tokens.
inline constexpr std::uint32_t kDeltaHeadFloats = 2 * kBatchTile * (kBatchTile + 1);

inline constexpr std::uint32_t kSoftcapChunk = 4096;    ///< logits that a vector-style task takes
inline constexpr std::uint32_t kTopKGroupChunk = 2048;  ///< logits that a group sorts in local memory: a power of two
inline constexpr std::uint32_t kMostCandidates = 256;   ///< of top_k

/// A line `#define NAME NUMBER` for each of them: what stands before every program.
[[nodiscard]] std::string_view prelude();

}  // namespace gguf_fuse::kernels::detail
