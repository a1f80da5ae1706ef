// SPDX-License-Identifier: MIT
#include "blocks/delta_network/delta_network.hpp"

#include <algorithm>

#include "blocks/recorder.hpp"
#include "model/layer_tensors.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

/// What delta networks work in. Rows are tokens.
struct DeltaScratch final : BlockScratch {
  std::uint64_t projected_columns = 0, gate_columns = 0, channels = 0, values = 0;
  DeltaShape shape{};  ///< the largest
  std::uint32_t sequences = 0;
  Buffer projected;  ///< float[tokens][channels, then z]
  Buffer gates;      ///< float[tokens][beta and alpha]
  Buffer mixed;      ///< float[tokens][channels], behind the convolution
  Buffer out;        ///< float[tokens][values]
  Buffer chunks;     ///< between launches of the delta rule

  [[nodiscard]] Result<void> allocate(const Device& device, std::uint32_t tokens) override {
    GGUF_FUSE_CHECK(float_rows(device, tokens, projected_columns, projected));
    GGUF_FUSE_CHECK(float_rows(device, tokens, gate_columns, gates));
    GGUF_FUSE_CHECK(float_rows(device, tokens, channels, mixed));
    GGUF_FUSE_CHECK(float_rows(device, tokens, values, out));
    shape.max_tokens = tokens;
    shape.max_sequences = sequences;
    if (tokens > 1) {
      GGUF_FUSE_ASSIGN(chunks, device.allocate(shape.scratch_bytes()));
    }
    return {};
  }
};

}  // namespace

Result<void> DeltaNetwork::map(LayerTensors& tensors) {
  const std::uint32_t channels = delta_.channels(), values = delta_.values(), heads = delta_.value_heads;
  GGUF_FUSE_CHECK(tensors.matrices({{.name = "attn_qkv", .rows = channels}, {.name = "attn_gate", .rows = values}},
                                   sizes_.embedding, projection_));
  if (traits_.joined_gates) {
    GGUF_FUSE_CHECK(tensors.matrix("ssm_ba", std::uint64_t{2} * heads, sizes_.embedding, gates_.emplace_back()));
  } else {
    GGUF_FUSE_CHECK(tensors.matrices({{.name = "ssm_beta", .rows = heads}, {.name = "ssm_alpha", .rows = heads}},
                                     sizes_.embedding, gates_));
  }
  GGUF_FUSE_CHECK(tensors.floats("ssm_conv1d.weight", std::uint64_t{channels} * delta_.width, conv_, channels));
  GGUF_FUSE_CHECK(tensors.floats("ssm_a", heads, a_));
  GGUF_FUSE_CHECK(tensors.floats("ssm_dt.bias", heads, dt_));
  GGUF_FUSE_CHECK(tensors.floats("ssm_norm.weight", delta_.size, norm_));
  return tensors.matrix("ssm_out", sizes_.embedding, values, output_);
}

ConvShape DeltaNetwork::conv_shape(std::uint32_t tokens, std::uint32_t sequences) const {
  return {.channels = delta_.channels(),
          .width = delta_.width,
          .row = delta_.channels() + delta_.values(),
          .max_tokens = tokens,
          .max_sequences = sequences};
}

DeltaShape DeltaNetwork::delta_shape(std::uint32_t tokens, std::uint32_t sequences) const {
  const std::uint32_t heads = delta_.value_heads, each = heads / delta_.key_heads;
  Columns beta{.row = 2 * heads, .columns = heads};
  if (traits_.joined_gates)
    beta = {.row = 2 * heads, .segments = delta_.key_heads, .stride = 2 * each, .columns = each};
  Columns alpha = beta;
  alpha.offset = traits_.joined_gates ? each : heads;
  return {.key_heads = delta_.key_heads,
          .value_heads = heads,
          .key_size = delta_.size,
          .value_size = delta_.size,
          .order = traits_.order,
          .epsilon = sizes_.epsilon,
          .beta = beta,
          .alpha = alpha,
          .max_tokens = tokens,
          .max_sequences = sequences};
}

std::vector<std::uint64_t> DeltaNetwork::states() const {
  return {conv_shape(1, 1).state_bytes(), delta_shape(1, 1).state_bytes()};
}

void DeltaNetwork::plan(Workspace& workspace) const {
  auto& scratch = workspace.of<DeltaScratch>();
  scratch.projected_columns = delta_.channels() + delta_.values();
  scratch.gate_columns = std::uint64_t{2} * delta_.value_heads;
  scratch.channels = delta_.channels();
  scratch.values = delta_.values();
  scratch.shape = delta_shape(1, 1);
  scratch.sequences = workspace.sequences();
  workspace.widen(delta_.values());
}

/// Rows of all that is projected, each as the types of its matrices want it.
Result<void> DeltaNetwork::record_projections(Recorder& recorder) const {
  const auto& scratch = recorder.scratch<DeltaScratch>();
  const Activations kind = recorder.kind_for(projection_), gate_kind = recorder.kind_for(gates_);
  GGUF_FUSE_CHECK(recorder.input(kind));
  GGUF_FUSE_CHECK(recorder.multiply({.kind = kind, .matrices = projection_}, scratch.projected));
  if (gate_kind != kind) GGUF_FUSE_CHECK(recorder.input(gate_kind));
  return recorder.multiply({.kind = gate_kind, .matrices = gates_}, scratch.gates);
}

Result<void> DeltaNetwork::record(Recorder& recorder) const {
  const auto& scratch = recorder.scratch<DeltaScratch>();
  Device& device = recorder.device();
  const Buffer& step = recorder.step();
  const std::uint32_t tokens = recorder.max_tokens(), sequences = recorder.sequences();
  GGUF_FUSE_CHECK(record_projections(recorder));
  GGUF_FUSE_CHECK(recorder.add(causal_conv(
      device, conv_shape(tokens, sequences),
      {.in = scratch.projected, .weights = conv_, .state = recorder.state(0), .out = scratch.mixed}, step)));
  GGUF_FUSE_CHECK(recorder.add(delta_rule(device, delta_shape(tokens, sequences),
                                          {.qkv = scratch.mixed,
                                           .beta = scratch.gates,
                                           .alpha = scratch.gates,
                                           .a = a_,
                                           .dt = dt_,
                                           .state = recorder.state(1),
                                           .scratch = scratch.chunks,
                                           .out = scratch.out},
                                          step)));
  const std::uint32_t heads = delta_.value_heads, size = delta_.size;
  const Columns result{.row = heads * size, .segments = heads, .stride = size, .columns = size};
  Columns z = result;
  z.row = delta_.channels() + delta_.values();
  z.offset = delta_.channels();
  GGUF_FUSE_CHECK(
      recorder.add(gated_norm(device, result, sizes_.epsilon, scratch.out, norm_, z, scratch.projected, step)));
  return recorder.project(output_, {}, scratch.out, recorder.output());
}

}  // namespace gguf_fuse::runtime::detail
