// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "byte_stream.hpp"

namespace gguf_fuse::loader::detail {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 18;
constexpr std::size_t kMaxPortion = std::size_t{1} << 30;  // zlib counts in 32 bits

class GzipStream final : public ByteStream {
 public:
  GzipStream(std::unique_ptr<ByteStream> compressed, Buffer buffer)
      : compressed_(std::move(compressed)), buffer_(std::move(buffer)) {}
  GzipStream(const GzipStream&) = delete;
  GzipStream& operator=(const GzipStream&) = delete;
  ~GzipStream() override { ::inflateEnd(&zlib_); }

  [[nodiscard]] Result<void> start() {
    constexpr int kGzipOnly = MAX_WBITS + 16;
    if (::inflateInit2(&zlib_, kGzipOnly) == Z_OK) return {};
    return fail(system_error(ErrorCode::SystemFailed, path(), ENOMEM));
  }

  [[nodiscard]] Result<std::size_t> read(std::span<std::byte> out) override {
    out = out.first(std::min(out.size(), kMaxPortion));
    for (;;) {
      if (member_ended_) GGUF_FUSE_CHECK(next_member());
      if (ended_) return std::size_t{0};
      if (zlib_.avail_in == 0) GGUF_FUSE_CHECK(refill());
      GGUF_FUSE_ASSIGN(const std::size_t produced, inflate_into(out));
      if (produced > 0) return produced;
    }
  }

  [[nodiscard]] Result<void> check_unchanged() const override { return compressed_->check_unchanged(); }
  void cancel() noexcept override { compressed_->cancel(); }
  [[nodiscard]] const std::string& path() const override { return compressed_->path(); }

 private:
  Result<std::size_t> inflate_into(std::span<std::byte> out) {
    if (zlib_.avail_in == 0) return fail(damaged("the end of the file", "more compressed data"));
    zlib_.next_out = reinterpret_cast<Bytef*>(out.data());
    zlib_.avail_out = static_cast<uInt>(out.size());
    const int status = ::inflate(&zlib_, Z_NO_FLUSH);
    if (status == Z_MEM_ERROR) return fail(system_error(ErrorCode::SystemFailed, path(), ENOMEM));
    if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
      return fail(damaged(zlib_.msg != nullptr ? zlib_.msg : "a preset dictionary", {}));
    }
    member_ended_ = status == Z_STREAM_END;
    return out.size() - zlib_.avail_out;
  }

  // Behind a member comes another one, or the end. As gzip(1) does, everything else that follows (the zeros with which
  // tapes and some copiers fill blocks, or garbage) is left alone: the members before it are complete and proved by
  // their checksums.
  Result<void> next_member() {
    if (zlib_.avail_in < 2) GGUF_FUSE_CHECK(refill());
    if (zlib_.avail_in < 2) GGUF_FUSE_CHECK(refill());
    if (is_gzip({reinterpret_cast<const std::byte*>(zlib_.next_in), zlib_.avail_in})) {
      member_ended_ = false;
      ::inflateReset(&zlib_);
    } else {
      ended_ = true;
    }
    return {};
  }

  // Adds what comes next to what is left in the buffer; nothing at the end.
  Result<void> refill() {
    const std::size_t left = zlib_.avail_in;
    if (left > 0) std::memmove(buffer_.get(), zlib_.next_in, left);
    GGUF_FUSE_ASSIGN(const std::size_t got, compressed_->read({buffer_.get() + left, kBufferBytes - left}));
    fetched_ += got;
    zlib_.next_in = reinterpret_cast<Bytef*>(buffer_.get());
    zlib_.avail_in = static_cast<uInt>(left + got);
    return {};
  }

  Error damaged(std::string actual, std::string expected) const {
    return Error{.code = ErrorCode::BadGzip,
                 .path = path(),
                 .offset = fetched_ - zlib_.avail_in,
                 .expected = std::move(expected),
                 .actual = std::move(actual)};
  }

  std::unique_ptr<ByteStream> compressed_;
  Buffer buffer_;
  z_stream zlib_{};
  std::uint64_t fetched_ = 0;
  bool member_ended_ = false;
  bool ended_ = false;
};

}  // namespace

Result<std::unique_ptr<ByteStream>> gzip_stream(std::unique_ptr<ByteStream> compressed) {
  GGUF_FUSE_ASSIGN(Buffer buffer, allocate(kBufferBytes));
  auto stream = std::make_unique<GzipStream>(std::move(compressed), std::move(buffer));
  GGUF_FUSE_CHECK(stream->start());
  return stream;
}

bool is_gzip(std::span<const std::byte> head) {
  return head.size() >= 2 && head[0] == std::byte{0x1f} && head[1] == std::byte{0x8b};
}

}  // namespace gguf_fuse::loader::detail
