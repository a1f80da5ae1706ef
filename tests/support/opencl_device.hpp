// SPDX-License-Identifier: MIT
#pragma once

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "gguf_fuse/kernels/device.hpp"
#include "support/namespace.hpp"
#include "support/value_of.hpp"

namespace gguf_fuse::test_support {

// A failure throws std::runtime_error: it is the test's set-up that broke.

/// The device that tests run on: the first that $GGUF_FUSE_TEST_DEVICE (an index or part of a name) fits, else the
/// first.
inline DeviceInfo test_device() {
  const std::vector<DeviceInfo> devices = value_of(list_devices());
  const char* wanted = std::getenv("GGUF_FUSE_TEST_DEVICE");
  return wanted != nullptr ? value_of(select_devices(devices, wanted)).front() : devices.front();
}

/// That device, open; without a cache unless told otherwise.
inline std::shared_ptr<Device> open_device(DeviceOptions options = {.cache_folder = {}}) {
  return value_of(Device::open(test_device(), std::move(options)));
}

template <typename T>
Buffer buffer_of(const Device& device, const std::vector<T>& values) {
  Buffer buffer = value_of(device.allocate(values.size() * sizeof(T)));
  if (const auto written = buffer.write(std::as_bytes(std::span(values))); !written) {
    throw std::runtime_error(written.error().message());
  }
  return buffer;
}

template <typename T>
std::vector<T> content_of(const Buffer& buffer) {
  std::vector<T> values(buffer.bytes() / sizeof(T));
  if (const auto read = buffer.read(std::as_writable_bytes(std::span(values))); !read) {
    throw std::runtime_error(read.error().message());
  }
  return values;
}

/// Sets an environment variable (or removes it) until the end of the scope.
class ScopedVariable {
 public:
  ScopedVariable(std::string name, const std::optional<std::string>& value) : name_(std::move(name)) {
    if (const char* old = std::getenv(name_.c_str()); old != nullptr) old_ = old;
    assign(value);
  }
  ~ScopedVariable() { assign(old_); }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;

 private:
  void assign(const std::optional<std::string>& value) const {
    if (value) {
      ::setenv(name_.c_str(), value->c_str(), 1);
    } else {
      ::unsetenv(name_.c_str());
    }
  }

  std::string name_;
  std::optional<std::string> old_;
};

/// The folder of the test program, where the build puts what belongs to it.
inline std::filesystem::path program_folder() { return std::filesystem::read_symlink("/proc/self/exe").parent_path(); }

}  // namespace gguf_fuse::test_support
