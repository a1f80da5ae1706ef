// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "session_state.hpp"

namespace gguf_fuse::runtime::detail {

/// Matrices of float types are multiplied with floats, whatever was asked for.
[[nodiscard]] Activations kind_for(std::initializer_list<const TensorType*> types, Activations wanted);

/// Records the operations of blocks on one device, for tokens in tiles of `tile`.
class BlockRecorder {
 public:
  BlockRecorder(const Session::State& state, const DeviceState& device, std::uint32_t tile);

  /// Errors: as Session::create.
  [[nodiscard]] Result<void> attention(std::size_t layer);
  [[nodiscard]] Result<void> feed_forward(std::size_t layer);
  [[nodiscard]] std::vector<Operation> take() { return std::move(operations_); }

 private:
  /// What still has to happen to the residual stream: a branch that waits for its norm, a factor of everything.
  struct Waiting {
    Buffer norm;
    Buffer scale;
  };

  /// Where a product ends: added to the residual stream, or stored in the branch when a norm comes between.
  struct Target {
    Epilogue epilogue;
    const Buffer& out;
  };
  [[nodiscard]] Target block_end() const {
    return arch_.post_norms ? Target{Epilogue::Store, b_.branch} : Target{Epilogue::Add, b_.x};
  }

  Result<void> add(Result<Operation> operation);
  /// Norm (with the weight given) and packing of the residual stream, behind what waits.
  Result<void> normalise(Activations kind, const Buffer& weight, const Waiting& waiting = {});
  Result<void> pack(Activations kind, const Buffer& from, std::uint32_t columns);
  /// A product of what is packed.
  Result<void> multiply(MatmulShape shape, const Buffer& out);
  /// A product that ends a block, or a part of one.
  Result<void> project(const Matrix& matrix, const Buffer& bias, Activations kind, const Target& target);

  Result<void> project_qkv(const LayerWeights& weights, const Waiting& waiting);
  Result<void> project_latent(const LayerParameters& layer, const LayerWeights& weights);
  Result<void> project_latent_query(const LayerParameters& layer, const LatentWeights& weights, Activations kind);
  Result<void> latent_heads(const LayerParameters& layer);
  Result<void> latent_result(const LayerParameters& layer, const LayerWeights& weights);
  Result<void> store_and_attend(std::size_t index, const LayerWeights& weights);

  /// A feed-forward of what is packed as `kind`.
  Result<void> dense(const DenseWeights& weights, Activations kind, const Buffer& gate, const Target& target);
  Result<void> choose_experts(const ExpertWeights& weights);
  Result<void> experts(const ExpertWeights& weights, Activations kind, const Target& target);
  Result<void> experts_and_shared(const LayerWeights& weights, const Waiting& waiting);
  Result<void> experts_beside_dense(const LayerWeights& weights, const Waiting& waiting);

  [[nodiscard]] Activations wanted() const { return shared_.options.activations; }
  /// What the router, and the gate of a shared expert, read.
  [[nodiscard]] Activations router_kind(const ExpertWeights& weights) const;
  [[nodiscard]] const Routing& routing() const { return tile_ == 1 ? b_.experts.single : b_.experts.batch; }

  const Session::State& state_;
  const RunnableModel::State& shared_;
  const Hyperparameters& hp_;
  const Architecture& arch_;
  Device& device_;
  const DeviceBuffers& b_;
  std::uint32_t tile_;
  std::uint32_t max_tokens_;
  std::vector<Operation> operations_;
};

}  // namespace gguf_fuse::runtime::detail
