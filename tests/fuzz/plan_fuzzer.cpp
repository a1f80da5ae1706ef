// SPDX-License-Identifier: MIT
// Any model is fused for every target and taken apart again: an error, or every weight where it belongs and the input
// restored.
#include "round_trip.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  gguf_fuse::fuzz::check_round_trips(gguf_fuse::fuzz::Bytes(bytes, bytes + size));
  return 0;
}
