// SPDX-License-Identifier: MIT
#include "gguf_fuse/loader/data_stream.hpp"

#include <algorithm>

namespace gguf_fuse::loader {

std::uint64_t DataStream::end() const {
  return container_.tensors.empty() ? container_.header->size() : container_.data_offset + container_.data_bytes;
}

Result<void> DataStream::read(std::uint64_t position, std::span<std::byte> bytes) {
  if (auto done = source_.read_at(position, bytes); !done)
    return fail(container_.with_tensor(std::move(done).error(), position, position + bytes.size()));
  position_ = position + bytes.size();
  return {};
}

Result<bool> DataStream::finish() {
  std::byte last{};
  if (position_ < end() && !container_.tensors.empty()) GGUF_FUSE_CHECK(read(end() - 1, {&last, 1}));
  const std::uint64_t read = std::max(position_, end());
  GGUF_FUSE_ASSIGN(const Source::Tail tail, source_.read_tail(read));
  container_.file_bytes = read + tail.bytes;
  return tail.all_zero;
}

}  // namespace gguf_fuse::loader
