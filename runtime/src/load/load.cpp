// SPDX-License-Identifier: MIT
#include "load/load.hpp"

#include <algorithm>
#include <set>
#include <thread>

#include "clock.hpp"
#include "load/load_work.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

constexpr unsigned kMostThreads = 64;

/// How each mode reads best (docs/loading.md has the measurements).
struct ModeRow {
  LoadMode mode;
  std::uint64_t job_bytes;
  unsigned threads;  ///< at least; reads past the page cache wait for the disk, and more of them can be on their way
  bool by_place;     ///< memory is touched page by page; a disk, front to back
};
constexpr ModeRow kModes[] = {
    // A buffer that stays in the processor's own cache.
    {LoadMode::Read, std::uint64_t{256} << 10, 2, true},
    {LoadMode::Mmap, std::uint64_t{256} << 10, 2, true},
    {LoadMode::Direct, std::uint64_t{1} << 20, 4, false},
};

const ModeRow& row_of(LoadMode mode) {
  return *std::find_if(std::begin(kModes), std::end(kModes), [&](const ModeRow& row) { return row.mode == mode; });
}

std::uint64_t allocated_bytes(std::span<const std::shared_ptr<Device>> devices) {
  std::set<const void*> counted;
  std::uint64_t bytes = 0;
  for (const auto& device : devices) {
    // The count is of all Devices on one device.
    if (counted.insert(device->info().device_id).second) bytes += device->allocated_bytes();
  }
  return bytes;
}

/// What is still mapped of the sources need not stay in the process's memory as long as the model.
void release_views(Model& model) {
  for (const auto& source : model.sources) {
    const auto view = source->view(0, 1);
    if (view && *view) source->release({(*view)->data(), source->size().value_or(0)});
  }
}

Result<LoadReport> load_all(const LoadInput& input) {
  const auto start = Clock::now();
  const bool sequential = input.model.sequential();
  const LoadMode mode = sequential ? LoadMode::Read : input.mode;
  const ModeRow& row = row_of(mode);
  const unsigned usual = std::clamp(std::thread::hardware_concurrency(), row.threads, 8U);
  const unsigned threads = std::min(input.threads != 0 ? input.threads : usual, kMostThreads);

  JobList list = cut_jobs(input.file, input.placements, input.job_bytes != 0 ? input.job_bytes : row.job_bytes);
  LoadReport report{.bytes = list.bytes(), .mode = mode};
  input.control->bytes_done.store(0, std::memory_order_relaxed);
  input.control->bytes_total.store(report.bytes, std::memory_order_relaxed);
  // A thread's buffer, or what a stream has read and nobody has packed yet.
  const std::uint64_t buffers = threads * list.largest_job();

  GGUF_FUSE_ASSIGN(const auto lanes, Lanes::make(std::move(list), input.placements, input.devices,
                                                 {.upload = input.upload,
                                                  .sequential = sequential,
                                                  .by_place = !sequential && row.by_place,
                                                  .threads = threads,
                                                  .slot_bytes = input.slot_bytes}));
  GGUF_FUSE_ASSIGN(const StageTimes times,
                   sequential ? load_stream(input, *lanes, threads) : load_in_parallel(input, *lanes, threads));
  GGUF_FUSE_CHECK(lanes->finish());
  GGUF_FUSE_CHECK(input.model.check_unchanged());
  if (mode == LoadMode::Mmap) release_views(input.model);
  report.seconds = seconds_since(start);
  report.read = times.read.each();
  report.repack = times.repack.each();
  report.upload = lanes->upload_seconds();
  report.device_bytes = allocated_bytes(input.devices);
  report.staging_bytes = lanes->staging_bytes() + (mode == LoadMode::Mmap ? 0 : buffers);
  report.strategy = lanes->strategy();
  return report;
}

}  // namespace

Result<LoadReport> load(const LoadInput& input) {
  try {
    return load_all(input);
  } catch (const std::exception& exception) {
    return fail({.code = ErrorCode::SystemFailed, .actual = exception.what()});
  }
}

}  // namespace gguf_fuse::runtime::detail
