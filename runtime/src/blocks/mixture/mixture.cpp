// SPDX-License-Identifier: MIT
#include "blocks/mixture/mixture.hpp"

#include <cmath>

#include "gguf_fuse/kernels/row_ops.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

/// What the dense part beside experts ends in.
struct BesideScratch final : BlockScratch {
  std::uint32_t columns = 0;
  Buffer branch;  ///< float[tokens][embedding]

  [[nodiscard]] Result<void> allocate(const Device& device, std::uint32_t tokens) override {
    return float_rows(device, tokens, columns, branch);
  }
};

DenseParameters dense_of(const MixtureParameters& parameters, std::uint32_t size) {
  return {.embedding = parameters.embedding, .size = size, .activation = parameters.activation};
}

}  // namespace

Mixture::Mixture(const MixtureParameters& parameters, const MixtureTraits& traits)
    : experts_(parameters, traits), router_ahead_(traits.router_ahead) {
  if (parameters.shared > 0) shared_.emplace(dense_of(parameters, parameters.shared), "_shexp");
}

Result<void> Mixture::map(LayerTensors& tensors) {
  if (shared_) GGUF_FUSE_CHECK(shared_->map(tensors));
  return experts_.map(tensors);
}

void Mixture::plan(Workspace& workspace) const {
  if (shared_) shared_->plan(workspace);
  experts_.plan(workspace);
}

Result<void> Mixture::record(Recorder& recorder) const {
  std::optional<Activations> packed;
  if (!router_ahead_) {
    packed = recorder.kind_for(experts_.router_reads());
    GGUF_FUSE_CHECK(recorder.input(*packed));
    GGUF_FUSE_CHECK(experts_.choose(recorder, 1));
  }
  // One form of the input for both: when the second one begins, the first one has been added to the residual stream.
  std::vector<Matrix> reads = experts_.reads();
  if (shared_) {
    for (const Matrix& matrix : shared_->reads()) reads.push_back(matrix);
  }
  const Activations kind = recorder.kind_for(reads);
  if (kind != packed) GGUF_FUSE_CHECK(recorder.input(kind));
  const Recorder::Target target = recorder.output();
  GGUF_FUSE_CHECK(experts_.compute(recorder, kind, target));
  if (!shared_) return {};
  return shared_->record(recorder, kind, experts_.shared_gate(recorder), target.out, Epilogue::Add);
}

Result<void> Mixture::record_ahead(Recorder& recorder) const {
  GGUF_FUSE_CHECK(recorder.input(recorder.kind_for(experts_.router_reads()), StreamNorm{}));
  return experts_.choose(recorder, 1);
}

MixtureBesideDense::MixtureBesideDense(const MixtureParameters& parameters, const MixtureTraits& traits,
                                       std::uint32_t dense)
    : experts_(parameters, traits), dense_(dense_of(parameters, dense)) {}

Result<void> MixtureBesideDense::map(LayerTensors& tensors) {
  const std::uint32_t columns = parameters().embedding;
  GGUF_FUSE_CHECK(dense_.map(tensors));
  GGUF_FUSE_CHECK(experts_.map(tensors));
  GGUF_FUSE_CHECK(tensors.floats("ffn_gate_inp.scale", columns, router_norm_));
  GGUF_FUSE_CHECK(tensors.floats("pre_ffw_norm_2.weight", columns, norm_));
  GGUF_FUSE_CHECK(tensors.floats("post_ffw_norm_1.weight", columns, dense_post_norm_));
  return tensors.floats("post_ffw_norm_2.weight", columns, post_norm_);
}

void MixtureBesideDense::plan(Workspace& workspace) const {
  dense_.plan(workspace);
  experts_.plan(workspace);
  workspace.of<BesideScratch>().columns = parameters().embedding;
}

Result<void> MixtureBesideDense::record(Recorder& recorder) const {
  const std::uint32_t columns = parameters().embedding;
  const Buffer& branch = recorder.scratch<BesideScratch>().branch;
  const Buffer out = recorder.output().out;
  GGUF_FUSE_CHECK(
      recorder.input(recorder.kind_for(experts_.router_reads()), {.kind = Norm::Rms, .weight = router_norm_}));
  GGUF_FUSE_CHECK(experts_.choose(recorder, 1 / std::sqrt(static_cast<float>(columns))));
  const Activations kind = recorder.kind_for(experts_.reads());
  GGUF_FUSE_CHECK(recorder.input(kind, {.kind = Norm::Rms, .weight = norm_}));
  GGUF_FUSE_CHECK(experts_.compute(recorder, kind, {Epilogue::Store, out}));
  const Activations dense_kind = recorder.kind_for(dense_.reads());
  GGUF_FUSE_CHECK(recorder.input(dense_kind));
  GGUF_FUSE_CHECK(dense_.record(recorder, dense_kind, {}, branch, Epilogue::Store));
  return recorder.add(sum_of_norms(recorder.device(), columns, parameters().epsilon,
                                   {.a = branch, .a_weight = dense_post_norm_, .b = out, .b_weight = post_norm_}, out,
                                   recorder.step()));
}

}  // namespace gguf_fuse::runtime::detail
