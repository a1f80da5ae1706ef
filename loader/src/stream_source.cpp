// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "byte_stream.hpp"

namespace gguf_fuse::loader::detail {
namespace {

class SizedStream final : public ByteStream {
 public:
  explicit SizedStream(std::unique_ptr<Source> source) : source_(std::move(source)) {}

  [[nodiscard]] Result<std::size_t> read(std::span<std::byte> out) override {
    GGUF_FUSE_ASSIGN(const std::size_t got, source_->read_up_to(position_, out));
    position_ += got;
    return got;
  }
  [[nodiscard]] Result<void> check_unchanged() const override { return source_->check_unchanged(); }
  [[nodiscard]] const std::string& path() const override { return source_->path(); }

 private:
  std::unique_ptr<Source> source_;
  std::uint64_t position_ = 0;
};

// Small reads (a header's) are served from a buffer; large ones go from the stream to the caller without a copy.
class StreamSource final : public Source {
 public:
  explicit StreamSource(std::unique_ptr<ByteStream> stream) : stream_(std::move(stream)) {}

  [[nodiscard]] Result<void> read_at(std::uint64_t offset, std::span<std::byte> out) override {
    GGUF_FUSE_ASSIGN(const std::size_t got, read_up_to(offset, out));
    if (got < out.size()) return fail(truncated(path(), offset, out.size(), got));
    return {};
  }

  [[nodiscard]] Result<std::size_t> read_up_to(std::uint64_t offset, std::span<std::byte> out) override {
    if (offset < position_) {
      return fail(Error{.code = ErrorCode::InvalidArgument,
                        .path = path(),
                        .offset = offset,
                        .expected = fmt::format("byte {} or later of a stream", position_),
                        .actual = fmt::format("{}", offset),
                        .hint = "a stream can be read once, from front to back"});
    }
    while (position_ < offset) {
      if (begin_ == end_) GGUF_FUSE_CHECK(fill());
      if (begin_ == end_) return std::size_t{0};
      const std::uint64_t skipped = std::min<std::uint64_t>(end_ - begin_, offset - position_);
      begin_ += static_cast<std::size_t>(skipped);
      position_ += skipped;
    }
    return take(out);
  }

  [[nodiscard]] std::optional<std::uint64_t> size() const override { return std::nullopt; }
  [[nodiscard]] bool sequential() const override { return true; }
  [[nodiscard]] Result<void> check_unchanged() const override { return stream_->check_unchanged(); }
  void cancel() noexcept override { stream_->cancel(); }
  [[nodiscard]] const std::string& path() const override { return stream_->path(); }

 private:
  static constexpr std::size_t kBufferBytes = std::size_t{1} << 20;

  Result<std::size_t> take(std::span<std::byte> out) {
    std::size_t done = 0;
    while (done < out.size()) {
      const std::span<std::byte> rest = out.subspan(done);
      if (begin_ == end_ && rest.size() >= kBufferBytes) {
        GGUF_FUSE_ASSIGN(const std::size_t got, read_stream(rest));
        if (got == 0) break;
        done += got;
        position_ += got;
        continue;
      }
      if (begin_ == end_) GGUF_FUSE_CHECK(fill());
      if (begin_ == end_) break;
      const std::size_t count = std::min(end_ - begin_, rest.size());
      std::memcpy(rest.data(), buffer_.get() + begin_, count);
      begin_ += count;
      done += count;
      position_ += count;
    }
    return done;
  }

  Result<void> fill() {
    if (!buffer_) {
      GGUF_FUSE_ASSIGN(buffer_, allocate(kBufferBytes));
    }
    GGUF_FUSE_ASSIGN(end_, read_stream({buffer_.get(), kBufferBytes}));
    begin_ = 0;
    return {};
  }

  // The end is final, even where (as at a terminal) more could follow.
  Result<std::size_t> read_stream(std::span<std::byte> out) {
    if (ended_) return std::size_t{0};
    auto got = stream_->read(out);
    ended_ = got && *got == 0;
    return got;
  }

  std::unique_ptr<ByteStream> stream_;
  Buffer buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::uint64_t position_ = 0;  // of the next byte the caller gets
  bool ended_ = false;
};

}  // namespace

DescriptorStream::DescriptorStream(FileDescriptor descriptor, std::string path)
    : descriptor_(std::move(descriptor)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), path_(std::move(path)) {}

Result<std::size_t> DescriptorStream::read(std::span<std::byte> out) {
  if (peeked_begin_ == peeked_end_) return receive(out);
  const std::size_t count = std::min(out.size(), peeked_end_ - peeked_begin_);
  std::memcpy(out.data(), peeked_.data() + peeked_begin_, count);
  peeked_begin_ += count;
  return count;
}

void DescriptorStream::cancel() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t put = ::write(wake_.get(), &one, sizeof(one));
}

Result<std::span<const std::byte>> DescriptorStream::peek() {
  while (peeked_end_ < peeked_.size()) {
    GGUF_FUSE_ASSIGN(const std::size_t got, receive({peeked_.data() + peeked_end_, peeked_.size() - peeked_end_}));
    if (got == 0) break;
    peeked_end_ += got;
  }
  return std::span<const std::byte>(peeked_.data(), peeked_end_);
}

Result<std::size_t> DescriptorStream::receive(std::span<std::byte> out) {
  for (;;) {
    if (!wait()) {
      return fail(Error{.code = ErrorCode::Interrupted, .path = path_, .offset = position_});
    }
    const ssize_t got = ::read(descriptor_.get(), out.data(), out.size());
    if (got >= 0) {
      position_ += static_cast<std::uint64_t>(got);
      return static_cast<std::size_t>(got);
    }
    if (errno != EINTR && errno != EAGAIN) return fail(system_error(ErrorCode::ReadFailed, path_, errno, position_));
  }
}

// Waits until there is something to read; false once cancelled. What poll cannot wait for, read may judge.
bool DescriptorStream::wait() {
  std::array<pollfd, 2> files{pollfd{descriptor_.get(), POLLIN, 0}, pollfd{wake_.get(), POLLIN, 0}};
  for (;;) {
    if (::poll(files.data(), files.size(), -1) >= 0) return files[1].revents == 0;
    if (errno != EINTR) return true;
  }
}

std::unique_ptr<ByteStream> sized_stream(std::unique_ptr<Source> source) {
  return std::make_unique<SizedStream>(std::move(source));
}

std::unique_ptr<Source> stream_source(std::unique_ptr<ByteStream> stream) {
  return std::make_unique<StreamSource>(std::move(stream));
}

}  // namespace gguf_fuse::loader::detail
