// SPDX-License-Identifier: MIT
// What makes a copy or a load fast, or looks at things beforehand, may fail in any way that filesystems have words for:
// the plain way is taken, and the result is the same. What the plain way itself fails with is an error.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "run_test.hpp"
#include "support/paths.hpp"

namespace gguf_fuse::test_support {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kErrors[] = {"EINVAL", "EOPNOTSUPP", "ENOSYS", "EXDEV",  "EIO",    "EPERM",  "EACCES",
                                   "EBADF",  "ETXTBSY",    "ENOMEM", "ENODEV", "EFAULT", "ENOTTY", "EOVERFLOW",
                                   "EAGAIN", "EBUSY",      "EROFS",  "ESTALE", "ENOLCK", "EINTR",  "EISDIR"};

class Fallback : public ::testing::Test {
 protected:
  Fallback() { EXPECT_EQ(gguf_fuse({"convert", input_, fused_, "--quiet"}).exit_code, 0); }

  [[nodiscard]] std::vector<std::string> environment(const std::string& fault) const {
    return {"LD_PRELOAD=" + built("libgguf_fuse_faults.so"), "GGUF_FUSE_FAULT=" + fault, "GGUF_FUSE_FAULT_LOG=" + log_,
            "ASAN_OPTIONS=verify_asan_link_order=0"};
  }

  /// Whether the program met the fault at all; programs that it starts write into the same log.
  [[nodiscard]] bool fired() const {
    std::istringstream log(read_text(log_));
    std::string call;
    for (long count = 0; log >> call >> count;) {
      if (call == "fired" && count > 0) return true;
    }
    return false;
  }

  struct Row {
    std::string call;
    std::vector<std::string> arguments;  ///< {in}, {fused} and {out} are the files
    std::string wanted{};                ///< what the output holds; none: there is no output
    bool replaces = false;               ///< there is an output before
    std::string input{};                 ///< standard input
  };

  void check(const Row& row, const std::string& what) {
    SCOPED_TRACE(row.call + " -> " + what + ": " + testing::PrintToString(row.arguments));
    std::filesystem::remove(log_);
    std::filesystem::remove(out_);
    if (row.replaces) std::filesystem::copy_file(input_, out_);
    const ProgramResult result =
        gguf_fuse(row.arguments, {.input = row.input, .environment = environment(row.call + ":1+:" + what)});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_TRUE(fired()) << "the test tests nothing";
    if (row.wanted.empty()) return;
    if (row.arguments.back() == "-") {
      EXPECT_EQ(result.out, read_text(row.wanted));
    } else {
      EXPECT_EQ(difference(out_, row.wanted), "");
    }
  }

