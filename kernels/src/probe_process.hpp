// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

namespace gguf_fuse::kernels::detail {

struct ProcessEnd {
  std::string output{};   ///< standard output, its first 4 KiB
  std::string failure{};  ///< in words, when it did not end by itself with status 0
  bool crashed = false;   ///< ended by a signal of its own making, not by SIGKILL (ours, or that of a full machine)
};

/// Runs a program and waits for its end; after `timeout_seconds` it is killed. Its standard error is thrown away.
[[nodiscard]] ProcessEnd run_process(const std::vector<std::string>& arguments, int timeout_seconds);

}  // namespace gguf_fuse::kernels::detail
