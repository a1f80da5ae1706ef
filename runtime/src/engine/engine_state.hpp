// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "blocks/workspace.hpp"
#include "engine/pace.hpp"
#include "engine/page_groups.hpp"
#include "gguf_fuse/kernels/step.hpp"
#include "gguf_fuse/runtime/session.hpp"
#include "model/model_state.hpp"

namespace gguf_fuse::runtime::detail {

struct DeviceState {
  std::shared_ptr<Device> device;
  Workspace workspace;
};

/// What a layer's blocks keep of sequences beside keys and values: rows of `bytes[i]` in buffers i.
struct LayerStates {
  std::vector<std::uint64_t> bytes;
  std::vector<Buffer> live;    ///< of the tokens that are cached
  std::vector<Buffer> copies;  ///< of those that were where a sequence can go back to
};

/// A half of a layer, and what the one before it left to do.
struct StageHalf {
  std::size_t layer = 0;
  const HalfLayer* half = nullptr;
  Ending before{};
  bool ahead = false;  ///< only what its block looks at ahead of the layer's mixer
};

/// The operations of a stage. Those of a half begin where `halves` says.
struct StageOperations {
  std::vector<Operation> operations;
  std::vector<std::size_t> halves;
};

/// Consecutive halves of layers on one device, recorded for many tokens at once and for one.
struct StageBlocks {
  std::size_t device = 0;  ///< index into Engine::State::devices
  std::vector<StageHalf> halves;
  StageOperations batch, single;
};

/// Behind the last layer: norm, output matrix, and the numbers that come back, for a number of rows.
struct HeadRows {
  Buffer step;         ///< the header of a StepTable that says only how many rows there are
  Buffer x, branch;    ///< float[rows][embedding]
  Buffer activations;  ///< prepared
  Buffer logits;       ///< float[rows][vocabulary]
  Buffer statistics;   ///< RowStatistics[rows]
  Buffer candidates;   ///< Candidate[rows][options.candidates]; none without
  std::vector<Operation> operations;
};

/// What comes back from the device behind evaluated tokens of a sequence.
struct Results {
  std::vector<RowStatistics> statistics{};  ///< a row each; none: nothing that is still true
  std::vector<float> logits{};              ///< of the same rows, with SessionOptions::all_logits only
  std::vector<Candidate> candidates{};
  const HeadRows* head = nullptr;  ///< where the logits of the last row still are, if no step came since
  std::uint32_t row = 0;
  std::uint64_t step = 0;
};

/// A sequence as the engine sees it.
struct Sequence {
  std::uint32_t number = 0;  ///< row of the tables of pages
  const Control* control = nullptr;
  std::vector<std::int32_t> tokens{};
  std::uint32_t cached = 0;          ///< how many tokens the cache holds keys and values of
  std::uint32_t live = 0;            ///< how many tokens the states are of
  std::uint32_t copied = 0;          ///< how many tokens the copies of states are of; 0: there are none
  std::optional<bool> long_factors;  ///< which rope factors those are turned with
  std::vector<HeldPages> held{};     ///< of each group
  Results results{};                 ///< of the last evaluate()

  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(tokens.size()); }
  /// By its own control.
  [[nodiscard]] bool stopped() const { return control != nullptr && control->cancelled; }
};

}  // namespace gguf_fuse::runtime::detail

namespace gguf_fuse::runtime {

struct Engine::State {
  std::shared_ptr<RunnableModel> model;
  SessionOptions options;
  std::uint32_t max_tokens = 0;      ///< of a micro-batch
  Buffer tokens;                     ///< int32[max_tokens], on the embeddings' device
  std::vector<Operation> embedding;  ///< tokens to that device's residual stream
  std::vector<DeviceState> devices;  ///< the model's, in its order
  std::vector<Cache> caches;         ///< one a layer; of those that keep keys and values
  std::vector<LayerStates> states;   ///< one a layer
  std::vector<PageGroup> groups;
  std::vector<StageBlocks> stages;   ///< the first one on the embeddings' device, the last one on the output's
  HeadRows one, several;             ///< `several` where there may be more sessions, or all logits are kept
  bool ready = false;                ///< the model is loaded and what depends on it is on the devices
  std::vector<Sequence*> sequences;  ///< by number; null where there is none
  Sequence unseen;                   ///< that warms up, behind the others' numbers
  std::optional<bool> long_factors;  ///< which rope factors the tables hold
  Pace pace;
  std::vector<float> hidden;  ///< on its way from device to device
  std::uint64_t step = 0;     ///< counts steps
  BuildReport build;

