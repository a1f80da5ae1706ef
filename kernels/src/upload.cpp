// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/upload.hpp"

#include <fmt/format.h>

#include <array>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <vector>

#include "device_core.hpp"
#include "host_pages.hpp"
#include "invalid.hpp"

namespace gguf_fuse::kernels {
namespace {

constexpr std::array<std::string_view, 3> kNames{"rectangle", "slices", "gather"};  // in the order of UploadStrategy

/// Memory that the driver can copy from without a copy of its own; where it gives none, any memory.
struct StagingSlot {
  ClOwned<cl_mem> memory{};
  HostPages pages{};
  std::byte* mapped = nullptr;
};

/// Writes of one slot. The queue is in order: with the last one all are done.
struct Flight {
  std::size_t slot;
  std::string subject;
  std::vector<ClOwned<cl_event>> events;
};

double seconds_of(const OpenCl& cl, cl_event event) {
  cl_ulong start = 0, end = 0;
  const bool told =
      cl.clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_START, sizeof start, &start, nullptr) == CL_SUCCESS &&
      cl.clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof end, &end, nullptr) == CL_SUCCESS;
  return told && end > start ? static_cast<double>(end - start) * 1e-9 : 0;
}

}  // namespace

struct Uploader::State {
  State(std::shared_ptr<DeviceCore> core, std::uint64_t bytes) : device(std::move(core)), slot_bytes(bytes) {}

  std::shared_ptr<DeviceCore> device;
  std::uint64_t slot_bytes;
  std::vector<StagingSlot> slots;
  ClOwned<cl_command_queue> queue;

  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::size_t> free;
  std::deque<Flight> flights;  // in the order of the queue
  std::size_t landing = 0;     // taken from `flights` by threads that wait for them
  std::optional<Error> failure;
  double busy = 0;

  Result<void> add_slot();
  Result<void> enqueue(const UploadWrite& write, const StagingSlot& slot, Flight& flight) const;
  Result<void> check(const UploadWrite& write) const;
  /// Waits for the oldest flight, without the lock meanwhile, and frees its slot.
  void land(std::unique_lock<std::mutex>& lock);
  void give_back(std::size_t slot) {
    const std::lock_guard lock(mutex);
    free.push_back(slot);
    changed.notify_all();
  }
};

Result<void> Uploader::State::add_slot() {
  const OpenCl& cl = device->cl;
  cl_int code = CL_SUCCESS;
  StagingSlot slot;
  slot.memory = {cl, cl.clCreateBuffer(device->context.get(), CL_MEM_READ_ONLY | CL_MEM_ALLOC_HOST_PTR, slot_bytes,
                                       nullptr, &code)};
  auto made = device->checked("clCreateBuffer", code);
  if (made) {
    void* mapped = cl.clEnqueueMapBuffer(queue.get(), slot.memory.get(), CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 0,
                                         slot_bytes, 0, nullptr, nullptr, &code);
    made = device->checked("clEnqueueMapBuffer", code);
    slot.mapped = static_cast<std::byte*>(mapped);
  }
  if (!made) {
    slot.memory = {};
    slot.pages = allocate_pages(slot_bytes);
    if (!slot.pages) return made;
    slot.mapped = static_cast<std::byte*>(slot.pages.get());
  }
  free.push_back(slots.size());
  slots.push_back(std::move(slot));
  return {};
}

Result<void> Uploader::State::check(const UploadWrite& write) const {
  const bool small = write.bytes <= slot_bytes && (write.bytes == 0 || write.count <= slot_bytes / write.bytes);
  const std::uint64_t in_slot = small ? write.count * write.bytes : slot_bytes + 1;
  const std::uint64_t on_device = write.count == 0 ? 0 : (write.count - 1) * write.stride + write.bytes;
  const std::uint64_t size = write.buffer.bytes();
  const bool here = write.buffer && write.buffer.state_->device == device;
  const bool apart = write.count <= 1 || write.stride >= write.bytes;
  if (here && apart && in_slot <= slot_bytes && write.slot_offset <= slot_bytes - in_slot && on_device <= size &&
      write.offset <= size - on_device) {
    return {};
  }
  return fail({.code = ErrorCode::BadLaunch,
               .path = device->info.name,
               .expected = fmt::format("{} bytes of a slot and {} of a buffer of this device", slot_bytes, size),
               .actual = fmt::format("{} x {} bytes from byte {}, {} apart from byte {}", write.count, write.bytes,
                                     write.slot_offset, write.stride, write.offset)});
}

Result<void> Uploader::State::enqueue(const UploadWrite& write, const StagingSlot& slot, Flight& flight) const {
  GGUF_FUSE_CHECK(check(write));
  if (write.bytes == 0 || write.count == 0) return {};
  const OpenCl& cl = device->cl;
  const std::byte* from = slot.mapped + write.slot_offset;
  cl_mem memory = write.buffer.state_->memory.get();
  cl_event event = nullptr;
  if (write.count > 1) {
    const std::size_t to[3] = {write.offset, 0, 0};
    const std::size_t origin[3] = {0, 0, 0};
    const std::size_t region[3] = {write.bytes, write.count, 1};
    if (cl.clEnqueueWriteBufferRect(queue.get(), memory, CL_FALSE, to, origin, region, write.stride, 0, write.bytes, 0,
                                    from, 0, nullptr, &event) == CL_SUCCESS) {
      flight.events.emplace_back(cl, event);
      return {};
    }
  }
  // One by one, also where a driver cannot do it at once.
  for (std::uint64_t i = 0; i < write.count; ++i) {
    const cl_int code = cl.clEnqueueWriteBuffer(queue.get(), memory, CL_FALSE, write.offset + i * write.stride,
                                                write.bytes, from + i * write.bytes, 0, nullptr, &event);
    GGUF_FUSE_CHECK(device->checked("clEnqueueWriteBuffer", code));
    flight.events.emplace_back(cl, event);
  }
  return {};
}

