// SPDX-License-Identifier: MIT
#include "gguf_fuse/jinja/template.hpp"

#include "machine.hpp"
#include "parser.hpp"

namespace gguf_fuse::jinja {

Template::Template(std::shared_ptr<const Program> program) : program_(std::move(program)) {}

Result<Template> Template::parse(std::string_view source) {
  constexpr std::size_t kMostBytes = std::size_t{4} << 20;
  if (source.size() > kMostBytes) {
    return fail(Error{.code = ErrorCode::TemplateSyntax,
                      .expected = "at most " + std::to_string(kMostBytes) + " bytes",
                      .actual = std::to_string(source.size())});
  }
  GGUF_FUSE_ASSIGN(auto tokens, tokenize(source));
  auto program = std::make_shared<Program>();
  GGUF_FUSE_CHECK(Parser(std::move(tokens), *program).run());
  return Template(std::move(program));
}

Result<Text> Template::render(Heap& heap, const Dict& globals, Limits limits, std::time_t now) const {
  return Machine(heap, globals, limits, now).run(program_->body);
}

}  // namespace gguf_fuse::jinja
