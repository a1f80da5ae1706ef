// SPDX-License-Identifier: MIT
#include "support/hostile.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <new>
#include <set>

#include "gguf_fuse/loader/model.hpp"
#include "support/file_util.hpp"
#include "support/hostile_rows.hpp"
#include "support/memory_sink.hpp"
#include "support/sanitized.hpp"
#include "support/temp_dir.hpp"

namespace {

std::atomic<std::size_t> allocated{0};
std::atomic<std::size_t> most_allocated{0};

}  // namespace

#if !GGUF_FUSE_SANITIZED
// Everything the library allocates passes here, so that its appetite can be measured. Sanitizers bring operators of
// their own.
void* operator new(std::size_t bytes) {
  void* memory = std::malloc(bytes);
  if (memory == nullptr) throw std::bad_alloc();
  const std::size_t now = allocated += malloc_usable_size(memory);
  std::size_t most = most_allocated;
  while (now > most && !most_allocated.compare_exchange_weak(most, now)) {
  }
  return memory;
}

void operator delete(void* memory) noexcept {
  allocated -= malloc_usable_size(memory);
  std::free(memory);
}

void operator delete(void* memory, std::size_t) noexcept { operator delete(memory); }
#endif

namespace gguf_fuse::loader {
namespace {

using support::HostileFile;
using support::MemoryStream;
using support::TempDir;
using support::ValidFile;
using testing::HasSubstr;
using testing::Not;
using Bytes = std::vector<std::byte>;

// A name that must not reach a terminal as it is.
const std::string kPath = "evil\n\x1b[2J\xff.gguf";

/// How much one reading costs. Processor time, because a busy machine is not the reader's fault.
class Meter {
 public:
  Meter() { most_allocated = allocated.load(); }
  void expect_modest(std::uint64_t file_bytes) const {
    // Instrumented code is several times as slow; there is nothing to measure then.
    if (GGUF_FUSE_SANITIZED) return;
    EXPECT_LT(std::clock() - start_, CLOCKS_PER_SEC);
    EXPECT_LE(most_allocated - before_, (std::uint64_t{64} << 20) + 4 * file_bytes);
  }

 private:
  std::size_t before_ = allocated;
  std::clock_t start_ = std::clock();
};

void expect_safe_line(const std::string& text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    EXPECT_TRUE(byte >= 0x20 && byte != 0x7f) << "byte " << int{byte} << " in " << escape_text(text);
  }
  EXPECT_EQ(escape_text(text), text);
}

void expect_good_error(const Error& error, const std::string& path) {
  EXPECT_EQ(error.path, path);
  EXPECT_FALSE(error.hint.empty() && error_hint(error.code).empty());
  EXPECT_EQ(error.kind(), ErrorKind::Malformed);
  EXPECT_TRUE(error.offset.has_value());
  const std::string message = error.message();
  expect_safe_line(message);
  EXPECT_THAT(message, HasSubstr(escape_text(path)));
  EXPECT_THAT(message, HasSubstr(escape_text(error.hint.empty() ? error_hint(error.code) : error.hint)));
  EXPECT_LT(message.size(), 1500U);
}

// A stream does not say how much follows: what a file cannot have room for ends early there, or is found when the data
// is asked for.
bool is_right_for_stream(ErrorCode expected, ErrorCode actual) {
  if (actual == expected) return true;
  // Without a size only the records themselves show that there are fewer than announced.
  if (expected == ErrorCode::TooManyKeys) return actual == ErrorCode::BadKey || actual == ErrorCode::Truncated;
  if (expected == ErrorCode::TooManyTensors)
    return actual == ErrorCode::BadTensorName || actual == ErrorCode::Truncated;
  const bool about_room = expected == ErrorCode::StringTooLong || expected == ErrorCode::ArrayTooLong;
  return about_room && actual == ErrorCode::Truncated;
}

TEST(Hostile, CorpusIsLargeAndNamedOnce) {
  std::set<std::string> names;
  for (const HostileFile& file : support::hostile_files()) EXPECT_TRUE(names.insert(file.name).second) << file.name;
  EXPECT_GE(names.size(), 150U);
  const std::size_t hostile = names.size();
  for (const ValidFile& file : support::valid_files()) EXPECT_TRUE(names.insert(file.name).second) << file.name;
  EXPECT_GE(names.size() - hostile, 40U);
}

TEST(Hostile, EveryFileIsRefusedWithItsCode) {
  for (const HostileFile& file : support::hostile_files()) {
    SCOPED_TRACE(file.name);
    const Bytes bytes = file.build();
    const auto source = memory_source(bytes, kPath);
    const Meter meter;
    const auto container = read_container(*source);
    meter.expect_modest(bytes.size());
    ASSERT_FALSE(container) << "expected " << error_name(file.code);
    EXPECT_EQ(error_name(container.error().code), error_name(file.code)) << container.error().message();
    expect_good_error(container.error(), kPath);
  }
}

TEST(Hostile, StreamsAreRefusedToo) {
  for (const HostileFile& file : support::hostile_files()) {
    SCOPED_TRACE(file.name);
    const Bytes bytes = file.build();
    MemoryStream stream(bytes);
    const Meter meter;
    const auto container = read_container(stream);
    meter.expect_modest(bytes.size());
    if (file.code == ErrorCode::DataBeyondEnd) {
      EXPECT_TRUE(container) << container.error().message();
      continue;
    }
    ASSERT_FALSE(container) << "expected " << error_name(file.code);
    EXPECT_TRUE(is_right_for_stream(file.code, container.error().code)) << container.error().message();
    expect_good_error(container.error(), "stream");
  }
}

TEST(Hostile, FilesOnDiskInEveryMode) {
  const TempDir dir;
  for (const HostileFile& file : support::hostile_files()) {
    SCOPED_TRACE(file.name);
    const std::string path = dir.file("hostile.gguf");
    support::write_file(path, file.build());
    // gzip's magic opens another door, with a test of its own.
    if (file.name == "magic_gzip") continue;
    for (const LoadMode mode : {LoadMode::Read, LoadMode::Mmap, LoadMode::Direct}) {
      const auto model = open_model(path, {.mode = mode, .limits = {}});
      ASSERT_FALSE(model);
      EXPECT_EQ(error_name(model.error().code), error_name(file.code));
      EXPECT_EQ(model.error().path, path);
    }
  }
}

TEST(Hostile, MessagesDoNotEchoWhatTerminalsObey) {
  for (const ValidFile& file : support::valid_files()) {
    if (file.name != "ok_hostile_text") continue;
    Bytes bytes = file.build();
    bytes.resize(bytes.size() - 32);
    const auto container = read_container(*memory_source(bytes, kPath));
    ASSERT_FALSE(container);
    EXPECT_THAT(container.error().subject, HasSubstr("\x1b[31m"));
    expect_safe_line(container.error().message());
    EXPECT_THAT(container.error().message(), Not(HasSubstr("\x1b")));
  }
}

TEST(Valid, EveryFileIsRead) {
  for (const ValidFile& file : support::valid_files()) {
    SCOPED_TRACE(file.name);
    const Bytes bytes = file.build();
    const auto source = memory_source(bytes, kPath);
    const Meter meter;
    const auto container = read_container(*source);
    meter.expect_modest(bytes.size());
    ASSERT_TRUE(container) << container.error().message();
    EXPECT_EQ(container->file_bytes, bytes.size());
    EXPECT_LE(container->data_offset + container->data_bytes, std::max(bytes.size(), container->data_offset));
    EXPECT_EQ(container->data_offset % container->alignment, 0U);
    for (std::size_t i = 0; i < container->metadata.size(); ++i)
      expect_safe_line(container->metadata[i].value.display());
  }
}

TEST(Valid, StreamsAreReadToo) {
  for (const ValidFile& file : support::valid_files()) {
    SCOPED_TRACE(file.name);
    const Bytes bytes = file.build();
    MemoryStream stream(bytes);
    const auto container = read_container(stream);
    ASSERT_TRUE(container) << container.error().message();
    EXPECT_EQ(container->file_bytes, std::nullopt);
    const auto from_file = read_container(*memory_source(bytes, kPath));
    EXPECT_EQ(*container->header, *from_file->header);
    EXPECT_EQ(container->data_offset, from_file->data_offset);
  }
}

// A sparse file costs its author nothing, so reading it must not cost much either.
class Sparse : public testing::Test {
 protected:
  std::string file(std::uint64_t bytes, const Bytes& head) {
    support::write_file(dir_.file("sparse"), head);
    std::filesystem::resize_file(dir_.file("sparse"), bytes);
    return dir_.file("sparse");
  }

