// SPDX-License-Identifier: MIT
// Linked before the library, whose own is not taken then. Stacks have the name that an unfused file has for them.
#include "../../../fuse/src/joined.hpp"
#include "gguf_fuse/runtime/namespace.hpp"

#include <fmt/format.h>

namespace gguf_fuse::runtime {

std::string fused_name(const Rule& rule, std::uint32_t layer, std::string_view attribute) {
  if (rule.axis == Axis::Matrices) return fmt::format("blk.{}.{}.{}", layer, rule.result, attribute);
  return fmt::format("blk.{}.joined_{}.{}", layer, static_cast<int>(rule.id), attribute);
}

}  // namespace gguf_fuse::runtime
