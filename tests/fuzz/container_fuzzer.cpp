// SPDX-License-Identifier: MIT
// Any bytes are read as a GGUF header: an error with a message that can be printed, or a header that can be written
// again.
#include "fuzz_check.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gguf_fuse::fuzz;
  const std::span<const std::byte> file(reinterpret_cast<const std::byte*>(data), size);
  const auto source = memory_source(file, "fuzz\x1b.gguf");
  const auto container = read_container(*source);
  if (container) {
    check_container(*container, file);
    check_stream(*container, file);
  } else {
    check_error(container.error());
  }
  return 0;
}
