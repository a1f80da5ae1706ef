// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace gguf_fuse::kernels {

enum class LogLevel : std::uint8_t { Info, Warning };

/// Where the library says what it decided; it never prints. May be empty, may be called by several threads at once.
using Log = std::function<void(LogLevel level, std::string_view text)>;

}  // namespace gguf_fuse::kernels
