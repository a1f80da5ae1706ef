// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <vector>

#include "blocks/workspace.hpp"
#include "engine/pace.hpp"
#include "gguf_fuse/runtime/session.hpp"
#include "model/model_state.hpp"

namespace gguf_fuse::runtime::detail {

struct DeviceState {
  std::shared_ptr<Device> device;
  Workspace workspace;
};

/// A half of a layer, and what the one before it left to do.
struct StageHalf {
  std::size_t layer = 0;
  const HalfLayer* half = nullptr;
  Ending before{};
  bool ahead = false;  ///< only what its block looks at ahead of the layer's mixer
};

/// Consecutive halves of layers on one device, recorded for tokens that come in batches or one by one.
struct StageBlocks {
  std::size_t device = 0;  ///< index into Session::State::devices
  std::vector<StageHalf> halves;
  std::vector<Operation> batch;
  std::vector<Operation> single;
};

/// Behind the last layer: norm, output matrix, and the numbers that come back.
struct Head {
  Buffer one_step;                ///< no past, one token: for what sees only the last token
  Buffer last_x, last_branch;     ///< float[1][embedding]
  Buffer activations;             ///< prepared
  Buffer logits;                  ///< float[1 or max_tokens][vocabulary]
  Buffer statistics, candidates;  ///< RowStatistics[], Candidate[]
  std::vector<Operation> operations;
};

/// What comes back from the device behind evaluated tokens.
struct Results {
  std::vector<RowStatistics> statistics{};  ///< a row each; none: nothing that is still true
  std::vector<float> logits{};              ///< of the same rows, with SessionOptions::all_logits only
  std::vector<Candidate> candidates{};
};

}  // namespace gguf_fuse::runtime::detail

namespace gguf_fuse::runtime {

struct Session::State {
  std::shared_ptr<RunnableModel> model;
  SessionOptions options;
  std::uint32_t max_tokens = 0;      ///< of a micro-batch
  Buffer tokens;                     ///< int32[max_tokens], on the embeddings' device
  std::vector<Operation> embedding;  ///< tokens to that device's residual stream
  std::vector<DeviceState> devices;  ///< the model's, in its order
  std::vector<Cache> caches;         ///< one a layer; of those that keep keys and values
  std::vector<StageBlocks> stages;   ///< the first one on the embeddings' device, the last one on the output's
  Head head;
  bool ready = false;  ///< the model is loaded and what depends on it is on the devices
  std::vector<std::int32_t> sequence;
  std::uint32_t cached = 0;          ///< how many tokens of the sequence the caches hold keys and values of
  std::optional<bool> long_factors;  ///< which rope factors the keys are turned with
  Pace pace;
  std::vector<float> hidden;  ///< on its way from device to device
  Results results;            ///< of the last evaluate()
  BuildReport build;
  std::uint64_t cache_bytes = 0;

  [[nodiscard]] const RunnableModel::State& shared() const { return model->state(); }
  [[nodiscard]] const std::atomic<bool>& stop() const { return shared().control().cancelled; }
  [[nodiscard]] DeviceState& device_of(const StageBlocks& stage) { return devices[stage.device]; }
};

}  // namespace gguf_fuse::runtime

namespace gguf_fuse::runtime::detail {

/// Allocates what the blocks of each device work in, and the KV cache. Errors: OutOfDeviceMemory, BufferTooLarge.
[[nodiscard]] Result<void> allocate_buffers(Session::State& state);

/// Allocates buffers and records all operations of a session. Errors: as Session::create.
[[nodiscard]] Result<void> build_graph(Session::State& state);

/// The operations behind the last layer. Errors: as Session::create.
[[nodiscard]] Result<void> record_head(Session::State& state);

/// The angles of rotary embedding for texts of `length` tokens, whose factors are weights: once the model is loaded.
/// Where they are others than before, the caches hold nothing any more. Errors: OpenClFailed.
[[nodiscard]] Result<void> choose_frequencies(Session::State& state, std::size_t length);

/// Computes at most max_tokens tokens behind the first `past` of the sequence, whose keys and values are there, and
/// appends to `results`. After an error nothing is on its way any more. Errors: as Session::evaluate.
[[nodiscard]] Result<void> run_micro_batch(Session::State& state, std::span<const std::int32_t> tokens,
                                           std::uint32_t past, Results& results);
/// Sees to it that the caches hold the first `count` tokens of the sequence, as they are in a text of `length` tokens.
/// Errors: as Session::evaluate.
[[nodiscard]] Result<void> fill_caches(Session::State& state, std::size_t count, std::size_t length);

[[nodiscard]] Error interrupted(const Session::State& state);

}  // namespace gguf_fuse::runtime::detail
