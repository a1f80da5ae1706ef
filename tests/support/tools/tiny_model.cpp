// SPDX-License-Identifier: MIT
// gguf-tiny-model: writes models of support/tiny_model.hpp, and says what they are run on.
#include "support/tiny_model.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>
#include <exception>

#include "support/file_util.hpp"

int main(int argc, char** argv) try {
  const std::vector<std::string_view> words(argv + 1, argv + argc);
  if (words.size() == 1 && words[0] == "--list") {
    for (const auto& model : gguf_fuse::test_support::tiny_models()) fmt::print("{}\n", model.name);
    return 0;
  }
  if (words.size() == 1 && words[0] == "--text") {
    fmt::print("{}\n", fmt::join(gguf_fuse::test_support::tiny_text(), ","));
    return 0;
  }
  if (words.size() != 2) {
    fmt::print(stderr, "usage: gguf-tiny-model NAME OUT | --list | --text\n");
    return 2;
  }
  using gguf_fuse::test_support::build_tiny_model;
  gguf_fuse::test_support::write_file(argv[2], build_tiny_model(gguf_fuse::test_support::tiny_model(words[0])));
  return 0;
} catch (const std::exception& error) {
  fmt::print(stderr, "gguf-tiny-model: {}\n", error.what());
  return 1;
}
