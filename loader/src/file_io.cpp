// SPDX-License-Identifier: MIT
#include "file_io.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <new>

namespace gguf_fuse::loader::detail {

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  std::swap(number_, other.number_);
  return *this;
}

FileDescriptor::~FileDescriptor() {
  if (number_ >= 0) ::close(number_);
}

FileDescriptor FileDescriptor::duplicate() const { return FileDescriptor(::fcntl(number_, F_DUPFD_CLOEXEC, 3)); }

Result<Buffer> allocate(std::size_t bytes) {
  Buffer buffer(new (std::nothrow) std::byte[bytes]);
  if (!buffer) return fail(system_error(ErrorCode::SystemFailed, {}, ENOMEM));
  return buffer;
}

Result<std::size_t> pread_fully(int descriptor, std::uint64_t offset, std::span<std::byte> out,
                                const std::string& path) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = retried(
        [&] { return ::pread(descriptor, out.data() + done, out.size() - done, static_cast<off_t>(offset + done)); });
    if (got < 0) return fail(system_error(ErrorCode::ReadFailed, path, errno, offset + done));
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

Result<void> pwrite_fully(int descriptor, std::uint64_t offset, std::span<const std::byte> bytes,
                          const std::string& path) {
  constexpr auto kLast = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
  if (offset > kLast || bytes.size() > kLast - offset) {
    return fail(system_error(ErrorCode::WriteFailed, path, EFBIG, offset));
  }
  while (!bytes.empty()) {
    const ssize_t put =
        retried([&] { return ::pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
    if (put <= 0) return fail(system_error(ErrorCode::WriteFailed, path, put == 0 ? EIO : errno, offset));
    offset += static_cast<std::uint64_t>(put);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
  return {};
}

Result<void> sync_file(int descriptor, const std::string& path) {
  const int result = retried([&] { return ::fsync(descriptor); });
  if (result != 0 && !is_unsupported(errno)) return fail(system_error(ErrorCode::SyncFailed, path, errno));
  return {};
}

bool is_unsupported(int error_number) {
  constexpr int kWords[] = {ENOSYS, EOPNOTSUPP, EINVAL, EPERM, EACCES, ENOTTY, EISDIR, EXDEV, ETXTBSY, EOVERFLOW};
  return std::find(std::begin(kWords), std::end(kWords), error_number) != std::end(kWords);
}

std::string file_kind(mode_t mode) {
  if (S_ISREG(mode)) return "a regular file";
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISCHR(mode)) return "a character device";
  if (S_ISBLK(mode)) return "a block device";
  return "something unknown";
}

Error not_a_file(const std::string& path, mode_t mode, std::string hint) {
  return Error{.code = ErrorCode::NotAFile, .path = path, .actual = file_kind(mode), .hint = std::move(hint)};
}

Error truncated(const std::string& path, std::uint64_t offset, std::uint64_t expected, std::uint64_t actual) {
  return Error{.code = ErrorCode::Truncated,
               .path = path,
               .offset = offset,
               .expected = fmt::format("{} bytes", expected),
               .actual = fmt::format("{}", actual)};
}

}  // namespace gguf_fuse::loader::detail
