// SPDX-License-Identifier: MIT
// Everything between matrix products: attention, the cache, norms and quantising, top k. On the device that
// $GGUF_FUSE_TEST_DEVICE names; $GGUF_FUSE_TEST_STYLE may say vector or group.
#include <benchmark/benchmark.h>

#include <array>
#include <vector>

#include "bench_device.hpp"
#include "gguf_fuse/kernels/attention.hpp"
#include "gguf_fuse/kernels/logits.hpp"
#include "gguf_fuse/kernels/prepare.hpp"
#include "support/step.hpp"

namespace {

using namespace gguf_fuse::kernels;

/// Enqueues the operation eight times for each measurement, as a model's layers do, so that waiting does not count.
void measure(benchmark::State& state, Operation operation, const StepTable& step, Work work) {
  constexpr int kRepeats = 8;
  const auto run = [&](int repeats) {
    for (int i = 0; i < repeats; ++i) {
      if (!operation.enqueue(step.size())) return false;
    }
    return bench_device().finish().has_value();
  };
  if (!run(1)) return state.SkipWithError("enqueue failed");
  for (auto _ : state) {
    if (!run(kRepeats)) return state.SkipWithError("enqueue failed");
  }
  using benchmark::Counter;
  state.counters["each"] = Counter(kRepeats, Counter::kIsIterationInvariantRate | Counter::kInvert);
  state.counters["flop/s"] = Counter(work.flops * kRepeats, Counter::kIsIterationInvariantRate);
  state.counters["B/s"] = Counter(work.bytes * kRepeats, Counter::kIsIterationInvariantRate);
}

struct Layer {
  Cache cache{};
  Buffer qkv{}, q{}, out{}, step{};
  StoreShape store{};
};

/// A layer whose cache holds past + tokens positions, in pages without order.
Layer make_layer(HeadShape heads, CacheType type, std::uint32_t tokens, std::uint32_t past) {
  const std::uint32_t all = past + tokens;
  const std::uint32_t pages = (all + kPageTokens - 1) / kPageTokens;
  Layer layer{.cache = {.shape = {.k = type, .v = type, .pages = pages, .heads = heads}, .table_row = pages}};
  const Device& device = bench_device();
  layer.cache.k = support::value_of(device.allocate(layer.cache.shape.k_bytes()));
  layer.cache.v = support::value_of(device.allocate(layer.cache.shape.v_bytes()));
  const std::vector<std::size_t> order = support::Random(pages).permutation(pages);
  const std::vector<std::uint32_t> table(order.begin(), order.end());
  layer.cache.table = support::buffer_of(device, table);
  layer.store = {.heads = heads, .rope = Rope::Neox, .rotated = heads.size, .q_factor = 0.1F};
  layer.qkv = random_buffer(std::size_t{all} * (heads.q_columns() + 2 * heads.kv_columns()));
  layer.q = support::value_of(device.allocate(std::uint64_t{all} * heads.q_columns() * sizeof(float)));
  layer.out = support::value_of(device.allocate(layer.q.bytes()));
  layer.step = support::step_buffer(device, all, 0);
  auto fill = support::value_of(store_kv(bench_device(), layer.store,
                                         {.qkv = layer.qkv, .frequencies = random_buffer(heads.size / 2), .q = layer.q},
                                         layer.cache, layer.step));
  support::value_of(fill.enqueue(StepTable(all, 0).size()).map([] { return 0; }));
  support::value_of(device.finish().map([] { return 0; }));
  layer.step = support::step_buffer(device, tokens, past);
  return layer;
}

/// Arguments: heads, kv heads, head size, tokens, past, cache type.
HeadShape heads_of(const benchmark::State& state) {
  return {.heads = static_cast<std::uint32_t>(state.range(0)),
          .kv_heads = static_cast<std::uint32_t>(state.range(1)),
          .size = static_cast<std::uint32_t>(state.range(2))};
}

void attend(benchmark::State& state) {
  const auto tokens = static_cast<std::uint32_t>(state.range(3)), past = static_cast<std::uint32_t>(state.range(4));
  const Layer layer = make_layer(heads_of(state), static_cast<CacheType>(state.range(5)), tokens, past);
  const AttentionShape shape{.max_tokens = tokens};
  measure(state, support::value_of(attention(bench_device(), shape, layer.cache, layer.q, layer.out, layer.step)),
          StepTable(tokens, past), shape.work(layer.cache.shape, tokens, past));
}

constexpr std::int64_t kF32 = 0, kF16 = 1, kQ8 = 2;
BENCHMARK(attend)
    ->ArgNames({"heads", "kv", "size", "tokens", "past", "type"})
    ->Args({9, 3, 64, 512, 0, kF16})
    ->Args({9, 3, 64, 512, 3584, kF16})
    ->Args({9, 3, 64, 512, 0, kF32})
    ->Args({9, 3, 64, 512, 0, kQ8})
    ->Args({4, 1, 256, 512, 0, kF16})
    ->Args({4, 1, 256, 512, 3584, kF16})
    ->Args({9, 3, 64, 1, 128, kF16})
    ->Args({9, 3, 64, 1, 511, kF16})
    ->Args({9, 3, 64, 1, 4095, kF16})
    ->Args({9, 3, 64, 1, 4095, kQ8})
    ->Args({4, 1, 256, 1, 128, kF16})
    ->Args({4, 1, 256, 1, 511, kF16})
    ->Args({4, 1, 256, 1, 4095, kF16})
    ->Unit(benchmark::kMicrosecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

void store(benchmark::State& state) {
  const auto tokens = static_cast<std::uint32_t>(state.range(3)), past = static_cast<std::uint32_t>(state.range(4));
  const HeadShape heads = heads_of(state);
  const Layer layer = make_layer(heads, static_cast<CacheType>(state.range(5)), tokens, past);
  const double row = heads.q_columns() + 2.0 * heads.kv_columns();
  measure(state,
          support::value_of(store_kv(bench_device(), layer.store,
                                     {.qkv = layer.qkv, .frequencies = random_buffer(heads.size / 2), .q = layer.q},
                                     layer.cache, layer.step)),
          StepTable(tokens, past), Work{.flops = 3 * row * tokens, .bytes = 8 * row * tokens});
}
BENCHMARK(store)
    ->ArgNames({"heads", "kv", "size", "tokens", "past", "type"})
    ->Args({9, 3, 64, 512, 0, kF16})
    ->Args({9, 3, 64, 512, 0, kQ8})
    ->Args({4, 1, 256, 512, 0, kF16})
    ->Args({9, 3, 64, 1, 128, kF16})
    ->Args({4, 1, 256, 1, 128, kF16})
    ->Unit(benchmark::kMicrosecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

/// Arguments: columns, tokens, tile, whether the result is floats.
void make_activations(benchmark::State& state) {
  const auto tokens = static_cast<std::uint32_t>(state.range(1));
  const PrepareShape shape{.result = {.kind = static_cast<Activations>(state.range(3)),
                                      .columns = static_cast<std::uint32_t>(state.range(0)),
                                      .tile = static_cast<std::uint32_t>(state.range(2)),
                                      .max_tokens = tokens},
                           .norm = Norm::Rms};
  const PrepareBuffers buffers{.x = random_buffer(std::size_t{shape.result.columns} * tokens),
                               .weight = random_buffer(shape.result.columns),
                               .out = support::value_of(bench_device().allocate(shape.result.bytes()))};
  measure(state,
          support::value_of(prepare(bench_device(), shape, buffers, support::step_buffer(bench_device(), tokens, 0))),
          StepTable(tokens, 0), shape.work(tokens));
}
BENCHMARK(make_activations)
    ->ArgNames({"columns", "tokens", "tile", "floats"})
    ->Args({576, 512, 16, 0})
    ->Args({576, 512, 16, 1})
    ->Args({576, 1, 1, 0})
    ->Args({2048, 1, 1, 0})
    ->Args({8192, 1, 1, 0})
    ->Unit(benchmark::kMicrosecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

/// Arguments: vocabulary, k; k = 0 stands for the row's statistics.
void pick(benchmark::State& state) {
  const auto vocabulary = static_cast<std::uint32_t>(state.range(0)), k = static_cast<std::uint32_t>(state.range(1));
  const Buffer logits = random_buffer(vocabulary), out = random_buffer(512),
               step = support::step_buffer(bench_device(), 1, 0);
  auto operation = k == 0 ? row_statistics(bench_device(), vocabulary, logits, out, step)
                          : top_k(bench_device(), vocabulary, k, logits, out);
  measure(state, support::value_of(std::move(operation)), StepTable(1, 0), Work{.flops = 0, .bytes = 4.0 * vocabulary});
}
BENCHMARK(pick)
    ->ArgNames({"vocabulary", "k"})
    ->Args({49152, 40})
    ->Args({262144, 40})
    ->Args({262144, 256})
    ->Args({49152, 0})
    ->Args({262144, 0})
    ->Unit(benchmark::kMicrosecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

}  // namespace
