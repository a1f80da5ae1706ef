// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gguf_fuse/kernels/namespace.hpp"
#include "gguf_fuse/loader/error.hpp"

namespace gguf_fuse::kernels {

namespace detail {
struct DeviceCore;
struct ProgramState;
}  // namespace detail

/// -D NAME=VALUE of a build; an empty value is -D NAME.
using Defines = std::vector<std::pair<std::string, std::string>>;

/// A program to be built from the embedded .cl files.
///
/// `#include "decode/q4_1.cl"` (always relative to kernels/cl) is replaced by that file's text wherever it stands, so a
/// file may be included several times with other macros in force. Compiler messages name the file and line.
struct ProgramSpec {
  std::string file;                    ///< relative to kernels/cl, e.g. "matmul.cl"
  std::string source{};                ///< when set, the text of `file`, which need not be an embedded one
  Defines defines{};                   ///< of the wanted variant
  std::vector<std::string> options{};  ///< more compiler options; -cl-std=CL1.2 is the default
  std::vector<Defines> fallbacks{};    ///< plainer variants, tried in order when the one before does not build
};

/// How one argument of a kernel is set.
enum class ArgumentKind : std::uint8_t { Buffer, Local, Int32, UInt32, Int64, UInt64, Float };

struct KernelArgument {
  std::string name;
  ArgumentKind kind;

  friend bool operator==(const KernelArgument& a, const KernelArgument& b) {
    return a.name == b.name && a.kind == b.kind;
  }
};

/// The arguments of one kernel, in order, as the OpenCL compiler saw them.
struct KernelSignature {
  std::string kernel;
  std::vector<KernelArgument> arguments;

  friend bool operator==(const KernelSignature& a, const KernelSignature& b) {
    return a.kernel == b.kernel && a.arguments == b.arguments;
  }
};

/// A program built for one device. Made by Device::program, shared by the launches of its kernels.
class GGUF_FUSE_EXPORT Program {
 public:
  Program(std::shared_ptr<DeviceCore> device, std::unique_ptr<ProgramState> state);
  /// Saves the finished program in the cache when that did not happen yet; a failure is logged.
  ~Program();

  [[nodiscard]] const std::vector<KernelSignature>& kernels() const;
  /// Null when there is no such kernel.
  [[nodiscard]] const KernelSignature* kernel(std::string_view name) const;
  /// 0 for the wanted variant, n for fallbacks[n - 1].
  [[nodiscard]] std::size_t variant() const;
  /// Whether the compiler was spared.
  [[nodiscard]] bool from_cache() const;

 private:
  friend class Device;
  friend class Launch;
  void save();

  std::shared_ptr<DeviceCore> device_;
  std::unique_ptr<ProgramState> state_;
};

}  // namespace gguf_fuse::kernels
