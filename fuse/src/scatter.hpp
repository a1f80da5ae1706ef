// SPDX-License-Identifier: MIT
#pragma once

#include <functional>

#include "gather.hpp"

namespace gguf_fuse::fuse::detail {

/// Where a piece of the source goes: a piece whose offset is absolute in output file `file`.
struct ScatteredPiece {
  std::uint32_t file = 0;
  const PlannedTensor* tensor = nullptr;
  Piece piece;
};

/// Every run of a plan by where it begins in the source (one file), for walking the source in order.
class SourceOrder {
 public:
  explicit SourceOrder(const Plan& plan);

  /// All pieces within [begin, end) of the source, in source order. Windows must follow one another.
  [[nodiscard]] std::vector<ScatteredPiece> window(std::uint64_t begin, std::uint64_t end);

 private:
  struct Item {
    Run run;
    std::uint32_t file;
    const PlannedTensor* tensor;
    [[nodiscard]] std::uint64_t source_end() const {
      return run.source_offset + (run.count - 1) * run.source_stride + run.bytes;
    }
  };
  std::vector<Item> items_;
  std::vector<std::size_t> active_;
  std::size_t next_ = 0;
};

/// A window of the source with its bytes.
struct Window {
  std::uint64_t begin = 0;
  std::vector<std::byte> bytes;
  std::vector<ScatteredPiece> pieces;
};

/// Reads the data section of a one-file stream from front to back, once; windows are handed to several threads.
/// Returns whether the padding, and what follows the last tensor, was zero; sets file_bytes of the model.
[[nodiscard]] Result<bool> walk_stream(const Plan& plan, Model& model, const PipelineOptions& options,
                                       const std::function<Result<void>(const Window&)>& consume);

/// execute() for streams.
[[nodiscard]] Result<Execution> scatter(const Plan& plan, Model& model, const std::vector<std::unique_ptr<Sink>>& sinks,
                                        const PipelineOptions& options);

}  // namespace gguf_fuse::fuse::detail
