// SPDX-License-Identifier: MIT
// An OpenCL library whose calls fail when GGUF_FUSE_OPENCL_FAULT says so, at the time of the call: "CALL=CODE[,...]",
// e.g. "clCreateBuffer=-4"; "clCreateBuffer.host=CODE" is of those in memory of the caller's. Or it ends as
// drivers do that run short: "throw", "abort", "exit", "crash". Every call that is not
// defined here, and every one that is not to fail, is the real library's, which this one is linked with. To be named by
// GGUF_FUSE_OPENCL_LIBRARY. A test that wants to know of calls finds the pointer gguf_fuse_opencl_watch in it, to a
// function that is called with the name of each before it is made.
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS  // clCreateCommandQueue
#include <CL/cl.h>
#include <dlfcn.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <string>

#define EXPORTED extern "C" __attribute__((visibility("default")))

EXPORTED void (*gguf_fuse_opencl_watch)(const char* call);
void (*gguf_fuse_opencl_watch)(const char* call) = nullptr;

namespace {

/// The code that `call` is to fail with; CL_SUCCESS when it is not.
cl_int fault(const char* call) {
  if (gguf_fuse_opencl_watch != nullptr) gguf_fuse_opencl_watch(call);
  const char* faults = std::getenv("GGUF_FUSE_OPENCL_FAULT");
  const std::string text = std::string(",") + (faults != nullptr ? faults : "") + ",";
  const std::string wanted = std::string(",") + call + "=";
  const std::size_t found = text.find(wanted);
  if (found == std::string::npos) return CL_SUCCESS;
  const std::string what = text.substr(found + wanted.size());
  if (what.rfind("throw", 0) == 0) throw std::bad_alloc();
  if (what.rfind("abort", 0) == 0) std::abort();
  if (what.rfind("exit", 0) == 0) std::exit(7);
  if (what.rfind("crash", 0) == 0) {
    // not raise(): LLVM's handlers, which a driver brings, return and leave it to the instruction to fail again; and in
    // one thread, as two that meet in them lose a signal
    static std::atomic_flag crashed = ATOMIC_FLAG_INIT;
    while (crashed.test_and_set()) ::pause();
    *reinterpret_cast<volatile int*>(std::uintptr_t{16}) = 0;
  }
  return std::atoi(what.c_str());
}

template <typename Function>
Function real(const char* call) {
  static void* library = dlopen("libOpenCL.so.1", RTLD_NOW);
  return reinterpret_cast<Function>(dlsym(library, call));
}

}  // namespace

