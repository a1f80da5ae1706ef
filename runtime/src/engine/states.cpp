// SPDX-License-Identifier: MIT
#include <algorithm>

#include "engine/engine_state.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

bool has_states(const Engine::State& state) {
  return std::any_of(state.states.begin(), state.states.end(),
                     [](const LayerStates& layer) { return !layer.bytes.empty(); });
}

using Buffers = std::vector<Buffer> LayerStates::*;

/// Copies a row of every state.
Result<void> copy_rows(const Engine::State& state, Buffers from, std::uint32_t from_row, Buffers to,
                       std::uint32_t row) {
  for (const LayerStates& layer : state.states) {
    for (std::size_t i = 0; i < layer.bytes.size(); ++i) {
      const std::uint64_t bytes = layer.bytes[i];
      GGUF_FUSE_CHECK((layer.*to)[i].copy((layer.*from)[i], from_row * bytes, row * bytes, bytes));
    }
  }
  return {};
}

}  // namespace

Result<void> copy_states(Engine::State& state, Sequence& sequence) {
  if (!has_states(state)) return {};
  sequence.copied = 0;
  GGUF_FUSE_CHECK(copy_rows(state, &LayerStates::live, sequence.number, &LayerStates::copies, sequence.number));
  sequence.copied = sequence.cached;
  return {};
}

std::uint32_t states_behind(Engine::State& state, Sequence& sequence, std::uint32_t count) {
  if (!has_states(state) || sequence.live == count) return count;
  sequence.live = 0;
  if (sequence.copied > count) sequence.copied = 0;
  const bool back =
      sequence.copied > 0 &&
      copy_rows(state, &LayerStates::copies, sequence.number, &LayerStates::live, sequence.number).has_value();
  sequence.live = back ? sequence.copied : 0;
  return sequence.live;
}

Result<std::uint32_t> share_states(Engine::State& state, const Sequence& from, Sequence& to, std::uint32_t count) {
  if (!has_states(state)) return count;
  to.live = to.copied = 0;
  const bool live = from.live == count;
  if (!live && (from.copied == 0 || from.copied > count)) return 0U;
  const Buffers source = live ? &LayerStates::live : &LayerStates::copies;
  GGUF_FUSE_CHECK(copy_rows(state, source, from.number, &LayerStates::live, to.number));
  to.live = live ? count : from.copied;
  return to.live;
}

}  // namespace gguf_fuse::runtime::detail
