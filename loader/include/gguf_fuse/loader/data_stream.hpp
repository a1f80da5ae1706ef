// SPDX-License-Identifier: MIT
#pragma once

#include "gguf_fuse/loader/model.hpp"

namespace gguf_fuse::loader {

/// The tensor data of a model that comes as one stream: read once, from front to back. For one thread at a time.
class GGUF_FUSE_EXPORT DataStream {
 public:
  /// `model` has one source and outlives the stream.
  explicit DataStream(Model& model) : source_(*model.sources.front()), container_(model.info.shards.front()) {}

  /// Where the last tensor ends, or the header of a file without any.
  [[nodiscard]] std::uint64_t end() const;

  /// The bytes from `position` on, which is not before the end of the last read; what lies between is passed over.
  /// Errors: those of Source::read_at, with the name of the tensor that is short.
  [[nodiscard]] Result<void> read(std::uint64_t position, std::span<std::byte> bytes);

  /// After the last read: passes over the data that nobody wanted, which must be there all the same (a stream has no
  /// size that was checked before), and tells the container how long the file is. Whether what follows the data is
  /// zeros. Errors: those of read().
  [[nodiscard]] Result<bool> finish();

 private:
  Source& source_;
  Container& container_;
  std::uint64_t position_ = 0;
};

}  // namespace gguf_fuse::loader
