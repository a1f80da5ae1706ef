// SPDX-License-Identifier: MIT
#include "file_source.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <vector>

#include "gguf_fuse/loader/page_bytes.hpp"

namespace gguf_fuse::loader {
namespace {

// What must stay the same for what was read to belong together.
struct Identity {
  dev_t device;
  ino_t inode;
  std::uint64_t bytes;
  std::int64_t modified_seconds;
  std::int64_t modified_nanoseconds;

  bool operator==(const Identity&) const = default;
};

Identity identity_of(const struct stat& status) {
  return Identity{status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size), status.st_mtim.tv_sec,
                  status.st_mtim.tv_nsec};
}

class FileSource : public Source {
 public:
  FileSource(FileDescriptor descriptor, std::string path, const Identity& identity)
      : descriptor_(std::move(descriptor)), path_(std::move(path)), identity_(identity) {}

  [[nodiscard]] Result<void> read_at(std::uint64_t offset, std::span<std::byte> out) override {
    const std::uint64_t left = offset < identity_.bytes ? identity_.bytes - offset : 0;
    if (out.size() > left) return fail(truncated(path_, offset, out.size(), left));
    GGUF_FUSE_ASSIGN(const std::size_t got, fetch(offset, out));
    if (got == out.size()) return {};
    // A file that ends before its size did so only now.
    GGUF_FUSE_CHECK(check_unchanged());
    return fail(truncated(path_, offset, out.size(), got));
  }

  [[nodiscard]] std::optional<std::uint64_t> size() const override { return identity_.bytes; }
  [[nodiscard]] bool sequential() const override { return false; }
  [[nodiscard]] int descriptor() const override { return descriptor_.get(); }
  [[nodiscard]] const std::string& path() const override { return path_; }

  [[nodiscard]] Result<void> check_unchanged() const override {
    struct stat status {};
    if (::fstat(descriptor_.get(), &status) != 0) return fail(system_error(ErrorCode::ReadFailed, path_, errno));
    const Identity now = identity_of(status);
    if (now == identity_) return {};
    Error error{.code = ErrorCode::InputChanged, .path = path_, .actual = "another modification time"};
    if (now.bytes != identity_.bytes) {
      error.expected = fmt::format("{} bytes", identity_.bytes);
      error.actual = fmt::format("{}", now.bytes);
    }
    return fail(std::move(error));
  }

 protected:
  /// Reads inside the file; fewer bytes only when it has become shorter.
  [[nodiscard]] virtual Result<std::size_t> fetch(std::uint64_t offset, std::span<std::byte> out) {
    return pread_fully(descriptor_.get(), offset, out, path_);
  }

 private:
  FileDescriptor descriptor_;
  std::string path_;
  Identity identity_;
};

// Of Linux 5.14; the headers may be older.
constexpr int kPopulateRead = 22;

// Touching a mapping beyond the end of its file is a SIGBUS, which no library may catch. So the size is looked up
// before every copy, and where the kernel can, the pages are brought in by a call that may fail instead: then pread
// says what is the matter, or reads what the mapping could not give. A file cut short during the copy, or an older
// kernel's disk error, still kills the process: that is the price of this mode.
class MappedSource final : public FileSource {
 public:
  MappedSource(FileDescriptor descriptor, std::string path, const Identity& identity, void* mapping)
      : FileSource(std::move(descriptor), std::move(path), identity),
        mapping_(static_cast<const std::byte*>(mapping)),
        bytes_(identity.bytes) {
    ::madvise(mapping, bytes_, MADV_SEQUENTIAL);
  }
  MappedSource(const MappedSource&) = delete;
  MappedSource& operator=(const MappedSource&) = delete;
  ~MappedSource() override { ::munmap(const_cast<std::byte*>(mapping_), bytes_); }