/// A call that returns its code.
#define CALL(name, parameters, arguments)                                  \
  EXPORTED cl_int name parameters {                                        \
    if (const cl_int code = fault(#name); code != CL_SUCCESS) return code; \
    return real<decltype(&name)>(#name) arguments;                         \
  }
/// A call that returns a handle and puts its code into `*error`.
#define MAKER(type, name, parameters, arguments)                \
  EXPORTED type name parameters {                               \
    if (const cl_int code = fault(#name); code != CL_SUCCESS) { \
      *error = code;                                            \
      return nullptr;                                           \
    }                                                           \
    return real<decltype(&name)>(#name) arguments;              \
  }

CALL(clGetPlatformIDs, (cl_uint room, cl_platform_id* out, cl_uint* count), (room, out, count))
CALL(clGetDeviceIDs, (cl_platform_id platform, cl_device_type type, cl_uint room, cl_device_id* out, cl_uint* count),
     (platform, type, room, out, count))
CALL(clBuildProgram,
     (cl_program program, cl_uint count, const cl_device_id* devices, const char* options,
      void(CL_CALLBACK* notify)(cl_program, void*), void* data),
     (program, count, devices, options, notify, data))
CALL(clReleaseProgram, (cl_program program), (program))
CALL(clCreateSubDevices,
     (cl_device_id device, const cl_device_partition_property* properties, cl_uint room, cl_device_id* out,
      cl_uint* count),
     (device, properties, room, out, count))
CALL(clFinish, (cl_command_queue queue), (queue))
CALL(clSetKernelArg, (cl_kernel kernel, cl_uint index, std::size_t bytes, const void* value),
     (kernel, index, bytes, value))
CALL(clEnqueueNDRangeKernel,
     (cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const std::size_t* offset,
      const std::size_t* global, const std::size_t* local, cl_uint waits, const cl_event* wait, cl_event* event),
     (queue, kernel, dimensions, offset, global, local, waits, wait, event))
CALL(clEnqueueReadBuffer,
     (cl_command_queue queue, cl_mem memory, cl_bool blocking, std::size_t offset, std::size_t bytes, void* out,
      cl_uint waits, const cl_event* wait, cl_event* event),
     (queue, memory, blocking, offset, bytes, out, waits, wait, event))
CALL(clEnqueueWriteBuffer,
     (cl_command_queue queue, cl_mem memory, cl_bool blocking, std::size_t offset, std::size_t bytes, const void* data,
      cl_uint waits, const cl_event* wait, cl_event* event),
     (queue, memory, blocking, offset, bytes, data, waits, wait, event))
CALL(clEnqueueWriteBufferRect,
     (cl_command_queue queue, cl_mem memory, cl_bool blocking, const std::size_t* buffer_origin,
      const std::size_t* host_origin, const std::size_t* region, std::size_t buffer_row, std::size_t buffer_slice,
      std::size_t host_row, std::size_t host_slice, const void* data, cl_uint waits, const cl_event* wait,
      cl_event* event),
     (queue, memory, blocking, buffer_origin, host_origin, region, buffer_row, buffer_slice, host_row, host_slice, data,
      waits, wait, event))
CALL(clEnqueueCopyBuffer,
     (cl_command_queue queue, cl_mem from, cl_mem memory, std::size_t from_offset, std::size_t offset,
      std::size_t bytes, cl_uint waits, const cl_event* wait, cl_event* event),
     (queue, from, memory, from_offset, offset, bytes, waits, wait, event))
CALL(clFlush, (cl_command_queue queue), (queue))
CALL(clWaitForEvents, (cl_uint count, const cl_event* events), (count, events))
MAKER(cl_context, clCreateContext,
      (const cl_context_properties* properties, cl_uint count, const cl_device_id* devices,
       void(CL_CALLBACK* notify)(const char*, const void*, std::size_t, void*), void* data, cl_int* error),
      (properties, count, devices, notify, data, error))
MAKER(cl_command_queue, clCreateCommandQueue,
      (cl_context context, cl_device_id device, cl_command_queue_properties properties, cl_int* error),
      (context, device, properties, error))
EXPORTED cl_mem clCreateBuffer(cl_context context, cl_mem_flags flags, std::size_t bytes, void* data, cl_int* error) {
  const bool host = (flags & CL_MEM_USE_HOST_PTR) != 0;
  const cl_int code =
      host && fault("clCreateBuffer.host") != CL_SUCCESS ? fault("clCreateBuffer.host") : fault("clCreateBuffer");
  if (code == CL_SUCCESS) return real<decltype(&clCreateBuffer)>("clCreateBuffer")(context, flags, bytes, data, error);
  *error = code;
  return nullptr;
}
MAKER(cl_program, clCreateProgramWithBinary,
      (cl_context context, cl_uint count, const cl_device_id* devices, const std::size_t* bytes,
       const unsigned char** binaries, cl_int* status, cl_int* error),
      (context, count, devices, bytes, binaries, status, error))
MAKER(void*, clEnqueueMapBuffer,
      (cl_command_queue queue, cl_mem memory, cl_bool blocking, cl_map_flags flags, std::size_t offset,
       std::size_t bytes, cl_uint waits, const cl_event* wait, cl_event* event, cl_int* error),
      (queue, memory, blocking, flags, offset, bytes, waits, wait, event, error))
