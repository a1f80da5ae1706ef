// SPDX-License-Identifier: MIT
// Loading as RunnableModel does it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "gguf_fuse/runtime/session.hpp"
#include "support/file_util.hpp"
#include "support/random_model.hpp"
#include "support/runtime/run_model.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::runtime {
namespace {

using support::RandomModel;
using support::TempDir;
using support::value_of;

RandomModel large_model() {
  return RandomModel("llama").vocabulary(3000).embedding(96).heads(6, 3, 16).feed_forward(480).type("Q8_0");
}

ModelOptions options_for_tests() {
  ModelOptions options;
  options.devices = {support::test_devices().front()};
  return options;
}

/// Makes a pipe standard input until the end of the scope; the other end is the test's.
class PipedInput {
 public:
  PipedInput() : saved_(::dup(STDIN_FILENO)) {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    ::dup2(ends_[0], STDIN_FILENO);
    ::close(ends_[0]);
  }
  ~PipedInput() {
    finish();
    ::dup2(saved_, STDIN_FILENO);
    ::close(saved_);
  }
  PipedInput(const PipedInput&) = delete;
  PipedInput& operator=(const PipedInput&) = delete;

  void write(std::span<const std::byte> bytes) const {
    while (!bytes.empty()) {
      const ssize_t written = ::write(ends_[1], bytes.data(), bytes.size());
      if (written < 0) throw std::runtime_error("nobody reads the pipe");
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
  }
  void finish() {
    if (ends_[1] >= 0) ::close(ends_[1]);
    ends_[1] = -1;
  }

 private:
  std::array<int, 2> ends_{};
  int saved_;
};

std::vector<float> logits_of(const std::shared_ptr<RunnableModel>& model) {
  const auto session = value_of(Session::create(model));
  value_of(session->evaluate(std::vector<std::int32_t>{1, 5, 2999, 7}));
  return value_of(session->logits());
}

TEST(LoadPipelineModel, EveryWayGivesTheSameLogits) {
  const TempDir dir;
  const std::string path = large_model().write(dir.file("model.gguf"));
  const auto expected = logits_of(value_of(RunnableModel::open(path, options_for_tests())));
  for (const LoadMode mode : {LoadMode::Read, LoadMode::Mmap, LoadMode::Direct}) {
    for (const std::optional<UploadStrategy> upload :
         {std::optional<UploadStrategy>{}, std::optional(UploadStrategy::Rectangle),
          std::optional(UploadStrategy::Slices), std::optional(UploadStrategy::Gather)}) {
      ModelOptions options = options_for_tests();
      options.load_mode = mode;
      options.upload = upload;
      const auto model = value_of(RunnableModel::open(path, options));
      EXPECT_EQ(logits_of(model), expected);
      const LoadReport report = value_of(model->wait());
      EXPECT_EQ(report.mode, mode);
      if (upload) {
        EXPECT_EQ(report.strategy, upload);
        EXPECT_GT(report.staging_bytes, 0U);
      }
      EXPECT_LE(report.staging_bytes, std::uint64_t{256} << 20);
      EXPECT_GT(report.read + report.repack, 0);
      EXPECT_GE(report.device_bytes, report.bytes);
    }
  }
}

TEST(LoadPipelineModel, APipeOnStandardInput) {
  const TempDir dir;
  const std::string path = large_model().write(dir.file("model.gguf"));
  const auto expected = logits_of(value_of(RunnableModel::open(path, options_for_tests())));
  PipedInput input;
  std::thread writer([&] {
    input.write(support::read_file(path));
    input.finish();
  });
  const auto model = RunnableModel::open("-", options_for_tests());
  writer.join();
  EXPECT_EQ(logits_of(value_of(model)), expected);
}

// It would wait for ever for a pipe that says no more.
TEST(LoadPipelineModel, GoesWhileItWaitsForAPipe) {
  const auto bytes = large_model().build();
  PipedInput input;
  std::shared_ptr<RunnableModel> model;
  std::thread writer([&] { input.write(std::span(bytes).first(bytes.size() / 2)); });
  const auto opened = RunnableModel::open("-", options_for_tests());
  ASSERT_TRUE(opened) << opened.error().message();
  model = *opened;
  writer.join();
  model.reset();
}

TEST(LoadPipelineModel, GoesWhileItLoads) {
  const TempDir dir;
  const std::string path = large_model().write(dir.file("model.gguf"));
  for (int i = 0; i < 20; ++i) {
    ModelOptions options = options_for_tests();
    if (i % 2 == 1) options.upload = UploadStrategy::Rectangle;
    auto model = value_of(RunnableModel::open(path, options));
    for (int k = 0; k < i; ++k) std::this_thread::yield();
    model.reset();
  }
}

TEST(LoadPipelineModel, AFileThatIsCutShortIsAnErrorOfEverySession) {
  const TempDir dir;
  const std::string path = large_model().write(dir.file("model.gguf"));
  ModelOptions options = options_for_tests();
  Control control;
  options.control = &control;
  options.load_mode = LoadMode::Read;
  PipedInput input;
  const auto bytes = support::read_file(path);
  std::thread writer([&] {
    input.write(std::span(bytes).first(bytes.size() / 2));
    input.finish();
  });
  const auto model = RunnableModel::open("-", options);
  writer.join();
  const auto failed = value_of(model)->wait();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::Truncated);
  EXPECT_FALSE(failed.error().subject.empty());
  const auto session = value_of(Session::create(*model));
  EXPECT_EQ(session->evaluate(std::vector<std::int32_t>{1}).error().code, ErrorCode::Truncated);
}

}  // namespace
}  // namespace gguf_fuse::runtime
