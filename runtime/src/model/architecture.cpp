// SPDX-License-Identifier: MIT
#include "model/architecture.hpp"

#include <algorithm>
#include <array>

#include "gguf_fuse/runtime/architecture.hpp"

namespace gguf_fuse::runtime {
namespace detail {
namespace {

constexpr auto kArchitectures = std::to_array<Architecture>({
#include "architecture_table.inc"
});
static_assert(std::all_of(kArchitectures.begin(), kArchitectures.end(),
                          [](const Architecture& architecture) { return architecture.possible(); }));

}  // namespace

std::span<const Architecture> architectures() { return kArchitectures; }

const Architecture* find_architecture(std::string_view name) {
  const auto* const found =
      std::find_if(kArchitectures.begin(), kArchitectures.end(), [&](const auto& row) { return row.name == name; });
  return found == kArchitectures.end() ? nullptr : found;
}

}  // namespace detail

std::vector<std::string_view> runnable_architectures() {
  std::vector<std::string_view> names;
  for (const Architecture& architecture : architectures()) names.push_back(architecture.name);
  return names;
}

}  // namespace gguf_fuse::runtime
