// SPDX-License-Identifier: MIT
#pragma once

#define CL_USE_DEPRECATED_OPENCL_1_2_APIS  // clCreateCommandQueue: OpenCL 1.2 drivers have no other
#include <CL/cl.h>
#include <CL/cl_ext.h>

#include <string_view>
#include <utility>

#include "driver_state.hpp"
#include "gguf_fuse/loader/error.hpp"

namespace gguf_fuse::kernels::detail {

// clang-format off
#define GGUF_FUSE_OPENCL_CALLS(X) \
  X(clGetPlatformIDs) X(clGetPlatformInfo) X(clGetDeviceIDs) X(clGetDeviceInfo) X(clCreateSubDevices) X(clReleaseDevice) X(clCreateContext) X(clReleaseContext) \
  X(clCreateCommandQueue) X(clReleaseCommandQueue) X(clFinish) X(clFlush) \
  X(clCreateBuffer) X(clReleaseMemObject) X(clEnqueueWriteBuffer) X(clEnqueueReadBuffer) X(clEnqueueFillBuffer) X(clEnqueueCopyBuffer) \
  X(clEnqueueWriteBufferRect) X(clEnqueueMapBuffer) X(clEnqueueUnmapMemObject) X(clWaitForEvents) X(clEnqueueMarkerWithWaitList) \
  X(clCreateProgramWithSource) X(clCreateProgramWithBinary) X(clBuildProgram) X(clGetProgramBuildInfo) \
  X(clGetProgramInfo) X(clReleaseProgram) \
  X(clCreateKernel) X(clReleaseKernel) X(clGetKernelInfo) X(clGetKernelArgInfo) X(clGetKernelWorkGroupInfo) X(clSetKernelArg) \
  X(clEnqueueNDRangeKernel) X(clReleaseEvent) X(clGetEventProfilingInfo)
// clang-format on

/// The OpenCL library's functions, found at run time.
struct OpenCl {
#define GGUF_FUSE_OPENCL_MEMBER(name) OpenClCall<decltype(::name)> name{};
  GGUF_FUSE_OPENCL_CALLS(GGUF_FUSE_OPENCL_MEMBER)
#undef GGUF_FUSE_OPENCL_MEMBER
  DriverLost lost{false};
};

/// The library that the environment names now; loaded once and never unloaded. Errors: NoOpenCl.
[[nodiscard]] Result<const OpenCl*> opencl();

/// "CL_INVALID_VALUE (-30)".
[[nodiscard]] std::string opencl_code(cl_int code);

/// OpenClFailed; OutOfDeviceMemory where the driver says that memory for an object is missing. Where the host's is
/// short, the hint says so.
[[nodiscard]] Error opencl_error(std::string_view call, cl_int code, const std::string& device);

inline void opencl_release(const OpenCl& cl, cl_device_id handle) { cl.clReleaseDevice(handle); }
inline void opencl_release(const OpenCl& cl, cl_context handle) { cl.clReleaseContext(handle); }
inline void opencl_release(const OpenCl& cl, cl_command_queue handle) { cl.clReleaseCommandQueue(handle); }
inline void opencl_release(const OpenCl& cl, cl_mem handle) { cl.clReleaseMemObject(handle); }
inline void opencl_release(const OpenCl& cl, cl_program handle) { cl.clReleaseProgram(handle); }
inline void opencl_release(const OpenCl& cl, cl_kernel handle) { cl.clReleaseKernel(handle); }
inline void opencl_release(const OpenCl& cl, cl_event handle) { cl.clReleaseEvent(handle); }

/// Owns one reference to an OpenCL object.
template <typename Handle>
class ClOwned {
 public:
  ClOwned() = default;
  ClOwned(const OpenCl& cl, Handle handle) : cl_(&cl), handle_(handle) {}
  ClOwned(ClOwned&& other) noexcept : cl_(other.cl_), handle_(std::exchange(other.handle_, nullptr)) {}
  ClOwned& operator=(ClOwned&& other) noexcept {
    std::swap(cl_, other.cl_);
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~ClOwned() {
    if (handle_ != nullptr) opencl_release(*cl_, handle_);
  }

  [[nodiscard]] Handle get() const { return handle_; }

 private:
  const OpenCl* cl_ = nullptr;
  Handle handle_ = nullptr;
};

}  // namespace gguf_fuse::kernels::detail
