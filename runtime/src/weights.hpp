// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gguf_fuse/fuse/plan.hpp"
#include "gguf_fuse/fuse/views.hpp"
#include "gguf_fuse/kernels/device.hpp"
#include "gguf_fuse/kernels/experts.hpp"
#include "hyperparameters.hpp"
#include "placement.hpp"

namespace gguf_fuse::runtime::detail {

/// A feed-forward network: a dense layer's, a shared expert's, or the one beside experts.
struct DenseWeights {
  Matrix gate, up, down;
  Buffer gate_up_bias;  ///< float[2][feed-forward]
  Buffer down_bias;     ///< float[embedding]
};

/// The experts of a layer and what chooses them. Floats that the file does not have are empty buffers.
struct ExpertWeights {
  Matrix router;
  Buffer router_bias, selection_bias;  ///< float[experts]
  Buffer factor;                       ///< float[experts], of each expert's result
  ExpertMatrix gate, up, down;
  Buffer gate_bias, up_bias;  ///< float[experts][feed-forward]
  Buffer down_bias;           ///< float[experts][embedding]
  Matrix shared_gate;         ///< one row, whose sigmoid is the shared expert's factor; or no type
  /// Where a dense part lies beside: what the router reads is normalised by router_norm instead, and each side has
  /// norms of its own. float[embedding] each.
  Buffer router_norm, norm, post_norm, dense_post_norm;
};

/// Projections of latent attention. q_a is no matrix where Q is projected at once, by q_b.
struct LatentWeights {
  Matrix q_a, q_b, kv_a, k_b, v_b;
  Buffer q_a_norm, kv_a_norm;  ///< float[rank]
};

/// What one layer computes with.
struct LayerWeights {
  std::vector<Matrix> qkv;  ///< Q, K and V, or one of all their rows
  LatentWeights latent;     ///< instead of qkv
  Matrix output;
  Buffer attention_norm, feed_forward_norm;  ///< float[embedding]
  Buffer post_attention_norm;                ///< float[embedding], on the feed-forward's device
  Buffer post_feed_forward_norm;             ///< float[embedding], on the device of what follows
  Buffer output_scale;                       ///< float[1], of the residual stream, where post_feed_forward_norm is
  Buffer q_norm, k_norm;                     ///< float[head size]
  Buffer sinks;                              ///< float[heads]
  Buffer qkv_bias;                           ///< float[rows of Q, K and V]
  Buffer output_bias;                        ///< float[embedding]
  DenseWeights dense;
  ExpertWeights experts;
};

/// A factor beside a matrix (`.scale`), or one for each of a tensor's matrices; on the host, once it is loaded.
struct MatrixScale {
  std::string tensor;
  TensorView of;  ///< what it multiplies
  std::vector<float> values;
};

/// All weights of a model, on its devices.
struct Weights {
  Matrix embedding, output;
  Buffer output_norm;
  Buffer output_bias;  ///< float[vocabulary]
  std::vector<LayerWeights> layers;
  std::vector<float> rope_factors, rope_factors_long, rope_factors_short;  ///< on the host
};

/// Where rows of a tensor go; of floats and host, where so many single elements go. Exactly one of the destinations is
/// set.
struct Placement {
  std::size_t tensor = 0;  ///< index in the plan's file
  std::uint64_t first_row = 0;
  std::uint64_t rows = 0;
  Matrix matrix{};  ///< packed, row 0 is first_row
  Buffer floats{};  ///< as they are, from float_offset (bytes)
  std::uint64_t float_offset = 0;
  std::vector<float>* host = nullptr;  ///< resized already
};

struct WeightMap {
  Weights weights;
  std::vector<Placement> placements;  ///< by tensor, then row
  std::vector<std::string> left_out;  ///< tensors of the file that text is computed without
  std::vector<std::unique_ptr<MatrixScale>> scales;
};

/// Finds every tensor of the model in the plan (fused or not), checks its shape and type, and allocates its place.
/// Errors: MissingTensor, BadTensorShape, UnsupportedType, UnsupportedArchitecture (a tensor that nothing computes
/// with), OutOfDeviceMemory, BufferTooLarge, OpenClFailed.
[[nodiscard]] Result<std::unique_ptr<WeightMap>> map_weights(const PlannedFile& file, std::span<const TensorView> views,
                                                             const std::string& path,
                                                             const Hyperparameters& hyperparameters,
                                                             const std::vector<std::shared_ptr<Device>>& devices,
                                                             const BlockDevices& places);

}  // namespace gguf_fuse::runtime::detail
