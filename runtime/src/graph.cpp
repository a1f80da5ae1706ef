// SPDX-License-Identifier: MIT
#include <algorithm>
#include <future>

#include "session_state.hpp"

namespace gguf_fuse {
namespace {

std::uint64_t float_bytes(std::uint64_t count) { return count * sizeof(float); }

/// Matrices of float types are multiplied with floats, whatever was asked for.
Activations kind_for(std::initializer_list<const Matrix*> matrices, Activations wanted) {
  const bool all_quantised =
      std::all_of(matrices.begin(), matrices.end(), [](const Matrix* m) { return m->shape.type->block_elements > 1; });
  return all_quantised ? wanted : Activations::F32;
}

/// Records the operations of one device's layers, for tokens in tiles of `tile`.
class StageRecorder {
 public:
  StageRecorder(const Session::State& state, DeviceStage& stage, std::uint32_t tile)
      : shared_(state.shared()),
        hp_(shared_.hyperparameters),
        stage_(stage),
        buffers_(stage.buffers),
        tile_(tile),
        max_tokens_(tile == 1 ? 1 : state.max_tokens) {}

  Result<std::vector<Operation>> record() {
    for (std::size_t i = 0; i < stage_.layers.size(); ++i) {
      const std::size_t layer = stage_.layers[i];
      const LayerWeights& weights = shared_.weights().layers[layer];
      // A branch of the layer before waits for its norm, unless another device finished it.
      const bool waiting = hp_.architecture->post_norms && layer > 0;
      const Buffer before = waiting ? shared_.weights().layers[layer - 1].post_feed_forward_norm : Buffer();
      GGUF_FUSE_CHECK(attention_block(hp_.layers[layer], weights, stage_.caches[i], before));
      GGUF_FUSE_CHECK(feed_forward_block(weights));
    }
    return std::move(operations_);
  }

 private:
  Result<void> add(Result<Operation> operation) {
    if (!operation) return fail(std::move(operation).error());
    operations_.push_back(std::move(*operation));
    return {};
  }

  /// Norm (with the weight given) and packing of the residual stream, behind the branch that waits for `post`.
  Result<void> normalise(Activations kind, const Buffer& weight, const Buffer& post) {
    const PrepareShape shape{
        .result = {.kind = kind, .columns = hp_.embedding, .tile = tile_, .max_tokens = max_tokens_},
        .norm = Norm::Rms,
        .epsilon = hp_.epsilon,
        .branch = static_cast<bool>(post)};
    return add(prepare(*stage_.device, shape,
                       {.x = buffers_.x,
                        .weight = weight,
                        .branch = post ? buffers_.branch : Buffer(),
                        .post_weight = post,
                        .out = buffers_.activations},
                       buffers_.step));
  }

  Result<void> pack(Activations kind, const Buffer& from, std::uint32_t columns) {
    const PrepareShape shape{.result = {.kind = kind, .columns = columns, .tile = tile_, .max_tokens = max_tokens_}};
    return add(prepare(*stage_.device, shape, {.x = from, .out = buffers_.activations}, buffers_.step));
  }

  /// A product that ends in the residual stream, or in the branch when a norm comes between.
  Result<void> project(const Matrix& matrix, const Buffer& bias, Activations kind) {
    const bool post = hp_.architecture->post_norms;
    const MatmulShape shape{.kind = kind,
                            .tile = tile_,
                            .epilogue = post ? Epilogue::Store : Epilogue::Add,
                            .matrices = {matrix},
                            .bias = bias};
    return add(matmul(*stage_.device, shape, buffers_.activations, post ? buffers_.branch : buffers_.x, buffers_.step));
  }

