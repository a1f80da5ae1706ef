// SPDX-License-Identifier: MIT
// How long it takes to read and validate a header, and in how much memory. GGUF_FUSE_BENCH_MODEL names the model.
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <cstdlib>
#include <string>

#include "gguf_fuse/loader/container.hpp"
#include "gguf_fuse/loader/source.hpp"

namespace {

using namespace gguf_fuse::loader;

/// Of the whole process, since its start.
double peak_resident_mib() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

/// Opens, reads and validates; arrays (the vocabulary) are walked, not decoded.
void read_header(benchmark::State& state) {
  const char* path = std::getenv("GGUF_FUSE_BENCH_MODEL");
  if (path == nullptr) return state.SkipWithError("GGUF_FUSE_BENCH_MODEL is not set");
  std::uint64_t header_bytes = 0;
  for (auto _ : state) {
    auto source = open_source(path);
    if (!source) return state.SkipWithError(source.error().message().c_str());
    auto container = read_container(**source);
    if (!container) return state.SkipWithError(container.error().message().c_str());
    header_bytes = container->data_offset;
    benchmark::DoNotOptimize(container->tensors.data());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(header_bytes) * static_cast<std::int64_t>(state.iterations()));
  state.counters["header_MiB"] = static_cast<double>(header_bytes) / (1 << 20);
  state.counters["peak_RSS_MiB"] = peak_resident_mib();
}
BENCHMARK(read_header)->Unit(benchmark::kMillisecond);

}  // namespace
