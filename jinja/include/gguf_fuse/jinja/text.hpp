// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "gguf_fuse/jinja/namespace.hpp"
#include "gguf_fuse/loader/export.hpp"

namespace gguf_fuse::jinja {

/// Who wrote a byte: the template (or the program itself), or whoever wrote the data that it is given.
enum class Origin : char { Template, Data };

/// UTF-8 of which every byte knows its origin. Whatever a template does with a text, its bytes keep theirs.
class GGUF_FUSE_EXPORT Text {
 public:
  Text() = default;
  Text(std::string bytes, Origin origin)
      : bytes_(std::move(bytes)), origins_(bytes_.size(), static_cast<char>(origin)) {}

  [[nodiscard]] const std::string& bytes() const { return bytes_; }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] Origin origin(std::size_t byte) const { return static_cast<Origin>(origins_[byte]); }
  /// Data as soon as one byte is.
  [[nodiscard]] Origin origin() const;

  void append(std::string_view bytes, Origin origin);
  void append(const Text& other) { append(other, 0, other.size()); }
  void append(const Text& other, std::size_t begin, std::size_t end);
  [[nodiscard]] Text slice(std::size_t begin, std::size_t end) const;
  /// Changes one byte, which keeps its origin.
  void set(std::size_t byte, char value) { bytes_[byte] = value; }

 private:
  std::string bytes_;
  std::string origins_;  // a byte each
};

}  // namespace gguf_fuse::jinja
