// SPDX-License-Identifier: MIT
#include <cstdio>
#include <cstdlib>
#include <string>

#include "gguf_fuse/fuse/rules.hpp"
#include "gguf_fuse/loader/model.hpp"
#include "gguf_fuse/loader/version.hpp"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const auto model = gguf_fuse::loader::open_model(argv[1]);
  if (!model) {
    std::fprintf(stderr, "%s\n", model.error().message().c_str());
    return 1;
  }
  std::printf("gguf-fuse %s: %zu tensors\n", std::string(gguf_fuse::version).c_str(), model->info.tensor_count());
  // Something of each library, so that both have to be found.
  return gguf_fuse::fuse::rules().empty() ? EXIT_FAILURE : EXIT_SUCCESS;
}
