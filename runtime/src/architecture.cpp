// SPDX-License-Identifier: MIT
#include "gguf_fuse/runtime/architecture.hpp"

#include <algorithm>
#include <array>

namespace gguf_fuse::runtime {
namespace {

constexpr auto kArchitectures = std::to_array<Architecture>({
#include "architecture_table.inc"
});

}  // namespace

std::span<const Architecture> runnable_architectures() { return kArchitectures; }

const Architecture* find_runnable(std::string_view name) {
  const auto* const found =
      std::find_if(kArchitectures.begin(), kArchitectures.end(), [&](const auto& row) { return row.name == name; });
  return found == kArchitectures.end() ? nullptr : found;
}

}  // namespace gguf_fuse::runtime
