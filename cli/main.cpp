// SPDX-License-Identifier: MIT
#include <string>
#include <vector>

#include "program.hpp"

int main(int argc, char** argv) {
  // execve allows an empty argv
  return gguf_fuse::cli::run_program(argc > 0 ? std::vector<std::string>(argv + 1, argv + argc)
                                              : std::vector<std::string>{});
}
