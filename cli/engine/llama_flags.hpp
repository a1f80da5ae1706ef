// SPDX-License-Identifier: MIT
#pragma once

#include "foreign_options.hpp"

namespace gguf_fuse::cli {

/// llama-cli and llama-completion: what common/arg.cpp of llama.cpp gives them.
[[nodiscard]] ForeignTable llama_cli_flags();
/// llama-bench: tools/llama-bench/llama-bench.cpp of llama.cpp.
[[nodiscard]] ForeignTable llama_bench_flags();
/// What common/common.cpp of ik_llama.cpp has besides.
[[nodiscard]] ForeignTable ik_llama_flags();

}  // namespace gguf_fuse::cli
