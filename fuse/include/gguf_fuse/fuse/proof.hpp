// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gguf_fuse/fuse/namespace.hpp"
#include "gguf_fuse/loader/export.hpp"

namespace gguf_fuse::fuse {

/// 128 bits: of a header, its XXH3-128 with the file's size as seed; of a tensor, the sums (mod 2^64 each) of the low
/// and the high halves of its blocks' XXH3-128, each with the block's number as seed. So blocks may be hashed in any
/// order and by any thread, and none may be changed, lost or moved unnoticed. docs/format.md says where blocks begin.
struct ContentHash {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  friend bool operator==(const ContentHash&, const ContentHash&) = default;
};

/// A tensor of the original files, in slices (its matrices) that fusing moves as a whole.
struct OriginalTensor {
  std::string name;
  std::uint64_t bytes = 0;
  std::uint64_t slice_bytes = 0;
};

/// Where pieces of an original tensor lie in a file: piece i is bytes [offset + i * offset_stride, + bytes) of the
/// tensor and begins at position + i * position_stride of the file.
struct Track {
  std::uint32_t tensor = 0;  ///< index into OriginalProof::tensors
  std::uint64_t position = 0;
  std::uint64_t position_stride = 0;
  std::uint64_t offset = 0;
  std::uint64_t offset_stride = 0;
  std::uint64_t bytes = 0;
  std::uint64_t count = 1;
};

/// A tensor of a file, [begin, end) of it, and what of the original it holds.
struct TrackedTensor {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::vector<Track> tracks{};
};
using FileTracks = std::vector<TrackedTensor>;  ///< ascending, without overlap

/// How the bytes that a plan moves are held against the original's.
struct OriginalProof {
  std::vector<OriginalTensor> tensors{};  ///< of all original files, in their order
  std::vector<FileTracks> outputs{};      ///< for each file of the plan
  std::vector<FileTracks> sources{};      ///< for each file of the model
  std::vector<ContentHash> expected{};    ///< unfuse: what the record says of `tensors`; fuse: empty
  /// Tensors, each with the one whose bytes are known to be its own: where one is stored, only that one is hashed.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> copies{};
  bool big_endian = false;
  /// Fuse: where, in the header of the first file, complete_record() puts what was found: a byte each that says that
  /// there are hashes, and whether the padding is zero; and the hashes.
  std::uint64_t hashed_at = 0;
  std::uint64_t zero_padding_at = 0;
  std::uint64_t hashes_at = 0;
};

/// What unfusing gives back, as far as can be told before the data is read.
enum class Restores : std::uint8_t {
  Nothing,   ///< no plan of the way back
  Weights,   ///< taken apart by the rules: what else the original held, nobody knows
  Recorded,  ///< what the record says, and the original's is not (or cannot be) proven
  Original,  ///< the original's headers, and its every byte where the tensors' hashes hold
};

}  // namespace gguf_fuse::fuse
