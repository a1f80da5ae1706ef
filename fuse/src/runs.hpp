// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gguf_fuse/fuse/plan.hpp"

namespace gguf_fuse {

/// One piece of a run: a contiguous copy.
struct Piece {
  std::uint32_t source = 0;
  std::uint64_t source_offset = 0;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

/// Collects pieces into as few runs as they make: neighbours are joined, equal strides counted.
class RunBuilder {
 public:
  void add(const Piece& piece);
  [[nodiscard]] std::vector<Run> take();

 private:
  [[nodiscard]] bool extend(const Piece& piece);
  [[nodiscard]] bool repeat(const Piece& piece);

  std::vector<Run> runs_;
};

/// Bytes [begin, begin + bytes) of the tensor that `runs` describe, written from `destination` on, added to `out`.
void add_slice(RunBuilder& out, std::span<const Run> runs, std::uint64_t begin, std::uint64_t bytes,
               std::uint64_t destination);

/// Indices [first, last) of the pieces of a run that touch the window [begin, end), where piece i lies at
/// start + i * stride.
struct PieceRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};
[[nodiscard]] PieceRange pieces_in(std::uint64_t start, std::uint64_t stride, std::uint64_t bytes, std::uint64_t count,
                                   std::uint64_t begin, std::uint64_t end);

/// The parts of `run` that lie within [begin, end) of the output tensor, cut to it.
template <typename Function>
void for_each_piece_in_output(const Run& run, std::uint64_t begin, std::uint64_t end, Function&& function) {
  const PieceRange range = pieces_in(run.offset, run.stride, run.bytes, run.count, begin, end);
  for (std::uint64_t i = range.first; i < range.last; ++i) {
    const std::uint64_t at = run.offset + i * run.stride;
    const std::uint64_t from = at < begin ? begin : at;
    const std::uint64_t to = at + run.bytes > end ? end : at + run.bytes;
    function(Piece{run.source, run.source_offset + i * run.source_stride + (from - at), from, to - from});
  }
}

/// The parts of `run` that lie within [begin, end) of the source file, cut to it.
template <typename Function>
void for_each_piece_in_source(const Run& run, std::uint64_t begin, std::uint64_t end, Function&& function) {
  const PieceRange range = pieces_in(run.source_offset, run.source_stride, run.bytes, run.count, begin, end);
  for (std::uint64_t i = range.first; i < range.last; ++i) {
    const std::uint64_t at = run.source_offset + i * run.source_stride;
    const std::uint64_t from = at < begin ? begin : at;
    const std::uint64_t to = at + run.bytes > end ? end : at + run.bytes;
    function(Piece{run.source, from, run.offset + i * run.stride + (from - at), to - from});
  }
}

}  // namespace gguf_fuse