  TempDir folder_;
  std::string input_ = llama();
  std::string fused_ = folder_.file("fused.gguf");
  std::string out_ = folder_.file("out.gguf");
  std::string log_ = folder_.file("log");
};

TEST_F(Fallback, EveryFastWayMayFailInEveryWay) {
  const std::vector<std::string> plain = {"convert", input_, out_, "--threads", "1"};
  const auto with = [&](std::initializer_list<std::string> more) {
    std::vector<std::string> all = plain;
    all.insert(all.end(), more);
    return all;
  };
  const std::vector<Row> rows = {
      {"copy_file_range", with({"--copy", "kernel"}), fused_},
      {"copy_file_range", {"unfuse", fused_, out_, "--copy", "kernel"}, input_},
      {"direct_open", with({"--load-mode", "dio"}), fused_},
      {"direct_pread", with({"--load-mode", "dio"}), fused_},
      {"direct_pread", {"verify", fused_, input_, "--load-mode", "dio"}},
      {"mmap", with({"--load-mode", "mmap"}), fused_},
      {"madvise", with({"--load-mode", "mmap"}), fused_},
      {"madvise", {"unfuse", fused_, out_, "--load-mode", "mmap"}, input_},
      {"madvise", {"verify", fused_, input_, "--load-mode", "mmap"}},
      {"posix_fadvise", plain, fused_},
      {"fstatfs", plain, fused_},
      {"fstatvfs", plain, fused_},
      {"flock", plain, fused_},
      {"fstatat", plain, fused_},
      {"stat", plain, fused_},
      {"lstat", plain, fused_},
      {"renameat2", plain, fused_},
      {"folder_fsync", plain, fused_},
      {"fchmod", with({"--force"}), fused_, true},
      {"fchown", with({"--force"}), fused_, true},
      {"tmpfile_open", {"convert", "-", "-"}, fused_, false, read_text(input_)},
  };
  for (const Row& row : rows) {
    for (const char* what : kErrors) check(row, what);
  }
  for (const Row& row : rows) {
    if (row.call == "copy_file_range" || row.call == "direct_pread") check(row, "zero");
  }
}

// A file whose position cannot be asked for is read as a stream.
TEST_F(Fallback, ARedirectedFileThatCannotTellItsPosition) {
  const std::string command = "exec " + built("gguf-fuse") + " convert - " + out_ + " < " + input_;
  for (const char* what : kErrors) {
    std::filesystem::remove(out_);
    const ProgramResult result =
        run_program({"/bin/sh", "-c", command}, {.environment = environment(std::string("lseek:1+:") + what)});
    EXPECT_EQ(result.exit_code, 0) << what << result.err;
    EXPECT_EQ(difference(out_, fused_), "") << what;
  }
}

// Files that a program makes up while they are read may say that they have no bytes.
TEST_F(Fallback, AFileWithoutASizeIsReadToItsEnd) {
  const auto zero = environment("fstat:1+:zero");
  const ProgramResult hashes = gguf_fuse({"hash", input_}, {.environment = zero});
  EXPECT_EQ(hashes.exit_code, 0) << hashes.err;
  EXPECT_TRUE(fired());
  EXPECT_EQ(hashes.out, gguf_fuse({"hash", input_}).out);
  const ProgramResult result = gguf_fuse({"convert", input_, out_, "--no-verify"}, {.environment = zero});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(difference(out_, fused_), "");
}

// Also where nothing else works than opening, reading, writing and renaming.
TEST_F(Fallback, EverythingAtOnce) {
  for (const char* what : kErrors) {
    std::string faults;
    for (const char* call :
         {"direct_open", "posix_fadvise", "fstatvfs", "flock", "fstatat", "renameat2", "linkat", "folder_fsync"}) {
      faults += (faults.empty() ? "" : ",") + std::string(call) + ":1+:" + what;
    }
    std::filesystem::remove(out_);
    const ProgramResult result =
        gguf_fuse({"convert", input_, out_, "--load-mode", "dio"}, {.environment = environment(faults)});
    EXPECT_EQ(result.exit_code, 0) << what << result.err;
    EXPECT_EQ(difference(out_, fused_), "") << what;
    // What a filesystem does not have is nothing to be warned of.
    const auto told = HasSubstr("its name may not outlast a power failure");
    if (std::string(what) == "EIO") {
      EXPECT_THAT(result.err, told);
    } else if (std::string(what) == "EINVAL") {
      EXPECT_THAT(result.err, Not(told));
    }
  }
}

TEST_F(Fallback, WhatDoesTheOutputNoHarmIsAWarning) {
  const ProgramResult synced = gguf_fuse({"convert", input_, out_}, {.environment = environment("folder_fsync:1:EIO")});
  EXPECT_EQ(synced.exit_code, 0) << synced.err;
  EXPECT_THAT(synced.err, HasSubstr("warning:"));
  EXPECT_THAT(synced.err, HasSubstr("out.gguf: the file is complete, but its name may not outlast a power failure: "
                                    "Input/output error"));
  EXPECT_EQ(difference(out_, fused_), "");
  std::filesystem::remove(out_);

  const ProgramResult renamed =
      gguf_fuse({"convert", input_, out_}, {.environment = environment("renameat2:1:EINVAL,linkat:1:EPERM")});
  EXPECT_EQ(renamed.exit_code, 0) << renamed.err;
  EXPECT_THAT(renamed.err, HasSubstr("cannot keep a file of the same name that appears at the last moment"));
  EXPECT_EQ(difference(out_, fused_), "");

  const ProgramResult kept =
      gguf_fuse({"convert", input_, out_, "--force"}, {.environment = environment("fchmod:1:EPERM")});
  EXPECT_EQ(kept.exit_code, 0) << kept.err;
  EXPECT_THAT(kept.err, HasSubstr("the permissions of the file that was replaced could not be kept"));
}

// Models are loaded whatever the ways of the load modes give.
TEST_F(Fallback, ModelsAreLoadedThePlainWay) {
  const std::vector<std::string> evaluate = {"eval", "-m", input_, "--tokens", "1,2,3"};
  const std::string wanted = run_json(evaluate).at("logits").dump();
  const std::pair<const char*, const char*> rows[] = {
      {"mmap", "mmap"}, {"mmap", "madvise"}, {"dio", "direct_open"}, {"dio", "direct_pread"}, {"auto", "mincore"}};
  for (const auto& [mode, call] : rows) {
    for (const char* what : {"EINVAL", "EIO", "EFAULT", "zero"}) {
      if (std::string(what) == "zero" && std::string(call) != "direct_pread") continue;
      SCOPED_TRACE(std::string(call) + " -> " + what);
      std::vector<std::string> arguments = evaluate;
      arguments.insert(arguments.end(), {"-lm", mode});
      std::filesystem::remove(log_);
      const auto result = run_json(arguments, {.environment = environment(std::string(call) + ":1+:" + what)});
      EXPECT_EQ(result.at("logits").dump(), wanted);
      EXPECT_TRUE(fired()) << "the test tests nothing";
    }
  }
}

// The plain way's own failures reach the user, once each.
TEST_F(Fallback, TrueErrorsAreErrors) {
  const std::pair<const char*, const char*> rows[] = {
      {"pread:3+:EIO", "could not be read"},
      {"pwrite:1+:ENOSPC", "does not fit on the disk"},
      {"pwrite:1+:EIO", "could not be written"},
      {"pwrite:1+:zero", "could not be written"},
      {"fsync:1:EIO", "could not be made durable"},
      {"fsync:1:ENOSPC", "does not fit on the disk"},
      {"renameat2:1+:EIO,linkat:1+:EIO,renameat:1+:EIO", "could not be given its final name"}};
  for (const char* mode : {"none", "mmap", "dio"}) {
    for (const auto& [fault, text] : rows) {
      // Where a fast way works there is nothing that fails.
      std::string all = fault;
      if (std::string(mode) == "mmap") all += ",mmap:1+:ENODEV";
      if (std::string(mode) == "dio") all += ",direct_pread:1+:EIO";
      std::filesystem::remove(out_);
      const ProgramResult result =
          gguf_fuse({"convert", input_, out_, "--load-mode", mode}, {.environment = environment(all)});
      EXPECT_EQ(result.exit_code, 1) << all << result.err;
      EXPECT_THAT(result.err, HasSubstr(text)) << all;
      EXPECT_FALSE(std::filesystem::exists(out_)) << all;
    }
  }
}

}  // namespace
}  // namespace gguf_fuse::test_support
