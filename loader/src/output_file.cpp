// SPDX-License-Identifier: MIT
#include "output_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <limits>

#include "file_source.hpp"
#include "gguf_fuse/loader/page_bytes.hpp"

namespace gguf_fuse::loader::detail {
namespace {

std::uint64_t file_size_limit() {
  rlimit limit{};
  const bool known = ::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
  return known ? limit.rlim_cur : std::numeric_limits<std::uint64_t>::max();
}

}  // namespace

OutputFile::OutputFile(FileDescriptor descriptor, std::string path, std::string space_hint)
    : descriptor_(std::move(descriptor)),
      path_(std::move(path)),
      space_hint_(std::move(space_hint)),
      limit_(file_size_limit()) {}

Result<void> OutputFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) const {
  GGUF_FUSE_CHECK(check_limit(offset + bytes.size()));
  auto written = pwrite_fully(descriptor_.get(), offset, bytes, path_);
  if (!written) return fail(with_space(std::move(written).error(), bytes.size()));
  return {};
}

void OutputFile::settle(std::uint64_t offset, std::uint64_t bytes) const {
  // Whole pages only: the one at either end may still be written to, and would be written back twice.
  const std::uint64_t begin = (offset + kPageBytes - 1) / kPageBytes * kPageBytes;
  const std::uint64_t end = (offset + bytes) / kPageBytes * kPageBytes;
  if (begin >= end) return;
  // A failure shows in fsync.
  ::sync_file_range(descriptor_.get(), static_cast<off_t>(begin), static_cast<off_t>(end - begin),
                    SYNC_FILE_RANGE_WRITE);
}

std::unique_ptr<Source> OutputFile::read_back() const {
  FileDescriptor again = descriptor_.duplicate();
  if (!again.valid()) return nullptr;
  auto source = file_source(std::move(again), path_);
  return source ? std::move(*source) : nullptr;
}

// Looked at before writing, because the kernel's own answer to a file that grows beyond its limit is a deadly signal.
Result<void> OutputFile::check_limit(std::uint64_t end) const {
  if (end <= limit_) return {};
  Error error = system_error(ErrorCode::WriteFailed, path_, EFBIG);
  error.expected = fmt::format("at most {} bytes", limit_);
  error.actual = fmt::format("{}", end);
  return fail(std::move(error));
}

Error OutputFile::with_space(Error error, std::uint64_t wanted) const {
  if (error.code != ErrorCode::NoSpace) return error;
  const auto available = free_space(descriptor_.get());
  if (available && *available < wanted) {
    Error better = no_space(path_, wanted, *available, space_hint_);
    better.offset = error.offset;
    return better;
  }
  if (!space_hint_.empty()) error.hint = space_hint_;  // a quota, say: the system's own words tell more
  return error;
}

std::optional<std::uint64_t> free_space(int descriptor) {
  struct statvfs status {};
  // Some filesystems in user space report no blocks at all.
  if (::fstatvfs(descriptor, &status) != 0 || status.f_blocks == 0) return std::nullopt;
  const std::uint64_t blocks = ::geteuid() == 0 ? status.f_bfree : status.f_bavail;
  return blocks * status.f_frsize;
}

Error no_space(const std::string& path, std::uint64_t wanted, std::uint64_t available, std::string hint) {
  return Error{.code = ErrorCode::NoSpace,
               .path = path,
               .expected = fmt::format("{} free bytes", wanted),
               .actual = fmt::format("{}", available),
               .hint = std::move(hint)};
}

}  // namespace gguf_fuse::loader::detail
