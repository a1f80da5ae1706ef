// SPDX-License-Identifier: MIT
#include "joined.hpp"

namespace gguf_fuse::fuse::detail {

std::string fused_name(const Rule& rule, std::uint32_t layer, std::string_view attribute) {
  return tensor_name(layer, rule.result, attribute);
}

}  // namespace gguf_fuse::fuse::detail
