// SPDX-License-Identifier: MIT
#include "driver_state.hpp"

namespace gguf_fuse::kernels {
namespace {

std::atomic<DriverLostHandler> lost_handler{nullptr};
std::atomic<const char*> last_call{nullptr};
thread_local const char* current_call = nullptr;
thread_local bool has_called = false;

static_assert(std::atomic<const char*>::is_always_lock_free, "signal handlers read it");

}  // namespace

DriverCallScope::DriverCallScope(const char* call) noexcept : outer_(current_call) {
  current_call = call;
  has_called = true;
  last_call.store(call, std::memory_order_relaxed);
}

DriverCallScope::~DriverCallScope() { current_call = outer_; }

void detail::tell_driver_lost(const char* call, const char* reason) noexcept {
  if (const DriverLostHandler handler = lost_handler.load()) handler(call, reason);
}

void on_driver_lost(DriverLostHandler handler) noexcept { lost_handler.store(handler); }

const char* driver_call() noexcept { return has_called ? current_call : last_call.load(std::memory_order_relaxed); }

}  // namespace gguf_fuse::kernels
