// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/step.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "gguf_fuse/kernels/matmul.hpp"
#include "prepare_program.hpp"

namespace gguf_fuse::kernels {
namespace {

template <typename T>
constexpr std::uint32_t kWords = sizeof(T) / sizeof(std::uint32_t);

template <typename T>
void append(std::vector<std::uint32_t>& words, const T& value) {
  const std::size_t at = words.size();
  words.resize(at + kWords<T>);
  std::memcpy(words.data() + at, &value, sizeof(T));
}

}  // namespace

StepTable::StepTable(std::span<const StepRun> runs, std::span<const std::uint32_t> outputs) {
  Header header{.runs = static_cast<std::uint32_t>(runs.size()), .outputs = static_cast<std::uint32_t>(outputs.size())};
  std::vector<StepRun> tiles;
  append(words_, header);
  header.tokens_at = static_cast<std::uint32_t>(words_.size());
  for (const StepRun& run : runs) {
    for (std::uint32_t i = 0; i < run.tokens; ++i) {
      append(words_, Token{.position = run.position + i, .sequence = run.sequence});
    }
    header.tokens += run.tokens;
    if (run.tokens == 1) {
      size_.reach = std::max(size_.reach, run.position + 1);
      continue;
    }
    ++header.long_runs;
    for (std::uint32_t i = 0; i < run.tokens; i += kBatchTile) {
      tiles.push_back({.first = run.first + i,
                       .tokens = std::min(kBatchTile, run.tokens - i),
                       .position = run.position + i,
                       .sequence = run.sequence});
    }
  }
  header.runs_at = static_cast<std::uint32_t>(words_.size());
  for (const StepRun& run : runs) append(words_, run);
  header.tiles = static_cast<std::uint32_t>(tiles.size());
  header.tiles_at = static_cast<std::uint32_t>(words_.size());
  for (const StepRun& tile : tiles) append(words_, tile);
  header.outputs_at = static_cast<std::uint32_t>(words_.size());
  words_.insert(words_.end(), outputs.begin(), outputs.end());
  std::memcpy(words_.data(), &header, sizeof(header));
  size_ = {.tokens = header.tokens,
           .runs = header.runs,
           .long_runs = header.long_runs,
           .tiles = header.tiles,
           .outputs = header.outputs,
           .reach = size_.reach};
}

StepTable::StepTable(std::uint32_t tokens, std::uint32_t past)
    : StepTable(std::array{StepRun{.first = 0, .tokens = tokens, .position = past, .sequence = 0}},
                std::array{tokens - 1}) {}

std::uint64_t StepTable::most_bytes(std::uint32_t tokens, std::uint32_t sequences) {
  const std::uint64_t tiles = std::uint64_t{detail::ceil_divide(tokens, kBatchTile)} + sequences;
  const std::uint64_t words =
      kWords<Header> + std::uint64_t{tokens} * (kWords<Token> + 1) + (sequences + tiles) * kWords<StepRun>;
  return words * sizeof(std::uint32_t);
}

}  // namespace gguf_fuse::kernels
