// SPDX-License-Identifier: MIT
#include "blocks/dense/dense.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "blocks/recorder.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

struct DenseScratch final : BlockScratch {
  std::uint64_t columns = 0;
  Buffer hidden;  ///< float[tokens][feed-forward]

  [[nodiscard]] Result<void> allocate(const Device& device, std::uint32_t tokens) override {
    return float_rows(device, tokens, columns, hidden);
  }
};

}  // namespace

Result<void> DenseNetwork::map(LayerTensors& tensors) {
  const std::uint64_t rows = parameters_.size, columns = parameters_.embedding;
  const auto part = [&](std::string_view which) { return fmt::format("ffn_{}{}", which, suffix_); };
  const auto bias = [&](std::string_view which) { return part(which) + ".bias"; };
  if (parameters_.gated) GGUF_FUSE_CHECK(tensors.matrix(part("gate"), rows, columns, gate_));
  GGUF_FUSE_CHECK(tensors.matrix(part("up"), rows, columns, up_));
  GGUF_FUSE_CHECK(tensors.matrix(part("down"), columns, rows, down_));
  GGUF_FUSE_CHECK(tensors.open_floats(bias("down"), columns, down_bias_));
  if (!parameters_.gated) return tensors.open_floats(bias("up"), rows, gate_up_bias_);
  GGUF_FUSE_ASSIGN(const bool there, tensors.has({bias("gate"), bias("up")}));
  if (!there) return {};
  GGUF_FUSE_CHECK(tensors.floats_at(bias("gate"), rows, 0, 2 * rows, gate_up_bias_));
  return tensors.floats_at(bias("up"), rows, rows, 2 * rows, gate_up_bias_);
}

std::vector<Matrix> DenseNetwork::reads() const {
  return parameters_.gated ? std::vector{gate_, up_} : std::vector{up_};
}

void DenseNetwork::plan(Workspace& workspace) const {
  auto& scratch = workspace.of<DenseScratch>();
  scratch.columns = std::max<std::uint64_t>(scratch.columns, parameters_.size);
  workspace.widen(parameters_.size);
}

Result<void> DenseNetwork::record(Recorder& recorder, Activations kind, const Buffer& gate, const Buffer& out,
                                  Epilogue epilogue) const {
  const Buffer& hidden = recorder.scratch<DenseScratch>().hidden;
  const Epilogue plain = parameters_.xielu ? Epilogue::Store : Epilogue::Activated;
  GGUF_FUSE_CHECK(recorder.multiply({.kind = kind,
                                     .epilogue = parameters_.gated ? Epilogue::Gated : plain,
                                     .activation = parameters_.activation,
                                     .matrices = reads(),
                                     .bias = gate_up_bias_},
                                    hidden));
  if (parameters_.xielu) {
    GGUF_FUSE_CHECK(
        recorder.add(xielu_rows(recorder.device(), parameters_.size, *parameters_.xielu, hidden, recorder.step())));
  }
  if (gate) {
    GGUF_FUSE_CHECK(recorder.add(gate_rows(recorder.device(), parameters_.size, gate, hidden, recorder.step())));
  }
  return recorder.project(down_, down_bias_, hidden, {epilogue, out});
}

Result<void> Dense::record(Recorder& recorder) const {
  const Activations kind = recorder.kind_for(network_.reads());
  GGUF_FUSE_CHECK(recorder.input(kind));
  const Recorder::Target target = recorder.output();
  return network_.record(recorder, kind, {}, target.out, target.epilogue);
}

}  // namespace gguf_fuse::runtime::detail
