// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "joined.hpp"

namespace gguf_fuse::fuse::detail {

std::string fused_name(const Rule& rule, std::uint32_t layer, std::string_view attribute) {
  return fmt::format("blk.{}.{}.{}", layer, rule.result, attribute);
}

}  // namespace gguf_fuse::fuse::detail
