// SPDX-License-Identifier: MIT
// The error gallery: every code of error_list.inc, provoked for real through the public interface.
#include "gguf_fuse/loader/error.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>

#include "gguf_fuse/fuse/convert.hpp"
#include "support/file_util.hpp"
#include "support/hostile.hpp"
#include "support/memory_sink.hpp"
#include "support/random_model.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::fuse {
namespace {

using support::bytes_of;
using support::GgufBuilder;
using support::MemorySink;
using support::RandomModel;
using support::TempDir;
using Bytes = std::vector<std::byte>;

template <typename T>
Error error_of(const Result<T>& result) {
  if (result) throw std::runtime_error("no error");
  return result.error();
}

template <typename T>
T value(Result<T> result) {
  return support::value_of(std::move(result));
}

// Limits of the process must not outlive the test, so they are set in a child, which sends the error's code back.
Error in_child(const std::string& path, const std::function<Error()>& provoke) {
  const pid_t child = fork();
  if (child == 0) {
    const Error error = provoke();
    _exit(error.path == path ? static_cast<int>(error.code) : 255);
  }
  int status = 0;
  waitpid(child, &status, 0);
  const bool answered = WIFEXITED(status) && static_cast<std::size_t>(WEXITSTATUS(status)) < error_code_count();
  if (!answered) throw std::runtime_error("the child ended with status " + std::to_string(status));
  return {.code = static_cast<ErrorCode>(WEXITSTATUS(status)), .path = path};
}

/// Another standard input, for as long as this lives.
class StandardInput {
 public:
  explicit StandardInput(int descriptor) : saved_(dup(STDIN_FILENO)) { dup2(descriptor, STDIN_FILENO); }
  ~StandardInput() {
    dup2(saved_, STDIN_FILENO);
    close(saved_);
  }
  StandardInput(const StandardInput&) = delete;
  StandardInput& operator=(const StandardInput&) = delete;

 private:
  int saved_;
};

RandomModel llama() {
  return RandomModel("llama").layers(1).embedding(32).heads(2, 1, 16).feed_forward(32).vocabulary(4);
}

std::string write_model(const TempDir& dir, const RandomModel& model, const std::string& name = "in.gguf") {
  return model.write(dir.file(name));
}

// Other programs' faults.

Error open_failed() { return error_of(open_source("/no/such/folder/model.gguf")); }
Error not_a_file() { return error_of(open_source("/dev/zero")); }

Error read_failed() {
  // The other end is closed with data unread: the connection is reset.
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) throw std::runtime_error("no socket");
  const std::string unread = "unread";
  if (write(pair[0], unread.data(), unread.size()) < 0) throw std::runtime_error("no socket");
  close(pair[1]);
  const StandardInput input(pair[0]);
  close(pair[0]);
  return error_of(open_source("-"));
}

Error write_failed() {
  int ends[2];
  if (pipe(ends) != 0) throw std::runtime_error("no pipe");
  close(ends[0]);
  const auto sink = value(descriptor_sink(ends[1], "pipe"));
  Error error = error_of(sink->write_at(0, bytes_of("nobody reads this")));
  close(ends[1]);
  return error;
}

