// SPDX-License-Identifier: MIT
// Sources that can be read once: pipes, gzip streams, and what spool() makes of them.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>

#include "gguf_fuse/loader/source.hpp"
#include "support/file_util.hpp"
#include "support/random.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::loader {
namespace {

using support::bytes_of;
using support::TempDir;
using Bytes = std::vector<std::byte>;

Bytes random_bytes(std::size_t count, std::uint64_t seed = 1) {
  Bytes bytes(count);
  support::Random(seed).fill(bytes);
  return bytes;
}

Bytes gzip(std::span<const std::byte> bytes) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
  Bytes out(deflateBound(&stream, bytes.size()) + 32);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

// Everything a source holds, in pieces of `step`.
Result<Bytes> read_all(Source& source, std::size_t step = 1000) {
  Bytes all;
  for (;;) {
    Bytes piece(step);
    GGUF_FUSE_ASSIGN(const std::size_t got, source.read_up_to(all.size(), piece));
    all.insert(all.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(got));
    if (got < step) return all;
  }
}

// Standard input is what `descriptor` is, for as long as this lives.
class StandardInput {
 public:
  explicit StandardInput(int descriptor) : saved_(dup(STDIN_FILENO)) {
    dup2(descriptor, STDIN_FILENO);
    close(descriptor);
  }
  ~StandardInput() {
    dup2(saved_, STDIN_FILENO);
    close(saved_);
  }

 private:
  int saved_;
};

// A pipe as standard input, filled by a thread in portions of a given size.
class PipedInput {
 public:
  PipedInput(Bytes bytes, std::size_t portion) : PipedInput(std::move(bytes), portion, make_pipe()) {}
  ~PipedInput() { writer_.join(); }

 private:
  PipedInput(Bytes bytes, std::size_t portion, std::array<int, 2> ends)
      : input_(ends[0]), writer_([out = ends[1], bytes = std::move(bytes), portion] {
          for (std::size_t at = 0; at < bytes.size();) {
            const ssize_t put = write(out, bytes.data() + at, std::min(portion, bytes.size() - at));
            if (put <= 0) break;
            at += static_cast<std::size_t>(put);
          }
          close(out);
        }) {}
  static std::array<int, 2> make_pipe() {
    std::array<int, 2> ends{};
    EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
    return ends;
  }

