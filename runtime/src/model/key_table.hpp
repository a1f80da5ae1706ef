// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace gguf_fuse::runtime::detail {

/// What a file without the key means.
enum class Absent : std::uint8_t {
  Refused,  ///< the key is required
  Default,  ///< a number of the table
  Derived,  ///< what the row says in words, from other keys
};

/// What a key means to the architectures that read it. Whoever has no row for a key does not read it, whatever the
/// file says: engines that write every key they know (llama.cpp's saver) write some that are not the model's.
struct KeyRow {
  std::string_view key;            ///< below the architecture's name, unless it begins with a dot
  std::string_view architectures;  ///< separated by spaces, or the word of a kind; none: all
  Absent absent;
  double fallback = 0;  ///< where absent is Default
  /// Where llama.cpp (src/) says so, and of what is derived how.
  std::string_view source;
};

[[nodiscard]] std::span<const KeyRow> key_rows();

/// The row for an architecture, or null: it does not read the key.
[[nodiscard]] const KeyRow* find_key(std::string_view architecture, std::string_view key);

}  // namespace gguf_fuse::runtime::detail
