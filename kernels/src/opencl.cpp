// SPDX-License-Identifier: MIT
#include "opencl.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace gguf_fuse::kernels::detail {
namespace {

struct CodeRow {
  cl_int code;
  std::string_view name;
};

constexpr CodeRow kCodes[] = {
#define GGUF_FUSE_OPENCL_CODE(name) {name, #name},
#include "opencl_codes.inc"
#undef GGUF_FUSE_OPENCL_CODE
};

std::vector<std::string> library_names() {
  const char* named = std::getenv("GGUF_FUSE_OPENCL_LIBRARY");
  if (named != nullptr && *named != '\0') return {named};
  return {"libOpenCL.so.1", "libOpenCL.so"};
}

Result<std::unique_ptr<OpenCl>> load(const std::vector<std::string>& names) {
  std::string reasons;
  for (const std::string& name : names) {
    void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      const char* reason = dlerror();
      reasons += fmt::format("{}{}", reasons.empty() ? "" : ", ", reason != nullptr ? reason : name);
      continue;
    }
    auto cl = std::make_unique<OpenCl>();
#define GGUF_FUSE_OPENCL_LOAD(call)                                            \
  if (void* found = dlsym(library, #call)) {                                   \
    cl->call = {#call, reinterpret_cast<decltype(&::call)>(found), &cl->lost}; \
  } else {                                                                     \
    return fail(Error{.code = ErrorCode::NoOpenCl,                             \
                      .path = name,                                            \
                      .actual = fmt::format("the library has no {}", #call),   \
                      .hint = "OpenCL 1.2 is needed"});                        \
  }
    GGUF_FUSE_OPENCL_CALLS(GGUF_FUSE_OPENCL_LOAD)
#undef GGUF_FUSE_OPENCL_LOAD
    return cl;
  }
  return fail(Error{.code = ErrorCode::NoOpenCl, .actual = std::move(reasons)});
}

}  // namespace

Result<const OpenCl*> opencl() {
  // Drivers start threads of their own, so that a library once loaded has to stay until the process ends.
  static std::mutex mutex;
  static auto& loaded = *new std::map<std::string, std::unique_ptr<OpenCl>>;
  const std::vector<std::string> names = library_names();
  const std::lock_guard lock(mutex);
  std::unique_ptr<OpenCl>& cl = loaded[names.front()];
  if (!cl) {
    GGUF_FUSE_ASSIGN(cl, load(names));
  }
  return cl.get();
}

std::string opencl_code(cl_int code) {
  for (const CodeRow& row : kCodes) {
    if (row.code == code) return fmt::format("{} ({})", row.name, code);
  }
  return fmt::format("code {}", code);
}

Error opencl_error(std::string_view call, cl_int code, const std::string& device) {
  const bool memory = code == CL_MEM_OBJECT_ALLOCATION_FAILURE;
  const bool host_memory = code == CL_OUT_OF_HOST_MEMORY;
  return Error{.code = memory ? ErrorCode::OutOfDeviceMemory : ErrorCode::OpenClFailed,
               .path = device,
               .actual = fmt::format("{}: {}", call, opencl_code(code)),
               .hint = host_memory ? "close other programs, or raise the limit of memory (ulimit -v)" : ""};
}

}  // namespace gguf_fuse::kernels::detail
