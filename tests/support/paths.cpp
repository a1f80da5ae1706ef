// SPDX-License-Identifier: MIT
#include "support/paths.hpp"

namespace gguf_fuse::test_support {
namespace {

std::string below(std::string folder, std::string_view name) {
  if (!name.empty()) (folder += '/') += name;
  return folder;
}

}  // namespace

std::string test_data(std::string_view name) { return below(GGUF_FUSE_TEST_DATA, name); }

std::string built(std::string_view name) { return below(GGUF_FUSE_TEST_PROGRAMS, name); }

}  // namespace gguf_fuse::test_support
