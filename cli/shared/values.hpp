// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gguf_fuse/loader/source.hpp"
#include "namespace.hpp"

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
[[nodiscard]] std::int64_t parse_integer(std::string_view option, std::string_view text, std::int64_t minimum,
                                         std::int64_t maximum);
[[nodiscard]] double parse_decimal(std::string_view option, std::string_view text, double minimum, double maximum);
/// Threads that read: 0, as many as there are processors, for -1 and 0, as llama.cpp has it.
[[nodiscard]] unsigned parse_threads(std::string_view option, std::string_view text);
/// on, enabled, true, 1, or off, disabled, false, 0: llama.cpp's words for flags in the environment.
[[nodiscard]] bool parse_truth(std::string_view option, std::string_view text);
/// The parts between commas, which must not be empty.
[[nodiscard]] std::vector<std::string> parse_list(std::string_view option, std::string_view text);
/// 3, 0-11, or 12- (to the last layer).
[[nodiscard]] std::pair<std::uint32_t, std::uint32_t> parse_layers(std::string_view option, std::string_view text);
/// The names of a table's rows.
template <typename Rows>
[[nodiscard]] std::vector<std::string> names_of(const Rows& rows) {
  std::vector<std::string> names;
  names.reserve(std::size(rows));
  for (const auto& row : rows) names.emplace_back(row.name);
  return names;
}
/// The index of `text` among `words`.
[[nodiscard]] std::size_t parse_choice(std::string_view option, std::string_view text,
                                       const std::vector<std::string>& words);

/// llama.cpp's words for how a file is read: none, mmap, dio; in the order of LoadMode.
[[nodiscard]] const std::vector<std::string>& load_mode_names();
[[nodiscard]] std::string_view load_mode_name(LoadMode mode);

/// \n, \t, \r, \", \', \\ and \xNN become what they stand for; other backslashes stay.
[[nodiscard]] std::string unescape(std::string_view text);

}  // namespace gguf_fuse::cli
