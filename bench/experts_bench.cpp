// SPDX-License-Identifier: MIT
// Mixtures of experts on the device that GGUF_FUSE_TEST_DEVICE names (the first otherwise): gate and up, down, and what
// lies between, for a prompt of 512 tokens and for one token; beside them dense products of the same weights with as
// many tokens as an expert gets. Weights are random bytes, as in matmul_bench.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gguf_fuse/kernels/experts.hpp"
#include "support/opencl_device.hpp"
#include "support/random.hpp"
#include "support/step.hpp"

namespace {

using namespace gguf_fuse::kernels;
using support::value_of;

struct Case {
  const char* type;
  std::uint32_t embedding;
  std::uint32_t hidden;  ///< of an expert
  std::uint32_t experts;
  std::uint32_t used;
  std::uint32_t tokens;

  [[nodiscard]] std::uint32_t tile() const { return tokens == 1 ? 1 : kBatchTile; }
  [[nodiscard]] double choices() const { return double{1.0} * used * tokens; }
  [[nodiscard]] PackedShape up() const {
    return {.type = find_tensor_type(type), .rows = hidden, .columns = embedding};
  }
  [[nodiscard]] PackedShape down() const {
    return {.type = find_tensor_type(type), .rows = embedding, .columns = hidden};
  }
};

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

const std::shared_ptr<Device>& device() {
  // Never closed: drivers take themselves apart before the statics of a program do.
  static const auto& opened = *new std::shared_ptr<Device>(
      support::open_device({.style = style_by_name(environment("GGUF_FUSE_BENCH_STYLE")),
                            .dot = dot_product_by_name(environment("GGUF_FUSE_BENCH_DOT"))}));
  return opened;
}

/// Bytes from 0x20 to 0x3f: normal numbers as halves and floats.
Buffer filler(std::size_t bytes) {
  std::vector<std::byte> data(bytes);
  support::Random random(1);
  random.fill(std::span(data).first(std::min<std::size_t>(bytes, 4096)));
  for (std::size_t i = 0; i < bytes; ++i) data[i] = (data[i % 4096] & std::byte{0x1f}) | std::byte{0x20};
  return support::buffer_of(*device(), data);
}

/// A routing of random logits, and what is needed to make it again.
struct Setup {
  explicit Setup(const Case& wanted)
      : shape{.experts = wanted.experts, .used = wanted.used, .normalise = true},
        step(support::step_buffer(*device(), wanted.tokens, 0)) {
    routing = value_of(allocate_routing(
        *device(),
        {.experts = wanted.experts, .used = wanted.used, .tile = wanted.tile(), .max_tokens = wanted.tokens}));
    std::vector<float> logits(std::size_t{wanted.tokens} * wanted.experts);
    support::Random random(2);
    for (float& logit : logits) logit = random.uniform();
    buffers.logits = support::buffer_of(*device(), logits);
    value_of(value_of(route(*device(), shape, buffers, routing, step)).enqueue({.tokens = wanted.tokens}));
    slots = routing.shape.slots(wanted.tokens);
  }

