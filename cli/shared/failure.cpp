// SPDX-License-Identifier: MIT
#include "failure.hpp"

#include <fmt/format.h>

#include <csignal>

#include "print.hpp"

namespace gguf_fuse::cli {
namespace {

struct KindRow {
  ErrorKind kind;
  int exit_code;
  std::string_view name;
};

constexpr KindRow kKinds[] = {
    {ErrorKind::Environment, 1, "environment"}, {ErrorKind::Usage, 2, "usage"},
    {ErrorKind::Malformed, 3, "malformed"},     {ErrorKind::NotFusable, 4, "not fusable"},
    {ErrorKind::Mismatch, 5, "mismatch"},       {ErrorKind::Interrupted, 128 + SIGINT, "interrupted"},
    {ErrorKind::Unsupported, 6, "unsupported"},
};

const KindRow& kind_row(ErrorKind kind) {
  for (const KindRow& row : kKinds) {
    if (row.kind == kind) return row;
  }
  return kKinds[0];
}

}  // namespace

Failure command_failure(const Error& error, int signal) {
  const KindRow& row = kind_row(error.kind());
  const bool interrupted = error.kind() == ErrorKind::Interrupted && signal != 0;
  return {.exit_code = interrupted ? 128 + signal : row.exit_code,
          .code = std::string(error_name(error.code)),
          .kind = std::string(row.name),
          .message = error.message(),
          .details = error};
}

Failure usage_failure(std::string_view message, std::string_view command) {
  return {.exit_code = kind_row(ErrorKind::Usage).exit_code,
          .code = std::string(error_name(ErrorCode::InvalidArgument)),
          .kind = std::string(kind_row(ErrorKind::Usage).name),
          .message = std::string(message),
          .advice = fmt::format("try: {} --help", command)};
}

Failure internal_failure(std::string_view message) {
  return {.exit_code = kind_row(ErrorKind::Environment).exit_code,
          .code = std::string(error_name(ErrorCode::SystemFailed)),
          .kind = std::string(kind_row(ErrorKind::Environment).name),
          .message = fmt::format("unexpected: {}", escape_text(message))};
}

Failure output_failure(int error_number) {
  return command_failure(system_error(ErrorCode::WriteFailed, "standard output", error_number), 0);
}

Json failure_json(const Failure& failure) {
  Json error;
  error["code"] = failure.code;
  error["kind"] = failure.kind;
  error["message"] = failure.message;
  if (const auto& details = failure.details) {
    const auto add = [&error](const char* key, std::string_view text) {
      if (!text.empty()) error[key] = text;
    };
    add("path", details->path);
    add("subject", details->subject);
    if (details->offset) error["offset"] = *details->offset;
    add("expected", details->expected);
    add("actual", details->actual);
    add("hint", details->hint.empty() ? error_hint(details->code) : std::string_view(details->hint));
  }
  error["exit_code"] = failure.exit_code;
  return {{"error", std::move(error)}};
}

void print_failure(const Failure& failure, bool json, std::FILE* stream) {
  if (json) return put_json(stream, failure_json(failure));
  put(stream, fmt::format("{} {}\n", coloured(stream, Colour::Red, "error:"), failure.message));
  if (!failure.advice.empty()) put(stream, failure.advice + "\n");
}

}  // namespace gguf_fuse::cli
