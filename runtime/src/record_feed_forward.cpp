// SPDX-License-Identifier: MIT
#include <cmath>

#include "block_recorder.hpp"
#include "gguf_fuse/kernels/row_ops.hpp"

namespace gguf_fuse::runtime::detail {

Result<void> BlockRecorder::feed_forward(std::size_t layer) {
  const LayerWeights& weights = shared_.weights().layers[layer];
  const Waiting waiting{.norm = weights.post_attention_norm, .scale = {}};
  if (hp_.layers[layer].experts) {
    return arch_.dense_beside_experts ? experts_beside_dense(weights, waiting) : experts_and_shared(weights, waiting);
  }
  const DenseWeights& w = weights.dense;
  const Activations kind = kind_for({w.gate.shape.type, w.up.shape.type}, wanted());
  GGUF_FUSE_CHECK(normalise(kind, weights.feed_forward_norm, waiting));
  return dense(w, kind, {}, block_end());
}

Result<void> BlockRecorder::dense(const DenseWeights& weights, Activations kind, const Buffer& gate,
                                  const Target& target) {
  GGUF_FUSE_CHECK(multiply({.kind = kind,
                            .epilogue = Epilogue::Gated,
                            .activation = arch_.activation,
                            .matrices = {weights.gate, weights.up},
                            .bias = weights.gate_up_bias},
                           b_.feed_forward));
  const std::uint32_t columns = weights.down.shape.columns;
  if (gate) GGUF_FUSE_CHECK(add(gate_rows(device_, columns, gate, b_.feed_forward, b_.step)));
  const Activations down_kind = kind_for({weights.down.shape.type}, wanted());
  GGUF_FUSE_CHECK(pack(down_kind, b_.feed_forward, columns));
  return project(weights.down, weights.down_bias, down_kind, target);
}

Activations BlockRecorder::router_kind(const ExpertWeights& weights) const {
  const Activations kind = kind_for({weights.router.shape.type}, wanted());
  return weights.shared_gate.shape.type != nullptr ? kind_for({weights.shared_gate.shape.type}, kind) : kind;
}

/// The router reads what is packed for it.
Result<void> BlockRecorder::choose_experts(const ExpertWeights& weights) {
  const Activations kind = router_kind(weights);
  const float factor = weights.router_norm ? 1 / std::sqrt(static_cast<float>(hp_.embedding)) : 1;
  GGUF_FUSE_CHECK(multiply({.kind = kind, .matrices = {weights.router}, .bias = weights.router_bias, .factor = factor},
                           b_.experts.logits));
  if (weights.shared_gate.shape.type != nullptr) {
    GGUF_FUSE_CHECK(multiply({.kind = kind, .matrices = {weights.shared_gate}}, b_.experts.shared_gate));
  }
  return add(
      route(device_, hp_.experts.router,
            {.logits = b_.experts.logits, .selection_bias = weights.selection_bias, .expert_factor = weights.factor},
            routing(), b_.step));
}

/// The chosen experts on what is packed as `kind`.
Result<void> BlockRecorder::experts(const ExpertWeights& weights, Activations kind, const Target& target) {
  const ExpertBuffers& b = b_.experts;
  const Routing& who = routing();
  if (tile_ != 1) {
    const PreparedShape shape{.kind = kind, .columns = hp_.embedding, .tile = tile_, .max_tokens = max_tokens_};
    GGUF_FUSE_CHECK(add(gather_tokens(device_, shape, who, b_.activations, b.activations, b_.step)));
  }
  const ExpertGateUpShape gate_up{.kind = kind,
                                  .activation = arch_.activation,
                                  .gate = weights.gate,
                                  .up = weights.up,
                                  .gate_bias = weights.gate_bias,
                                  .up_bias = weights.up_bias};
  GGUF_FUSE_CHECK(
      add(expert_gate_up(device_, gate_up, who, tile_ == 1 ? b_.activations : b.activations, b.hidden, b_.step)));

  const Activations down_kind = kind_for({weights.down.shape.type}, wanted());
  const auto slots = [shape = who.shape](std::uint32_t tokens) { return shape.slots(tokens); };
  const PrepareShape hidden{
      .result = {
          .kind = down_kind, .columns = hp_.experts.feed_forward, .tile = tile_, .max_tokens = slots(max_tokens_)}};
  GGUF_FUSE_ASSIGN(Operation packed, prepare(device_, hidden, {.x = b.hidden, .out = b.activations}, who.step));
  operations_.push_back(std::move(packed).over(slots));

  const ExpertDownShape down{.kind = down_kind,
                             .epilogue = target.epilogue,
                             .factor = hp_.residual_factor,
                             .down = weights.down,
                             .bias = weights.down_bias};
  return add(expert_down(device_, down, who, b.activations, b.results, target.out, b_.step));
}

/// Experts, and shared ones that every token sees, on the same normalised input.
Result<void> BlockRecorder::experts_and_shared(const LayerWeights& weights, const Waiting& waiting) {
  const ExpertWeights& w = weights.experts;
  const DenseWeights& shared = weights.dense;
  const bool has_shared = shared.down.shape.type != nullptr;
  const Activations router = router_kind(w);
  GGUF_FUSE_CHECK(normalise(router, weights.feed_forward_norm, waiting));
  GGUF_FUSE_CHECK(choose_experts(w));
  // One form of the input for both: when the second one begins, the first one has been added to the residual stream.
  Activations kind = kind_for({w.gate.shape.type, w.up.shape.type}, wanted());
  if (has_shared) kind = kind_for({shared.gate.shape.type, shared.up.shape.type}, kind);
  if (kind != router) GGUF_FUSE_CHECK(normalise(kind, weights.feed_forward_norm));
  const Target target = block_end();
  GGUF_FUSE_CHECK(experts(w, kind, target));
  if (!has_shared) return {};
  const Buffer gate = w.shared_gate.shape.type != nullptr ? b_.experts.shared_gate : Buffer();
  return dense(shared, kind, gate, {Epilogue::Add, target.out});
}

/// A dense part and experts, each between norms of its own; the sum waits for the layer's norm.
Result<void> BlockRecorder::experts_beside_dense(const LayerWeights& weights, const Waiting& waiting) {
  const ExpertWeights& w = weights.experts;
  const Activations router = router_kind(w);
  GGUF_FUSE_CHECK(normalise(router, w.router_norm, waiting));
  GGUF_FUSE_CHECK(choose_experts(w));
  const Activations kind = kind_for({w.gate.shape.type, w.up.shape.type}, wanted());
  GGUF_FUSE_CHECK(normalise(kind, w.norm));
  GGUF_FUSE_CHECK(experts(w, kind, {Epilogue::Store, b_.branch}));
  const DenseWeights& beside = weights.dense;
  const Activations dense_kind = kind_for({beside.gate.shape.type, beside.up.shape.type}, wanted());
  GGUF_FUSE_CHECK(normalise(dense_kind, weights.feed_forward_norm));
  GGUF_FUSE_CHECK(dense(beside, dense_kind, {}, {Epilogue::Store, b_.experts.dense_branch}));
  return add(sum_of_norms(
      device_, hp_.embedding, hp_.epsilon,
      {.a = b_.experts.dense_branch, .a_weight = w.dense_post_norm, .b = b_.branch, .b_weight = w.post_norm}, b_.branch,
      b_.step));
}

}  // namespace gguf_fuse::runtime::detail