Error sync_failed() {
  const TempDir dir;
  const int file = open(dir.file("out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const auto sink = value(descriptor_sink(file, "out"));
  close(file);
  return error_of(sink->commit());
}

Error rename_failed() {
  const TempDir dir;
  std::filesystem::create_directory(dir.file("folder"));
  auto sink = value(file_sink(dir.file("folder/out"), {}));
  std::filesystem::remove_all(dir.file("folder"));
  return error_of(sink->commit());
}

Error no_space() {
  const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
  const auto sink = value(descriptor_sink(full, "/dev/full"));
  Error error = error_of(sink->write_at(0, bytes_of("one byte too many")));
  close(full);
  return error;
}

Error file_too_large() {
  const TempDir dir;
  const std::string path = dir.file("out");
  return in_child(path, [&path] {
    const rlimit limit{4096, 4096};
    setrlimit(RLIMIT_FSIZE, &limit);
    return error_of(file_sink(path, {.bytes = 8192}));
  });
}

Error system_failed() {
  const TempDir dir;
  const std::string path = dir.path().string();
  return in_child(path, [&path] {
    setenv("TMPDIR", path.c_str(), 1);
    const auto bytes = bytes_of("a stream");
    // Once before: UBSan looks at the first object of a class through a pipe.
    value(spool(memory_source(bytes, "-")));
    const int next = dup(STDIN_FILENO);
    close(next);
    // A descriptor for the temporary file, and none to read it with.
    const auto most = static_cast<rlim_t>(next) + 1;
    const rlimit limit{most, most};
    setrlimit(RLIMIT_NOFILE, &limit);
    return error_of(spool(memory_source(bytes, "-")));
  });
}

Error input_changed() {
  const TempDir dir;
  const std::string path = write_model(dir, llama());
  const Model model = value(open_model(path));
  std::filesystem::resize_file(path, 100);
  return error_of(model.check_unchanged());
}

Error output_exists() {
  const TempDir dir;
  support::write_text(dir.file("out.gguf"), "precious");
  return error_of(convert({.input = write_model(dir, llama()), .output = dir.file("out.gguf")}));
}

Error same_file_code() {
  const TempDir dir;
  const std::string path = write_model(dir, llama());
  std::filesystem::create_hard_link(path, dir.file("alias.gguf"));
  return error_of(convert({.input = path, .output = dir.file("alias.gguf"), .replace = true}));
}

Error output_is_terminal() {
  const int controller = posix_openpt(O_RDWR | O_NOCTTY);
  grantpt(controller);
  unlockpt(controller);
  const int terminal = open(ptsname(controller), O_RDWR | O_NOCTTY | O_CLOEXEC);
  Error error = error_of(descriptor_sink(terminal, "standard output"));
  close(terminal);
  close(controller);
  return error;
}

Error shard_missing() {
  const TempDir dir;
  const auto paths = support::write_shards(dir.file("model"), llama().build_shards(3));
  std::filesystem::remove(paths[1]);
  return error_of(open_model(paths[0]));
}

Error invalid_argument() {
  Error error = error_of(file_sink("", {}));
  error.path = "nothing to name";
  return error;
}

Error memory_limit_too_small() {
  const TempDir dir;
  ConvertRequest request{.input = write_model(dir, llama()), .output = dir.file("out.gguf")};
  request.pipeline.max_memory = 1;
  Error error = error_of(convert(request));
  error.path = request.input;
  return error;
}

Error interrupted() {
  const TempDir dir;
  Control control;
  control.cancelled = true;
  ConvertRequest request{.input = write_model(dir, llama()), .output = dir.file("out.gguf")};
  request.pipeline.control = &control;
  Error error = error_of(convert(request));
  error.path = request.input;
  return error;
}

// Files' faults.

Error bad_gzip() {
  const TempDir dir;
  support::write_text(dir.file("model.gguf.gz"), "\x1f\x8b\x08 this is not deflated");
  return error_of(open_model(dir.file("model.gguf.gz")));
}

Error metadata_too_large() {
  const Bytes file = GgufBuilder().string("a", std::string(100, 's')).u32("b", 1).build();
  return error_of(read_container(*memory_source(file, "large.gguf"), {.metadata_bytes = 150}));
}

Error bad_split() {
  const TempDir dir;
  std::vector<Bytes> shards = llama().build_shards(3);
  shards[1] = shards[0];
  return error_of(open_model(support::write_shards(dir.file("model"), shards).front()));
}

Error bad_record() {
  const Bytes file = GgufBuilder().u32("gguf_fuse.version", 3).build();
  const Model model = support::model_of(file);
  return error_of(plan_unfuse(model.info));
}

Error missing_key() {
  const Bytes file = GgufBuilder().build();
  return error_of(support::model_of(file).info.metadata().get_string("general.architecture"));
}

Error wrong_value_type() {
  const Bytes file = GgufBuilder().u32("general.architecture", 1).build();
  const Model model = support::model_of(file);
  return error_of(plan_fuse(model.info));
}

Error nothing_to_fuse() {
  const TempDir dir;
  const std::string path = write_model(dir, RandomModel(llama()).drop("attn_v"));
  return error_of(convert({.input = path, .output = dir.file("out.gguf"), .strict = true}));
}

Error nothing_to_unfuse() {
  const Bytes file = llama().build();
  const Model model = support::model_of(file);
  return error_of(plan_unfuse(model.info));
}

Error not_a_model() {
  const TempDir dir;
  support::write_file(dir.file("in.gguf"), GgufBuilder().string("general.type", "adapter").build());
  return error_of(convert({.input = dir.file("in.gguf"), .output = dir.file("out.gguf"), .strict = true}));
}

Error tensors_differ() {
  const TempDir dir;
  return error_of(
      verify(write_model(dir, llama().type("F16"), "a.gguf"), write_model(dir, llama().type("BF16"), "b.gguf")));
}

Error different_models() {
  const TempDir dir;
  return error_of(verify(write_model(dir, llama(), "a.gguf"), write_model(dir, llama().seed(2), "b.gguf")));
}

Error not_original() {
  const TempDir dir;
  const std::string path = write_model(dir, llama().fused(RuleId::Qkv));
  return error_of(
      convert({.input = path, .output = dir.file("out.gguf"), .direction = Direction::Unfuse, .strict = true}));
}

// The rest is refused while a header is read: one file of the corpus shows it.
Error hostile_error(ErrorCode code) {
  for (const auto& file : support::hostile_files()) {
    if (file.code != code) continue;
    const Bytes bytes = file.build();
    return error_of(read_container(*memory_source(bytes, file.name)));
  }
  throw std::runtime_error("the corpus has no such file");
}

using Gallery = std::vector<std::pair<ErrorCode, std::function<Error()>>>;

Gallery gallery() {
  using enum ErrorCode;
  Gallery all = {{OpenFailed, open_failed},
                 {NotAFile, not_a_file},
                 {ReadFailed, read_failed},
                 {WriteFailed, write_failed},
                 {SyncFailed, sync_failed},
                 {RenameFailed, rename_failed},
                 {NoSpace, no_space},
                 {FileTooLarge, file_too_large},
                 {InputChanged, input_changed},
                 {OutputExists, output_exists},
                 {SameFile, same_file_code},
                 {OutputIsTerminal, output_is_terminal},
                 {ShardMissing, shard_missing},
                 {SystemFailed, system_failed},
                 {InvalidArgument, invalid_argument},
                 {MemoryLimitTooSmall, memory_limit_too_small},
                 {MetadataTooLarge, metadata_too_large},
                 {BadGzip, bad_gzip},
                 {BadSplit, bad_split},
                 {BadRecord, bad_record},
                 {MissingKey, missing_key},
                 {WrongValueType, wrong_value_type},
                 {NothingToFuse, nothing_to_fuse},
                 {NothingToUnfuse, nothing_to_unfuse},
                 {NotAModel, not_a_model},
                 {TensorsDiffer, tensors_differ},
                 {DifferentModels, different_models},
                 {NotOriginal, not_original},
                 {Interrupted, interrupted}};
  for (const ErrorCode code :
       {Truncated,    BadMagic,      BadVersion,      TooManyKeys,   TooManyTensors, BadKey,
        DuplicateKey, BadValueType,  BadBool,         StringTooLong, ArrayTooLong,   ArrayTooDeep,
        BadAlignment, BadTensorName, DuplicateTensor, BadDimensions, SizeOverflow,   UnknownType,
        PartialBlock, PartialGroup,  BadLayout,       DataBeyondEnd}) {
    all.emplace_back(code, [code] { return hostile_error(code); });
  }
  return all;
}

TEST(ErrorGallery, EveryCodeCanHappen) {
  for (const auto& [code, provoke] : gallery()) {
    SCOPED_TRACE(error_name(code));
    try {
      const Error error = provoke();
      EXPECT_EQ(error_name(error.code), error_name(code)) << error.message();
      EXPECT_FALSE(error.path.empty());
      EXPECT_EQ(escape_text(error.message()), error.message());
    } catch (const std::exception& exception) {
      ADD_FAILURE() << exception.what();
    }
  }
}

TEST(ErrorGallery, NoCodeIsMissingOrShownTwice) {
  std::map<ErrorCode, int> shown;
  for (const auto& [code, provoke] : gallery()) ++shown[code];
  const auto end = static_cast<std::size_t>(ErrorCode::NoOpenCl);  // from there on: tests/runtime/error_test.cpp
  for (std::size_t i = 0; i < end; ++i) {
    const auto code = static_cast<ErrorCode>(i);
    EXPECT_EQ(shown[code], 1) << error_name(code);
  }
  EXPECT_EQ(shown.size(), end);
}

}  // namespace
}  // namespace gguf_fuse::fuse
