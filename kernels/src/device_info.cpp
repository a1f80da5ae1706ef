// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <mutex>
#include <optional>

#include "gguf_fuse/kernels/device.hpp"
#include "no_device.hpp"
#include "opencl.hpp"

namespace gguf_fuse::kernels {
namespace {

/// A text of clGetPlatformInfo or clGetDeviceInfo; empty when the driver does not tell.
template <typename Query, typename Id>
std::string text_of(Query query, Id id, cl_uint key) {
  std::size_t bytes = 0;
  if (query(id, key, 0, nullptr, &bytes) != CL_SUCCESS) return {};
  std::string text(bytes, '\0');
  if (query(id, key, bytes, text.data(), nullptr) != CL_SUCCESS) return {};
  text.erase(std::find(text.begin(), text.end(), '\0'), text.end());
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

/// A number of clGetDeviceInfo; 0 when the driver does not tell.
template <typename T>
T number_of(const OpenCl& cl, cl_device_id id, cl_device_info key) {
  T value{};
  return cl.clGetDeviceInfo(id, key, sizeof value, &value, nullptr) == CL_SUCCESS ? value : T{};
}

DeviceType type_of(cl_device_type type) {
  if ((type & CL_DEVICE_TYPE_GPU) != 0) return DeviceType::Gpu;
  return (type & CL_DEVICE_TYPE_CPU) != 0 ? DeviceType::Cpu : DeviceType::Accelerator;
}

DeviceInfo describe(const OpenCl& cl, cl_platform_id platform, cl_device_id id) {
  DeviceInfo info{.platform = text_of(cl.clGetPlatformInfo, platform, CL_PLATFORM_NAME),
                  .name = text_of(cl.clGetDeviceInfo, id, CL_DEVICE_NAME),
                  .vendor = text_of(cl.clGetDeviceInfo, id, CL_DEVICE_VENDOR),
                  .driver = text_of(cl.clGetDeviceInfo, id, CL_DRIVER_VERSION),
                  .version = text_of(cl.clGetDeviceInfo, id, CL_DEVICE_VERSION),
                  .type = type_of(number_of<cl_device_type>(cl, id, CL_DEVICE_TYPE)),
                  .compute_units = number_of<cl_uint>(cl, id, CL_DEVICE_MAX_COMPUTE_UNITS),
                  .global_bytes = number_of<cl_ulong>(cl, id, CL_DEVICE_GLOBAL_MEM_SIZE),
                  .max_buffer_bytes = number_of<cl_ulong>(cl, id, CL_DEVICE_MAX_MEM_ALLOC_SIZE),
                  .local_bytes = number_of<cl_ulong>(cl, id, CL_DEVICE_LOCAL_MEM_SIZE),
                  .alignment = number_of<cl_uint>(cl, id, CL_DEVICE_MEM_BASE_ADDR_ALIGN) / 8,  // the answer is in bits
                  .max_work_group = number_of<std::size_t>(cl, id, CL_DEVICE_MAX_WORK_GROUP_SIZE),
                  .extensions = text_of(cl.clGetDeviceInfo, id, CL_DEVICE_EXTENSIONS),
                  .unified_memory = number_of<cl_bool>(cl, id, CL_DEVICE_HOST_UNIFIED_MEMORY) != 0,
                  .opencl = &cl,
                  .platform_id = platform,
                  .device_id = id};
  info.half_arithmetic = info.has_extension("cl_khr_fp16");
  if (info.has_extension("cl_khr_integer_dot_product")) {
    const auto forms = number_of<cl_bitfield>(cl, id, CL_DEVICE_INTEGER_DOT_PRODUCT_CAPABILITIES_KHR);
    info.packed_dot_product = (forms & CL_DEVICE_INTEGER_DOT_PRODUCT_INPUT_4x8BIT_PACKED_KHR) != 0;
  }
  return info;
}

Result<std::vector<cl_platform_id>> list_platforms(const OpenCl& cl) {
  cl_uint count = 0;
  const cl_int code = cl.clGetPlatformIDs(0, nullptr, &count);
  if (code == CL_PLATFORM_NOT_FOUND_KHR || (code == CL_SUCCESS && count == 0)) {
    return fail(no_platform());
  }
  if (code != CL_SUCCESS) return fail(opencl_error("clGetPlatformIDs", code, {}));
  std::vector<cl_platform_id> platforms(count);
  const cl_int second = cl.clGetPlatformIDs(count, platforms.data(), nullptr);
  if (second != CL_SUCCESS) return fail(opencl_error("clGetPlatformIDs", second, {}));
  return platforms;
}

/// Appends the devices of a platform; the code of the call that failed.
cl_int append_devices(const OpenCl& cl, cl_platform_id platform, std::vector<DeviceInfo>& devices) {
  cl_uint count = 0;
  const cl_int code = cl.clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, nullptr, &count);
  if (code == CL_DEVICE_NOT_FOUND) return CL_SUCCESS;
  if (code != CL_SUCCESS) return code;
  std::vector<cl_device_id> ids(count);
  const cl_int second = cl.clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, count, ids.data(), nullptr);
  if (second != CL_SUCCESS) return second;
  for (cl_device_id id : ids) {
    DeviceInfo info = describe(cl, platform, id);
    if (number_of<cl_bool>(cl, id, CL_DEVICE_AVAILABLE) == 0 ||
        number_of<cl_bool>(cl, id, CL_DEVICE_COMPILER_AVAILABLE) == 0) {
      continue;
    }
    info.index = devices.size();
    devices.push_back(std::move(info));
  }
  return CL_SUCCESS;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::optional<std::size_t> as_index(std::string_view text) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool fits(const DeviceInfo& device, std::string_view wanted) {
  if (const auto index = as_index(wanted)) return device.index == *index;
  const std::string part = lower(wanted);
  return lower(device.name).find(part) != std::string::npos || lower(device.platform).find(part) != std::string::npos;
}

std::string names_of(std::span<const DeviceInfo> devices) {
  std::string names;
  for (const DeviceInfo& device : devices) {
    names += fmt::format("{}{}: {} ({})", names.empty() ? "" : ", ", device.index, device.name, device.platform);
  }
  return names;
}

Error none_given() { return Error{.code = ErrorCode::NoDevice}; }

}  // namespace

bool DeviceInfo::has_extension(std::string_view extension) const {
  // Whole words only: cl_khr_fp16 is no part of cl_khr_fp16_more.
  return !extension.empty() &&
         fmt::format(" {} ", extensions).find(fmt::format(" {} ", extension)) != std::string::npos;
}

Result<std::vector<DeviceInfo>> list_devices() {
  // The first question starts the drivers. PoCL 3.1 answers a second thread meanwhile that there is no device.
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  GGUF_FUSE_ASSIGN(const OpenCl* cl, opencl());
  GGUF_FUSE_ASSIGN(const std::vector<cl_platform_id> platforms, list_platforms(*cl));
  std::vector<DeviceInfo> devices;
  std::vector<std::string> names;
  cl_int failure = CL_SUCCESS;
  for (cl_platform_id platform : platforms) {
    names.push_back(text_of(cl->clGetPlatformInfo, platform, CL_PLATFORM_NAME));
    const cl_int code = append_devices(*cl, platform, devices);
    if (failure == CL_SUCCESS) failure = code;
  }
  if (!devices.empty()) return devices;
  if (failure != CL_SUCCESS) return fail(opencl_error("clGetDeviceIDs", failure, {}));
  return fail(no_device(names));
}

Result<std::vector<DeviceInfo>> select_devices(std::span<const DeviceInfo> devices, std::string_view wanted) {
  if (devices.empty()) return fail(none_given());
  std::vector<DeviceInfo> selected;
  while (true) {
    const std::size_t comma = wanted.find(',');
    const std::string_view part = trim(wanted.substr(0, comma));
    bool found = false;
    for (const DeviceInfo& device : devices) {
      if (part.empty() || !fits(device, part)) continue;
      found = true;
      const bool twice = std::any_of(selected.begin(), selected.end(),
                                     [&](const DeviceInfo& other) { return other.index == device.index; });
      if (!twice) selected.push_back(device);
    }
    if (!found) {
      return fail(Error{.code = ErrorCode::UnknownDevice,
                        .subject = std::string(part),
                        .expected = fmt::format("one of {}", names_of(devices))});
    }
    if (comma == std::string_view::npos) return selected;
    wanted.remove_prefix(comma + 1);
  }
}

Result<DeviceInfo> default_device(std::span<const DeviceInfo> devices) {
  if (devices.empty()) return fail(none_given());
  const auto gpu = std::find_if(devices.begin(), devices.end(),
                                [](const DeviceInfo& device) { return device.type == DeviceType::Gpu; });
  return gpu != devices.end() ? *gpu : devices.front();
}

}  // namespace gguf_fuse::kernels
