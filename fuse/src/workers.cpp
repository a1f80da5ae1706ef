// SPDX-License-Identifier: MIT
#include "workers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

namespace gguf_fuse::fuse::detail {
namespace {

constexpr std::uint64_t kLeastChunk = std::uint64_t{64} << 10;
// A buffer that stays in the processor's own cache, and writes that need no large pages: at 1 MiB and more the same
// copy took 2 to 5 times as long on ext4 (docs/performance.md).
constexpr std::uint64_t kMostChunk = std::uint64_t{128} << 10;
constexpr unsigned kMostThreads = 64;

unsigned default_threads() { return std::clamp(std::thread::hardware_concurrency(), 2U, 8U); }

}  // namespace

Result<WorkSize> work_size(const PipelineOptions& options, unsigned buffers) {
  const std::uint64_t most_threads = options.max_memory / (buffers * kLeastChunk);
  const unsigned wanted = std::min(options.threads != 0 ? options.threads : default_threads(), kMostThreads);
  if (most_threads == 0) {
    return fail({.code = ErrorCode::MemoryLimitTooSmall,
                 .expected = fmt::format("at least {} bytes", buffers * kLeastChunk),
                 .actual = fmt::format("{}", options.max_memory)});
  }
  WorkSize size;
  size.threads = static_cast<unsigned>(std::min<std::uint64_t>(wanted, most_threads));
  size.chunk_bytes =
      std::min(options.max_memory / (std::uint64_t{size.threads} * buffers), kMostChunk) & ~std::uint64_t{4095};
  return size;
}

Result<void> run_threads(unsigned threads, const std::function<Result<void>(FirstError&)>& work) {
  FirstError first;
  return run_team(threads, 1, first, [&](unsigned) { return work(first); });
}

Error interrupted() { return {.code = ErrorCode::Interrupted}; }

}  // namespace gguf_fuse::fuse::detail
