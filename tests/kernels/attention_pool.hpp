// SPDX-License-Identifier: MIT
#pragma once

#include <map>
#include <span>
#include <vector>

#include "attention_layer.hpp"

namespace gguf_fuse::test_support {

/// New tokens of a sequence.
struct Piece {
  std::uint32_t sequence;
  std::uint32_t tokens;
};

/// Several sequences in one cache. Their pages have no order; what is in none of them is NaN, and where a table has no
/// entry stands a page of NaN.
class Pool {
 public:
  Pool(Device& device, CacheShape shape, std::uint32_t sequences, std::uint32_t row)
      : device_(device),
        cache_{.shape = shape, .table_row = row},
        free_(shuffled_pages(shape.pages)),
        table_(std::size_t{sequences} * row, free_.back()),
        sequences_(sequences) {
    nan_page_ = free_.back();
    free_.pop_back();
    cache_.k = value_of(device.allocate(shape.k_bytes()));
    cache_.v = value_of(device.allocate(shape.v_bytes()));
    for (const Buffer& buffer : {cache_.k, cache_.v}) {
      value_of(buffer.fill(std::byte{0xff}).map([] { return 0; }));
    }
    cache_.table = buffer_of(device, table_);
    step_ = empty_step(device);
  }

  /// Puts tokens behind those of their sequences in one step; pieces of more than one token come first.
  void store(std::span<const Piece> pieces, float scale = 2) {
    const HeadShape heads = cache_.shape.heads;
    const std::size_t q = heads.q_columns(), kv = heads.kv_columns(), row = q + 2 * kv;
    runs_.clear();
    q_rows_.clear();
    std::uint32_t rows = 0;
    for (const Piece& piece : pieces) {
      Sequence& sequence = sequences_[piece.sequence];
      runs_.push_back({.first = rows, .tokens = piece.tokens, .position = sequence.length, .sequence = piece.sequence});
      rows += piece.tokens;
      sequence.length += piece.tokens;
      take_pages(piece.sequence);
    }
    const std::vector<float> qkv = random_floats(rows * row, 7 + seed_++, scale);
    q_ = zeros(device_, rows * q * sizeof(float));
    auto operation = value_of(store_kv(device_, StoreShape{.heads = heads},
                                       StoreBuffers{.qkv = buffer_of(device_, qkv), .q = q_}, cache_, step_));
    run_operation(device_, operation, step_, table());
    for (const StepRun& run : runs_) {
      Sequence& sequence = sequences_[run.sequence];
      for (std::size_t token = run.first; token < run.first + run.tokens; ++token) {
        const std::span<const float> from = std::span(qkv).subspan(token * row, row);
        append(q_rows_, from.first(q));
        for (std::size_t head = 0; head < heads.kv_heads; ++head) {
          append(sequence.k, cache_reference(cache_.shape.k, from.subspan(q + head * heads.size, heads.size)));
          append(sequence.v, cache_reference(cache_.shape.v, from.subspan(q + kv + head * heads.size, heads.size)));
        }
      }
    }
  }

  /// Pages that end before a position are nobody's any more, and full of NaN.
  void give_back(std::uint32_t sequence, std::uint32_t position) {
    for (std::uint32_t i = 0; i < position / kPageTokens; ++i) {
      std::uint32_t& page = table_[sequence * cache_.table_row + i];
      for (const Buffer& buffer : {cache_.k, cache_.v}) {
        const std::vector<std::byte> nan(buffer.bytes() / cache_.shape.pages, std::byte{0xff});
        value_of(buffer.write(nan, page * nan.size()).map([] { return 0; }));
      }
      page = nan_page_;
    }
    write_table();
  }

  /// Attention of the tokens of the last store(), by all of them in one step.
  std::vector<float> attend(const AttentionShape& shape) { return attend(shape, table(), q_); }

  /// Of one of the pieces of the last store() in a step of its own.
  std::vector<float> attend_alone(const AttentionShape& shape, std::size_t index) {
    const std::vector<float> rows = rows_of(q_rows_, index);
    StepRun run = runs_[index];
    run.first = 0;
    return attend(shape, StepTable(std::array{run}, {}), buffer_of(device_, rows));
  }

  /// What of float[tokens][q_columns] is a piece's.
  [[nodiscard]] std::vector<float> rows_of(const std::vector<float>& all, std::size_t index) const {
    const std::size_t columns = cache_.shape.heads.q_columns();
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(runs_[index].first * columns);
    return {begin, begin + static_cast<std::ptrdiff_t>(runs_[index].tokens * columns)};
  }

  [[nodiscard]] std::vector<double> expected(const AttentionShape& shape, std::span<const float> sinks = {}) const {
    std::vector<double> all;
    for (std::size_t i = 0; i < runs_.size(); ++i) {
      const Sequence& sequence = sequences_[runs_[i].sequence];
      const std::vector<double> of_piece =
          attention_reference(shape, cache_.shape.heads, rows_of(q_rows_, i), sequence.k, sequence.v, sinks);
      all.insert(all.end(), of_piece.begin(), of_piece.end());
    }
    return all;
  }

  [[nodiscard]] StepTable table() const { return {runs_, {}}; }
  [[nodiscard]] const std::vector<StepRun>& runs() const { return runs_; }
  [[nodiscard]] const Cache& cache() const { return cache_; }
  [[nodiscard]] const Buffer& q() const { return q_; }
  [[nodiscard]] const Buffer& step() const { return step_; }

 private:
  struct Sequence {
    std::uint32_t length = 0;
    std::uint32_t pages = 0;
    std::vector<float> k{}, v{};
  };

  std::vector<float> attend(const AttentionShape& shape, const StepTable& step, const Buffer& q) {
    AttentionShape sized = shape;
    sized.max_tokens = std::max(1U, static_cast<std::uint32_t>(q.bytes() / sizeof(float)) / columns());
    sized.max_sequences = static_cast<std::uint32_t>(sequences_.size());
    const Buffer out = zeros(device_, q.bytes());
    auto operation = value_of(attention(device_, sized, cache_, q, out, step_));
    run_operation(device_, operation, step_, step);
    return content_of<float>(out);
  }

  void take_pages(std::uint32_t index) {
    Sequence& sequence = sequences_[index];
    for (; sequence.pages < pages_for(sequence.length); ++sequence.pages) {
      table_.at(index * cache_.table_row + sequence.pages) = free_.back();
      free_.pop_back();
    }
    write_table();
  }
  void write_table() const {
    value_of(cache_.table.write(std::as_bytes(std::span(table_))).map([] { return 0; }));
  }
  [[nodiscard]] std::uint32_t columns() const { return cache_.shape.heads.q_columns(); }

  Device& device_;
  Cache cache_;
  std::vector<std::uint32_t> free_;
  std::vector<std::uint32_t> table_;
  std::vector<Sequence> sequences_;
  std::uint32_t nan_page_ = 0;
  std::uint64_t seed_ = 0;
  Buffer step_{}, q_{};
  std::vector<StepRun> runs_{};
  std::vector<float> q_rows_{};
};

}  // namespace gguf_fuse::test_support