  [[nodiscard]] Result<std::optional<std::span<const std::byte>>> view(std::uint64_t offset,
                                                                       std::size_t bytes) override {
    if (offset > bytes_ || bytes > bytes_ - offset) {
      return fail(truncated(path(), offset, bytes, offset < bytes_ ? bytes_ - offset : 0));
    }
    if (bytes == 0) return std::span<const std::byte>();
    if (!populate(offset, bytes)) {
      GGUF_FUSE_CHECK(check_unchanged());
      return std::nullopt;
    }
    return std::span(mapping_ + offset, bytes);
  }

  // Only whole pages: those at the ends are the neighbours' as well. They stay in the page cache.
  void release(std::span<const std::byte> view) noexcept override {
    const auto offset = static_cast<std::uint64_t>(view.data() - mapping_);
    const std::uint64_t begin = (offset + kPageBytes - 1) / kPageBytes * kPageBytes;
    const std::uint64_t end = (offset + view.size()) / kPageBytes * kPageBytes;
    if (begin < end) ::madvise(const_cast<std::byte*>(mapping_ + begin), end - begin, MADV_DONTNEED);
  }

 protected:
  [[nodiscard]] Result<std::size_t> fetch(std::uint64_t offset, std::span<std::byte> out) override {
    if (out.empty()) return std::size_t{0};
    if (!populate(offset, out.size())) return FileSource::fetch(offset, out);
    std::memcpy(out.data(), mapping_ + offset, out.size());
    return out.size();
  }

 private:
  // Whether these bytes may be touched. EINVAL is the word of kernels that have no such call: pages come as they are
  // touched.
  [[nodiscard]] bool populate(std::uint64_t offset, std::size_t bytes) const {
    struct stat status {};
    if (::fstat(descriptor(), &status) != 0 || static_cast<std::uint64_t>(status.st_size) < offset + bytes)
      return false;
    const std::uint64_t begin = offset / kPageBytes * kPageBytes;
    auto* const first = const_cast<std::byte*>(mapping_ + begin);
    return ::madvise(first, offset + bytes - begin, kPopulateRead) == 0 || errno == EINVAL;
  }

  const std::byte* mapping_;
  std::size_t bytes_;
};

// Reads past the page cache, through a descriptor of its own. What is not aligned goes through a buffer; whatever the
// filesystem refuses, or does not give though it should be there, is read through the page cache, and so is all that
// follows.
class DirectSource final : public FileSource {
 public:
  DirectSource(FileDescriptor plain, FileDescriptor direct, std::string path, const Identity& identity)
      : FileSource(std::move(plain), std::move(path), identity), direct_(std::move(direct)) {}

 protected:
  [[nodiscard]] Result<std::size_t> fetch(std::uint64_t offset, std::span<std::byte> out) override {
    std::size_t done = 0;
    while (done < out.size() && works_.load(std::memory_order_relaxed)) {
      const std::uint64_t position = offset + done;
      const std::span<std::byte> rest = out.subspan(done);
      const bool aligned =
          position % kPageBytes == 0 && reinterpret_cast<std::uintptr_t>(rest.data()) % kPageBytes == 0;
      const std::size_t got = aligned && rest.size() >= kPageBytes
                                  ? read_aligned(position, rest.first(rest.size() / kPageBytes * kPageBytes))
                                  : read_through_buffer(position, rest);
      if (got == 0) works_.store(false, std::memory_order_relaxed);
      done += got;
    }
    if (done == out.size()) return done;
    GGUF_FUSE_ASSIGN(const std::size_t more, FileSource::fetch(offset + done, out.subspan(done)));
    return done + more;
  }

 private:
  static constexpr std::size_t kBufferBytes = std::size_t{1} << 20;

  // What could be read; 0 after an error.
  [[nodiscard]] std::size_t read_aligned(std::uint64_t offset, std::span<std::byte> out) const {
    const ssize_t got = ::pread(direct_.get(), out.data(), out.size(), static_cast<off_t>(offset));
    return got > 0 ? static_cast<std::size_t>(got) : 0;
  }

