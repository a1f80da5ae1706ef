// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <functional>
#include <span>

#include "gguf_fuse/fuse/pipeline.hpp"

namespace gguf_fuse::fuse::detail {

/// Slices are hashed in blocks of this size, the last one of a slice shorter. No larger than the smallest chunk that
/// the pipeline moves (workers.cpp), so that each block is whole in the hands of one thread.
inline constexpr std::uint64_t kHashBlock = std::uint64_t{64} << 10;

/// A stretch of a file: a block of an original tensor, or what lies between tensors.
struct Stretch {
  std::uint64_t end = 0;
  bool is_block = false;
  std::uint32_t tensor = 0;
  std::uint64_t number = 0;  ///< of the block in its tensor
};

/// The stretch of a file that begins at `position`, which is the end of another one or the file's begin.
[[nodiscard]] Stretch stretch_at(const FileTracks& tracks, const std::vector<OriginalTensor>& tensors,
                                 std::uint64_t position);

/// The largest end, at most `most` bytes behind `position`, up to which there are only whole stretches.
[[nodiscard]] std::uint64_t whole_stretches(const FileTracks& tracks, const std::vector<OriginalTensor>& tensors,
                                            std::uint64_t position, std::uint64_t most);

/// Sums up the hashes of original tensors; from any number of threads.
class OriginalHasher {
 public:
  explicit OriginalHasher(const OriginalProof* proof);

  [[nodiscard]] const OriginalProof* proof() const { return proof_; }
  /// `bytes` lie at `begin` of a file with these tracks; blocks are whole in it.
  void add(const FileTracks& tracks, std::uint64_t begin, std::span<const std::byte> bytes);
  /// For every original tensor; nothing without a proof.
  [[nodiscard]] std::vector<ContentHash> take() const;

 private:
  const OriginalProof* proof_;
  std::vector<std::atomic<std::uint64_t>> sums_;  // low and high of each tensor
};

/// XXH3-128 of a header; `file_bytes` is the whole file's size.
[[nodiscard]] ContentHash hash_header(std::span<const std::byte> header, std::uint64_t padding,
                                      std::uint64_t file_bytes);

}  // namespace gguf_fuse::fuse::detail