  StandardInput input_;
  std::thread writer_;
};

TEST(StandardInputSource, PipeInAnyPortions) {
  const Bytes content = random_bytes(3'000'000);
  for (const std::size_t portion : {std::size_t{1000}, std::size_t{65536}, std::size_t{1} << 22}) {
    const PipedInput input(content, portion);
    auto source = open_source("-");
    ASSERT_TRUE(source) << source.error().message();
    EXPECT_TRUE((*source)->sequential());
    EXPECT_EQ((*source)->size(), std::nullopt);
    EXPECT_EQ((*source)->descriptor(), -1);
    Bytes out(100);
    ASSERT_TRUE((*source)->read_at(50, out));
    EXPECT_EQ(std::memcmp(out.data(), content.data() + 50, out.size()), 0);
    const auto back = (*source)->read_at(149, out);
    ASSERT_FALSE(back);
    EXPECT_EQ(back.error().code, ErrorCode::InvalidArgument);
    out.resize(2'000'000);
    ASSERT_TRUE((*source)->read_at(200, out));
    EXPECT_EQ(std::memcmp(out.data(), content.data() + 200, out.size()), 0);
    const auto tail = (*source)->read_tail(2'500'000);
    ASSERT_TRUE(tail);
    EXPECT_EQ(tail->bytes, 500'000U);
    EXPECT_FALSE(tail->all_zero);
    EXPECT_EQ((*source)->read_at(3'000'000, out).error().code, ErrorCode::Truncated);
  }
}

TEST(StandardInputSource, ZeroTailAndShortStreams) {
  for (const std::size_t size : {0U, 1U, 2U, 3U}) {
    const PipedInput input(Bytes(size), 1);
    auto source = open_source("-");
    ASSERT_TRUE(source);
    const auto tail = (*source)->read_tail(1);
    ASSERT_TRUE(tail);
    EXPECT_EQ(tail->bytes, size > 1 ? size - 1 : 0);
    EXPECT_TRUE(tail->all_zero);
  }
}

TEST(StandardInputSource, RedirectedFileIsRandomAccessFromItsBeginning) {
  const TempDir dir;
  support::write_text(dir.file("a"), "0123456789");
  for (const off_t begin : {0, 4}) {
    const int file = open(dir.file("a").c_str(), O_RDONLY | O_CLOEXEC);
    lseek(file, begin, SEEK_SET);
    const StandardInput input(file);
    auto source = open_source("-", LoadMode::Direct);
    ASSERT_TRUE(source);
    EXPECT_EQ((*source)->sequential(), begin != 0);
    EXPECT_EQ(read_all(**source)->size(), 10U - static_cast<std::size_t>(begin));
    EXPECT_EQ((*source)->path(), "-");
    EXPECT_EQ(fcntl(STDIN_FILENO, F_GETFL) & O_DIRECT, 0);
  }
}

TEST(StandardInputSource, CancelEndsAWait) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_EQ(write(ends[1], "ab", 2), 2);
  {
    const StandardInput input(ends[0]);
    auto source = open_source("-");
    ASSERT_TRUE(source);
    std::thread stopper([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      (*source)->cancel();
    });
    Bytes out(10);
    EXPECT_EQ((*source)->read_at(0, out).error().code, ErrorCode::Interrupted);
    stopper.join();
  }
  close(ends[1]);
}

TEST(StandardInputSource, RefusesDevicesAndNothing) {
  {
    const StandardInput input(open("/dev/null", O_RDONLY));
    EXPECT_EQ(open_source("-").error().code, ErrorCode::NotAFile);
  }
  const StandardInput input(dup(STDIN_FILENO));
  close(STDIN_FILENO);
  EXPECT_EQ(open_source("-").error().code, ErrorCode::OpenFailed);
}

class GzipFile : public testing::Test {
 protected:
  Result<Bytes> unzip(std::span<const std::byte> compressed, std::size_t step = 1000) {
    support::write_file(dir_.file("a.gz"), compressed);
    GGUF_FUSE_ASSIGN(const auto source, open_source(dir_.file("a.gz")));
    EXPECT_TRUE(source->sequential());
    return read_all(*source, step);
  }
  TempDir dir_;
};

TEST_F(GzipFile, OneAndMoreMembers) {
  const Bytes a = random_bytes(700'001);
  const Bytes b(3'000'000, std::byte{5});
  EXPECT_EQ(unzip(gzip(a)).value(), a);
  EXPECT_EQ(unzip(gzip({})).value(), Bytes{});
  EXPECT_EQ(unzip(joined({gzip(a), gzip({}), gzip(b)}), 2'000'000).value(), joined({a, b}));
  // Whichever way the boundary of the members meets the end of the buffer.
  for (std::size_t size = 262'000; size < 262'150; ++size) {
    const Bytes stored = random_bytes(size);
    ASSERT_EQ(unzip(joined({gzip(stored), gzip(bytes_of("end"))}), 1U << 21).value().size(), size + 3);
  }
}

TEST_F(GzipFile, IgnoresWhatFollowsAsGzipDoes) {
  const Bytes content = random_bytes(1000);
  EXPECT_EQ(unzip(joined({gzip(content), Bytes(10'000)})).value(), content);
  EXPECT_EQ(unzip(joined({gzip(content), Bytes(1, std::byte{0x1f})})).value(), content);
  EXPECT_EQ(unzip(joined({gzip(content), random_bytes(300, 9)})).value(), content);
}

TEST_F(GzipFile, TruncatedAnywhere) {
  const Bytes compressed = joined({gzip(random_bytes(200)), gzip(bytes_of("the second member"))});
  const std::size_t first = gzip(random_bytes(200)).size();
  for (std::size_t size = 2; size < compressed.size(); ++size) {
    const auto result = unzip(std::span(compressed).first(size), 64);
    if (size == first || size == first + 1) {  // a whole member, and no sign of another one
      EXPECT_EQ(result->size(), 200U);
      continue;
    }
    ASSERT_FALSE(result) << size;
    EXPECT_EQ(result.error().code, ErrorCode::BadGzip);
    EXPECT_EQ(result.error().offset, size);
    EXPECT_EQ(result.error().path, dir_.file("a.gz"));
  }
}

TEST_F(GzipFile, DamagedAnywhereIsNeverTakenForGood) {
  const Bytes content = random_bytes(300);
  const Bytes compressed = gzip(content);
  for (std::size_t at = 2; at < compressed.size(); ++at) {
    Bytes damaged = compressed;
    damaged[at] ^= std::byte{0x40};
    const auto result = unzip(damaged, 64);
    if (result) {
      EXPECT_EQ(*result, content) << "at " << at;  // time, system and such
    } else {
      EXPECT_EQ(result.error().code, ErrorCode::BadGzip) << "at " << at;
      EXPECT_LE(result.error().offset, compressed.size());
    }
  }
}

TEST_F(GzipFile, FromAPipe) {
  const Bytes content = random_bytes(500'000);
  for (const std::size_t portion : {std::size_t{1}, std::size_t{50'000}}) {
    const PipedInput input(gzip(std::span(content).first(portion == 1 ? 500 : content.size())), portion);
    auto source = open_source("-");
    ASSERT_TRUE(source);
    const auto all = read_all(**source);
    ASSERT_TRUE(all) << all.error().message();
    EXPECT_TRUE(std::equal(all->begin(), all->end(), content.begin()));
  }
}

TEST_F(GzipFile, NoticesChangesOfTheFile) {
  support::write_file(dir_.file("a.gz"), gzip(random_bytes(100)));
  auto source = open_source(dir_.file("a.gz"));
  EXPECT_TRUE((*source)->check_unchanged());
  std::filesystem::resize_file(dir_.file("a.gz"), 50);
  EXPECT_EQ((*source)->check_unchanged().error().code, ErrorCode::InputChanged);
}

TEST(Spool, TurnsAStreamIntoAFile) {
  const TempDir dir;
  setenv("TMPDIR", dir.path().c_str(), 1);
  const Bytes content = random_bytes(2'500'000);
  support::write_file(dir.file("a.gz"), gzip(content));
  auto source = spool(std::move(*open_source(dir.file("a.gz"))));
  ASSERT_TRUE(source) << source.error().message();
  EXPECT_FALSE((*source)->sequential());
  EXPECT_GE((*source)->descriptor(), 0);
  EXPECT_EQ((*source)->path(), dir.file("a.gz"));
  EXPECT_EQ(read_all(**source, 100'000).value(), content);
  EXPECT_EQ(support::list_folder(dir.path()), std::vector<std::string>{"a.gz"});
  support::write_text(dir.file("a.gz"), "\x1f\x8b damaged");
  EXPECT_EQ(spool(std::move(*open_source(dir.file("a.gz")))).error().code, ErrorCode::BadGzip);
  setenv("TMPDIR", dir.file("missing").c_str(), 1);
  const auto homeless = spool(memory_source(content, "x"));
  ASSERT_FALSE(homeless);
  EXPECT_EQ(homeless.error().code, ErrorCode::OpenFailed);
  EXPECT_NE(homeless.error().message().find("TMPDIR"), std::string::npos);
  unsetenv("TMPDIR");
}

}  // namespace
}  // namespace gguf_fuse::loader
