// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>

#include "gguf_fuse/jinja/value.hpp"
#include "gguf_fuse/loader/error.hpp"

namespace gguf_fuse::jinja {

/// Beyond them a rendering is given up with an error.
struct Limits {
  std::uint64_t steps = 5'000'000;                 ///< nodes evaluated and elements looked at; about a second
  std::uint64_t bytes = std::uint64_t{512} << 20;  ///< of all texts and containers made on the way, together
  unsigned depth = 250;                            ///< of expressions, statements and macro calls inside each other
};

/// A template in the language of Jinja2, as transformers runs chat templates: trim_blocks and lstrip_blocks, loop
/// controls, the tags `generation` and `endgeneration` (ignored), and the functions raise_exception, strftime_now,
/// namespace, range and dict. No inheritance, no include, no import, no autoescape (`safe` changes nothing). Upper and
/// lower case are those of ASCII. A template cannot reach anything but the values it is given. Immutable: any number of
/// threads may render it at once.
class GGUF_FUSE_EXPORT Template {
 public:
  /// Errors: TemplateSyntax, with the line.
  [[nodiscard]] static Result<Template> parse(std::string_view source);

  /// Renders with the entries of `globals` as variables. New containers go into `heap`, which owns `globals`; lists of
  /// `globals` may be changed (append, pop). `now` is what strftime_now tells. Errors: TemplateFailed (also
  /// raise_exception), TemplateLimit, each with the line.
  [[nodiscard]] Result<Text> render(Heap& heap, const Dict& globals, Limits limits = {},
                                    std::time_t now = std::time(nullptr)) const;

  struct Program;

 private:
  explicit Template(std::shared_ptr<const Program> program);
  std::shared_ptr<const Program> program_;
};

/// A value from JSON. Its texts are of `origin`. Errors: TemplateFailed, with the byte where it ends to be JSON.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Value> parse_json(Heap& heap, std::string_view json, Origin origin);

}  // namespace gguf_fuse::jinja
