// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string_view>
#include <vector>

#include "support/namespace.hpp"

namespace gguf_fuse::test_support {

/// Numbers that are the same on every machine and with every standard library: the engine is specified by the standard,
/// the distributions are not, so they are written out here.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  /// A stream of its own for something with a name, so that its numbers do not depend on what came before it.
  Random(std::uint64_t seed, std::string_view name);

  [[nodiscard]] std::uint64_t next() { return engine_(); }
  /// 0 .. limit - 1; the bias of the remainder does not matter here.
  [[nodiscard]] std::uint64_t below(std::uint64_t limit) { return next() % limit; }
  /// From [-1, 1).
  [[nodiscard]] float uniform() { return static_cast<float>(static_cast<double>(next() >> 11) * 0x1p-52 - 1.0); }
  [[nodiscard]] bool chance(double probability) { return static_cast<double>(next() >> 11) * 0x1p-53 < probability; }
  void fill(std::span<std::byte> bytes);
  /// 0 .. count - 1 in random order.
  [[nodiscard]] std::vector<std::size_t> permutation(std::size_t count);

 private:
  std::mt19937_64 engine_;
};

/// What picks from a heavy grid in this run: $GGUF_FUSE_TEST_SEED, or another one every time.
std::uint64_t changing_seed();
/// $GGUF_FUSE_WHOLE_GRID wants all of it.
bool whole_grid();

}  // namespace gguf_fuse::test_support
