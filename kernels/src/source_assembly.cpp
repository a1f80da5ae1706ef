// SPDX-License-Identifier: MIT
#include "source_assembly.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "embedded_kernels.hpp"
#include "prelude.hpp"

namespace gguf_fuse::kernels::detail {
namespace {

std::optional<std::string_view> embedded_text(std::string_view file) {
  for (const EmbeddedKernel& kernel : embedded_kernels()) {
    if (kernel.name == file) return kernel.text;
  }
  return std::nullopt;
}

/// Drops `prefix` and the blanks before it; false, and `line` is unchanged, when it does not start so.
bool skip(std::string_view& line, std::string_view prefix) {
  const std::size_t start = std::min(line.find_first_not_of(" \t"), line.size());
  if (line.substr(start, prefix.size()) != prefix) return false;
  line.remove_prefix(start + prefix.size());
  return true;
}

/// x of a line `#include "x"`.
std::optional<std::string_view> included_file(std::string_view line) {
  if (!skip(line, "#") || !skip(line, "include") || !skip(line, "\"")) return std::nullopt;
  return line.substr(0, line.find('"'));
}

class Assembly {
 public:
  explicit Assembly(std::string& out) : out_(out) {}

  Result<void> append(std::string_view file, std::string_view text) {
    open_files_.push_back(file);
    start_line(1, file);
    for (std::size_t number = 1; !text.empty(); ++number) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      const std::string_view line = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      if (const auto other = included_file(line)) {
        GGUF_FUSE_CHECK(include(*other, file, number));
        start_line(number + 1, file);
      } else {
        out_.append(line).append("\n");
      }
    }
    open_files_.pop_back();
    return {};
  }

 private:
  void start_line(std::size_t number, std::string_view file) { out_ += fmt::format("#line {} \"{}\"\n", number, file); }

  Result<void> include(std::string_view other, std::string_view file, std::size_t number) {
    const bool cycle = std::find(open_files_.begin(), open_files_.end(), other) != open_files_.end();
    const auto text = embedded_text(other);
    if (!cycle && text) return append(other, *text);
    return fail(Error{.code = ErrorCode::KernelBuildFailed,
                      .path = fmt::format("{}:{}", file, number),
                      .subject = std::string(other),
                      .actual = cycle ? "the file includes itself" : "there is no such file",
                      .hint = "this is a defect of gguf-fuse; please report it"});
  }

  std::string& out_;
  std::vector<std::string_view> open_files_;
};

}  // namespace

Result<std::string> assemble_source(const ProgramSpec& spec, const Defines& defines) {
  // As directives rather than options: their values may hold blanks and quotes, which no driver unescapes alike.
  std::string source(prelude());
  for (const auto& [name, value] : defines) source += fmt::format("#define {} {}\n", name, value.empty() ? "1" : value);
  const std::optional<std::string_view> text =
      spec.source.empty() ? embedded_text(spec.file) : std::optional<std::string_view>(spec.source);
  if (!text) {
    return fail(Error{.code = ErrorCode::KernelBuildFailed,
                      .path = spec.file,
                      .actual = "there is no such embedded file",
                      .hint = "this is a defect of gguf-fuse; please report it"});
  }
  GGUF_FUSE_CHECK(Assembly(source).append(spec.file, *text));
  return source;
}

}  // namespace gguf_fuse::kernels::detail
