// SPDX-License-Identifier: MIT
#include "../kernels/src/disk_cache.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "gguf_fuse/kernels/launch.hpp"
#include "support/file_util.hpp"
#include "support/opencl_device.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::kernels {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string entry(const support::TempDir& folder, const std::string& key) {
  return folder.file("c/kind/" + key + ".bin");
}

TEST(DiskCache, GivesBackWhatWasStored) {
  const support::TempDir folder;
  const DiskCache cache(folder.file("c"), "kind");
  const std::string key = DiskCache::key("one");
  EXPECT_NE(key, DiskCache::key("two"));
  EXPECT_FALSE(cache.load(key));
  for (const std::string& content : {std::string("text"), std::string(), std::string("\0\n\xFF", 3)}) {
    ASSERT_TRUE(cache.store(key, content));
    EXPECT_EQ(cache.load(key), content);
  }
  EXPECT_FALSE(cache.load(DiskCache::key("two")));
  EXPECT_THAT(support::list_folder(folder.file("c/kind")), ElementsAre(key + ".bin"));
  EXPECT_EQ(fs::status(folder.file("c")).permissions(), fs::perms::owner_all);
  EXPECT_EQ(fs::status(folder.file("c/kind")).permissions(), fs::perms::owner_all);
}

TEST(DiskCache, AnyDamageIsNoEntry) {
  const support::TempDir folder;
  const DiskCache cache(folder.file("c"), "kind");
  const std::string key = DiskCache::key("one");
  ASSERT_TRUE(cache.store(key, "some content"));
  const std::string path = entry(folder, key);
  const std::string good = support::read_text(path);
  std::string damage;
  for (std::size_t size = 0; size < good.size(); ++size) {
    support::write_text(path, good.substr(0, size));
    damage.clear();
    EXPECT_FALSE(cache.load(key, &damage)) << size;
    EXPECT_THAT(damage, HasSubstr(path));
  }
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    support::write_text(path, bad);
    EXPECT_FALSE(cache.load(key)) << i;
  }
  support::write_text(path, good + "x");
  EXPECT_FALSE(cache.load(key));
  support::write_text(path, good);
  EXPECT_EQ(cache.load(key, &damage), "some content");
}

TEST(DiskCache, AnotherKeysFileIsNoEntry) {
  const support::TempDir folder;
  const DiskCache cache(folder.file("c"), "kind");
  ASSERT_TRUE(cache.store(DiskCache::key("one"), "content"));
  fs::copy_file(entry(folder, DiskCache::key("one")), entry(folder, DiskCache::key("two")));
  EXPECT_FALSE(cache.load(DiskCache::key("two")));
}

TEST(DiskCache, AFolderThatCannotBeIsAnError) {
  const support::TempDir folder;
  support::write_text(folder.file("c"), "a file in the way");
  const DiskCache cache(folder.file("c"), "kind");
  EXPECT_FALSE(cache.load(DiskCache::key("one")));
  const auto stored = cache.store(DiskCache::key("one"), "content");
  ASSERT_FALSE(stored);
  EXPECT_EQ(stored.error().code, ErrorCode::OpenFailed);
  EXPECT_TRUE(DiskCache("", "kind").store(DiskCache::key("one"), "content"));
  EXPECT_FALSE(DiskCache("", "kind").load(DiskCache::key("one")));
}

TEST(DiskCache, NothingIsLeftWhenTheNameIsTaken) {
  const support::TempDir folder;
  const DiskCache cache(folder.file("c"), "kind");
  const std::string key = DiskCache::key("one");
  fs::create_directories(entry(folder, key) + "/in-the-way");
  const auto stored = cache.store(key, "content");
  ASSERT_FALSE(stored);
  EXPECT_EQ(stored.error().code, ErrorCode::RenameFailed);
  EXPECT_THAT(support::list_folder(folder.file("c/kind")), ElementsAre(key + ".bin"));
}

