// SPDX-License-Identifier: MIT
// What stands between the projections of a layer of the gated delta rule, with the heads of Qwen3-Next, on the device
// that $GGUF_FUSE_TEST_DEVICE names; $GGUF_FUSE_TEST_STYLE may say vector or group.
#include <benchmark/benchmark.h>

#include <vector>

#include "bench_device.hpp"
#include "gguf_fuse/kernels/delta.hpp"
#include "gguf_fuse/kernels/step.hpp"
#include "support/step.hpp"

namespace {

using namespace gguf_fuse::kernels;

constexpr std::uint32_t kStates = 16;  ///< layers and sequences whose states take turns: more than caches hold

/// A step of one run, or of a run of one token for each of several sequences.
StepTable step_table(std::uint32_t run_tokens, std::uint32_t sequences) {
  std::vector<StepRun> runs;
  for (std::uint32_t i = 0; i < sequences; ++i) {
    runs.push_back({.first = i * run_tokens, .tokens = run_tokens, .position = 100, .sequence = i});
  }
  return {runs, {}};
}

Buffer step_buffer(const StepTable& table) { return support::step_buffer(bench_device(), table); }

/// Enqueues the operations one after the other, as a model's layers are, each for all of its `tokens`.
void measure(benchmark::State& state, std::vector<Operation> operations, const StepSize& size, Work work) {
  const auto run = [&] {
    for (Operation& operation : operations) {
      if (!operation.enqueue(size)) return false;
    }
    return bench_device().finish().has_value();
  };
  if (!run()) return state.SkipWithError("enqueue failed");
  for (auto _ : state) {
    if (!run()) return state.SkipWithError("enqueue failed");
  }
  using benchmark::Counter;
  const auto repeats = static_cast<double>(operations.size());
  state.counters["each"] = Counter(repeats, Counter::kIsIterationInvariantRate | Counter::kInvert);
  state.counters["token/s"] = Counter(size.tokens * repeats, Counter::kIsIterationInvariantRate);
  state.counters["flop/s"] = Counter(work.flops * repeats, Counter::kIsIterationInvariantRate);
  state.counters["B/s"] = Counter(work.bytes * repeats, Counter::kIsIterationInvariantRate);
}

DeltaShape delta_shape(std::uint32_t tokens, std::uint32_t sequences) {
  return {.key_heads = 16,
          .value_heads = 32,
          .key_size = 128,
          .value_size = 128,
          .beta = {.row = 64, .columns = 32},
          .alpha = {.row = 64, .offset = 32, .columns = 32},
          .max_tokens = tokens,
          .max_sequences = sequences};
}

/// Layers that share all but their states.
std::vector<Operation> delta_layers(const DeltaShape& shape, const Buffer& step) {
  const Buffer numbers = random_buffer(std::size_t{shape.max_tokens} * 64);
  const Buffer negative = support::buffer_of(bench_device(), std::vector<float>(32, -0.1F));
  DeltaBuffers buffers{.qkv = random_buffer(std::size_t{shape.max_tokens} * shape.channels()),
                       .beta = numbers,
                       .alpha = numbers,
                       .a = negative,
                       .dt = random_buffer(32),
                       .scratch = random_buffer(shape.scratch_bytes() / sizeof(float) + 1),
                       .out = random_buffer(std::size_t{shape.max_tokens} * 4096)};
  std::vector<Operation> layers;
  for (std::uint32_t i = 0; i < kStates / shape.max_sequences; ++i) {
    buffers.state = random_buffer(shape.state_bytes() / sizeof(float));
    layers.push_back(support::value_of(delta_rule(bench_device(), shape, buffers, step)));
  }
  return layers;
}

void long_run(benchmark::State& state) {
  const auto tokens = static_cast<std::uint32_t>(state.range(0));
  const DeltaShape shape = delta_shape(tokens, 1);
  measure(state, delta_layers(shape, step_buffer(step_table(tokens, 1))), step_table(tokens, 1).size(),
          shape.work(tokens));
}
BENCHMARK(long_run)
    ->ArgName("tokens")
    ->Arg(2)
    ->Arg(16)
    ->Arg(64)
    ->Arg(512)
    ->Unit(benchmark::kMicrosecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

/// One token of each of several sequences; of one alone it is what 512 tokens take that come one by one.
void single_tokens(benchmark::State& state) {
  const auto sequences = static_cast<std::uint32_t>(state.range(0));
  const DeltaShape shape = delta_shape(sequences, sequences);
  Work work = shape.work(1);
  work.flops *= sequences;
  work.bytes *= sequences;
  measure(state, delta_layers(shape, step_buffer(step_table(1, sequences))), step_table(1, sequences).size(), work);
}
BENCHMARK(single_tokens)
    ->ArgName("sequences")
    ->Arg(1)
    ->Arg(8)
    ->Unit(benchmark::kMicrosecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

void convolve(benchmark::State& state) {
  const auto tokens = static_cast<std::uint32_t>(state.range(0));
  const ConvShape shape{.channels = 8192, .row = 8192, .max_tokens = tokens};
  const ConvBuffers buffers{.in = random_buffer(std::size_t{tokens} * shape.row),
                            .weights = random_buffer(std::size_t{shape.channels} * shape.width),
                            .state = random_buffer(shape.state_bytes() / sizeof(float)),
                            .out = random_buffer(std::size_t{tokens} * shape.channels)};
  std::vector<Operation> layers;
  for (std::uint32_t i = 0; i < kStates; ++i) {
    layers.push_back(
        support::value_of(causal_conv(bench_device(), shape, buffers, step_buffer(step_table(tokens, 1)))));
  }
  const double elements = static_cast<double>(tokens) * shape.channels;
  measure(state, std::move(layers), step_table(tokens, 1).size(),
          {.flops = 2 * shape.width * elements, .bytes = 8 * elements});
}
BENCHMARK(convolve)
    ->ArgName("tokens")
    ->Arg(1)
    ->Arg(512)
    ->Unit(benchmark::kMicrosecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

void norm_and_gate(benchmark::State& state) {
  const auto tokens = static_cast<std::uint32_t>(state.range(0));
  const Columns shape{.row = 4096, .segments = 32, .stride = 128, .columns = 128};
  const Buffer x = random_buffer(std::size_t{tokens} * shape.row), z = random_buffer(std::size_t{tokens} * shape.row);
  std::vector<Operation> layers;
  for (std::uint32_t i = 0; i < kStates; ++i) {
    layers.push_back(support::value_of(gated_norm(bench_device(), shape, 1e-6F, x, random_buffer(shape.columns), shape,
                                                  z, step_buffer(step_table(tokens, 1)))));
  }
  const double elements = static_cast<double>(tokens) * shape.row;
  measure(state, std::move(layers), step_table(tokens, 1).size(), {.flops = 6 * elements, .bytes = 12 * elements});
}
BENCHMARK(norm_and_gate)
    ->ArgName("tokens")
    ->Arg(1)
    ->Arg(512)
    ->Unit(benchmark::kMicrosecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

}  // namespace
