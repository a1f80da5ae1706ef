// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "blocks/block.hpp"
#include "gguf_fuse/kernels/prepare.hpp"
#include "gguf_fuse/loader/metadata.hpp"

namespace gguf_fuse::runtime::detail {

struct Architecture;

/// A norm of the residual stream. float[embedding] each, or none.
struct StreamNorm {
  Norm kind = Norm::None;
  Buffer weight{}, bias{};
};

/// What is left to do to the residual stream behind a block, together with the norm of whatever follows, on whose
/// device these are.
struct Ending {
  bool waits = false;  ///< the block's result is in the branch and still to be added
  Buffer norm;         ///< float[embedding], RMS norm of that result; none: it is added as it is
  Buffer scale;        ///< float[1], a factor of the residual stream; none: 1
};

/// A layer's attention or its feed-forward, and what surrounds it.
struct HalfLayer {
  std::unique_ptr<Block> block;
  StreamNorm norm;  ///< of what the block reads
  Ending ending;
};

struct Layer {
  HalfLayer mixer;  ///< of tokens: attention
  HalfLayer feed_forward;
  bool parallel = false;  ///< both halves read what the layer before left

  /// What is to be done before the feed-forward reads, and behind the layer.
  [[nodiscard]] Ending between() const { return parallel ? Ending() : mixer.ending; }
  [[nodiscard]] const Ending& end() const { return parallel ? mixer.ending : feed_forward.ending; }
};

/// Tokens to the residual stream.
struct Embedding {
  Matrix table;
  float factor = 1;
};

/// The residual stream to logits.
struct Output {
  StreamNorm norm;
  Matrix matrix;
  Buffer bias;  ///< float[vocabulary]
  float factor = 1;
  float softcap = 0;
};

/// Divisors of rotary embedding's frequencies, on the host.
struct RopeFactors {
  std::vector<float> all;        ///< of texts of any length
  std::vector<float> far, near;  ///< of texts beyond the original context, and within (LongRoPE)
};

/// A model as it is computed: sizes and kinds of blocks from its keys, weights once map_network() found them.
struct Network {
  const Architecture* architecture = nullptr;
  ModelSizes sizes{};
  Embedding embedding{};
  std::vector<Layer> layers{};
  Output output{};
  RopeSet ropes{};
  RopeFactors rope_factors{};
};

/// Errors: UnsupportedArchitecture, MissingKey, WrongValueType, BadHyperparameter, UnsupportedHyperparameter.
[[nodiscard]] Result<Network> read_network(const Metadata& metadata, const std::string& path);

}  // namespace gguf_fuse::runtime::detail