  Result<void> attention_block(const LayerParameters& layer, const LayerWeights& weights, const Cache& cache,
                               const Buffer& before) {
    Device& device = *stage_.device;
    const Activations wanted = shared_.options.activations;
    const Activations qkv_kind = kind_for({&weights.q, &weights.k, &weights.v}, wanted);
    GGUF_FUSE_CHECK(normalise(qkv_kind, weights.attention_norm, before));
    const MatmulShape qkv{
        .kind = qkv_kind, .tile = tile_, .matrices = {weights.q, weights.k, weights.v}, .bias = weights.qkv_bias};
    GGUF_FUSE_CHECK(add(matmul(device, qkv, buffers_.activations, buffers_.qkv, buffers_.step)));

    const StoreShape store{.heads = layer.heads,
                           .rope = hp_.architecture->rope,
                           .rotated = hp_.rope.rotated,
                           .magnitude = rope_table(layer.local ? hp_.local_rope : hp_.rope, {}).magnitude,
                           .head_norm = hp_.architecture->head_norm,
                           .epsilon = hp_.epsilon,
                           .q_factor = hp_.q_factor};
    GGUF_FUSE_CHECK(add(store_kv(device, store,
                                 {.qkv = buffers_.qkv,
                                  .frequencies = layer.local ? buffers_.local_frequencies : buffers_.frequencies,
                                  .q_norm = weights.q_norm,
                                  .k_norm = weights.k_norm,
                                  .q = buffers_.q},
                                 cache, buffers_.step)));
    const AttentionShape shape{
        .softcap = hp_.attention_softcap, .window = layer.local ? hp_.window : 0, .max_tokens = max_tokens_};
    GGUF_FUSE_CHECK(add(attention(device, shape, cache, buffers_.q, buffers_.attention, buffers_.step)));

    const Activations kind = kind_for({&weights.output}, wanted);
    GGUF_FUSE_CHECK(pack(kind, buffers_.attention, layer.heads.q_columns()));
    return project(weights.output, weights.output_bias, kind);
  }

  Result<void> feed_forward_block(const LayerWeights& weights) {
    const Activations wanted = shared_.options.activations;
    const Activations gate_kind = kind_for({&weights.gate, &weights.up}, wanted);
    GGUF_FUSE_CHECK(normalise(gate_kind, weights.feed_forward_norm, weights.post_attention_norm));
    const MatmulShape gated{.kind = gate_kind,
                            .tile = tile_,
                            .epilogue = Epilogue::Gated,
                            .activation = hp_.architecture->activation,
                            .matrices = {weights.gate, weights.up},
                            .bias = {}};
    GGUF_FUSE_CHECK(add(matmul(*stage_.device, gated, buffers_.activations, buffers_.feed_forward, buffers_.step)));
    const Activations kind = kind_for({&weights.down}, wanted);
    GGUF_FUSE_CHECK(pack(kind, buffers_.feed_forward, weights.down.shape.columns));
    return project(weights.down, weights.down_bias, kind);
  }

