// SPDX-License-Identifier: MIT
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>

#include "file_io.hpp"

namespace gguf_fuse::loader::detail {

/// Where an output goes: the folder and the name in it, symbolic links resolved, and what is there already.
struct OutputName {
  std::string folder;
  std::string name;
  std::optional<struct stat> existing;
};

/// Errors: OutputExists (without `replace`), NotAFile, OpenFailed, InvalidArgument.
[[nodiscard]] Result<OutputName> resolve_output(const std::string& path, bool replace);

[[nodiscard]] Error output_exists(const std::string& path, std::string actual = {}, std::string hint = {});

/// The folder of an output, opened; what is named relative to it stays in place whatever happens to the path.
[[nodiscard]] Result<FileDescriptor> open_folder(const OutputName& output, const std::string& path);

/// Whether this name in the folder leads to the open file.
[[nodiscard]] bool is_named(int folder, const std::string& name, int descriptor);

/// A file under an output's temporary name, locked for as long as it is open: that is how others see that its writer
/// lives.
struct TemporaryFile {
  FileDescriptor descriptor;
  std::string name;
};
[[nodiscard]] Result<TemporaryFile> create_temporary(int folder, const OutputName& output, const std::string& path);

}  // namespace gguf_fuse::loader::detail
