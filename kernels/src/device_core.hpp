// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gguf_fuse/kernels/device.hpp"
#include "host_pages.hpp"
#include "opencl.hpp"

namespace gguf_fuse::kernels::detail {

/// Times of launches whose events have not been read yet, and totals of those that have.
class EventTimes {
 public:
  /// Number of the totals of a kernel's name.
  [[nodiscard]] std::size_t slot(std::string_view kernel);
  /// Takes over the event. True when so many are waiting that they should be collected.
  [[nodiscard]] bool add(std::size_t slot, ClOwned<cl_event> event);
  /// Waits for the queue and adds up what add() took. The first failure's call and code, or CL_SUCCESS.
  [[nodiscard]] std::pair<std::string_view, cl_int> collect(const OpenCl& cl, cl_command_queue queue);
  [[nodiscard]] std::vector<KernelTiming> totals() const;

 private:
  struct Waiting {
    std::size_t slot;
    ClOwned<cl_event> event;
  };
  mutable std::mutex mutex_;
  std::vector<KernelTiming> totals_;
  std::vector<Waiting> waiting_;
};

/// What buffers, programs and launches of a device share; it lives as long as any of them.
struct DeviceCore {
  DeviceCore(const OpenCl& library, DeviceInfo device, DeviceOptions wanted)
      : cl(library), info(std::move(device)), options(std::move(wanted)) {}

  const OpenCl& cl;
  DeviceInfo info;
  DeviceOptions options;
  DeviceProfile profile{};
  std::shared_ptr<std::atomic<std::uint64_t>> allocated{};  ///< bytes, of all Devices on this device
  ClOwned<cl_device_id> part{};                             ///< of the device, when not all of it computes
  ClOwned<cl_context> context{};
  ClOwned<cl_command_queue> queue{};
  EventTimes times{};                                ///< after the queue: events go first
  mutable std::atomic<bool> told_unwritable{false};  ///< the log need not say it for every program

  /// Keeps the event of a launch for timings(); sometimes waits for the queue to read what has come together.
  [[nodiscard]] Result<void> record(std::size_t time_slot, cl_event event);
  [[nodiscard]] Result<void> collect_times() {
    const auto [call, code] = times.collect(cl, queue.get());
    return checked(call, code);
  }

  [[nodiscard]] cl_device_id id() const {
    return part.get() != nullptr ? part.get() : static_cast<cl_device_id>(info.device_id);
  }
  void log(LogLevel level, std::string_view text) const {
    if (options.log) options.log(level, text);
  }
  /// Turns a code into a result; `call` is the function that returned it.
  [[nodiscard]] Result<void> checked(std::string_view call, cl_int code) const {
    if (code == CL_SUCCESS) return {};
    Error error = opencl_error(call, code, info.name);
    if (cl.lost) error.actual += "; the driver broke off before and cannot be used any more in this process";
    return fail(std::move(error));
  }
};

/// Memory on a device; counted as long as it exists.
struct BufferState {
  std::shared_ptr<DeviceCore> device;
  std::uint64_t bytes;
  HostPages pages;  ///< what `memory` lies in, when it is not the driver's
  ClOwned<cl_mem> memory;

  BufferState(std::shared_ptr<DeviceCore> core, std::uint64_t size, HostPages lies_in, ClOwned<cl_mem> handle)
      : device(std::move(core)), bytes(size), pages(std::move(lies_in)), memory(std::move(handle)) {}
  BufferState(const BufferState&) = delete;
  BufferState& operator=(const BufferState&) = delete;
  ~BufferState() { device->allocated->fetch_sub(bytes); }
};

}  // namespace gguf_fuse::kernels::detail