// Readers see one writer's content or another's, never a mixture, while processes write the same entry.
TEST(DiskCache, SeveralWritersAtOnce) {
  const support::TempDir folder;
  const DiskCache cache(folder.file("c"), "kind");
  const std::string key = DiskCache::key("one");
  const auto content = [](int writer) { return std::string(200000, static_cast<char>('a' + writer)); };
  ASSERT_TRUE(cache.store(key, content(0)));
  std::vector<pid_t> children;
  for (int writer = 0; writer < 2; ++writer) {
    const pid_t child = ::fork();
    if (child == 0) {
      bool good = true;
      for (int i = 0; i < 50; ++i) good = good && cache.store(key, content(writer));
      ::_exit(good ? 0 : 1);
    }
    children.push_back(child);
  }
  for (int i = 0; i < 100; ++i) {
    const auto found = cache.load(key);
    // A file that is replaced between size and content reads as damaged, never as a mixture.
    if (found) {
      EXPECT_TRUE(*found == content(0) || *found == content(1));
    }
  }
  for (const pid_t child : children) {
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_THAT(support::list_folder(folder.file("c/kind")), ElementsAre(key + ".bin"));
}

class ProgramCache : public testing::Test {
 protected:
  struct Outcome {
    bool from_cache;
    std::int32_t answer;
  };

  /// Builds, runs and closes everything, as one process after another would.
  Outcome run(const std::string& answer = "5") {
    const auto device = support::open_device(
        {.cache_folder = folder_.file("cache"), .log = [this](LogLevel level, std::string_view text) {
           if (level == LogLevel::Warning) log_.emplace_back(text);
         }});
    const auto program = support::value_of(
        device->program({.file = "answer.cl",
                         .source = "kernel void answer(global int *out, int plus) { out[0] = ANSWER + plus; }\n",
                         .defines = {{"ANSWER", answer}}}));
    const Buffer out = support::buffer_of<std::int32_t>(*device, {0});
    const auto launch =
        support::value_of(Launch::make(program, "answer", {{"out", out}, {"plus", std::int32_t{100}}}, Grid{}));
    EXPECT_TRUE(launch.enqueue());
    return {program->from_cache(), support::content_of<std::int32_t>(out).front()};
  }
  void expect(const Outcome& outcome, bool from_cache, std::int32_t answer) const {
    EXPECT_EQ(outcome.from_cache, from_cache);
    EXPECT_EQ(outcome.answer, answer);
  }
  std::vector<std::string> files() const { return support::list_folder(folder_.file("cache/programs")); }
  std::string only_file() const { return folder_.file("cache/programs/" + files().at(0)); }

  support::TempDir folder_;
  std::vector<std::string> log_;
};

TEST_F(ProgramCache, TheSecondStartFindsTheProgram) {
  expect(run(), false, 105);
  EXPECT_EQ(files().size(), 1U);
  expect(run(), true, 105);
  expect(run("6"), false, 106);
  EXPECT_EQ(files().size(), 2U);
  expect(run(), true, 105);
  EXPECT_THAT(log_, IsEmpty());
}

TEST_F(ProgramCache, DamageIsLoggedAndBuiltAgain) {
  expect(run(), false, 105);
  const std::string good = support::read_text(only_file());
  std::string flipped = good;
  flipped[flipped.size() / 2] = static_cast<char>(flipped[flipped.size() / 2] ^ 0x40);
  for (const std::string& bad : {good.substr(0, good.size() - 1), flipped, std::string()}) {
    support::write_text(only_file(), bad);
    log_.clear();
    expect(run(), false, 105);
    EXPECT_THAT(log_, ElementsAre(HasSubstr("answer.cl is built again")));
    expect(run(), true, 105);
  }
}

// Whole by its hash and still no program: what another version of a driver left under the same name.
TEST_F(ProgramCache, ABinaryThatTheDriverRefusesIsBuiltAgain) {
  expect(run(), false, 105);
  const std::string key = fs::path(only_file()).stem().string();
  for (const std::string content : {"00000000not a binary", "00000021answer out:b plus:int\n", "9", ""}) {
    ASSERT_TRUE(DiskCache(folder_.file("cache"), "programs").store(key, content));
    log_.clear();
    expect(run(), false, 105);
    EXPECT_THAT(log_, ElementsAre(HasSubstr("built again"))) << content;
    expect(run(), true, 105);
  }
}

TEST_F(ProgramCache, AFolderThatCannotBeIsOnlyLogged) {
  support::write_text(folder_.file("cache"), "a file in the way");
  expect(run(), false, 105);
  EXPECT_THAT(log_, testing::Contains(HasSubstr("cannot be opened")));
}

TEST_F(ProgramCache, SavingEarlyIsPossible) {
  const auto device = support::open_device({.cache_folder = folder_.file("cache")});
  const auto program = support::value_of(
      device->program({.file = "a.cl", .source = "kernel void a(global int *out) { out[0] = 1; }\n"}));
  EXPECT_FALSE(fs::exists(folder_.file("cache/programs")));
  device->save_programs();
  EXPECT_EQ(files().size(), 1U);
}

TEST_F(ProgramCache, SeveralStartsAtOnce) {
  {
    std::vector<std::jthread> starts;
    for (int i = 0; i < 2; ++i) {
      starts.emplace_back([this] {
        const auto device = support::open_device({.cache_folder = folder_.file("cache")});
        EXPECT_TRUE(
            device->program({.file = "answer.cl",
                             .source = "kernel void answer(global int *out, int plus) { out[0] = ANSWER + plus; }\n",
                             .defines = {{"ANSWER", "5"}}}));
      });
    }
  }
  EXPECT_EQ(files().size(), 1U);
  expect(run(), true, 105);
}

}  // namespace
}  // namespace gguf_fuse::kernels
