// SPDX-License-Identifier: MIT
#include "gguf_fuse/runtime/utf8_stream.hpp"

#include "text/utf8_step.hpp"

namespace gguf_fuse::runtime {

std::string Utf8Stream::push(std::string_view bytes) {
  pending_ += bytes;
  std::string_view rest = pending_;
  std::string whole;
  while (!rest.empty()) {
    const Utf8Step step = utf8_step(rest);
    if (step.kind == Utf8Step::Kind::Unfinished) break;
    whole += step.kind == Utf8Step::Kind::Character ? rest.substr(0, step.bytes) : kReplacementCharacter;
    rest.remove_prefix(step.bytes);
  }
  pending_.erase(0, pending_.size() - rest.size());
  return whole;
}

std::string Utf8Stream::flush() {
  if (pending_.empty()) return {};
  pending_.clear();
  return std::string(kReplacementCharacter);
}

}  // namespace gguf_fuse::runtime
