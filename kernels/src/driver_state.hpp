// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <exception>
#include <tuple>
#include <type_traits>

#include "gguf_fuse/kernels/driver.hpp"

namespace gguf_fuse::kernels::detail {

/// Of one OpenCL library: whether an exception came out of it.
using DriverLost = std::atomic<bool>;

/// Says, as long as it lives, which call this thread is in.
class DriverCallScope {
 public:
  explicit DriverCallScope(const char* call) noexcept;
  ~DriverCallScope();
  DriverCallScope(const DriverCallScope&) = delete;
  DriverCallScope& operator=(const DriverCallScope&) = delete;

 private:
  const char* outer_;  ///< a call may call back
};

/// Tells the program's handler.
void tell_driver_lost(const char* call, const char* reason) noexcept;

template <typename Signature>
class OpenClCall;

/// A function of the OpenCL library. C functions do not throw, but drivers are written in C++: memory that runs short
/// in their compiler comes out of clBuildProgram as std::bad_alloc, and their locks stay locked. That becomes a code,
/// and the driver is left alone.
template <typename Result, typename... Arguments>
class OpenClCall<Result(Arguments...)> {
 public:
  using Function = Result (*)(Arguments...);

  OpenClCall() = default;
  OpenClCall(const char* name, Function function, DriverLost* lost) : name_(name), function_(function), lost_(lost) {}

  Result operator()(Arguments... arguments) const {
    if (lost_->load(std::memory_order_relaxed)) return refuse(arguments...);
    const DriverCallScope scope(name_);
    try {
      return function_(arguments...);
    } catch (const std::exception& exception) {
      lose(exception.what());
    } catch (...) {
      lose("an exception");
    }
    return refuse(arguments...);
  }

 private:
  void lose(const char* reason) const noexcept {
    lost_->store(true);
    tell_driver_lost(name_, reason);
  }

  /// What makes an object returns null, and the code through its last argument; the others return the code.
  static Result refuse(Arguments... arguments) {
    constexpr int kOutOfHostMemory = -6;
    if constexpr (std::is_pointer_v<Result>) {
      auto* code = std::get<sizeof...(Arguments) - 1>(std::tuple(arguments...));
      if (code != nullptr) *code = kOutOfHostMemory;
      return nullptr;
    } else {
      return kOutOfHostMemory;
    }
  }

  const char* name_ = nullptr;
  Function function_ = nullptr;
  DriverLost* lost_ = nullptr;
};

}  // namespace gguf_fuse::kernels::detail