  [[nodiscard]] std::size_t read_through_buffer(std::uint64_t offset, std::span<std::byte> out) {
    PageBytes buffer = take_buffer();
    if (!buffer) return 0;
    const std::size_t skipped = offset % kPageBytes;
    const std::size_t wanted = (skipped + out.size() + kPageBytes - 1) / kPageBytes * kPageBytes;
    const std::size_t got = read_aligned(offset - skipped, {buffer.get(), std::min(wanted, kBufferBytes)});
    const std::size_t copied = got > skipped ? std::min(got - skipped, out.size()) : 0;
    std::memcpy(out.data(), buffer.get() + skipped, copied);
    const std::scoped_lock lock(mutex_);
    buffers_.push_back(std::move(buffer));
    return copied;
  }

  // One buffer for each thread that reads at the same time.
  PageBytes take_buffer() try {
    const std::scoped_lock lock(mutex_);
    if (buffers_.empty()) return allocate_page_bytes(kBufferBytes);
    PageBytes buffer = std::move(buffers_.back());
    buffers_.pop_back();
    return buffer;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }

  FileDescriptor direct_;
  std::atomic<bool> works_{true};
  std::mutex mutex_;
  std::vector<PageBytes> buffers_;
};

// The same file once more: a flag set on the descriptor itself would hold for everyone who shares it.
FileDescriptor open_direct(int descriptor) {
  const std::string name = fmt::format("/proc/self/fd/{}", descriptor);
  return FileDescriptor(::open(name.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
}

}  // namespace

Result<std::optional<std::span<const std::byte>>> Source::view(std::uint64_t, std::size_t) { return std::nullopt; }

void Source::release(std::span<const std::byte>) noexcept {}

Result<std::size_t> Source::read_up_to(std::uint64_t offset, std::span<std::byte> out) {
  const std::uint64_t bytes = size().value_or(0);
  if (offset >= bytes) return std::size_t{0};
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), bytes - offset));
  GGUF_FUSE_CHECK(read_at(offset, out.first(count)));
  return count;
}

Result<Source::Tail> Source::read_tail(std::uint64_t offset) {
  constexpr std::size_t kChunk = std::size_t{64} << 10;
  GGUF_FUSE_ASSIGN(const Buffer buffer, allocate(kChunk));
  Tail tail;
  for (;;) {
    GGUF_FUSE_ASSIGN(const std::size_t got, read_up_to(offset + tail.bytes, {buffer.get(), kChunk}));
    if (got == 0) return tail;
    tail.bytes += got;
    tail.all_zero = tail.all_zero &&
                    std::all_of(buffer.get(), buffer.get() + got, [](std::byte byte) { return byte == std::byte{0}; });
  }
}

Result<std::unique_ptr<Source>> detail::file_source(FileDescriptor descriptor, std::string path, LoadMode mode) {
  struct stat status {};
  if (::fstat(descriptor.get(), &status) != 0) return fail(system_error(ErrorCode::OpenFailed, path, errno));
  if (!S_ISREG(status.st_mode)) return fail(not_a_file(path, status.st_mode));
  const Identity identity = identity_of(status);
  if (mode == LoadMode::Mmap && identity.bytes > 0) {
    void* mapping = ::mmap(nullptr, identity.bytes, PROT_READ, MAP_SHARED, descriptor.get(), 0);
    if (mapping != MAP_FAILED) {
      return std::make_unique<MappedSource>(std::move(descriptor), std::move(path), identity, mapping);
    }
  }
  if (mode == LoadMode::Direct) {
    if (FileDescriptor direct = open_direct(descriptor.get()); direct.valid()) {
      return std::make_unique<DirectSource>(std::move(descriptor), std::move(direct), std::move(path), identity);
    }
  }
  ::posix_fadvise(descriptor.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  return std::make_unique<FileSource>(std::move(descriptor), std::move(path), identity);
}

}  // namespace gguf_fuse::loader
