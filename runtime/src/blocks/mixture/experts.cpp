// SPDX-License-Identifier: MIT
#include <algorithm>

#include "blocks/mixture/mixture.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

/// What experts work in.
struct ExpertScratch final : BlockScratch {
  MixtureParameters parameters{};
  bool shared_gate = false;
  Buffer logits;          ///< float[tokens][experts]: the router's
  Routing batch, single;  ///< who computes what
  Buffer activations;     ///< prepared, of slots
  Buffer hidden;          ///< float[slots][feed-forward]
  Buffer results;         ///< float[slots][embedding], before they are added up
  Buffer gate;            ///< float[tokens], of the shared expert

  [[nodiscard]] Result<void> allocate(const Device& device, std::uint32_t tokens) override {
    const RouterShape& router = parameters.router;
    const RoutingShape of_batch{
        .experts = router.experts, .used = router.used, .max_tokens = tokens, .weigh_input = parameters.weighs_input};
    RoutingShape of_single = of_batch;
    of_single.tile = of_single.max_tokens = 1;
    GGUF_FUSE_ASSIGN(batch, allocate_routing(device, of_batch));
    GGUF_FUSE_ASSIGN(single, allocate_routing(device, of_single));
    GGUF_FUSE_CHECK(float_rows(device, tokens, router.experts, logits));
    if (shared_gate) GGUF_FUSE_CHECK(float_rows(device, tokens, 1, gate));
    const std::uint32_t slots = of_batch.slots(tokens);
    GGUF_FUSE_CHECK(float_rows(device, slots, parameters.size, hidden));
    GGUF_FUSE_CHECK(float_rows(device, slots, parameters.embedding, results));
    const std::uint32_t columns = std::max(parameters.embedding, parameters.size);
    GGUF_FUSE_ASSIGN(activations, device.allocate(prepared_bytes(columns, slots)));
    return {};
  }

  [[nodiscard]] const Routing& routing(const Recorder& recorder) const { return recorder.tile() == 1 ? single : batch; }
};

}  // namespace

Result<void> Experts::map(LayerTensors& tensors) {
  const std::uint32_t experts = parameters_.router.experts;
  const TensorPlaces::ExpertSizes inner{.experts = experts, .rows = parameters_.size, .columns = parameters_.embedding};
  const TensorPlaces::ExpertSizes outer{.experts = experts, .rows = parameters_.embedding, .columns = parameters_.size};
  GGUF_FUSE_CHECK(tensors.matrix("ffn_gate_inp", experts, parameters_.embedding, router_));
  GGUF_FUSE_CHECK(
      tensors.experts({{.name = "ffn_gate_exps", .out = &gate_}, {.name = "ffn_up_exps", .out = &up_}}, inner));
  GGUF_FUSE_CHECK(tensors.experts({{.name = "ffn_down_exps", .out = &down_}}, outer));
  if (traits_.biases) GGUF_FUSE_CHECK(map_biases(tensors));
  if (traits_.selection_bias) GGUF_FUSE_CHECK(tensors.floats("exp_probs_b.bias", experts, selection_bias_));
  if (traits_.selection_bias_if_there) {
    // Hunyuan's converter leaves the suffix out.
    GGUF_FUSE_CHECK(tensors.open_floats("exp_probs_b.bias", experts, selection_bias_));
    if (!selection_bias_) GGUF_FUSE_CHECK(tensors.open_floats("exp_probs_b", experts, selection_bias_));
  }
  GGUF_FUSE_CHECK(tensors.open_floats("ffn_down_exps.scale", experts, factor_));
  if (!traits_.shared_gate) return {};
  return tensors.matrix("ffn_gate_inp_shexp", 1, parameters_.embedding, shared_gate_);
}

