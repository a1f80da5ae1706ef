// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "blocks/rope.hpp"
#include "gguf_fuse/kernels/attention.hpp"
#include "gguf_fuse/kernels/experts.hpp"
#include "model/sizes.hpp"

namespace gguf_fuse::runtime::detail {

class LayerTensors;
class Recorder;
class Workspace;

/// What a block with attention keeps of every token of a sequence.
struct KeyValueShape {
  HeadShape heads{};
  std::uint32_t window = 0;  ///< only the last so many tokens are looked at; 0: all are
};

/// One half of a layer: what mixes tokens, or its feed-forward. A kind of block is a class and has a folder. Norms
/// around it and the residual stream are not its business: Recorder::input() and Recorder::output() are its ends.
class Block {
 public:
  Block() = default;
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  virtual ~Block() = default;

  /// Blocks of a kind that may differ in which parts they have.
  [[nodiscard]] virtual std::uint32_t variant() const { return 0; }
  /// Asks for its tensors. Errors: those of TensorPlaces.
  [[nodiscard]] virtual Result<void> map(LayerTensors& tensors) = 0;
  /// Says what it works in.
  virtual void plan(Workspace& workspace) const = 0;
  /// Records its operations. Errors: as Session::create.
  [[nodiscard]] virtual Result<void> record(Recorder& recorder) const = 0;
  /// Whether a feed-forward also reads the residual stream before the layer's mixer adds to it; and what it makes of
  /// that, recorded ahead of the mixer. Errors: as record.
  [[nodiscard]] virtual bool looks_ahead() const { return false; }
  [[nodiscard]] virtual Result<void> record_ahead(Recorder& /*recorder*/) const { return {}; }
  /// What it keeps of a sequence.
  [[nodiscard]] virtual std::optional<KeyValueShape> keeps() const { return std::nullopt; }
  /// Bytes of each state that it keeps of a sequence beside, in a buffer with a row for each sequence. States say what
  /// they are of tokens seen so far, and cannot go back.
  [[nodiscard]] virtual std::vector<std::uint64_t> states() const { return {}; }
  /// How it chooses experts, or null.
  [[nodiscard]] virtual const RouterShape* router() const { return nullptr; }
};

/// What mixes the tokens in each layer.
struct Mixers {
  std::vector<std::unique_ptr<Block>> blocks{};  ///< one a layer
  RopeSet ropes{};
};

}  // namespace gguf_fuse::runtime::detail
