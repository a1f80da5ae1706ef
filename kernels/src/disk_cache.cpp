// SPDX-License-Identifier: MIT
#include "disk_cache.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "gguf_fuse/kernels/device.hpp"

namespace gguf_fuse::kernels {
namespace {

/// Raised whenever what is stored changes its meaning.
constexpr std::string_view kMagic = "gguf-fuse cache 1\n";
constexpr std::size_t kKeyDigits = 32;
constexpr std::size_t kHeaderBytes = kMagic.size() + kKeyDigits + 1 + kKeyDigits + 1;
/// Programs have some 100 KB; more than this is not ours.
constexpr std::uintmax_t kMaxBytes = std::uintmax_t{1} << 30;

std::string hash(std::string_view text) {
  const XXH128_hash_t value = XXH3_128bits(text.data(), text.size());
  return fmt::format("{:016x}{:016x}", value.high64, value.low64);
}

/// Magic, key and hash of the content, a line each; the content follows.
std::string header(const std::string& key, std::string_view content) {
  return fmt::format("{}{}\n{}\n", kMagic, key, hash(content));
}

/// All of the folder's path, what is new for its owner only.
void make_folder(const std::string& folder) {
  for (std::size_t slash = folder.find('/', 1); slash != std::string::npos; slash = folder.find('/', slash + 1)) {
    ::mkdir(folder.substr(0, slash).c_str(), 0700);
  }
  ::mkdir(folder.c_str(), 0700);
}

Result<void> write_all(int descriptor, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail(system_error(ErrorCode::WriteFailed, path, errno));
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> write_and_close(int descriptor, std::string_view first, std::string_view second, const std::string& path) {
  Result<void> result = write_all(descriptor, first, path);
  if (result) result = write_all(descriptor, second, path);
  if (::close(descriptor) != 0 && result) return fail(system_error(ErrorCode::WriteFailed, path, errno));
  return result;
}

}  // namespace

std::string default_cache_folder() {
  // The XDG base directory specification: relative paths are to be ignored.
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache == '/') return std::string(cache) + "/gguf-fuse";
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home == '/') return std::string(home) + "/.cache/gguf-fuse";
  return {};
}

DiskCache::DiskCache(std::string folder, std::string kind) {
  if (!folder.empty()) folder_ = std::move(folder) + "/" + kind;
}

std::string DiskCache::key(std::string_view what) { return hash(what); }

std::optional<std::string> DiskCache::load(const std::string& key, std::string* damage) const {
  if (folder_.empty()) return std::nullopt;
  const auto damaged = [&](std::string_view what) {
    if (damage != nullptr) *damage = fmt::format("{}: {}", path(key), what);
    return std::nullopt;
  };
  std::error_code error;
  const std::uintmax_t bytes = std::filesystem::file_size(path(key), error);
  if (error) return std::nullopt;
  if (bytes < kHeaderBytes || bytes > kMaxBytes) return damaged("has an impossible size");
  std::string content(bytes, '\0');
  std::ifstream file(path(key), std::ios::binary);
  if (!file.read(content.data(), static_cast<std::streamsize>(bytes))) return damaged("cannot be read");
  const std::string_view body = std::string_view(content).substr(kHeaderBytes);
  if (content.compare(0, kHeaderBytes, header(key, body)) != 0) return damaged("is damaged");
  content.erase(0, kHeaderBytes);
  return content;
}

Result<void> DiskCache::store(const std::string& key, std::string_view content) const {
  if (folder_.empty()) return {};
  // Distinct for threads and processes; a name left by a process that died is written over.
  static std::atomic<unsigned> counter{0};
  const std::string temporary = fmt::format("{}/.{}.{}.{}", folder_, key, ::getpid(), counter++);
  make_folder(folder_);
  const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (descriptor < 0) return fail(system_error(ErrorCode::OpenFailed, temporary, errno));
  // Not made durable: after a crash of the system the hash tells.
  Result<void> result = write_and_close(descriptor, header(key, content), content, temporary);
  if (result && ::rename(temporary.c_str(), path(key).c_str()) != 0) {
    result = fail(system_error(ErrorCode::RenameFailed, path(key), errno));
  }
  if (!result) ::unlink(temporary.c_str());
  return result;
}

}  // namespace gguf_fuse::kernels