  RouterShape shape{};
  RouterBuffers buffers{};
  Buffer step{};
  Routing routing{};
  std::uint32_t slots = 0;
};

ExpertMatrix matrix_of(const PackedShape& shape, std::uint32_t experts) {
  const std::uint64_t stride = (shape.bytes() + 63) / 64 * 64;
  return {.shape = shape,
          .parts = {{.buffer = filler(stride * experts), .offset = 0, .stride = stride, .first = 0, .count = experts}}};
}

Buffer activations(std::uint32_t columns, std::uint32_t tile, std::uint32_t tokens) {
  return filler(PreparedShape{.columns = columns, .tile = tile, .max_tokens = tokens}.bytes());
}

Buffer floats(std::uint64_t count) { return value_of(device()->allocate(count * sizeof(float))); }

void measure(benchmark::State& state, Operation operation, std::uint32_t tokens, const Work& work) {
  const auto once = [&] { return operation.enqueue({.tokens = tokens}) && device()->finish(); };
  if (!once()) return state.SkipWithError("the launch failed");
  for (auto _ : state) {
    if (!once()) return state.SkipWithError("the launch failed");
  }
  if (work.flops == 0) return;
  state.counters["GFLOP/s"] = benchmark::Counter(work.flops * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["GB/s"] = benchmark::Counter(work.bytes * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

/// Of products with matrices of this shape, `matrices` an expert.
Work work_of(const Case& wanted, const PackedShape& shape, double matrices) {
  const double read = std::min<double>(wanted.experts, wanted.choices());
  return {.flops = 2 * matrices * wanted.choices() * shape.rows * shape.columns,
          .bytes = matrices * read * static_cast<double>(shape.bytes())};
}

void gate_up(benchmark::State& state, const Case& wanted) {
  const Setup setup(wanted);
  const ExpertGateUpShape shape{.gate = matrix_of(wanted.up(), wanted.experts),
                                .up = matrix_of(wanted.up(), wanted.experts)};
  measure(state,
          value_of(expert_gate_up(*device(), shape, setup.routing,
                                  activations(wanted.embedding, wanted.tile(), wanted.tokens == 1 ? 1 : setup.slots),
                                  floats(std::uint64_t{setup.slots} * wanted.hidden), setup.step)),
          wanted.tokens, work_of(wanted, wanted.up(), 2));
}

void down(benchmark::State& state, const Case& wanted) {
  const Setup setup(wanted);
  const ExpertDownShape shape{.down = matrix_of(wanted.down(), wanted.experts)};
  measure(state,
          value_of(expert_down(*device(), shape, setup.routing, activations(wanted.hidden, wanted.tile(), setup.slots),
                               floats(std::uint64_t{setup.slots} * wanted.embedding),
                               floats(std::uint64_t{wanted.tokens} * wanted.embedding), setup.step)),
          wanted.tokens, work_of(wanted, wanted.down(), 1));
}

void routing(benchmark::State& state, const Case& wanted) {
  Setup setup(wanted);
  measure(state, value_of(route(*device(), setup.shape, setup.buffers, setup.routing, setup.step)), wanted.tokens, {});
}

void gather(benchmark::State& state, const Case& wanted) {
  const Setup setup(wanted);
  measure(state,
          value_of(gather_tokens(*device(), {.columns = wanted.embedding}, setup.routing,
                                 activations(wanted.embedding, kBatchTile, wanted.tokens),
                                 activations(wanted.embedding, kBatchTile, setup.slots), setup.step)),
          wanted.tokens, {});
}

/// One expert's gate and up (or down) with as many tokens as it gets.
void dense(benchmark::State& state, const Case& wanted, bool gated) {
  const auto tokens =
      static_cast<std::uint32_t>(wanted.choices()) / std::min(wanted.experts, wanted.used * wanted.tokens);
  const PackedShape packed = gated ? wanted.up() : wanted.down();
  MatmulShape shape{.tile = wanted.tile(), .epilogue = gated ? Epilogue::Gated : Epilogue::Store};
  for (int i = 0; i < (gated ? 2 : 1); ++i)
    shape.matrices.push_back({.buffer = filler(packed.bytes()), .shape = packed});
  const Buffer step = support::step_buffer(*device(), tokens, 0);
  measure(state,
          value_of(matmul(*device(), shape, activations(packed.columns, wanted.tile(), tokens),
                          floats(std::uint64_t{tokens} * packed.rows), step)),
          tokens, shape.work(tokens));
}

const int kRegistered = [] {
  const auto add = [](const std::string& what, const Case& one, auto run) {
    const std::string name = what + "/" + one.type + "/" + std::to_string(one.experts) + "x" +
                             std::to_string(one.hidden) + "x" + std::to_string(one.embedding) + "/" +
                             std::to_string(one.used) + "/" + std::to_string(one.tokens);
    benchmark::RegisterBenchmark(name.c_str(), run)
        ->Unit(benchmark::kMicrosecond)
        ->MeasureProcessCPUTime()
        ->UseRealTime();
  };
  for (const Case& one : {Case{"Q4_1", 576, 1536, 8, 2, 512}, Case{"Q4_1", 576, 1536, 8, 2, 1},
                          Case{"Q4_K", 2048, 768, 128, 8, 512}, Case{"Q4_K", 2048, 768, 128, 8, 1},
                          Case{"MXFP4", 2880, 2880, 32, 4, 512}, Case{"MXFP4", 2880, 2880, 32, 4, 1}}) {
    add("gate_up", one, [one](benchmark::State& state) { gate_up(state, one); });
    add("gate_up_dense", one, [one](benchmark::State& state) { dense(state, one, true); });
    add("down", one, [one](benchmark::State& state) { down(state, one); });
    add("down_dense", one, [one](benchmark::State& state) { dense(state, one, false); });
    add("route", one, [one](benchmark::State& state) { routing(state, one); });
    if (one.tokens > 1) add("gather", one, [one](benchmark::State& state) { gather(state, one); });
  }
  return 0;
}();

}  // namespace
