// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "device_core.hpp"
#include "gguf_fuse/kernels/program.hpp"

namespace gguf_fuse::kernels::detail {

struct ProgramState {
  ClOwned<cl_program> program{};
  std::vector<KernelSignature> kernels{};
  std::string file{};
  std::string cache_key{};
  std::size_t variant = 0;
  bool from_cache = false;
  std::mutex save_mutex{};
  bool saved = false;  ///< or never to be saved; guarded by save_mutex
};

/// Builds one variant of a program, or takes it from the cache. Errors: KernelBuildFailed, OpenClFailed.
[[nodiscard]] Result<std::unique_ptr<ProgramState>> build_program(const DeviceCore& device, const ProgramSpec& spec,
                                                                  const Defines& defines);

/// Writes a program, as it is now, to the cache.
void save_program(const DeviceCore& device, const ProgramState& state);

/// The signatures of all kernels of a program that was built from source.
[[nodiscard]] Result<std::vector<KernelSignature>> read_signatures(const DeviceCore& device, cl_program program,
                                                                   const std::string& file);

/// Signatures as lines of text, and back; nothing when the text is none of ours.
[[nodiscard]] std::string signatures_to_text(const std::vector<KernelSignature>& kernels);
[[nodiscard]] std::optional<std::vector<KernelSignature>> signatures_from_text(std::string_view text);

}  // namespace gguf_fuse::kernels::detail