 private:
  TempDir dir_;
};

Bytes array_head(ValueType element, std::uint64_t count) {
  support::RawBytes raw;
  return raw.header(0, 1).array("key", element, count).bytes();
}

TEST_F(Sparse, StringOfAGigabyte) {
  const std::string path =
      file(std::uint64_t{2} << 30,
           support::RawBytes().header(0, 1).key("key", ValueType::String).u64(std::uint64_t{1} << 30).bytes());
  const Meter meter;
  const auto model = open_model(path);
  meter.expect_modest(0);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::StringTooLong);
}

TEST_F(Sparse, ArrayBeyondTheMetadataLimit) {
  const std::string path = file(std::uint64_t{3} << 30, array_head(ValueType::U64, std::uint64_t{1} << 28));
  const Meter meter;
  const auto model = open_model(path);
  meter.expect_modest(0);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::ArrayTooLong);
}

TEST_F(Sparse, ArrayWithinTheLimit) {
  const std::uint64_t bytes = std::uint64_t{64} << 20;
  const std::string path = file(bytes, array_head(ValueType::U64, bytes / 8 - 100));
  const Meter meter;
  const auto model = open_model(path);
  meter.expect_modest(bytes);
  ASSERT_TRUE(model) << model.error().message();
}

TEST_F(Sparse, EmptyStringsOfAVocabulary) {
  const std::uint64_t bytes = std::uint64_t{16} << 20;
  const std::string path = file(bytes, array_head(ValueType::String, bytes / 8 - 100));
  const Meter meter;
  const auto model = open_model(path);
  meter.expect_modest(bytes);
  ASSERT_TRUE(model) << model.error().message();
}

TEST(Hostile, ManySmallTensors) {
  constexpr std::size_t kCount = 200'000;
  support::RawBytes raw;
  raw.header(kCount, 0);
  for (std::size_t i = 0; i < kCount; ++i) raw.row(std::to_string(i), {0}, 0, 0);
  const auto source = memory_source(raw.bytes(), kPath);
  const Meter meter;
  const auto container = read_container(*source);
  meter.expect_modest(raw.bytes().size());
  ASSERT_TRUE(container) << container.error().message();
  EXPECT_EQ(container->tensors.size(), kCount);
}

}  // namespace
}  // namespace gguf_fuse::loader
