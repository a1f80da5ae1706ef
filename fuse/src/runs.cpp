// SPDX-License-Identifier: MIT
#include "runs.hpp"

#include <algorithm>
#include <utility>

namespace gguf_fuse {

bool RunBuilder::extend(const Piece& piece) {
  Run& run = runs_.back();
  if (run.count != 1 || run.source_offset + run.bytes != piece.source_offset || run.offset + run.bytes != piece.offset)
    return false;
  run.bytes += piece.bytes;
  return true;
}

bool RunBuilder::repeat(const Piece& piece) {
  Run& run = runs_.back();
  if (run.bytes != piece.bytes || piece.source_offset < run.source_offset + run.bytes ||
      piece.offset < run.offset + run.bytes) {
    return false;
  }
  if (run.count == 1) {
    run.source_stride = piece.source_offset - run.source_offset;
    run.stride = piece.offset - run.offset;
  } else if (piece.source_offset != run.source_offset + run.count * run.source_stride ||
             piece.offset != run.offset + run.count * run.stride) {
    return false;
  }
  ++run.count;
  return true;
}

void RunBuilder::add(const Piece& piece) {
  if (piece.bytes == 0) return;
  if (!runs_.empty() && runs_.back().source == piece.source && (extend(piece) || repeat(piece))) return;
  runs_.push_back(Run{.source = piece.source,
                      .source_offset = piece.source_offset,
                      .source_stride = 0,
                      .offset = piece.offset,
                      .stride = 0,
                      .bytes = piece.bytes,
                      .count = 1});
}

std::vector<Run> RunBuilder::take() { return std::exchange(runs_, {}); }

PieceRange pieces_in(std::uint64_t start, std::uint64_t stride, std::uint64_t bytes, std::uint64_t count,
                     std::uint64_t begin, std::uint64_t end) {
  if (end <= start || begin >= end) return {};
  if (count == 1) return begin < start + bytes ? PieceRange{0, 1} : PieceRange{};
  // The first piece that ends after `begin`, and the first that starts at or after `end`.
  const std::uint64_t first = begin < start + bytes ? 0 : (begin - start - bytes) / stride + 1;
  const std::uint64_t last = (end - start - 1) / stride + 1;
  return {std::min(first, count), std::max(std::min(first, count), std::min(last, count))};
}

void add_slice(RunBuilder& out, std::span<const Run> runs, std::uint64_t begin, std::uint64_t bytes,
               std::uint64_t destination) {
  std::vector<Piece> pieces;
  for (const Run& run : runs) {
    for_each_piece_in_output(run, begin, begin + bytes, [&](const Piece& piece) { pieces.push_back(piece); });
  }
  std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.offset < b.offset; });
  for (Piece& piece : pieces) {
    piece.offset = piece.offset - begin + destination;
    out.add(piece);
  }
}

}  // namespace gguf_fuse
