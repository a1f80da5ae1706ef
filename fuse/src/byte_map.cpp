// SPDX-License-Identifier: MIT
#include "gguf_fuse/fuse/byte_map.hpp"

namespace gguf_fuse::fuse {
namespace {

std::uint64_t end_of(const Run& run) { return run.offset + (run.count - 1) * run.stride + run.bytes; }

}  // namespace

// A piece that goes on where the last one ended. The last one of several leaves their run, for it is longer now.
bool ByteMap::extend(const Piece& piece) {
  Run& run = runs_.back();
  const Piece last = run.piece(run.count - 1);
  if (!piece.continues(last)) return false;
  if (run.count == 1) {
    run.bytes += piece.bytes;
    return true;
  }
  if (--run.count == 1) run.source_stride = run.stride = 0;
  runs_.push_back({.source = last.source,
                   .source_offset = last.source_offset,
                   .offset = last.offset,
                   .bytes = last.bytes + piece.bytes});
  return true;
}

// Counts the last run as one more piece of the run before it, where it continues that one.
void ByteMap::fold() {
  if (runs_.size() < 2) return;
  Run& run = runs_[runs_.size() - 2];
  const Run& last = runs_.back();
  if (run.source != last.source || run.bytes != last.bytes || last.count != 1 ||
      last.source_offset < run.source_offset + run.bytes || last.offset < run.offset + run.bytes) {
    return;
  }
  if (run.count == 1) {
    run.source_stride = last.source_offset - run.source_offset;
    run.stride = last.offset - run.offset;
  } else if (const Piece next = run.piece(run.count);
             last.source_offset != next.source_offset || last.offset != next.offset) {
    return;
  }
  ++run.count;
  runs_.pop_back();
}

void ByteMap::add(const Piece& piece) {
  if (piece.bytes == 0) return;
  if (runs_.empty() || !extend(piece)) {
    runs_.push_back(
        {.source = piece.source, .source_offset = piece.source_offset, .offset = piece.offset, .bytes = piece.bytes});
  }
  fold();
}

void ByteMap::add(const Run& outer, const ByteMap& inner) {
  // A stack may have a run for each of its thousands of matrices, and is asked for each of them.
  const bool in_order = inner.runs_are_in_order();
  for (std::uint64_t i = 0; i < outer.count; ++i) {
    const Piece place = outer.piece(i);
    for (Piece piece : inner.pieces(place.source_offset, place.source_end(), in_order)) {
      piece.offset = piece.offset - place.source_offset + place.offset;
      add(piece);
    }
  }
}

bool ByteMap::runs_are_in_order() const {
  return std::adjacent_find(runs_.begin(), runs_.end(),
                            [](const Run& run, const Run& next) { return end_of(run) > next.offset; }) == runs_.end();
}

std::vector<Piece> ByteMap::pieces(std::uint64_t begin, std::uint64_t end, bool in_order) const {
  std::vector<Piece> found;
  auto run = runs_.begin();
  if (in_order) run = std::partition_point(run, runs_.end(), [begin](const Run& one) { return end_of(one) <= begin; });
  for (; run != runs_.end() && !(in_order && run->offset >= end); ++run) {
    for_each_piece_in_output(*run, begin, end, [&](const Piece& piece) { found.push_back(piece); });
  }
  std::sort(found.begin(), found.end(), [](const Piece& a, const Piece& b) { return a.offset < b.offset; });
  std::size_t kept = 0;
  for (const Piece& piece : found) {
    if (kept != 0 && piece.continues(found[kept - 1])) {
      found[kept - 1].bytes += piece.bytes;
    } else {
      found[kept++] = piece;
    }
  }
  found.resize(kept);
  return found;
}

PieceRange pieces_in(std::uint64_t start, std::uint64_t stride, std::uint64_t bytes, std::uint64_t count,
                     std::uint64_t begin, std::uint64_t end) {
  if (end <= start || begin >= end) return {};
  if (count == 1) return begin < start + bytes ? PieceRange{0, 1} : PieceRange{};
  // The first piece that ends after `begin`, and the first that starts at or after `end`.
  const std::uint64_t first = begin < start + bytes ? 0 : (begin - start - bytes) / stride + 1;
  const std::uint64_t last = (end - start - 1) / stride + 1;
  return {std::min(first, count), std::max(std::min(first, count), std::min(last, count))};
}

}  // namespace gguf_fuse::fuse
