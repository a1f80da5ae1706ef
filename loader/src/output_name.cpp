// SPDX-License-Identifier: MIT
#include "output_name.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <climits>
#include <csignal>
#include <cstdlib>

#include "gguf_fuse/loader/sink.hpp"

namespace gguf_fuse::loader {
namespace {

// Names may be 255 bytes long; what is cut off here leaves room for the rest of the temporary one.
constexpr std::size_t kNameBytes = 200;

std::string temporary_prefix(const std::string& name) {
  return fmt::format(".{}.gguf-fuse.", name.substr(0, kNameBytes));
}

OutputName split_path(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path, std::nullopt};
  return {path.substr(0, slash == 0 ? 1 : slash), path.substr(slash + 1), std::nullopt};
}

Result<std::string> real_path(const std::string& path) {
  char* resolved = ::realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return fail(system_error(ErrorCode::OpenFailed, path, errno));
  std::string result = resolved;
  std::free(resolved);
  return result;
}

enum class Lock { Taken, Held, Impossible };

Lock try_lock(int descriptor) {
  if (retried([&] { return ::flock(descriptor, LOCK_EX | LOCK_NB); }) == 0) return Lock::Taken;
  return errno == EWOULDBLOCK ? Lock::Held : Lock::Impossible;
}

bool same(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

// Whether somebody took the name away from an open file. Not every filesystem has numbers that stay, or counts names,
// or answers at all: all signs must agree.
bool has_lost_its_name(int folder, const std::string& name, int descriptor) {
  struct stat by_name {};
  struct stat by_descriptor {};
  if (::fstatat(folder, name.c_str(), &by_name, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT;
  return ::fstat(descriptor, &by_descriptor) == 0 && by_descriptor.st_nlink == 0 && !same(by_name, by_descriptor);
}

bool is_gone(pid_t process) { return ::kill(process, 0) != 0 && errno == ESRCH; }

// Removes a temporary that nobody writes any more. The lock decides, because process numbers are used again and mean
// nothing in another container; only where there are no locks does the process.
bool remove_if_stale(int folder, const std::string& name, pid_t process) {
  const FileDescriptor file(::openat(folder, name.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file.valid()) return errno == ENOENT;
  struct stat status {};
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return false;
  const Lock lock = try_lock(file.get());
  if (lock == Lock::Held || (lock == Lock::Impossible && !is_gone(process))) return false;
  return is_named(folder, name, file.get()) && ::unlinkat(folder, name.c_str(), 0) == 0;
}

// The process in a temporary's name; nothing when the name is not one of this output's temporaries.
std::optional<pid_t> writer_of(const std::string& name, const std::string& prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  pid_t process = 0;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + prefix.size(), end, process);
  if (error != std::errc{} || stop != end || process <= 0) return std::nullopt;
  return process;
}

}  // namespace

bool detail::is_named(int folder, const std::string& name, int descriptor) {
  struct stat by_name {};
  struct stat by_descriptor {};
  return ::fstatat(folder, name.c_str(), &by_name, AT_SYMLINK_NOFOLLOW) == 0 &&
         ::fstat(descriptor, &by_descriptor) == 0 && same(by_name, by_descriptor);
}

Error detail::output_exists(const std::string& path, std::string actual, std::string hint) {
  return Error{.code = ErrorCode::OutputExists, .path = path, .actual = std::move(actual), .hint = std::move(hint)};
}

Result<OutputName> detail::resolve_output(const std::string& path, bool replace) {
  if (path.empty()) {
    return fail(Error{
        .code = ErrorCode::InvalidArgument, .path = {}, .expected = "the name of an output", .actual = "an empty one"});
  }
  struct stat link {};
  if (::lstat(path.c_str(), &link) != 0) {
    // Before all the work: the temporary name is another one. Whatever else is the matter shows when it is made.
    if (errno == ENAMETOOLONG) return fail(system_error(ErrorCode::OpenFailed, path, errno));
    if (path.back() == '/') {
      Error error = system_error(ErrorCode::OpenFailed, path, ENOENT);
      error.hint = fmt::format("make the folder first (mkdir -p {}), or give the name of a file", path);
      return fail(std::move(error));
    }
    return split_path(path);
  }
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    if (!replace) {
      return fail(output_exists(path, "a symbolic link that leads nowhere", "remove the link, or choose another name"));
    }
    return fail(system_error(ErrorCode::OpenFailed, path, errno));
  }
  if (!S_ISREG(status.st_mode)) {
    const bool folder = S_ISDIR(status.st_mode);
    return fail(not_a_file(
        path, status.st_mode,
        folder ? "give the name of a file in it" : "give the name of a file to write, or - to write to a pipe"));
  }
  if (!replace) return fail(output_exists(path));
  std::string target = path;
  if (S_ISLNK(link.st_mode)) {
    GGUF_FUSE_ASSIGN(target, real_path(path));
  }
  OutputName output = split_path(target);
  output.existing = status;
  return output;
}

Result<FileDescriptor> detail::open_folder(const OutputName& output, const std::string& path) {
  FileDescriptor folder(::open(output.folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.valid()) return folder;
  const int reason = errno;
  Error error = system_error(ErrorCode::OpenFailed, path, reason);
  if (reason == ENOENT) error.hint = fmt::format("make the folder {} first", output.folder);
  return fail(std::move(error));
}

Result<TemporaryFile> detail::create_temporary(int folder, const OutputName& output, const std::string& path) {
  const std::string name = temporary_prefix(output.name) + std::to_string(::getpid());
  constexpr int kAttempts = 16;  // more than one only when somebody cleans up at the same moment
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    FileDescriptor file(::openat(folder, name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
    if (file.valid()) {
      // Where there are no locks, the process in the name tells that it lives.
      static_cast<void>(retried([&] { return ::flock(file.get(), LOCK_EX); }));
      // Between its creation and the lock it looked stale to others.
      if (!has_lost_its_name(folder, name, file.get())) return TemporaryFile{std::move(file), name};
    } else if (errno != EEXIST) {
      return fail(system_error(ErrorCode::OpenFailed, path, errno));
    } else if (!remove_if_stale(folder, name, ::getpid())) {
      break;
    }
  }
  return fail(output_exists(path, fmt::format("{} is being written", name),
                            "wait until the other gguf-fuse is done, or choose another name"));
}

std::vector<std::string> remove_stale_temporaries(const std::string& path) {
  std::vector<std::string> removed;
  auto target = real_path(path);
  const OutputName output = split_path(target ? *target : path);
  const std::string prefix = temporary_prefix(output.name);
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(output.folder.c_str()), ::closedir);
  if (!folder) return removed;
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string name = entry->d_name;
    const auto process = writer_of(name, prefix);
    if (!process || !remove_if_stale(::dirfd(folder.get()), name, *process)) continue;
    removed.push_back(output.folder == "." ? name : fmt::format("{}/{}", output.folder, name));
  }
  return removed;
}

bool same_file(const std::string& a, const std::string& b) {
  struct stat first {};
  struct stat second {};
  return ::stat(a.c_str(), &first) == 0 && ::stat(b.c_str(), &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

}  // namespace gguf_fuse::loader
