// SPDX-License-Identifier: MIT
#include "device_core.hpp"
#include "gguf_fuse/kernels/device.hpp"

namespace gguf_fuse::kernels {

struct Marker::State {
  std::shared_ptr<DeviceCore> device;
  ClOwned<cl_event> event;
};

Marker::Marker(std::unique_ptr<State> state) : state_(std::move(state)) {}
Marker::Marker(Marker&& other) noexcept = default;
Marker& Marker::operator=(Marker&& other) noexcept = default;
Marker::~Marker() = default;

Result<void> Marker::wait() const {
  if (!state_) return {};
  const cl_event event = state_->event.get();
  return state_->device->checked("clWaitForEvents", state_->device->cl.clWaitForEvents(1, &event));
}

Result<Marker> Device::mark() const {
  cl_event event = nullptr;
  const cl_int code = core_->cl.clEnqueueMarkerWithWaitList(core_->queue.get(), 0, nullptr, &event);
  GGUF_FUSE_CHECK(core_->checked("clEnqueueMarkerWithWaitList", code));
  auto state = std::make_unique<Marker::State>(Marker::State{.device = core_, .event = {core_->cl, event}});
  GGUF_FUSE_CHECK(flush());
  return Marker(std::move(state));
}

}  // namespace gguf_fuse::kernels
