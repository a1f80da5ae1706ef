// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "gguf_fuse/kernels/matmul.hpp"

namespace gguf_fuse::kernels {

/// How router logits become weights: softmax over all experts, sigmoid of each, or softmax or sigmoid of the chosen
/// ones only (the logits themselves choose).
enum class Gating : std::uint8_t { Softmax, Sigmoid, SelectedSoftmax, SelectedSigmoid };

/// The choice of `used` of `experts` experts for each token. Probabilities by `gating`; those plus a selection bias (if
/// any) choose, the largest first, of equal ones the lower index; the weights are the probabilities without bias. With
/// `groups` > 1 experts are cut into so many groups of neighbours, and only the `groups_used` groups whose two largest
/// choosing values sum up to most take part (DeepSeek-V3, arXiv 2412.19437, section 2.1.2). Then, in this order:
/// division by the sum of the weights (at least 2^-14), when `normalise`; multiplication by `scale`; by the expert's
/// own factor.
struct RouterShape {
  std::uint32_t experts = 0;  ///< at most kMostExperts
  std::uint32_t used = 0;     ///< at most kMostUsed
  Gating gating = Gating::Softmax;
  std::uint32_t groups = 1;
  std::uint32_t groups_used = 1;
  bool normalise = false;
  float scale = 1;
};
inline constexpr std::uint32_t kMostExperts = 1024;
inline constexpr std::uint32_t kMostUsed = 64;

struct RouterBuffers {
  Buffer logits{};          ///< float[tokens][experts]
  Buffer selection_bias{};  ///< float[experts], or none
  Buffer expert_factor{};   ///< float[experts], or none
};

/// Who computes what: each token and each of its choices has a slot. In batches (tile 16) slots are grouped by expert,
/// and every expert begins with a new tile of 16, so that a tile is one expert's; one token's slots (tile 1) are its
/// choices in order.
struct GGUF_FUSE_EXPORT RoutingShape {
  std::uint32_t experts = 0;
  std::uint32_t used = 0;
  std::uint32_t tile = kBatchTile;  ///< 1 or kBatchTile
  std::uint32_t max_tokens = 1;     ///< 1 when tile is 1
  bool weigh_input = false;         ///< weights multiply what experts read, and not what they say (Llama 4)

  /// The most slots that so many tokens can take, a multiple of the tile.
  [[nodiscard]] std::uint32_t slots(std::uint32_t tokens) const;
};

/// The result of route(), on its device.
struct Routing {
  RoutingShape shape{};
  Buffer experts{};       ///< uint32[max_tokens][used]
  Buffer weights{};       ///< float[max_tokens][used]
  Buffer slots{};         ///< uint32[max_tokens][used]: the slot of each choice
  Buffer tokens{};        ///< uint32[slots]: the token of each slot; ~0 where a tile is not full
  Buffer slot_weights{};  ///< float[slots]: the weight of each slot; 0 where a tile is not full
  Buffer tile_experts{};  ///< uint32[slots / tile]: the expert of each tile; ~0 behind the last one
  Buffer step{};          ///< the header of a StepTable that says only: as many tokens as slots are taken (whole tiles)
};

/// Errors: OutOfDeviceMemory, InvalidArgument, OpenClFailed.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Routing> allocate_routing(const Device& device, const RoutingShape& shape);

/// Chooses, and groups tokens by expert. Errors: InvalidArgument, KernelBuildFailed, OpenClFailed.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Operation> route(Device& device, const RouterShape& shape,
                                                       const RouterBuffers& buffers, const Routing& routing,
                                                       const Buffer& step);

/// Copies prepared activations of tokens (`from`, tile 16) to the slots of `routing` (`out`, prepared for
/// slots(max_tokens) tokens). In tiles that are taken, slots without a token are zero. Errors: as route.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Operation> gather_tokens(Device& device, const PreparedShape& shape,
                                                               const Routing& routing, const Buffer& from,
                                                               const Buffer& out, const Buffer& step);

/// One matrix an expert, all of one shape. Experts may lie in several buffers, as the largest buffer of a device
/// demands: each part holds neighbours, `stride` bytes (a multiple of 64) from one to the next.
struct ExpertMatrix {
  PackedShape shape{};  ///< of one expert
  struct Part {
    Buffer buffer{};
    std::uint64_t offset = 0;  ///< of its first expert, a multiple of 64
    std::uint64_t stride = 0;
    std::uint32_t first = 0;
    std::uint32_t count = 0;
  };
  std::vector<Part> parts{};  ///< ascending, without gaps
};

/// out[slot][row] = activation(gate . x + gate_bias) * (up . x + up_bias), one launch over all experts (of a part): the
/// activations of slots are read in batches, those of the only token (tile 1) otherwise, and count as weight * x where
/// the routing weighs the input. gate and up are cut into the same parts.
struct ExpertGateUpShape {
  Activations kind = Activations::Q8;
  Activation activation = Activation::Silu;
  ExpertMatrix gate{};
  ExpertMatrix up{};
  Buffer gate_bias{};  ///< float[experts][rows], or none
  Buffer up_bias{};
};
/// `out` takes float[slots][rows]; rows of slots without a token are undefined. Errors: as matmul.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Operation> expert_gate_up(Device& device, const ExpertGateUpShape& shape,
                                                                const Routing& routing, const Buffer& activations,
                                                                const Buffer& out, const Buffer& step);

/// out[token][row] (+)= factor * sum over choices of weight * (down . activations[slot] + bias). For one token that is
/// one launch (a part); batches first compute float[slots][rows] into `scratch`, then add up, always in the order of
/// the choices. All weights are 1 where the routing weighs the input.
struct ExpertDownShape {
  Activations kind = Activations::Q8;
  Epilogue epilogue = Epilogue::Add;  ///< Store or Add
  float factor = 1;
  ExpertMatrix down{};
  Buffer bias{};  ///< float[experts][rows], or none
};
/// `activations` holds slots, prepared with the routing's tile; `scratch` is needed with tile 16 only. Errors: as
/// matmul.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Operation> expert_down(Device& device, const ExpertDownShape& shape,
                                                             const Routing& routing, const Buffer& activations,
                                                             const Buffer& scratch, const Buffer& out,
                                                             const Buffer& step);

}  // namespace gguf_fuse::kernels
