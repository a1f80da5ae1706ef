// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "byte_stream.hpp"
#include "gguf_fuse/loader/sink.hpp"

namespace gguf_fuse::loader {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 18;
constexpr std::size_t kMaxPortion = std::size_t{1} << 30;  // zlib counts in 32 bits

class GzipSink final : public Sink {
 public:
  GzipSink(std::unique_ptr<Sink> inner, int level) : inner_(std::move(inner)) {
    constexpr int kGzip = MAX_WBITS + 16;
    constexpr int kMemory = 8;
    auto buffer = allocate(kBufferBytes);
    const int status = ::deflateInit2(&zlib_, level, Z_DEFLATED, kGzip, kMemory, Z_DEFAULT_STRATEGY);
    if (!buffer || status != Z_OK) {
      const bool bad_level = status == Z_STREAM_ERROR;
      failure_ = system_error(bad_level ? ErrorCode::InvalidArgument : ErrorCode::SystemFailed, path(),
                              bad_level ? EINVAL : ENOMEM);
      return;
    }
    buffer_ = std::move(*buffer);
    // No name, no time, no system: nothing but the content decides about the bytes.
    constexpr int kUnknownSystem = 255;
    head_.os = kUnknownSystem;
    ::deflateSetHeader(&zlib_, &head_);
  }
  GzipSink(const GzipSink&) = delete;
  GzipSink& operator=(const GzipSink&) = delete;
  ~GzipSink() override { ::deflateEnd(&zlib_); }

  [[nodiscard]] Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (offset != position_ || finished_) {
      return fail(Error{.code = ErrorCode::InvalidArgument,
                        .path = path(),
                        .offset = offset,
                        .expected = fmt::format("byte {} of a stream", position_),
                        .actual = fmt::format("{}", offset)});
    }
    while (!bytes.empty()) {
      const std::span<const std::byte> portion = bytes.first(std::min(bytes.size(), kMaxPortion));
      GGUF_FUSE_CHECK(remembered(compress(portion, Z_NO_FLUSH)));
      position_ += portion.size();
      bytes = bytes.subspan(portion.size());
    }
    return {};
  }

  [[nodiscard]] bool sequential() const override { return true; }
  [[nodiscard]] const std::string& path() const override { return inner_->path(); }

  /// Ends the stream: nothing can be written any more. A failure shows in commit().
  [[nodiscard]] std::unique_ptr<Source> read_back() override {
    if (!finish()) return nullptr;
    std::unique_ptr<Source> compressed = inner_->read_back();
    if (!compressed) return nullptr;
    auto stream = gzip_stream(sized_stream(std::move(compressed)));
    return stream ? stream_source(std::move(*stream)) : nullptr;
  }

  [[nodiscard]] Result<void> commit() override {
    GGUF_FUSE_CHECK(finish());
    return inner_->commit();
  }
  [[nodiscard]] std::vector<std::string> notes() const override { return inner_->notes(); }

 private:
  Result<void> finish() {
    if (finished_) return {};
    GGUF_FUSE_CHECK(remembered(compress({}, Z_FINISH)));
    finished_ = true;
    return {};
  }

  Result<void> compress(std::span<const std::byte> bytes, int flush) {
    if (failure_) return fail(*failure_);
    zlib_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data()));
    zlib_.avail_in = static_cast<uInt>(bytes.size());
    do {
      zlib_.next_out = reinterpret_cast<Bytef*>(buffer_.get());
      zlib_.avail_out = static_cast<uInt>(kBufferBytes);
      ::deflate(&zlib_, flush);
      const std::size_t produced = kBufferBytes - zlib_.avail_out;
      GGUF_FUSE_CHECK(inner_->write_at(compressed_, {buffer_.get(), produced}));
      compressed_ += produced;
    } while (zlib_.avail_out == 0);
    return {};
  }

  // A stream with a hole is worthless: after a failure every call fails.
  Result<void> remembered(Result<void> result) {
    if (!result) failure_ = result.error();
    return result;
  }

  std::unique_ptr<Sink> inner_;
  Buffer buffer_;
  z_stream zlib_{};
  gz_header head_{};
  std::uint64_t position_ = 0;
  std::uint64_t compressed_ = 0;
  bool finished_ = false;
  std::optional<Error> failure_;
};

}  // namespace

std::unique_ptr<Sink> gzip_sink(std::unique_ptr<Sink> inner, int level) {
  if (inner == nullptr) return nullptr;
  return std::make_unique<GzipSink>(std::move(inner), level);
}

}  // namespace gguf_fuse::loader