  const RunnableModel::State& shared_;
  const Hyperparameters& hp_;
  DeviceStage& stage_;
  const StageBuffers& buffers_;
  std::uint32_t tile_;
  std::uint32_t max_tokens_;
  std::vector<Operation> operations_;
};

/// The largest prepared activations that any matrix of the layers reads.
std::uint64_t activation_bytes(const Session::State& state, const std::vector<std::size_t>& layers) {
  const Hyperparameters& hp = state.shared().hyperparameters;
  std::uint32_t columns = hp.embedding;
  for (const std::size_t i : layers) {
    columns = std::max({columns, hp.layers[i].feed_forward, hp.layers[i].heads.q_columns()});
  }
  std::uint64_t bytes = 0;
  for (const Activations kind : {Activations::Q8, Activations::F32}) {
    const PreparedShape shape{.kind = kind, .columns = columns, .tile = kBatchTile, .max_tokens = state.max_tokens};
    bytes = std::max(bytes, shape.bytes());
  }
  return bytes;
}

/// Longer contexts than the original one turn with other factors, where the model has them.
std::span<const float> rope_factors(const Session::State& state) {
  const Weights& weights = state.shared().weights();
  if (!weights.rope_factors.empty()) return weights.rope_factors;
  const bool is_long = state.options.context > state.shared().hyperparameters.rope.original_context;
  return is_long ? weights.rope_factors_long : weights.rope_factors_short;
}

/// A shorter context helps, whichever limit of the device it was.
Result<Buffer> allocate_cache(const Device& device, std::uint64_t bytes) {
  auto buffer = device.allocate(bytes);
  if (buffer) return buffer;
  Error error = std::move(buffer).error();
  error.subject = "KV cache";
  error.hint = error_hint(ErrorCode::OutOfDeviceMemory);
  return fail(std::move(error));
}

Result<void> allocate_stage(Session::State& state, DeviceStage& stage) {
  const Hyperparameters& hp = state.shared().hyperparameters;
  const Device& device = *stage.device;
  StageBuffers& b = stage.buffers;
  std::uint64_t qkv = 0;
  std::uint64_t q = 0;
  std::uint64_t feed_forward = 0;
  for (const std::size_t i : stage.layers) {
    const HeadShape& heads = hp.layers[i].heads;
    qkv = std::max<std::uint64_t>(qkv, heads.q_columns() + 2 * heads.kv_columns());
    q = std::max<std::uint64_t>(q, heads.q_columns());
    feed_forward = std::max<std::uint64_t>(feed_forward, hp.layers[i].feed_forward);
    const CacheShape shape{
        .k = state.options.cache_k, .v = state.options.cache_v, .capacity = state.options.context, .heads = heads};
    Cache cache{.shape = shape, .k = {}, .v = {}};
    GGUF_FUSE_ASSIGN(cache.k, allocate_cache(device, shape.k_bytes()));
    GGUF_FUSE_ASSIGN(cache.v, allocate_cache(device, shape.v_bytes()));
    state.cache_bytes += shape.k_bytes() + shape.v_bytes();
    stage.caches.push_back(std::move(cache));
  }
  const std::uint64_t tokens = state.max_tokens;
  GGUF_FUSE_ASSIGN(b.step, device.allocate(kStepBytes));
  GGUF_FUSE_ASSIGN(b.x, device.allocate(float_bytes(tokens * hp.embedding)));
  if (hp.architecture->post_norms) {
    GGUF_FUSE_ASSIGN(b.branch, device.allocate(float_bytes(tokens * hp.embedding)));
  }
  GGUF_FUSE_ASSIGN(b.activations, device.allocate(activation_bytes(state, stage.layers)));
  GGUF_FUSE_ASSIGN(b.qkv, device.allocate(float_bytes(tokens * qkv)));
  GGUF_FUSE_ASSIGN(b.q, device.allocate(float_bytes(tokens * q)));
  GGUF_FUSE_ASSIGN(b.attention, device.allocate(float_bytes(tokens * q)));
  GGUF_FUSE_ASSIGN(b.feed_forward, device.allocate(float_bytes(tokens * feed_forward)));
  const std::uint64_t angles = std::max(1U, hp.rope.rotated / 2);
  GGUF_FUSE_ASSIGN(b.frequencies, device.allocate(float_bytes(angles)));
  GGUF_FUSE_ASSIGN(b.local_frequencies, device.allocate(float_bytes(angles)));
  return {};
}

Result<void> record_head(Session::State& state) {
  const Hyperparameters& hp = state.shared().hyperparameters;
  const Weights& weights = state.shared().weights();
  DeviceStage& stage = state.stages.back();
  Device& device = *stage.device;
  Head& head = state.head;
  const bool all = state.options.all_logits;
  const std::uint32_t rows = all ? state.max_tokens : 1;
  const std::uint32_t vocabulary = weights.output.shape.rows;
  const bool post = hp.architecture->post_norms;
  const Activations kind = kind_for({&weights.output}, state.shared().options.activations);
  const PreparedShape prepared{.kind = kind, .columns = hp.embedding, .tile = all ? kBatchTile : 1, .max_tokens = rows};
  GGUF_FUSE_ASSIGN(head.one_step, device.allocate(kStepBytes));
  const std::uint32_t one[4] = {0, 1, 0, 0};
  GGUF_FUSE_CHECK(head.one_step.write(std::as_bytes(std::span(one))));
  GGUF_FUSE_ASSIGN(head.last_x, device.allocate(float_bytes(hp.embedding)));
  if (post) {
    GGUF_FUSE_ASSIGN(head.last_branch, device.allocate(float_bytes(hp.embedding)));
  }
  GGUF_FUSE_ASSIGN(head.activations, device.allocate(prepared.bytes()));
  GGUF_FUSE_ASSIGN(head.logits, device.allocate(float_bytes(std::uint64_t{rows} * vocabulary)));
  GGUF_FUSE_ASSIGN(head.statistics, device.allocate(rows * sizeof(RowStatistics)));
  GGUF_FUSE_ASSIGN(head.candidates, device.allocate(std::max(1U, state.options.candidates) * sizeof(Candidate)));

  const auto add = [&](Result<Operation> operation) -> Result<void> {
    if (!operation) return fail(std::move(operation).error());
    head.operations.push_back(std::move(*operation));
    return {};
  };
  const StageBuffers& b = stage.buffers;
  if (!all) {
    GGUF_FUSE_CHECK(add(take_last(device, hp.embedding, b.x, head.last_x, b.step)));
    if (post) GGUF_FUSE_CHECK(add(take_last(device, hp.embedding, b.branch, head.last_branch, b.step)));
  }
  const Buffer& step = all ? b.step : head.one_step;
  const PrepareShape norm{.result = prepared, .norm = Norm::Rms, .epsilon = hp.epsilon, .branch = post};
  GGUF_FUSE_CHECK(add(prepare(device, norm,
                              {.x = all ? b.x : head.last_x,
                               .weight = weights.output_norm,
                               .branch = all ? b.branch : head.last_branch,
                               .post_weight = post ? weights.layers.back().post_feed_forward_norm : Buffer(),
                               .out = head.activations},
                              step)));
  const MatmulShape product{.kind = kind, .tile = prepared.tile, .matrices = {weights.output}, .bias = {}};
  GGUF_FUSE_CHECK(add(matmul(device, product, head.activations, head.logits, step)));
  if (hp.final_softcap > 0) GGUF_FUSE_CHECK(add(softcap(device, hp.final_softcap, vocabulary, head.logits, step)));
  GGUF_FUSE_CHECK(add(row_statistics(device, vocabulary, head.logits, head.statistics, step)));
  if (all || state.options.candidates == 0) return {};
  return add(top_k(device, vocabulary, state.options.candidates, head.logits, head.candidates));
}

}  // namespace

Result<void> upload_frequencies(Session::State& state) {
  const Hyperparameters& hp = state.shared().hyperparameters;
  const auto factors = rope_factors(state);
  const auto table = rope_table(hp.rope, factors).frequencies;
  const auto local_table = rope_table(hp.local_rope, factors).frequencies;
  for (const DeviceStage& stage : state.stages) {
    GGUF_FUSE_CHECK(stage.buffers.frequencies.write(std::as_bytes(std::span(table))));
    GGUF_FUSE_CHECK(stage.buffers.local_frequencies.write(std::as_bytes(std::span(local_table))));
  }
  return {};
}

Result<void> build_graph(Session::State& state) {
  const RunnableModel::State& shared = state.shared();
  const auto& devices = shared.options.devices;
  const auto& layers = shared.weights().layers;
  for (std::size_t device = 0; device < devices.size(); ++device) {
    DeviceStage stage{.device = devices[device], .buffers = {}, .layers = {}, .caches = {}, .operations = {}};
    for (std::size_t i = 0; i < layers.size(); ++i) {
      if (layers[i].device == device) stage.layers.push_back(i);
    }
    GGUF_FUSE_CHECK(allocate_stage(state, stage));
    state.stages.push_back(std::move(stage));
  }
  GGUF_FUSE_ASSIGN(state.tokens, devices.front()->allocate(state.max_tokens * sizeof(std::int32_t)));
  const StageBuffers& first = state.stages.front().buffers;
  GGUF_FUSE_ASSIGN(Operation embedding,
                   embed(*devices.front(), shared.weights().embedding, shared.hyperparameters.embedding_factor,
                         state.tokens, first.x, first.step));
  state.embedding.push_back(std::move(embedding));

  // Building programs takes most of the first start: batches and single tokens side by side.
  auto single = std::async(std::launch::async, [&]() -> Result<void> {
    for (DeviceStage& stage : state.stages) {
      GGUF_FUSE_ASSIGN(stage.operations.single, StageRecorder(state, stage, 1).record());
    }
    return {};
  });
  const auto batch = [&]() -> Result<void> {
    for (DeviceStage& stage : state.stages) {
      GGUF_FUSE_ASSIGN(stage.operations.batch, StageRecorder(state, stage, kBatchTile).record());
    }
    return record_head(state);
  };
  Result<void> batches = batch();
  GGUF_FUSE_CHECK(single.get());
  return batches;
}

}  // namespace gguf_fuse
