// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "gguf_fuse/loader/export.hpp"

namespace gguf_fuse {

/// What an error means for the caller; the command line maps each kind to one exit code.
enum class ErrorKind : std::uint8_t { Environment, Usage, Malformed, NotFusable, Mismatch, Interrupted, Unsupported };

/// Every error the library can return (error_list.inc holds one row each).
enum class ErrorCode : std::uint8_t {
#define GGUF_FUSE_ERROR(code, kind, what, hint) code,
#include "gguf_fuse/loader/error_list.inc"
#undef GGUF_FUSE_ERROR
};

/// An error is a value: where it happened, what was expected and what was found.
/// Empty fields are left out of the message.
struct Error {
  ErrorCode code;
  std::string path{};                     ///< file, as the caller named it
  std::string subject{};                  ///< tensor or metadata key
  std::optional<std::uint64_t> offset{};  ///< byte offset in the file
  std::string expected{};
  std::string actual{};
  std::string hint{};  ///< replaces the hint of the error list when set

  /// One line: `model.gguf: tensor "x" at byte 96: <what>: expected A, found B (<hint>)`, safe for a terminal.
  [[nodiscard]] GGUF_FUSE_EXPORT std::string message() const;
  [[nodiscard]] GGUF_FUSE_EXPORT ErrorKind kind() const;
};

template <typename T>
using Result = tl::expected<T, Error>;

/// Number of codes in the list; codes are 0 .. error_code_count() - 1.
[[nodiscard]] GGUF_FUSE_EXPORT std::size_t error_code_count();
/// The code's identifier, e.g. "BadMagic"; "Unknown" for a number that is no code.
[[nodiscard]] GGUF_FUSE_EXPORT std::string_view error_name(ErrorCode code);
/// The code's default hint.
[[nodiscard]] GGUF_FUSE_EXPORT std::string_view error_hint(ErrorCode code);

/// An Environment error from errno: ENOSPC, EDQUOT and EFBIG get codes of their own whatever `fallback` says, and where
/// the errno tells what to do, the hint says it.
[[nodiscard]] GGUF_FUSE_EXPORT Error system_error(ErrorCode fallback, std::string path, int error_number,
                                                  std::optional<std::uint64_t> offset = std::nullopt);

/// Text from a file made safe for a terminal: control characters and invalid UTF-8 become \xNN.
[[nodiscard]] GGUF_FUSE_EXPORT std::string escape_text(std::string_view text);

[[nodiscard]] inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

}  // namespace gguf_fuse

#define GGUF_FUSE_CONCAT_INNER(a, b) a##b
#define GGUF_FUSE_CONCAT(a, b) GGUF_FUSE_CONCAT_INNER(a, b)

/// Returns from the enclosing function when `expression` (a Result) holds an error.
#define GGUF_FUSE_CHECK(expression) GGUF_FUSE_CHECK_INNER(GGUF_FUSE_CONCAT(checked_result_, __COUNTER__), expression)
#define GGUF_FUSE_CHECK_INNER(name, expression)                                             \
  do {                                                                                      \
    if (auto name = (expression); !name) return ::gguf_fuse::fail(std::move(name).error()); \
  } while (false)

/// As GGUF_FUSE_CHECK, and otherwise moves the value into `target` (a declaration or an lvalue).
#define GGUF_FUSE_ASSIGN(target, expression) \
  GGUF_FUSE_ASSIGN_INNER(GGUF_FUSE_CONCAT(assigned_result_, __COUNTER__), target, expression)
#define GGUF_FUSE_ASSIGN_INNER(name, target, expression)        \
  auto name = (expression);                                     \
  if (!name) return ::gguf_fuse::fail(std::move(name).error()); \
  target = std::move(*name)
