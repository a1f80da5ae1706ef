// SPDX-License-Identifier: MIT
// The pipeline without a disk: from memory to memory, by threads and by the size of the ring.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gguf_fuse/fuse/pipeline.hpp"
#include "gguf_fuse/fuse/plan.hpp"
#include "gguf_fuse/loader/model.hpp"
#include "support/random_model.hpp"

namespace {

using namespace gguf_fuse;
using namespace gguf_fuse::fuse;

/// Memory that several threads write into at once; the tests' sink has a lock.
class UnlockedSink final : public Sink {
 public:
  explicit UnlockedSink(std::span<std::byte> bytes) : bytes_(bytes) {}
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    std::memcpy(bytes_.data() + offset, bytes.data(), bytes.size());
    return {};
  }
  [[nodiscard]] bool sequential() const override { return false; }
  Result<void> commit() override { return {}; }
  [[nodiscard]] const std::string& path() const override { return path_; }

 private:
  std::span<std::byte> bytes_;
  std::string path_ = "memory";
};

/// A mixture of about 230 MB: larger than any cache, gate and up to be interleaved expert by expert.
const std::vector<std::byte>& model_bytes() {
  static const std::vector<std::byte> kBytes = support::RandomModel("granite_swa")
                                                   .layers(4)
                                                   .embedding(512)
                                                   .heads(8, 4, 64)
                                                   .experts(64, 2, 1024)
                                                   .vocabulary(1024)
                                                   .type("Q4_0")
                                                   .build();
  return kBytes;
}

void execute_in_memory(benchmark::State& state) {
  auto model = open_model(memory_source(model_bytes(), "memory"));
  if (!model) return state.SkipWithError(model.error().message().c_str());
  const auto plan = plan_fuse(model->info);
  if (!plan) return state.SkipWithError(plan.error().message().c_str());
  std::vector<std::byte> output(plan->total_bytes());
  std::vector<std::unique_ptr<Sink>> sinks;
  sinks.push_back(std::make_unique<UnlockedSink>(output));
  PipelineOptions options;
  options.threads = static_cast<unsigned>(state.range(0));
  options.max_memory = static_cast<std::uint64_t>(state.range(1)) << 20;
  for (auto _ : state) {
    if (auto done = execute(*plan, *model, sinks, options); !done) {
      return state.SkipWithError(done.error().message().c_str());
    }
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(output.size()) * static_cast<std::int64_t>(state.iterations()));
}
BENCHMARK(execute_in_memory)
    ->ArgNames({"threads", "ring_MiB"})
    ->ArgsProduct({{1, 2, 4, 8}, {8, 64}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
