// SPDX-License-Identifier: MIT
// Matrix products on the device that GGUF_FUSE_TEST_DEVICE names (the first otherwise): batches of 512 tokens and
// single tokens, with weights of each type and activations of 8 bits or floats. Weights are random bytes:
// nothing depends on their values but subnormal numbers, and scales here are none.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "gguf_fuse/kernels/matmul.hpp"
#include "support/opencl_device.hpp"
#include "support/random.hpp"
#include "support/step.hpp"

namespace {

using namespace gguf_fuse;
using namespace gguf_fuse::kernels;
using support::value_of;

struct Case {
  std::string_view type;
  Activations kind;
  std::uint32_t rows;
  std::uint32_t columns;
  std::uint32_t tokens;
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
std::vector<std::byte> filler(std::size_t bytes) {
  std::vector<std::byte> data(bytes);
  support::Random random(1);
  random.fill(std::span(data).first(std::min<std::size_t>(bytes, 4096)));
  for (std::size_t i = 0; i < bytes; ++i) data[i] = (data[i % 4096] & std::byte{0x1f}) | std::byte{0x20};
  return data;
}

Result<Operation> record(const Case& wanted, MatmulShape& shape) {
  Matrix matrix{.shape = {.type = find_tensor_type(wanted.type), .rows = wanted.rows, .columns = wanted.columns}};
  matrix.buffer = support::buffer_of(*device(), filler(matrix.shape.bytes()));
  shape = {.kind = wanted.kind, .tile = wanted.tokens == 1 ? 1 : kBatchTile, .matrices = {matrix}};
  const PreparedShape prepared{
      .kind = wanted.kind, .columns = wanted.columns, .tile = shape.tile, .max_tokens = wanted.tokens};
  const Buffer activations = support::buffer_of(*device(), filler(prepared.bytes()));
  GGUF_FUSE_ASSIGN(const Buffer out, device()->allocate(std::uint64_t{wanted.rows} * wanted.tokens * sizeof(float)));
  return matmul(*device(), shape, activations, out, support::step_buffer(*device(), wanted.tokens, 0));
}

void run(benchmark::State& state, const Case& wanted) {
  MatmulShape shape;
  auto operation = record(wanted, shape);
  if (!operation) return state.SkipWithError(operation.error().message().c_str());
  const auto once = [&] { return operation->enqueue({.tokens = wanted.tokens}) && device()->finish(); };
  if (!once()) return state.SkipWithError("the launch failed");
  for (auto _ : state) {
    if (!once()) return state.SkipWithError("the launch failed");
  }
  const Work work = shape.work(wanted.tokens);
  state.counters["GFLOP/s"] = benchmark::Counter(work.flops * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["GB/s"] = benchmark::Counter(work.bytes * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

void add(const Case& one) {
  const std::string name = "matmul/" + std::string(one.type) + (one.kind == Activations::Q8 ? "/q8/" : "/f32/") +
                           std::to_string(one.rows) + "x" + std::to_string(one.columns) + "x" +
                           std::to_string(one.tokens);
  benchmark::RegisterBenchmark(name.c_str(), [one](benchmark::State& state) { run(state, one); })
      ->Unit(benchmark::kMicrosecond)
      ->MeasureProcessCPUTime()
      ->UseRealTime();
}

const int kRegistered = [] {
  for (const TensorType& type : tensor_types()) {
    if (!can_compute(type)) continue;
    if (type.block_elements == 1) {
      add({type.name, Activations::F32, 576, 1536, 512});
      add({type.name, Activations::F32, 2048, 2048, 512});
      add({type.name, Activations::F32, 8192, 4096, 1});
      continue;
    }
    add({type.name, Activations::Q8, 576, 1536, 512});
    add({type.name, Activations::Q8, 2048, 2048, 512});
    add({type.name, Activations::Q8, 16384, 4096, 1});
    add({type.name, Activations::Q8, 1536, 512, 1});
    add({type.name, Activations::F32, 2048, 2048, 512});
  }
  return 0;
}();

}  // namespace
