// SPDX-License-Identifier: MIT
// What arguments a kernel has is asked of the compiler (-cl-kernel-arg-info), not read from the text: kernels come from
// files that are included several times under different macros. Programs in binary form lose this on some drivers, so
// the cache stores it beside the binary.
#include <fmt/format.h>

#include <algorithm>

#include "program_state.hpp"

namespace gguf_fuse::kernels::detail {
namespace {

struct KindRow {
  ArgumentKind kind;
  std::string_view type;  ///< as clGetKernelArgInfo names it; also the word in the cache
};

// size_t and bool are no kernel arguments in OpenCL C; short ones are promoted by nobody, so that none is wanted.
constexpr KindRow kKinds[] = {
    {ArgumentKind::Buffer, "buffer"}, {ArgumentKind::Local, "local"}, {ArgumentKind::Int32, "int"},
    {ArgumentKind::UInt32, "uint"},   {ArgumentKind::Int64, "long"},  {ArgumentKind::UInt64, "ulong"},
    {ArgumentKind::Float, "float"},
};

std::optional<ArgumentKind> kind_of(std::string_view type) {
  for (const KindRow& row : kKinds) {
    if (row.type == type) return row.kind;
  }
  return std::nullopt;
}

std::string_view type_of(ArgumentKind kind) {
  return std::find_if(std::begin(kKinds), std::end(kKinds), [&](const KindRow& row) { return row.kind == kind; })->type;
}

/// A text that `query(bytes, out, size)` gives.
template <typename Query>
Result<std::string> text_of(const DeviceCore& device, std::string_view call, Query query) {
  std::size_t bytes = 0;
  GGUF_FUSE_CHECK(device.checked(call, query(0, nullptr, &bytes)));
  std::string text(bytes, '\0');
  GGUF_FUSE_CHECK(device.checked(call, query(bytes, text.data(), nullptr)));
  text.erase(std::find(text.begin(), text.end(), '\0'), text.end());
  return text;
}

Result<std::string> argument_text(const DeviceCore& device, cl_kernel kernel, cl_uint index, cl_kernel_arg_info what) {
  return text_of(device, "clGetKernelArgInfo", [&](std::size_t bytes, void* out, std::size_t* size) {
    return device.cl.clGetKernelArgInfo(kernel, index, what, bytes, out, size);
  });
}

Result<KernelArgument> read_argument(const DeviceCore& device, cl_kernel kernel, cl_uint index,
                                     const std::string& file) {
  GGUF_FUSE_ASSIGN(std::string name, argument_text(device, kernel, index, CL_KERNEL_ARG_NAME));
  GGUF_FUSE_ASSIGN(const std::string type, argument_text(device, kernel, index, CL_KERNEL_ARG_TYPE_NAME));
  cl_kernel_arg_address_qualifier place = 0;
  GGUF_FUSE_CHECK(device.checked(
      "clGetKernelArgInfo",
      device.cl.clGetKernelArgInfo(kernel, index, CL_KERNEL_ARG_ADDRESS_QUALIFIER, sizeof place, &place, nullptr)));
  if (place == CL_KERNEL_ARG_ADDRESS_LOCAL) return KernelArgument{std::move(name), ArgumentKind::Local};
  if (place != CL_KERNEL_ARG_ADDRESS_PRIVATE) return KernelArgument{std::move(name), ArgumentKind::Buffer};
  const auto kind = kind_of(type);
  if (kind) return KernelArgument{std::move(name), *kind};
  return fail(Error{.code = ErrorCode::KernelBuildFailed,
                    .path = file,
                    .subject = std::move(name),
                    .expected = "a pointer, int, uint, long, ulong or float as argument",
                    .actual = type,
                    .hint = "this is a defect of gguf-fuse; please report it"});
}

Result<KernelSignature> read_signature(const DeviceCore& device, cl_program program, std::string name,
                                       const std::string& file) {
  cl_int code = CL_SUCCESS;
  const ClOwned<cl_kernel> kernel(device.cl, device.cl.clCreateKernel(program, name.c_str(), &code));
  GGUF_FUSE_CHECK(device.checked("clCreateKernel", code));
  cl_uint count = 0;
  GGUF_FUSE_CHECK(device.checked(
      "clGetKernelInfo", device.cl.clGetKernelInfo(kernel.get(), CL_KERNEL_NUM_ARGS, sizeof count, &count, nullptr)));
  KernelSignature signature{.kernel = std::move(name), .arguments = {}};
  for (cl_uint i = 0; i < count; ++i) {
    GGUF_FUSE_ASSIGN(KernelArgument argument, read_argument(device, kernel.get(), i, file));
    signature.arguments.push_back(std::move(argument));
  }
  return signature;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

}  // namespace

Result<std::vector<KernelSignature>> read_signatures(const DeviceCore& device, cl_program program,
                                                     const std::string& file) {
  GGUF_FUSE_ASSIGN(const std::string names,
                   text_of(device, "clGetProgramInfo", [&](std::size_t bytes, void* out, std::size_t* size) {
                     return device.cl.clGetProgramInfo(program, CL_PROGRAM_KERNEL_NAMES, bytes, out, size);
                   }));
  std::vector<KernelSignature> kernels;
  for (std::string_view name : split(names, ';')) {
    GGUF_FUSE_ASSIGN(KernelSignature signature, read_signature(device, program, std::string(name), file));
    kernels.push_back(std::move(signature));
  }
  return kernels;
}

std::string signatures_to_text(const std::vector<KernelSignature>& kernels) {
  std::string text;
  for (const KernelSignature& kernel : kernels) {
    text += kernel.kernel;
    for (const KernelArgument& argument : kernel.arguments) {
      text += fmt::format(" {}:{}", argument.name, type_of(argument.kind));
    }
    text += '\n';
  }
  return text;
}

std::optional<std::vector<KernelSignature>> signatures_from_text(std::string_view text) {
  std::vector<KernelSignature> kernels;
  for (std::string_view line : split(text, '\n')) {
    const std::vector<std::string_view> words = split(line, ' ');
    if (words.empty()) return std::nullopt;
    KernelSignature signature{.kernel = std::string(words.front()), .arguments = {}};
    for (std::size_t i = 1; i < words.size(); ++i) {
      const std::size_t colon = words[i].find(':');
      if (colon == std::string_view::npos) return std::nullopt;
      const auto kind = kind_of(words[i].substr(colon + 1));
      if (!kind) return std::nullopt;
      signature.arguments.push_back({std::string(words[i].substr(0, colon)), *kind});
    }
    kernels.push_back(std::move(signature));
  }
  return kernels;
}

}  // namespace gguf_fuse::kernels::detail
