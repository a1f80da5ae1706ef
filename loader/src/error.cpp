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

// What a caller made up is no code of the list, and is said to be none.
constexpr ErrorRow kNoError{"Unknown", ErrorKind::Environment, "an error that this version does not know", ""};

const ErrorRow& row(ErrorCode code) {
  const auto index = static_cast<std::size_t>(code);
  return index < kErrors.size() ? kErrors[index] : kNoError;
}

// C0, DEL and C1 control terminals; line and paragraph separators break a line, and marks that turn the direction of
// writing let text appear as another one.
bool is_control(std::string_view character) {
  const auto byte = [character](std::size_t i) { return static_cast<unsigned char>(character[i]); };
  if (character.size() == 1) return byte(0) < 0x20 || byte(0) == 0x7f;
  if (character.size() == 2) return byte(0) == 0xc2 && byte(1) < 0xa0;
  if (character.size() != 3 || byte(0) != 0xe2) return false;
  const bool general = byte(1) == 0x80 && (byte(2) == 0x8e || byte(2) == 0x8f || (byte(2) >= 0xa8 && byte(2) <= 0xae));
  return general || (byte(1) == 0x81 && byte(2) >= 0xa6 && byte(2) <= 0xa9);
}

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

// What the errno alone says about what to do; the others leave the word to the code.
std::string_view hint_of(int error_number) {
  switch (error_number) {
    case EMFILE:
    case ENFILE:
      return "close some files, or raise the limit of open ones (ulimit -n)";
    case ENOMEM:
      return "close other programs, or raise the memory limit (ulimit -v)";
    case EROFS:
      return "this filesystem can only be read; write elsewhere";
    case ENAMETOOLONG:
      return "give a shorter name";
    case ELOOP:
      return "symbolic links lead in a circle; give the file's own name";
    case ESTALE:
      return "the server no longer has the file as it was; run the command again";
    case EDQUOT:
      return "your quota is used up: remove some files or write elsewhere";
    case EIO:
      return "the disk, or the connection to it, fails; the system's log (dmesg) says more";
    default:
      return {};
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
               .actual = text,
               .hint = std::string(hint_of(error_number))};
}

std::string escape_text(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = loader::detail::utf8_length(text);
    if (length == 0 || is_control(text.substr(0, length))) {
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
