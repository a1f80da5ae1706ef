// SPDX-License-Identifier: MIT
#include "gguf_fuse/loader/error.hpp"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "utf8.hpp"

namespace gguf_fuse {
namespace {

struct ErrorRow {
  std::string_view name;
  ErrorKind kind;
  std::string_view what;
  std::string_view hint;
};

constexpr std::array kErrors = {
#define GGUF_FUSE_ERROR(code, kind, what, hint) ErrorRow{#code, ErrorKind::kind, what, hint},
#include "gguf_fuse/loader/error_list.inc"
#undef GGUF_FUSE_ERROR
};

const ErrorRow& row(ErrorCode code) { return kErrors[static_cast<std::size_t>(code)]; }

// The errno values that mean the same whatever was being done.
ErrorCode code_of(int error_number, ErrorCode fallback) {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
      return ErrorCode::NoSpace;
    case EFBIG:
      return ErrorCode::FileTooLarge;
    default:
      return fallback;
  }
}

}  // namespace

std::size_t error_code_count() { return kErrors.size(); }
std::string_view error_name(ErrorCode code) { return row(code).name; }
std::string_view error_hint(ErrorCode code) { return row(code).hint; }
ErrorKind Error::kind() const { return row(code).kind; }

std::string Error::message() const {
  std::string text;
  if (!path.empty()) text += fmt::format("{}: ", escape_text(path));
  if (!subject.empty()) text += fmt::format("\"{}\": ", escape_text(subject));
  text += row(code).what;
  if (offset) text += fmt::format(" (at byte {})", *offset);
  if (!expected.empty() && !actual.empty()) {
    text += fmt::format(": expected {}, found {}", escape_text(expected), escape_text(actual));
  } else if (!expected.empty()) {
    text += fmt::format(": expected {}", escape_text(expected));
  } else if (!actual.empty()) {
    text += fmt::format(": {}", escape_text(actual));
  }
  const std::string_view advice = hint.empty() ? row(code).hint : std::string_view(hint);
  if (!advice.empty()) text += fmt::format("; {}", escape_text(advice));
  return text;
}

Error system_error(ErrorCode fallback, std::string path, int error_number, std::optional<std::uint64_t> offset) {
  std::array<char, 256> buffer{};
  // GNU's strerror_r: the text is returned, and may or may not be in the buffer.
  const char* text = strerror_r(error_number, buffer.data(), buffer.size());
  return Error{.code = code_of(error_number, fallback),
               .path = std::move(path),
               .offset = offset,
               .actual = text};
}

std::string escape_text(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const auto first = static_cast<unsigned char>(text.front());
    const bool control = first < 0x20 || first == 0x7f || (length == 2 && first == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0);
    if (length == 0 || control) {
      const std::size_t bad = length == 0 ? 1 : length;
      for (std::size_t i = 0; i < bad; ++i) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[i]));
      text.remove_prefix(bad);
    } else {
      out += text.substr(0, length);
      text.remove_prefix(length);
    }
  }
  return out;
}

}  // namespace gguf_fuse
