// SPDX-License-Identifier: MIT
#include "no_device.hpp"

#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string_view>

namespace gguf_fuse::kernels::detail {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kInstall = "install a driver: apt install pocl-opencl-icd runs on every CPU";

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

/// Where the loader looks for drivers: ocl-icd takes a folder or a file from OCL_ICD_VENDORS, Khronos's loader a
/// folder.
fs::path vendors() {
  const std::string_view named = variable("OCL_ICD_VENDORS");
  return named.empty() ? fs::path("/etc/OpenCL/vendors") : fs::path(named);
}

/// Why a driver's file brings no platform; empty when its library loads.
std::string icd_fault(const fs::path& file) {
  std::ifstream stream(file);
  std::string library;
  if (!stream) return fmt::format("{} cannot be read", file.string());
  std::getline(stream, library);
  while (!library.empty() && std::string_view(" \t\r").find(library.back()) != std::string_view::npos)
    library.pop_back();
  if (library.empty()) return fmt::format("{} names no library", file.string());
  if (void* loaded = dlopen(library.c_str(), RTLD_LAZY | RTLD_LOCAL)) {
    dlclose(loaded);
    return {};
  }
  const char* reason = dlerror();
  return fmt::format("{}: {}", file.string(), reason != nullptr ? reason : "its library does not load");
}

std::vector<fs::path> icd_files(const fs::path& folder, std::error_code& error) {
  if (fs::is_regular_file(folder, error)) return {folder};
  std::vector<fs::path> files;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    if (entry->path().extension() == ".icd") files.push_back(entry->path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

Error error_of(std::string actual, std::string_view hint) {
  return {.code = ErrorCode::NoDevice, .actual = std::move(actual), .hint = std::string(hint)};
}

/// Whether files can be made in `folder`, which is made where it is not there, as PoCL itself would: permissions of its
/// parent tell too little (/proc lets nobody make a folder).
bool can_write(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  return !error && ::access(folder.c_str(), W_OK | X_OK) == 0;
}

/// PoCL keeps what it compiled in $POCL_CACHE_DIR, $XDG_CACHE_HOME/pocl/kcache, ~/.cache/pocl/kcache or
/// /tmp/pocl/kcache, the first that is said (its documentation, "Environment variables"), and has no devices where it
/// cannot write.
fs::path pocl_cache() {
  if (const auto named = variable("POCL_CACHE_DIR"); !named.empty()) return named;
  if (const auto named = variable("XDG_CACHE_HOME"); !named.empty()) return fs::path(named) / "pocl";
  if (const auto home = variable("HOME"); !home.empty()) return fs::path(home) / ".cache/pocl";
  return "/tmp/pocl";
}

std::optional<Error> explain_pocl() {
  if (const fs::path cache = pocl_cache(); !can_write(cache)) {
    return error_of(
        fmt::format("PoCL has none, as its folder for compiled kernels cannot be written: {}", cache.string()),
        "name a folder that can be written in POCL_CACHE_DIR, or set HOME or XDG_CACHE_HOME");
  }
  if (const auto devices = variable("POCL_DEVICES"); !devices.empty()) {
    return error_of(fmt::format("PoCL has none with POCL_DEVICES=\"{}\"", escape_text(devices)), "unset POCL_DEVICES");
  }
  return std::nullopt;
}

std::optional<Error> explain_rusticl() {
  const std::string_view enabled = variable("RUSTICL_ENABLE");
  return error_of(enabled.empty() ? "rusticl has none without RUSTICL_ENABLE"
                                  : fmt::format("rusticl has none with RUSTICL_ENABLE=\"{}\"", escape_text(enabled)),
                  "set RUSTICL_ENABLE to the name of Mesa's driver, e.g. radeonsi, iris or llvmpipe");
}

struct PlatformRow {
  std::string_view name;  ///< part of it
  std::optional<Error> (*explain)();
};
constexpr PlatformRow kPlatforms[] = {{"Portable Computing Language", explain_pocl}, {"rusticl", explain_rusticl}};

}  // namespace

Error no_platform() {
  const fs::path folder = vendors();
  std::error_code error;
  const std::vector<fs::path> files = icd_files(folder, error);
  constexpr std::string_view kBegin = "there is no OpenCL platform";
  if (error && error != std::errc::no_such_file_or_directory) {
    return error_of(fmt::format("{}: {}: {}", kBegin, folder.string(), error.message()), "check its permissions");
  }
  const bool named = !variable("OCL_ICD_VENDORS").empty();
  if (files.empty()) {
    return error_of(fmt::format("{}: no driver is named in {}", kBegin, folder.string()),
                    named ? "unset OCL_ICD_VENDORS, or name a folder with .icd files" : kInstall);
  }
  for (const fs::path& file : files) {
    if (const std::string fault = icd_fault(file); !fault.empty()) {
      return error_of(fmt::format("{}: {}", kBegin, fault),
                      "install the driver again; if memory is short, raise its limit (ulimit -v)");
    }
  }
  return error_of(fmt::format("{}, though the drivers named in {} load", kBegin, folder.string()),
                  "raise the limits of memory, threads and files (ulimit -v, -u, -n), or install another driver: apt "
                  "install pocl-opencl-icd runs on every CPU");
}

Error no_device(const std::vector<std::string>& platforms) {
  std::string names;
  for (const std::string& platform : platforms) names += (names.empty() ? "" : ", ") + platform;
  for (const PlatformRow& row : kPlatforms) {
    const auto fits = [&](const std::string& platform) { return platform.find(row.name) != std::string::npos; };
    if (std::none_of(platforms.begin(), platforms.end(), fits)) continue;
    if (auto error = row.explain()) return std::move(*error);
  }
  return error_of(fmt::format("these platforms have none: {}", names),
                  "raise the limits of memory, threads and files (ulimit -v, -u, -n), or install another driver: apt "
                  "install pocl-opencl-icd runs on every CPU");
}

}  // namespace gguf_fuse::kernels::detail
