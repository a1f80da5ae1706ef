// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "gguf_fuse/loader/header_writer.hpp"
#include "gguf_fuse/loader/model.hpp"
#include "support/memory_sink.hpp"

namespace gguf_fuse::fuzz {

using namespace loader;
using namespace fuse;

using Bytes = std::vector<std::byte>;

/// Ends the process as a finding unless `holds`.
inline void require(bool holds, const char* what, const std::string& detail = {}) {
  if (holds) return;
  std::fprintf(stderr, "finding: %s %s\n", what, detail.c_str());
  std::abort();
}

inline void check_error(const Error& error) {
  const std::string message = error.message();
  require(!message.empty() && escape_text(message) == message,
          "a message that is not safe to print:", escape_text(message));
}

/// The value of a result that must not be an error.
template <typename T>
T must(Result<T> result, const char* what) {
  if (!result) require(false, what, result.error().message());
  return std::move(*result);
}

/// Touches every key and every tensor, and writes the header again.
inline void check_container(const Container& container, std::span<const std::byte> file) {
  HeaderWriter writer(container.version, container.big_endian);
  require(writer.set_alignment(container.alignment).has_value(), "an alignment that cannot be written");
  for (std::size_t i = 0; i < container.metadata.size(); ++i) {
    const Metadata::Entry entry = container.metadata[i];
    const std::string shown = entry.value.display();
    require(escape_text(shown) == shown, "a value that is not safe to print:", escape_text(shown));
    static_cast<void>(container.metadata.get_unsigned_array(entry.key));
    static_cast<void>(container.metadata.get_string_array(entry.key));
    require(container.metadata.find(entry.key).has_value(), "a key that is not found");
    writer.add_record(entry.record);
  }
  for (const TensorInfo& tensor : container.tensors) {
    const std::uint64_t offset =
        must(writer.add_tensor(tensor.name, *tensor.type, tensor.dimension_count, tensor.dims), "an unwritable row:");
    require(offset == tensor.offset, "a tensor at another offset");
    require(container.data_offset + offset + tensor.bytes <= file.size() || tensor.bytes == 0, "data beyond the end");
  }
  const Bytes again = writer.finish();
  require(again.size() == container.data_offset, "a header of another size");
  require(std::equal(container.header->begin(), container.header->end(), again.begin()),
          "a header written differently");
}

/// A pipe gives the same header, even where it would not have all the data.
inline void check_stream(const Container& container, std::span<const std::byte> file) {
  test_support::MemoryStream stream(Bytes(file.begin(), file.end()));
  const Container streamed = must(read_container(stream), "a stream is refused:");
  require(*streamed.header == *container.header && streamed.data_bytes == container.data_bytes,
          "a stream reads differently");
}

}  // namespace gguf_fuse::fuzz