Result<void> Experts::map_biases(LayerTensors& tensors) {
  const std::uint32_t experts = parameters_.router.experts;
  const std::uint64_t inner = std::uint64_t{experts} * parameters_.size;
  const std::uint64_t outer = std::uint64_t{experts} * parameters_.embedding;
  GGUF_FUSE_CHECK(tensors.floats("ffn_gate_exps.bias", inner, gate_bias_, experts));
  GGUF_FUSE_CHECK(tensors.floats("ffn_up_exps.bias", inner, up_bias_, experts));
  GGUF_FUSE_CHECK(tensors.floats("ffn_down_exps.bias", outer, down_bias_, experts));
  return tensors.floats("ffn_gate_inp.bias", experts, router_bias_);
}

void Experts::plan(Workspace& workspace) const {
  auto& scratch = workspace.of<ExpertScratch>();
  scratch.parameters = parameters_;
  scratch.shared_gate = traits_.shared_gate;
}

std::vector<Matrix> Experts::router_reads() const {
  std::vector<Matrix> matrices{router_};
  if (traits_.shared_gate) matrices.push_back(shared_gate_);
  return matrices;
}

std::vector<Matrix> Experts::reads() const { return {Matrix{.shape = gate_.shape}, Matrix{.shape = up_.shape}}; }

Buffer Experts::shared_gate(const Recorder& recorder) const {
  return traits_.shared_gate ? recorder.scratch<ExpertScratch>().gate : Buffer();
}

Result<void> Experts::choose(Recorder& recorder, float factor) const {
  const auto& scratch = recorder.scratch<ExpertScratch>();
  const Activations kind = recorder.kind_for(router_reads());
  GGUF_FUSE_CHECK(
      recorder.multiply({.kind = kind, .matrices = {router_}, .bias = router_bias_, .factor = factor}, scratch.logits));
  if (traits_.shared_gate) {
    GGUF_FUSE_CHECK(recorder.multiply({.kind = kind, .matrices = {shared_gate_}}, scratch.gate));
  }
  return recorder.add(route(recorder.device(), parameters_.router,
                            {.logits = scratch.logits, .selection_bias = selection_bias_, .expert_factor = factor_},
                            scratch.routing(recorder), recorder.step()));
}

Result<void> Experts::compute(Recorder& recorder, Activations kind, const Recorder::Target& target) const {
  const auto& scratch = recorder.scratch<ExpertScratch>();
  const Routing& who = scratch.routing(recorder);
  const std::uint32_t tile = recorder.tile();
  Device& device = recorder.device();
  if (tile != 1) {
    const PreparedShape shape = recorder.prepared(kind, parameters_.embedding);
    GGUF_FUSE_CHECK(
        recorder.add(gather_tokens(device, shape, who, recorder.activations(), scratch.activations, recorder.step())));
  }
  const ExpertGateUpShape gate_up{.kind = kind,
                                  .activation = parameters_.activation,
                                  .gate = gate_,
                                  .up = up_,
                                  .gate_bias = gate_bias_,
                                  .up_bias = up_bias_};
  const Buffer& input = tile == 1 ? recorder.activations() : scratch.activations;
  GGUF_FUSE_CHECK(recorder.add(expert_gate_up(device, gate_up, who, input, scratch.hidden, recorder.step())));

  const Activations down_kind = recorder.kind_for({Matrix{.shape = down_.shape}});
  const auto slots = [shape = who.shape](std::uint32_t tokens) { return shape.slots(tokens); };
  const PrepareShape hidden{
      .result = {
          .kind = down_kind, .columns = parameters_.size, .tile = tile, .max_tokens = slots(recorder.max_tokens())}};
  GGUF_FUSE_ASSIGN(Operation packed,
                   prepare(device, hidden, {.x = scratch.hidden, .out = scratch.activations}, who.step));
  GGUF_FUSE_CHECK(recorder.add(std::move(packed).over(slots)));

  const ExpertDownShape down{.kind = down_kind,
                             .epilogue = target.epilogue,
                             .factor = recorder.residual_factor(),
                             .down = down_,
                             .bias = down_bias_};
  return recorder.add(
      expert_down(device, down, who, scratch.activations, scratch.results, target.out, recorder.step()));
}

}  // namespace gguf_fuse::runtime::detail
