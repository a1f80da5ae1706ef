// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "gguf_fuse/loader/model.hpp"
#include "print.hpp"
#include "run_commands.hpp"

namespace gguf_fuse::cli {

Result<int> tokenize_command(const RunOptions& options) {
  // the header is enough: no device, no weights
  const std::string& path = options.engine.model;
  GGUF_FUSE_ASSIGN(const Model model, open_model(path));
  GGUF_FUSE_ASSIGN(const Tokenizer tokenizer, Tokenizer::load(model.info.metadata(), path));
  for (const std::string& note : tokenizer.notes()) print_warning(note);
  const bool special = options.generate.special;
  GGUF_FUSE_ASSIGN(const auto tokens,
                   tokenizer.tokenize(options.text, {.add_special = special, .parse_special = special}));
  put(stdout, fmt::format("{{\"tokens\":[{}]}}\n", fmt::join(tokens, ",")));
  return 0;
}

}  // namespace gguf_fuse::cli
