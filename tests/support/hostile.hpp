// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "gguf_fuse/loader/error.hpp"
#include "support/gguf_builder.hpp"

namespace gguf_fuse::test_support {

/// A file that no reader should accept, and what ours says about it.
struct HostileFile {
  std::string name;
  std::function<Bytes()> build;
  ErrorCode code;
};

/// A file that looks strange but is legal.
struct ValidFile {
  std::string name;
  std::function<Bytes()> build;
};

/// Our corpus: what is known to have broken other readers, and what each rule of ours refuses. Names are unique.
[[nodiscard]] std::vector<HostileFile> hostile_files();
[[nodiscard]] std::vector<ValidFile> valid_files();

}  // namespace gguf_fuse::test_support