  [[nodiscard]] const RunnableModel::State& shared() const { return model->state(); }
  [[nodiscard]] const std::atomic<bool>& stop() const { return shared().control().cancelled; }
  [[nodiscard]] DeviceState& device_of(const StageBlocks& stage) { return devices[stage.device]; }
};

struct Session::State {
  std::shared_ptr<Engine> engine;
  Sequence sequence;
};

}  // namespace gguf_fuse::runtime

namespace gguf_fuse::runtime::detail {

/// Allocates what the blocks of each device work in, and the first pages. Errors: OutOfDeviceMemory, BufferTooLarge.
[[nodiscard]] Result<void> allocate_buffers(Engine::State& state);

/// Allocates buffers and records all operations. Errors: as Engine::create.
[[nodiscard]] Result<void> build_graph(Engine::State& state);

/// The operations behind the last layer, for up to `rows` rows. Errors: as Engine::create.
[[nodiscard]] Result<void> record_head(Engine::State& state, std::uint32_t rows, HeadRows& head);

/// The model is loaded; what is asked for before waits for it. Errors: those of RunnableModel::wait.
[[nodiscard]] Result<void> wait_until_ready(Engine::State& state);

/// The angles of rotary embedding, whose factors are weights: once the model is loaded. Errors: OpenClFailed.
[[nodiscard]] Result<void> choose_frequencies(Engine::State& state, bool is_long);

/// Has a sequence turn by the factors for texts of `length` tokens (LongRoPE), and forgets keys that were turned by
/// others.
void turn_for(Engine::State& state, Sequence& sequence, std::size_t length);

/// The most pages that all sequences together may hold in a group of this window (0: none).
[[nodiscard]] std::uint32_t page_limit(const Engine::State& state, std::uint32_t window);
/// Sees to it that as many pages are allocated as the sequence needs for these positions, and gives it those. Errors:
/// ContextFull, OutOfDeviceMemory, BufferTooLarge, OpenClFailed.
[[nodiscard]] Result<void> hold_pages(Engine::State& state, Sequence& sequence, std::uint32_t position,
                                      std::uint32_t end);
/// Keeps copies of a sequence's states, to go back to. Errors: OpenClFailed.
[[nodiscard]] Result<void> copy_states(Engine::State& state, Sequence& sequence);
/// Has states of at most `count` tokens live: those that are, or copies, or none; of how many tokens they are. Without
/// states all are.
[[nodiscard]] std::uint32_t states_behind(Engine::State& state, Sequence& sequence, std::uint32_t count);
/// Gives `to` the states that `from` has of at most `count` tokens; of how many tokens they are. Errors: OpenClFailed.
[[nodiscard]] Result<std::uint32_t> share_states(Engine::State& state, const Sequence& from, Sequence& to,
                                                 std::uint32_t count);

/// Forgets keys and values behind `count` positions, and all where what those look at is gone.
void forget_behind(Engine::State& state, Sequence& sequence, std::uint32_t count);

/// Tokens of a sequence that one step computes.
struct Piece {
  Sequence* sequence = nullptr;
  std::uint32_t position = 0;
  std::span<const std::int32_t> tokens{};
};
/// Computes pieces of at most max_tokens tokens, long ones first, whose pages are held; results go to `results`, one
/// each. After an error nothing is on its way any more. Errors: as Session::evaluate.
[[nodiscard]] Result<void> run_step(Engine::State& state, std::span<const Piece> pieces, std::vector<Results>& results);

/// Appends tokens; what the caches have lost is computed again first. Errors: as Engine::evaluate.
struct Append {
  Sequence* sequence = nullptr;
  std::span<const std::int32_t> tokens{};
};
[[nodiscard]] Result<void> append(Engine::State& state, std::span<const Append> all);

[[nodiscard]] Error interrupted(const Engine::State& state);
[[nodiscard]] Error context_full(const Engine::State& state);

}  // namespace gguf_fuse::runtime::detail
