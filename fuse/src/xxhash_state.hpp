// SPDX-License-Identifier: MIT
#pragma once

#include <xxhash.h>

#include <cstdint>
#include <memory>
#include <span>

namespace gguf_fuse::fuse::detail {

/// XXH64 with seed 0 over bytes that arrive in pieces.
class XxHash64 {
 public:
  XxHash64() : state_(XXH64_createState(), &XXH64_freeState) { XXH64_reset(state_.get(), 0); }
  void update(std::span<const std::byte> bytes) { XXH64_update(state_.get(), bytes.data(), bytes.size()); }
  [[nodiscard]] std::uint64_t digest() const { return XXH64_digest(state_.get()); }

 private:
  std::unique_ptr<XXH64_state_t, XXH_errorcode (*)(XXH64_state_t*)> state_;
};

}  // namespace gguf_fuse::fuse::detail