void Uploader::State::land(std::unique_lock<std::mutex>& lock) {
  Flight flight = std::move(flights.front());
  flights.pop_front();
  ++landing;
  lock.unlock();
  Result<void> done;
  double seconds = 0;
  if (!flight.events.empty()) {
    const cl_event last = flight.events.back().get();
    done = device->checked("clWaitForEvents", device->cl.clWaitForEvents(1, &last));
    for (const auto& event : flight.events) seconds += seconds_of(device->cl, event.get());
  }
  lock.lock();
  --landing;
  busy += seconds;
  if (!done && !failure) {
    failure = std::move(done).error();
    failure->subject = flight.subject;
  }
  free.push_back(flight.slot);
  changed.notify_all();
}

Uploader::Uploader(std::unique_ptr<State> state) : state_(std::move(state)) {}

Uploader::~Uploader() {
  static_cast<void>(finish());
  const OpenCl& cl = state_->device->cl;
  for (const StagingSlot& slot : state_->slots) {
    if (slot.pages) continue;
    cl.clEnqueueUnmapMemObject(state_->queue.get(), slot.memory.get(), slot.mapped, 0, nullptr, nullptr);
  }
  if (state_->queue.get() != nullptr) cl.clFinish(state_->queue.get());
}

Result<std::unique_ptr<Uploader>> Uploader::make(const Device& device, std::size_t slots, std::uint64_t slot_bytes) {
  const std::shared_ptr<DeviceCore>& core = device.core_;
  std::unique_ptr<Uploader> uploader(new Uploader(std::make_unique<State>(core, slot_bytes)));
  State& state = *uploader->state_;
  cl_int code = CL_SUCCESS;
  state.queue = {core->cl,
                 core->cl.clCreateCommandQueue(core->context.get(), core->id(), CL_QUEUE_PROFILING_ENABLE, &code)};
  GGUF_FUSE_CHECK(core->checked("clCreateCommandQueue", code));
  for (std::size_t i = 0; i < slots; ++i) GGUF_FUSE_CHECK(state.add_slot());
  return uploader;
}

Uploader::Slot::~Slot() {
  if (owner_ != nullptr) owner_->state_->give_back(index_);
}

std::span<std::byte> Uploader::Slot::bytes() const {
  if (owner_ == nullptr) return {};
  return {owner_->state_->slots[index_].mapped, owner_->state_->slot_bytes};
}

Result<Uploader::Slot> Uploader::take() {
  State& state = *state_;
  std::unique_lock lock(state.mutex);
  while (true) {
    if (state.failure) return fail(*state.failure);
    if (!state.free.empty()) {
      const std::size_t slot = state.free.back();
      state.free.pop_back();
      return Slot(this, slot);
    }
    if (!state.flights.empty()) {
      state.land(lock);
    } else {
      state.changed.wait(lock);  // until one who fills a slot sends it or gives it back
    }
  }
}

Result<void> Uploader::send(Slot slot, std::span<const UploadWrite> writes, std::string_view subject) {
  State& state = *state_;
  if (slot.owner_ != this) return invalid("a slot", "one of this uploader", "none of it");
  Flight flight{.slot = slot.index_, .subject = std::string(subject), .events = {}};
  // Enqueued under the lock: flights must have the queue's order.
  const std::lock_guard lock(state.mutex);
  Result<void> done;
  for (const UploadWrite& write : writes) {
    if (done) done = state.enqueue(write, state.slots[slot.index_], flight);
  }
  if (done) done = state.device->checked("clFlush", state.device->cl.clFlush(state.queue.get()));
  // What was enqueued before a failure still reads the slot.
  slot.owner_ = nullptr;
  state.flights.push_back(std::move(flight));
  state.changed.notify_all();
  if (done) return {};
  Error error = std::move(done).error();
  if (error.subject.empty()) error.subject = subject;
  return fail(std::move(error));
}

Result<void> Uploader::finish() {
  State& state = *state_;
  std::unique_lock lock(state.mutex);
  while (!state.flights.empty()) state.land(lock);
  state.changed.wait(lock, [&] { return state.landing == 0; });
  if (state.failure) return fail(*state.failure);
  return {};
}

std::uint64_t Uploader::staging_bytes() const { return state_->slots.size() * state_->slot_bytes; }

double Uploader::busy_seconds() const {
  const std::lock_guard lock(state_->mutex);
  return state_->busy;
}

std::string_view upload_strategy_name(UploadStrategy strategy) { return kNames[static_cast<std::size_t>(strategy)]; }

}  // namespace gguf_fuse::kernels
