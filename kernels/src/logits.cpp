// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/logits.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "prelude.hpp"
#include "prepare_program.hpp"

namespace gguf_fuse::kernels {
namespace {

// What a task takes of a row, and an argument tells it.
constexpr std::uint32_t kStatisticsChunk = 8192;
/// A task inserts into its list about k * ln(chunk / k) times, so chunks are large.
constexpr std::uint32_t kTopKVectorChunk = 32768;

}  // namespace

Result<Operation> softcap(Device& device, float cap, std::uint32_t vocabulary, const Buffer& logits,
                          const Buffer& step) {
  GGUF_FUSE_CHECK(check_buffers("softcap", {{"logits", logits, std::uint64_t{vocabulary} * sizeof(float)},
                                            {"step", step, StepTable::kHeaderBytes}}));
  GGUF_FUSE_ASSIGN(std::shared_ptr<Program> program, rows_program(device));
  GGUF_FUSE_ASSIGN(Launch launch, Launch::make(std::move(program), "softcap"));
  launch.set("logits", logits).set("vocabulary", vocabulary).set("cap", cap);
  const DeviceProfile profile = device.profile();
  const std::uint32_t each = profile.style == Style::Vector ? kSoftcapChunk : kGroupLanes;
  return one_stage("softcap", std::move(launch), [=](const StepSize& size) {
    return task_grid(profile, ceil_divide(vocabulary, each), size.tokens);
  });
}

Result<Operation> row_statistics(Device& device, std::uint32_t vocabulary, const Buffer& logits, const Buffer& out,
                                 const Buffer& step) {
  GGUF_FUSE_CHECK(check_buffers("row_statistics", {{"logits", logits, std::uint64_t{vocabulary} * sizeof(float)},
                                                   {"out", out, sizeof(RowStatistics)},
                                                   {"step", step, StepTable::kHeaderBytes}}));
  GGUF_FUSE_ASSIGN(std::shared_ptr<Program> program, rows_program(device));
  const std::uint32_t count = ceil_divide(vocabulary, kStatisticsChunk);
  const std::uint64_t rows = out.bytes() / sizeof(RowStatistics);
  GGUF_FUSE_ASSIGN(const Buffer chunks, device.allocate(rows * count * sizeof(RowStatistics)));
  GGUF_FUSE_ASSIGN(Launch first, Launch::make(program, "statistics_chunks"));
  first.set("logits", logits).set("chunks", chunks).set("vocabulary", vocabulary).set("chunk", kStatisticsChunk);
  GGUF_FUSE_ASSIGN(Launch second, Launch::make(std::move(program), "statistics_rows"));
  second.set("chunks", chunks).set("out", out).set("count", count);
  const DeviceProfile profile = device.profile();
  first.set_grid(task_grid(profile, count));
  second.set_grid(Grid{});
  GGUF_FUSE_CHECK(first.check());
  GGUF_FUSE_CHECK(second.check());
  std::vector<Stage> stages;
  stages.push_back(Stage{.launch = std::move(first), .grid = [profile, count](const StepSize& size) {
                           return task_grid(profile, count, size.tokens);
                         }});
  stages.push_back(Stage{.launch = std::move(second), .grid = [](const StepSize& size) {
                           return Grid{.global = {size.tokens, 1, 1}, .local = {1, 1, 1}};
                         }});
  return Operation("row_statistics", std::move(stages));
}

Result<Operation> top_k(Device& device, std::uint32_t vocabulary, std::uint32_t k, const Buffer& logits,
                        const Buffer& out) {
  if (k == 0 || k > kMostCandidates || k > vocabulary) {
    return fail(Error{.code = ErrorCode::InvalidArgument,
                      .subject = "top_k",
                      .expected = fmt::format("1 to {} candidates", std::min(kMostCandidates, vocabulary)),
                      .actual = fmt::format("{}", k)});
  }
  const std::uint64_t row = std::uint64_t{k} * sizeof(Candidate);
  GGUF_FUSE_CHECK(check_buffers("top_k", {{"out", out, row}}));
  const std::uint64_t rows = out.bytes() / row;
  GGUF_FUSE_CHECK(check_buffers("top_k", {{"logits", logits, rows * vocabulary * sizeof(float)}}));
  GGUF_FUSE_ASSIGN(std::shared_ptr<Program> program, rows_program(device));
  const DeviceProfile profile = device.profile();
  const std::uint32_t chunk = profile.style == Style::Vector ? kTopKVectorChunk : kTopKGroupChunk;
  const std::uint32_t count = ceil_divide(vocabulary, chunk);
  GGUF_FUSE_ASSIGN(const Buffer chunks, device.allocate(rows * count * k * sizeof(std::uint64_t)));
  GGUF_FUSE_ASSIGN(Launch first, Launch::make(program, "top_k_chunks"));
  first.set("logits", logits).set("chunks", chunks).set("vocabulary", vocabulary).set("chunk", chunk).set("k", k);
  GGUF_FUSE_ASSIGN(Launch second, Launch::make(std::move(program), "top_k_merge"));
  second.set("chunks", chunks).set("out", out).set("count", count).set("k", k);
  const std::uint32_t tasks = profile.style == Style::Vector ? count : ceil_divide(count * k, kGroupLanes);
  first.set_grid(task_grid(profile, count));
  second.set_grid(task_grid(profile, tasks));
  GGUF_FUSE_CHECK(first.check());
  GGUF_FUSE_CHECK(second.check());
  std::vector<Stage> stages;
  stages.push_back(Stage{.launch = std::move(first),
                         .grid = [=](const StepSize& size) { return task_grid(profile, count, size.tokens); }});
  stages.push_back(Stage{.launch = std::move(second),
                         .grid = [=](const StepSize& size) { return task_grid(profile, tasks, size.tokens); }});
  return Operation("top_k", std::move(stages));
}

}  // namespace gguf_fuse::kernels
