// SPDX-License-Identifier: MIT
// Sinks that are written once, from front to back: descriptors and gzip streams.
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "gguf_fuse/loader/sink.hpp"
#include "support/file_util.hpp"
#include "support/random.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::loader {
namespace {

using support::bytes_of;
using support::TempDir;
using testing::HasSubstr;
using Bytes = std::vector<std::byte>;

Bytes some_bytes(std::size_t count) {
  Bytes bytes(count);
  support::Random(3).fill(std::span(bytes).first(count / 2));
  return bytes;
}

std::unique_ptr<Sink> gzip_file(const std::string& path, int level = 1) {
  return gzip_sink(std::move(*file_sink(path, {.replace = true})), level);
}

void write_all(Sink& sink, std::span<const std::byte> bytes, std::size_t step) {
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    const auto written = sink.write_at(at, bytes.subspan(at, std::min(step, bytes.size() - at)));
    ASSERT_TRUE(written) << written.error().message();
  }
}

TEST(DescriptorSink, WritesAPipeInOrder) {
  for (const int flags : {O_CLOEXEC, O_CLOEXEC | O_NONBLOCK}) {  // a full pipe is waited for, whoever made it so
    std::array<int, 2> ends{};
    ASSERT_EQ(pipe2(ends.data(), flags), 0);
    fcntl(ends[0], F_SETFL, 0);
    const Bytes content = some_bytes(1'000'000);
    Bytes received;
    std::thread reader([&] {
      Bytes piece(10'000);
      for (;;) {
        const ssize_t got = read(ends[0], piece.data(), piece.size());
        if (got <= 0) break;
        received.insert(received.end(), piece.begin(), piece.begin() + got);
      }
    });
    auto sink = descriptor_sink(ends[1], "-");
    ASSERT_TRUE(sink);
    EXPECT_TRUE((*sink)->sequential());
    EXPECT_EQ((*sink)->descriptor(), -1);
    EXPECT_EQ((*sink)->read_back(), nullptr);
    write_all(**sink, content, 300'000);
    EXPECT_EQ((*sink)->write_at(5, content).error().code, ErrorCode::InvalidArgument);
    EXPECT_TRUE((*sink)->commit());
    close(ends[1]);
    reader.join();
    close(ends[0]);
    EXPECT_EQ(received, content);
  }
}

TEST(DescriptorSink, ClosedPipeIsAnErrorAndNotASignal) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
  close(ends[0]);
  auto sink = descriptor_sink(ends[1], "-");
  ASSERT_TRUE(sink);
  const auto written = (*sink)->write_at(0, bytes_of("text"));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::WriteFailed);
  EXPECT_THAT(written.error().message(), HasSubstr("has ended"));
  sigset_t blocked{};
  pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  EXPECT_EQ(sigismember(&blocked, SIGPIPE), 0);
  close(ends[1]);
}

TEST(DescriptorSink, RefusesATerminal) {
  const int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0) GTEST_SKIP() << "no terminals here";
  EXPECT_EQ(descriptor_sink(terminal, "-").error().code, ErrorCode::OutputIsTerminal);
  close(terminal);
  EXPECT_EQ((*descriptor_sink(-1, "-"))->write_at(0, bytes_of("x")).error().code, ErrorCode::WriteFailed);
}

TEST(DescriptorSink, RedirectedFile) {
  const TempDir dir;
  const int file = open(dir.file("out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  auto sink = descriptor_sink(file, "-");
  EXPECT_TRUE((*sink)->write_at(0, bytes_of("text")));
  EXPECT_TRUE((*sink)->commit());
  close(file);
  EXPECT_EQ(support::read_text(dir.file("out")), "text");
}

TEST(GzipSink, ReadByGzipAndPythonAndUs) {
  const TempDir dir;
  const Bytes content = some_bytes(2'000'000);
  auto sink = gzip_file(dir.file("out.gz"));
  EXPECT_TRUE(sink->sequential());
  EXPECT_EQ(sink->path(), dir.file("out.gz"));
  write_all(*sink, content, 123'456);
  ASSERT_TRUE(sink->commit());
  support::write_file(dir.file("plain"), content);
  EXPECT_EQ(std::system(fmt::format("gzip -dc {} | cmp - {}", dir.file("out.gz"), dir.file("plain")).c_str()), 0);
  EXPECT_EQ(std::system(fmt::format("gzip -t {}", dir.file("out.gz")).c_str()), 0);
  const std::string python =
      "import gzip,sys; sys.exit(gzip.open(sys.argv[1]).read() != open(sys.argv[2],\"rb\").read())";
  if (std::system("command -v python3 >/dev/null") == 0) {
    EXPECT_EQ(std::system(fmt::format("python3 -c '{}' {} {}", python, dir.file("out.gz"), dir.file("plain")).c_str()),
              0);
  }
  auto source = open_source(dir.file("out.gz"));
  Bytes back(content.size());
  ASSERT_TRUE((*source)->read_at(0, back));
  EXPECT_EQ(back, content);
  EXPECT_EQ((*source)->read_tail(back.size())->bytes, 0U);
}

TEST(GzipSink, BytesDependOnContentAndLevelAlone) {
  const TempDir dir;
  const Bytes content = some_bytes(700'000);
  for (const auto& [name, step] : {std::pair{"a", std::size_t{1000}}, {"b", std::size_t{700'000}}}) {
    auto sink = gzip_file(dir.file(name), 6);
    write_all(*sink, content, step);
    ASSERT_TRUE(sink->commit());
  }
  EXPECT_EQ(support::difference(dir.file("a"), dir.file("b")), "");
  const Bytes head = support::read_file(dir.file("a"));
  const std::array<unsigned char, 10> expected{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
  EXPECT_TRUE(std::ranges::equal(std::span(head).first(10), std::as_bytes(std::span(expected))));
}

TEST(GzipSink, ReadsBackBeforeCommit) {
  const TempDir dir;
  const Bytes content = some_bytes(500'000);
  auto sink = gzip_file(dir.file("out.gz"));
  write_all(*sink, content, 100'000);
  const auto source = sink->read_back();
  ASSERT_TRUE(source);
  Bytes back(content.size());
  EXPECT_TRUE(source->read_at(0, back));
  EXPECT_EQ(back, content);
  EXPECT_EQ(source->read_tail(back.size())->bytes, 0U);
  EXPECT_EQ(sink->write_at(content.size(), content).error().code, ErrorCode::InvalidArgument);
  ASSERT_TRUE(sink->commit());
  EXPECT_EQ(std::system(fmt::format("gzip -t {}", dir.file("out.gz")).c_str()), 0);
}

TEST(GzipSink, Failures) {
  const TempDir dir;
  {
    auto sink = gzip_file(dir.file("out.gz"));
    EXPECT_EQ(sink->write_at(1, bytes_of("x")).error().code, ErrorCode::InvalidArgument);
    EXPECT_TRUE(sink->write_at(0, bytes_of("x")));
  }
  EXPECT_TRUE(support::list_folder(dir.path()).empty());
  EXPECT_EQ(gzip_file(dir.file("out.gz"), 42)->commit().error().code, ErrorCode::InvalidArgument);
  auto broken = gzip_sink(std::move(*descriptor_sink(-1, "-")));
  EXPECT_EQ(broken->read_back(), nullptr);
  EXPECT_EQ(broken->commit().error().code, ErrorCode::WriteFailed);
}

}  // namespace
}  // namespace gguf_fuse::loader
