// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

#include "support/namespace.hpp"

namespace gguf_fuse::test_support {

// Functions, not definitions on the command line: those would differ in each checkout, and no compiler cache would
// serve.

/// A path below tests/data, or that folder.
[[nodiscard]] std::string test_data(std::string_view name = {});

/// A program or preloaded library in the build tree's bin/, or that folder.
[[nodiscard]] std::string built(std::string_view name = {});

}  // namespace gguf_fuse::test_support
