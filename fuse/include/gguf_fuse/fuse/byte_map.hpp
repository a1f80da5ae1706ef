// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "gguf_fuse/fuse/namespace.hpp"
#include "gguf_fuse/loader/export.hpp"

namespace gguf_fuse::fuse {

/// A contiguous copy: bytes from source_offset of a source to offset of the output.
struct Piece {
  std::uint32_t source = 0;
  std::uint64_t source_offset = 0;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;

  [[nodiscard]] std::uint64_t source_end() const { return source_offset + bytes; }
  /// Whether it goes on where `before` ends, on both sides.
  [[nodiscard]] bool continues(const Piece& before) const {
    return source == before.source && source_offset == before.source_end() && offset == before.offset + before.bytes;
  }
};

/// `count` pieces of `bytes` each: piece i goes from source_offset + i * source_stride of a source to
/// offset + i * stride of the output. Pieces never overlap.
struct Run {
  std::uint32_t source = 0;         ///< of a plan: index into ModelInfo::shards
  std::uint64_t source_offset = 0;  ///< absolute, in that source
  std::uint64_t source_stride = 0;
  std::uint64_t offset = 0;
  std::uint64_t stride = 0;
  std::uint64_t bytes = 0;
  std::uint64_t count = 1;

  [[nodiscard]] Piece piece(std::uint64_t i) const {
    return {source, source_offset + i * source_stride, offset + i * stride, bytes};
  }
  friend bool operator==(const Run&, const Run&) = default;
};

/// Where every byte of an output (a tensor of a plan, a staging slot's share of a buffer) comes from, as few runs.
class GGUF_FUSE_EXPORT ByteMap {
 public:
  ByteMap() = default;
  /// The runs as they are; that they are sane is up to the caller (execute() checks a plan's).
  ByteMap(std::vector<Run> runs) : runs_(std::move(runs)) {}  // NOLINT(google-explicit-constructor): a map is its runs

  [[nodiscard]] const std::vector<Run>& runs() const { return runs_; }

  /// Adds a piece behind those that were added before: neighbours are joined, equal strides counted.
  void add(const Piece& piece);
  /// Composition: `outer` takes its bytes from the output of `inner`; what it says of its source is no matter.
  void add(const Run& outer, const ByteMap& inner);
  /// The runs of another map beside these; neither is joined with the other.
  void append(const ByteMap& other) { runs_.insert(runs_.end(), other.runs_.begin(), other.runs_.end()); }

  /// The pieces within [begin, end) of the output, cut to it, in its order; neighbours joined.
  [[nodiscard]] std::vector<Piece> pieces(std::uint64_t begin, std::uint64_t end) const {
    return pieces(begin, end, false);
  }

  friend bool operator==(const ByteMap&, const ByteMap&) = default;

 private:
  [[nodiscard]] bool extend(const Piece& piece);
  /// Whether each run begins at or behind the end of the one before.
  [[nodiscard]] bool runs_are_in_order() const;
  [[nodiscard]] std::vector<Piece> pieces(std::uint64_t begin, std::uint64_t end, bool in_order) const;
  void fold();

  std::vector<Run> runs_;
};

/// Indices [first, last) of the pieces of a run that touch the window [begin, end), where piece i lies at
/// start + i * stride.
struct PieceRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};
[[nodiscard]] GGUF_FUSE_EXPORT PieceRange pieces_in(std::uint64_t start, std::uint64_t stride, std::uint64_t bytes,
                                                    std::uint64_t count, std::uint64_t begin, std::uint64_t end);

/// Calls `function(Piece)` for the parts of `run` that lie within [begin, end) of the output, cut to it.
template <typename Function>
void for_each_piece_in_output(const Run& run, std::uint64_t begin, std::uint64_t end, Function&& function) {
  const PieceRange range = pieces_in(run.offset, run.stride, run.bytes, run.count, begin, end);
  for (std::uint64_t i = range.first; i < range.last; ++i) {
    const Piece whole = run.piece(i);
    const std::uint64_t from = std::max(whole.offset, begin);
    const std::uint64_t to = std::min(whole.offset + whole.bytes, end);
    function(Piece{run.source, whole.source_offset + (from - whole.offset), from, to - from});
  }
}

/// Calls `function(Piece)` for the parts of `run` that lie within [begin, end) of its source, cut to it.
template <typename Function>
void for_each_piece_in_source(const Run& run, std::uint64_t begin, std::uint64_t end, Function&& function) {
  const PieceRange range = pieces_in(run.source_offset, run.source_stride, run.bytes, run.count, begin, end);
  for (std::uint64_t i = range.first; i < range.last; ++i) {
    const Piece whole = run.piece(i);
    const std::uint64_t from = std::max(whole.source_offset, begin);
    const std::uint64_t to = std::min(whole.source_end(), end);
    function(Piece{run.source, from, whole.offset + (from - whole.source_offset), to - from});
  }
}

}  // namespace gguf_fuse::fuse
