// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/attention.hpp"

#include <algorithm>

#include "attention_program.hpp"
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

void set_common(Launch& launch, const AttentionShape& shape, const Cache& cache, const Buffer& q, const Buffer& out,
                const Buffer& step) {
  launch.set("q", q).set("k", cache.k).set("v", cache.v).set("out", out).set("step_info", step);
  launch.set("heads", cache.shape.heads.heads).set("kv_heads", cache.shape.heads.kv_heads);
  launch.set("cache_tiles", cache_tiles(cache.shape)).set("softcap", shape.softcap).set("window", shape.window);
  // Without sinks q stands in for them, unread.
  launch.set("sinks", shape.sinks ? shape.sinks : q).set("has_sinks", std::uint32_t{bool{shape.sinks}});
}

Result<Operation> batch(Device& device, const std::shared_ptr<Program>& program, const AttentionShape& shape,
                        const Cache& cache, const Buffer& q, const Buffer& out, const Buffer& step) {
  GGUF_FUSE_ASSIGN(Launch launch, Launch::make(program, "attention_batch"));
  set_common(launch, shape, cache, q, out, step);
  const DeviceProfile& profile = device.profile();
  const std::uint32_t rows = batch_rows(profile, cache.shape.heads), heads = cache.shape.heads.heads;
  return one_stage(
      "attention", std::move(launch),
      [=](std::uint32_t tokens, std::uint32_t) { return task_grid(profile, heads, ceil_divide(tokens, rows)); },
      profile.style == Style::Vector);
}

Result<Operation> single(Device& device, const std::shared_ptr<Program>& program, const AttentionShape& shape,
                         const Cache& cache, const Buffer& q, const Buffer& out, const Buffer& step) {
  const HeadShape heads = cache.shape.heads;
  const DeviceProfile& profile = device.profile();
  const std::uint32_t tasks = heads.kv_heads * ceil_divide(heads.heads / heads.kv_heads, group_rows(heads));
  const auto parts = [=, window = shape.window](std::uint32_t past) {
    return parts_for(profile, tasks, window == 0 ? past + 1 : std::min(past + 1, window));
  };
  const std::uint64_t floats = kPartialHeader + std::uint64_t{kMostParts} * heads.heads * (heads.size + kPartialSums);
  GGUF_FUSE_ASSIGN(const Buffer partial, device.allocate(floats * sizeof(float)));
  GGUF_FUSE_ASSIGN(Launch first, Launch::make(program, "attention_single"));
  set_common(first, shape, cache, q, out, step);
  first.set("partial", partial);
  GGUF_FUSE_ASSIGN(Launch second, Launch::make(program, "attention_combine"));
  second.set("partial", partial).set("out", out).set("heads", heads.heads);
  first.set_grid(task_grid(profile, tasks));
  second.set_grid(task_grid(profile, heads.heads));
  GGUF_FUSE_CHECK(first.check());
  GGUF_FUSE_CHECK(second.check());
  std::vector<Stage> stages;
  stages.push_back(Stage{.launch = std::move(first), .grid = [=](std::uint32_t, std::uint32_t past) {
                           return task_grid(profile, tasks, parts(past));
                         }});
  stages.push_back(Stage{.launch = std::move(second), .grid = [=](std::uint32_t, std::uint32_t past) {
                           return task_grid(profile, parts(past) > 1 ? heads.heads : 0);
                         }});
  return Operation("attention", std::move(stages));
}

}  // namespace

Work AttentionShape::work(const CacheShape& cache, std::uint32_t tokens, std::uint32_t past) const {
  double pairs = 0;
  for (std::uint32_t token = 0; token < tokens; ++token) {
    const std::uint32_t seen = past + token + 1;
    pairs += window == 0 ? seen : std::min(seen, window);
  }
  const std::uint32_t reached = window == 0 ? past + tokens : std::min(past + tokens, window + tokens - 1);
  const double read = static_cast<double>(cache.k_bytes() + cache.v_bytes()) / cache.capacity * reached;
  const double columns = cache.heads.q_columns();
  return Work{.flops = 4 * columns * pairs, .bytes = read + 2 * sizeof(float) * columns * tokens};
}

Result<Operation> attention(Device& device, const AttentionShape& shape, const Cache& cache, const Buffer& q,
                            const Buffer& out, const Buffer& step) {
  GGUF_FUSE_CHECK(check_cache(cache));
  const std::uint64_t bytes = std::uint64_t{cache.shape.heads.q_columns()} * shape.max_tokens * sizeof(float);
  GGUF_FUSE_CHECK(check_buffers("attention", {{"q", q, bytes}, {"out", out, bytes}, {"step", step, kStepBytes}}));
  if (shape.sinks) {
    GGUF_FUSE_CHECK(
        check_buffers("attention", {{"sinks", shape.sinks, std::uint64_t{cache.shape.heads.heads} * sizeof(float)}}));
  }
  GGUF_FUSE_ASSIGN(const std::shared_ptr<Program> program, attention_program(device, cache.shape));
  return shape.max_tokens == 1 ? single(device, program, shape, cache, q, out, step)
                               : batch(device, program, shape, cache, q, out, step);
}

}  // namespace gguf_fuse::kernels
