// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/device.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "device_core.hpp"
#include "invalid.hpp"
#include "probe.hpp"
#include "profile_rules.hpp"

namespace gguf_fuse::kernels {
namespace {

/// Events kept before they are read; each holds some hundred bytes in the driver.
constexpr std::size_t kMaxWaitingEvents = 4096;

/// Bytes that this process has allocated on a device, however often it is open.
std::shared_ptr<std::atomic<std::uint64_t>> allocation_counter(const void* device_id) {
  static std::mutex mutex;
  static auto& counters = *new std::map<const void*, std::shared_ptr<std::atomic<std::uint64_t>>>;
  const std::lock_guard lock(mutex);
  auto& counter = counters[device_id];
  if (!counter) counter = std::make_shared<std::atomic<std::uint64_t>>(0);
  return counter;
}

/// Lets only the wanted number of compute units work.
void divide(DeviceCore& core) {
  const unsigned wanted = core.options.compute_units;
  if (wanted == 0 || wanted >= core.info.compute_units || core.info.type != DeviceType::Cpu) return;
  const cl_device_partition_property by_counts[] = {CL_DEVICE_PARTITION_BY_COUNTS,
                                                    static_cast<cl_device_partition_property>(wanted),
                                                    CL_DEVICE_PARTITION_BY_COUNTS_LIST_END, 0};
  const auto device = static_cast<cl_device_id>(core.info.device_id);
  cl_device_id part = nullptr;
  cl_uint parts = 0;
  const cl_int code = core.cl.clCreateSubDevices(device, by_counts, 1, &part, &parts);
  if (code != CL_SUCCESS || part == nullptr) {
    core.log(LogLevel::Warning,
             fmt::format("{}: the driver runs kernels on all {} compute units, as it cannot be divided "
                         "(clCreateSubDevices: {}); `taskset` limits the whole process",
                         core.info.name, core.info.compute_units, opencl_code(code)));
    return;
  }
  core.part = {core.cl, part};
  core.info.compute_units = wanted;
}

}  // namespace

std::size_t EventTimes::slot(std::string_view kernel) {
  const std::lock_guard lock(mutex_);
  const auto found =
      std::find_if(totals_.begin(), totals_.end(), [&](const KernelTiming& timing) { return timing.kernel == kernel; });
  if (found != totals_.end()) return static_cast<std::size_t>(found - totals_.begin());
  totals_.push_back({.kernel = std::string(kernel)});
  return totals_.size() - 1;
}

bool EventTimes::add(std::size_t slot, ClOwned<cl_event> event) {
  const std::lock_guard lock(mutex_);
  waiting_.push_back({slot, std::move(event)});
  return waiting_.size() >= kMaxWaitingEvents;
}

std::pair<std::string_view, cl_int> EventTimes::collect(const OpenCl& cl, cl_command_queue queue) {
  // add() waits meanwhile: every event here was enqueued before the clFinish.
  const std::lock_guard lock(mutex_);
  if (const cl_int code = cl.clFinish(queue); code != CL_SUCCESS) return {"clFinish", code};
  std::pair<std::string_view, cl_int> failure{"clGetEventProfilingInfo", CL_SUCCESS};
  for (const Waiting& waiting : std::exchange(waiting_, {})) {
    cl_ulong start = 0;
    cl_ulong end = 0;
    const cl_event event = waiting.event.get();
    cl_int code = cl.clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_START, sizeof start, &start, nullptr);
    if (code == CL_SUCCESS) {
      code = cl.clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof end, &end, nullptr);
    }
    if (code != CL_SUCCESS) {
      failure.second = code;
      continue;
    }
    ++totals_[waiting.slot].launches;
    totals_[waiting.slot].nanoseconds += end > start ? end - start : 0;
  }
  return failure;
}

std::vector<KernelTiming> EventTimes::totals() const {
  const std::lock_guard lock(mutex_);
  std::vector<KernelTiming> used;
  std::copy_if(totals_.begin(), totals_.end(), std::back_inserter(used),
               [](const KernelTiming& timing) { return timing.launches != 0; });
  return used;
}

Result<void> DeviceCore::record(std::size_t time_slot, cl_event event) {
  return times.add(time_slot, {cl, event}) ? collect_times() : Result<void>();
}

Result<std::shared_ptr<Device>> Device::open(const DeviceInfo& info, DeviceOptions options) {
  if (info.opencl == nullptr || info.device_id == nullptr || info.platform_id == nullptr) {
    return invalid("a device", "one of list_devices()", "none");
  }
  const OpenCl& cl = *info.opencl;
  auto core = std::make_shared<DeviceCore>(cl, info, std::move(options));
  core->allocated = allocation_counter(info.device_id);
  divide(*core);
  core->profile = decide_profile(core->info, host_cpu(), core->options,
                                 [&](DotProduct dot) { return probe_verdict(info, dot, core->options); });

  const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM,
                                              reinterpret_cast<cl_context_properties>(info.platform_id), 0};
  const cl_device_id id = core->id();
  cl_int code = CL_SUCCESS;
  core->context = {cl, cl.clCreateContext(properties, 1, &id, nullptr, nullptr, &code)};
  GGUF_FUSE_CHECK(core->checked("clCreateContext", code));
  const cl_command_queue_properties wanted = core->options.profiling ? CL_QUEUE_PROFILING_ENABLE : 0;
  core->queue = {cl, cl.clCreateCommandQueue(core->context.get(), id, wanted, &code)};
  GGUF_FUSE_CHECK(core->checked("clCreateCommandQueue", code));
  core->log(LogLevel::Info, fmt::format("{}: {}", info.name, core->profile.reason));
  return std::make_shared<Device>(std::move(core));
}

const DeviceInfo& Device::info() const { return core_->info; }

const DeviceProfile& Device::profile() const { return core_->profile; }

const std::string& Device::cache_folder() const { return core_->options.cache_folder; }

std::uint64_t Device::allocated_bytes() const { return core_->allocated->load(); }

Result<void> Device::finish() const { return core_->checked("clFinish", core_->cl.clFinish(core_->queue.get())); }

Result<void> Device::flush() const { return core_->checked("clFlush", core_->cl.clFlush(core_->queue.get())); }

Result<std::vector<KernelTiming>> Device::timings() const {
  GGUF_FUSE_CHECK(core_->collect_times());
  return core_->times.totals();
}

}  // namespace gguf_fuse::kernels
