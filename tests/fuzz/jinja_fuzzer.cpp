// SPDX-License-Identifier: MIT
// Any bytes are a chat template: it renders within its limits, or says why not.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "gguf_fuse/jinja/template.hpp"

namespace {

constexpr const char* kContext =
    R"({"messages": [{"role": "system", "content": " S "}, {"role": "user", "content": "a <b>\n\u00e9"},)"
    R"( {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {"x": [1, 2.5]}}}]}],)"
    R"( "tools": [{"type": "function"}], "n": -3, "add_generation_prompt": true})";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gguf_fuse;
  const auto parsed = jinja::Template::parse({reinterpret_cast<const char*>(data), size});
  if (!parsed) {
    if (parsed.error().message().empty()) std::abort();
    return 0;
  }
  jinja::Heap heap;
  const auto context = jinja::parse_json(heap, kContext, jinja::Origin::Data);
  const auto text = parsed->render(heap, *context->dict(), {.steps = 50'000, .bytes = 4U << 20, .depth = 100}, 0);
  if (text ? text->size() > (4U << 20) : text.error().message().empty()) std::abort();
  return 0;
}
