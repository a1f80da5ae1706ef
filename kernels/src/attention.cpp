// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/attention.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "attention_program.hpp"
#include "invalid.hpp"
#include "prelude.hpp"
#include "prepare_program.hpp"

namespace gguf_fuse::kernels {
namespace {

/// Splitting costs a second launch (about 6 us on PoCL) and pays when each part still has this many positions.
constexpr std::uint32_t kPartPositions = 256;
constexpr std::uint32_t kMostParts = 64;

/// Parts that the positions are divided into: enough for every compute unit to have an equal share of `tasks`, or four
/// shares, as far as the positions reach.
std::uint32_t parts_for(const DeviceProfile& profile, std::uint32_t tasks, std::uint32_t positions) {
  const std::uint32_t most = std::min(kMostParts, std::max(1U, positions / kPartPositions));
  const std::uint32_t units = profile.compute_units;
  std::uint32_t parts = 1;
  while (parts < most && (tasks * parts) % units != 0 && tasks * parts < 4 * units) ++parts;
  return parts;
}

struct Recorded {
  Device& device;
  std::shared_ptr<Program> program;
  const AttentionShape& shape;
  const Cache& cache;
  const Buffer& q;
  const Buffer& out;
  const Buffer& step;

  [[nodiscard]] Result<Launch> launch(const char* kernel) const {
    GGUF_FUSE_ASSIGN(Launch made, Launch::make(program, kernel));
    made.set("q", q).set("out", out);
    set_cache(made, cache, step);
    made.set("softcap", shape.softcap).set("window", shape.window).set("chunked", std::uint32_t{shape.chunked});
    // Without sinks q stands in for them, unread.
    made.set("sinks", shape.sinks ? shape.sinks : q).set("has_sinks", std::uint32_t{bool{shape.sinks}});
    return made;
  }
};

/// The tiles of long runs.
Result<void> add_batch(const Recorded& recorded, std::vector<Stage>& stages) {
  GGUF_FUSE_ASSIGN(Launch launch, recorded.launch("attention_batch"));
  const DeviceProfile& profile = recorded.device.profile();
  const HeadShape& shape = recorded.cache.shape.heads;
  const std::uint32_t tile_tasks = kBatchTile / batch_rows(profile, shape);
  StepGrid grid = [=, heads = shape.heads](const StepSize& size) {
    return task_grid(profile, heads, std::size_t{size.tiles} * tile_tasks);
  };
  launch.set_grid(grid({}));
  GGUF_FUSE_CHECK(launch.check());
  stages.push_back(Stage{.launch = std::move(launch), .grid = std::move(grid), .cut = profile.style == Style::Vector});
  return {};
}

/// Short runs, and the sum of their parts.
Result<void> add_single(const Recorded& recorded, std::vector<Stage>& stages) {
  const HeadShape heads = recorded.cache.shape.heads;
  const DeviceProfile& profile = recorded.device.profile();
  const std::uint32_t tasks = heads.kv_heads * ceil_divide(heads.heads / heads.kv_heads, group_rows(heads));
  const std::uint32_t most_runs = std::min(recorded.shape.max_sequences, recorded.shape.max_tokens);
  std::uint32_t most_partial = 0;
  for (std::uint32_t runs = 1; runs <= most_runs; ++runs) {
    most_partial = std::max(most_partial, runs * parts_for(profile, runs * tasks, ~0U));
  }
  const std::uint64_t floats = kPartialHeader + std::uint64_t{most_partial} * heads.heads * (heads.size + kPartialSums);
  GGUF_FUSE_ASSIGN(const Buffer partial, recorded.device.allocate(floats * sizeof(float)));
  GGUF_FUSE_ASSIGN(Launch first, recorded.launch("attention_single"));
  first.set("partial", partial);
  GGUF_FUSE_ASSIGN(Launch second, Launch::make(recorded.program, "attention_combine"));
  second.set("partial", partial).set("out", recorded.out).set("heads", heads.heads).set("step_info", recorded.step);
  const auto parts = [=, window = recorded.shape.window](const StepSize& size) {
    const std::uint32_t runs = size.runs - size.long_runs;
    return parts_for(profile, tasks * runs, window == 0 ? size.reach : std::min(size.reach, window));
  };
  StepGrid first_grid = [=](const StepSize& size) {
    return task_grid(profile, tasks, parts(size), size.runs - size.long_runs);
  };
  StepGrid second_grid = [=](const StepSize& size) {
    return task_grid(profile, heads.heads, parts(size) > 1 ? size.runs - size.long_runs : 0);
  };
  first.set_grid(first_grid({}));
  second.set_grid(second_grid({}));
  GGUF_FUSE_CHECK(first.check());
  GGUF_FUSE_CHECK(second.check());
  stages.push_back(Stage{.launch = std::move(first), .grid = std::move(first_grid)});
  stages.push_back(Stage{.launch = std::move(second), .grid = std::move(second_grid)});
  return {};
}

}  // namespace

Work AttentionShape::work(const CacheShape& cache, std::uint32_t tokens, std::uint32_t past) const {
  const auto first_seen = [&](std::uint32_t position) {
    if (window == 0) return 0U;
    return chunked ? position / window * window : position - std::min(position, window - 1);
  };
  double pairs = 0;
  for (std::uint32_t position = past; position < past + tokens; ++position) {
    pairs += position + 1 - first_seen(position);
  }
  const std::uint32_t reached = past + tokens - first_seen(past);
  const double positions = static_cast<double>(cache.pages) * kPageTokens;
  const double read = static_cast<double>(cache.k_bytes() + cache.v_bytes()) / positions * reached;
  const double columns = cache.heads.q_columns();
  return Work{.flops = 4 * columns * pairs, .bytes = read + 2 * sizeof(float) * columns * tokens};
}

Result<Operation> attention(Device& device, const AttentionShape& shape, const Cache& cache, const Buffer& q,
                            const Buffer& out, const Buffer& step) {
  if (shape.max_tokens == 0 || shape.max_sequences == 0) {
    return invalid("attention", "tokens and sequences",
                   fmt::format("{} tokens of {} sequences", shape.max_tokens, shape.max_sequences));
  }
  GGUF_FUSE_CHECK(check_cache(cache, shape.max_sequences));
  const std::uint64_t bytes = std::uint64_t{cache.shape.heads.q_columns()} * shape.max_tokens * sizeof(float);
  const std::uint64_t step_bytes =
      StepTable::most_bytes(shape.max_tokens, std::min(shape.max_tokens, shape.max_sequences));
  GGUF_FUSE_CHECK(check_buffers("attention", {{"q", q, bytes}, {"out", out, bytes}, {"step", step, step_bytes}}));
  if (shape.sinks) {
    GGUF_FUSE_CHECK(
        check_buffers("attention", {{"sinks", shape.sinks, std::uint64_t{cache.shape.heads.heads} * sizeof(float)}}));
  }
  GGUF_FUSE_ASSIGN(std::shared_ptr<Program> program, attention_program(device, cache.shape));
  const Recorded recorded{device, std::move(program), shape, cache, q, out, step};
  std::vector<Stage> stages;
  if (shape.max_tokens > 1) GGUF_FUSE_CHECK(add_batch(recorded, stages));
  GGUF_FUSE_CHECK(add_single(recorded, stages));
  return Operation("attention", std::move(stages));
}

}  // namespace gguf_fuse::kernels
