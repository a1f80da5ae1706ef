// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gguf_fuse/fuse/plan.hpp"
#include "gguf_fuse/kernels/device.hpp"
#include "gguf_fuse/kernels/matmul.hpp"
#include "gguf_fuse/loader/sink.hpp"
#include "hyperparameters.hpp"

namespace gguf_fuse {

/// What one layer computes with. Floats that the file does not have are empty buffers.
struct LayerWeights {
  std::size_t device = 0;  ///< index of the device that computes the layer
  Matrix q, k, v, output, gate, up, down;
  Buffer attention_norm, feed_forward_norm;  ///< float[embedding]
  Buffer post_attention_norm;                ///< float[embedding]
  Buffer post_feed_forward_norm;             ///< float[embedding], on the next layer's device
  Buffer q_norm, k_norm;                     ///< float[head size]
  Buffer qkv_bias;                           ///< float[rows of Q, K and V]
  Buffer output_bias, down_bias;             ///< float[embedding]
};

/// All weights of a model, on its devices: embeddings on the first one, the output on the last.
struct Weights {
  Matrix embedding, output;
  Buffer output_norm;
  std::vector<LayerWeights> layers;
  std::vector<float> rope_factors, rope_factors_long, rope_factors_short;  ///< on the host
};

/// Where rows of a tensor go. Exactly one of the destinations is set.
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
};

/// Finds every tensor of the model in the plan (fused or not), checks its shape and type, and allocates its place.
/// `layer_devices` holds a device index for each layer. Errors: MissingTensor, BadTensorShape, UnsupportedType,
/// UnsupportedArchitecture (a tensor that nothing computes with), OutOfDeviceMemory, BufferTooLarge, OpenClFailed.
[[nodiscard]] Result<std::unique_ptr<WeightMap>> map_weights(const PlannedFile& file, const std::string& path,
                                                             const Hyperparameters& hyperparameters,
                                                             const std::vector<std::shared_ptr<Device>>& devices,
                                                             const std::vector<std::size_t>& layer_devices);

/// A sink for the plan's file that packs what is written into the places of `map`.
[[nodiscard]] Result<std::unique_ptr<Sink>> packing_sink(const PlannedFile& file, const WeightMap& map,
                                                         std::string path);

}  // namespace gguf_fuse
