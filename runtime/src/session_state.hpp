// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "gguf_fuse/kernels/prepare.hpp"
#include "gguf_fuse/runtime/session.hpp"
#include "model_state.hpp"

namespace gguf_fuse {

/// Operations of consecutive layers on one device, for tokens that come in batches or one by one.
struct StageOperations {
  std::vector<Operation> batch;
  std::vector<Operation> single;
};

/// Buffers of one device that all its layers share. Sizes for the most tokens of a micro-batch.
struct StageBuffers {
  Buffer step;         ///< past and tokens of the micro-batch
  Buffer x;            ///< float[tokens][embedding]: the residual stream
  Buffer branch;       ///< float[tokens][embedding]: what a post-norm waits for
  Buffer activations;  ///< prepared, of the widest matrix
  Buffer qkv, q, attention, feed_forward;
  Buffer frequencies, local_frequencies;
};

/// The layers of one device.
struct DeviceStage {
  std::shared_ptr<Device> device;
  StageBuffers buffers;
  std::vector<std::size_t> layers;
  std::vector<Cache> caches;  ///< one a layer of `layers`
  StageOperations operations;
};

/// Behind the last layer, on its device: norm, output matrix, and the numbers that come back.
struct Head {
  Buffer one_step;                ///< no past, one token: for what sees only the last token
  Buffer last_x, last_branch;     ///< float[1][embedding]
  Buffer activations;             ///< prepared
  Buffer logits;                  ///< float[1 or max_tokens][vocabulary]
  Buffer statistics, candidates;  ///< RowStatistics[], Candidate[]
  std::vector<Operation> operations;
};

struct Session::State {
  std::shared_ptr<RunnableModel> model;
  SessionOptions options;
  std::uint32_t max_tokens = 0;      ///< of a micro-batch
  Buffer tokens;                     ///< int32[max_tokens], on the first device
  std::vector<Operation> embedding;  ///< tokens to the first device's residual stream
  std::vector<DeviceStage> stages;
  Head head;
  bool ready = false;  ///< the model is loaded and what depends on it is on the devices
  std::uint32_t past = 0;
  std::vector<float> hidden;              ///< on its way from device to device
  std::vector<RowStatistics> statistics;  ///< of the last evaluate()
  std::vector<Candidate> candidates;
  std::vector<float> logits;  ///< collected with all_logits
  BuildReport build;
  std::uint64_t cache_bytes = 0;

  [[nodiscard]] const RunnableModel::State& shared() const { return model->state(); }
};

/// Allocates buffers and records all operations of a session. Errors: as Session::create.
[[nodiscard]] Result<void> build_graph(Session::State& state);

/// The angles of rotary embedding, whose factors are weights: once the model is loaded. Errors: OpenClFailed.
[[nodiscard]] Result<void> upload_frequencies(Session::State& state);

}  // namespace gguf_fuse
