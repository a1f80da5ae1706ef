// SPDX-License-Identifier: MIT
#include "support/random.hpp"

#include <xxhash.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <utility>

namespace gguf_fuse::test_support {

Random::Random(std::uint64_t seed, std::string_view name) : engine_(XXH64(name.data(), name.size(), seed)) {}

void Random::fill(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const std::uint64_t word = next();
    const std::size_t count = std::min(bytes.size(), sizeof word);
    std::memcpy(bytes.data(), &word, count);
    bytes = bytes.subspan(count);
  }
}

std::vector<std::size_t> Random::permutation(std::size_t count) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t left = count; left > 1; --left) std::swap(order[left - 1], order[below(left)]);
  return order;
}

std::uint64_t changing_seed() {
  const char* given = std::getenv("GGUF_FUSE_TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
}

bool whole_grid() { return std::getenv("GGUF_FUSE_WHOLE_GRID") != nullptr; }

}  // namespace gguf_fuse::test_support
