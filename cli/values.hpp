// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gguf_fuse::cli {

/// The command line makes no sense; what() is the message for the user.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Option values. `option` is the option's name for the message; all throw UsageError.

/// Bytes: 500M is 500,000,000 as in llama.cpp's tools; 500MiB is binary; no suffix means bytes.
[[nodiscard]] std::uint64_t parse_size(std::string_view option, std::string_view text);
[[nodiscard]] std::uint64_t parse_count(std::string_view option, std::string_view text, std::uint64_t minimum,
                                        std::uint64_t maximum);
/// 3, 0-11, or 12- (to the last layer).
[[nodiscard]] std::pair<std::uint32_t, std::uint32_t> parse_layers(std::string_view option, std::string_view text);
/// The index of `text` among `words`.
[[nodiscard]] std::size_t parse_choice(std::string_view option, std::string_view text,
                                       const std::vector<std::string>& words);

}  // namespace gguf_fuse::cli
