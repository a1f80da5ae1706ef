// SPDX-License-Identifier: MIT
// Renders chat templates for comparisons with other implementations. Reads a request a line from standard input,
// {"template": TEXT, "context": {...}, "now": SECONDS}, and answers each with "ok BYTES" or "error BYTES" on a line and
// as many bytes of text behind it.
#include <fmt/format.h>

#include <iostream>
#include <string>

#include "gguf_fuse/jinja/template.hpp"

namespace {

using namespace gguf_fuse;

Result<std::string> render(const std::string& line) {
  jinja::Heap heap;
  GGUF_FUSE_ASSIGN(const jinja::Value request, jinja::parse_json(heap, line, jinja::Origin::Data));
  const jinja::Value* const source = request.dict()->find("template");
  const jinja::Value* const context = request.dict()->find("context");
  const jinja::Value* const now = request.dict()->find("now");
  GGUF_FUSE_ASSIGN(const jinja::Template parsed, jinja::Template::parse(source->text()->bytes()));
  GGUF_FUSE_ASSIGN(const jinja::Text text, parsed.render(heap, *context->dict(), {}, *now->get<std::int64_t>()));
  return text.bytes();
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    const auto text = render(line);
    const std::string answer = text ? *text : text.error().message();
    std::cout << fmt::format("{} {}\n{}\n", text ? "ok" : "error", answer.size(), answer) << std::flush;
  }
}
