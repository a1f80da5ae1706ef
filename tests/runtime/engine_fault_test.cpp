// SPDX-License-Identifier: MIT
// Calls of the driver that fail while sequences get pages, and stops in the middle of a step: an error value, nothing
// is lost, and every session goes on.
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>

#include "engine_scene.hpp"
#include "support/opencl_device.hpp"

namespace gguf_fuse::runtime {
namespace {

using support::Random;
using support::value_of;

std::function<void(std::string_view)> on_engine_call;

std::string faulty_library() { return (support::program_folder() / "libgguf_fuse_opencl_faults.so").string(); }

class EngineFaults : public testing::Test {
 protected:
  EngineFaults() {
    void* library = dlopen(faulty_library().c_str(), RTLD_NOW);
    watch_ = static_cast<void (**)(const char*)>(dlsym(library, "gguf_fuse_opencl_watch"));
    *watch_ = [](const char* call) {
      if (on_engine_call) on_engine_call(call);
    };
  }
  ~EngineFaults() override {
    no_fault();
    *watch_ = nullptr;
  }

  /// The call of this number, from 1, fails, and no other.
  void fail_at(const std::string& call, int number) {
    calls_ = 0;
    on_engine_call = [this, call, number](std::string_view made) {
      if (made != call) return;
      ++calls_;
      if (calls_ == number) {
        ::setenv(kFault, (call + "=-4").c_str(), 1);
      } else {
        ::unsetenv(kFault);
      }
    };
  }
  static void no_fault() {
    on_engine_call = nullptr;
    ::unsetenv(kFault);
  }

  static constexpr const char* kFault = "GGUF_FUSE_OPENCL_FAULT";
  const support::ScopedVariable library_{"GGUF_FUSE_OPENCL_LIBRARY", faulty_library()};
  const std::shared_ptr<Device> device_ = value_of(Device::open(support::test_device()));
  EngineScene scene_{support::tiny_model("gpt-oss"), {device_}};
  Random random_{1};
  int calls_ = 0;

 private:
  void (**watch_)(const char*) = nullptr;
};

// 16 pages are there from the beginning; in the middle of a page that is shared, one more is needed.
TEST_F(EngineFaults, PagesThatCannotBeHadAreAnErrorAndTheSessionsGoOn) {
  struct Kind {
    std::string call;
    ErrorCode code;
  };
  for (const Kind& kind : {Kind{"clCreateBuffer", ErrorCode::OutOfDeviceMemory}, Kind{"clEnqueueCopyBuffer", {}},
                           Kind{"clEnqueueWriteBuffer", {}}, Kind{"clEnqueueNDRangeKernel", {}}}) {
    int failed = 0;
    for (int number = 1;; number += 1 + number / 2) {
      SCOPED_TRACE(kind.call + " " + std::to_string(number));
      const auto engine = scene_.engine(2, 2048, 64);
      const auto a = value_of(engine->open_session()), b = value_of(engine->open_session());
      value_of(a->evaluate(scene_.random_tokens(random_, 900)));
      value_of(b->begin_as(*a, 890));
      const Tokens before(b->tokens().begin(), b->tokens().end()), more = scene_.random_tokens(random_, 200);
      fail_at(kind.call, number);
      const auto done = b->evaluate(more);
      no_fault();
      if (calls_ < number) break;
      ++failed;
      ASSERT_FALSE(done);
      if (kind.code != ErrorCode{}) {
        EXPECT_EQ(done.error().code, kind.code);
      }
      const std::size_t stayed = b->size() - before.size();
      ASSERT_EQ(stayed % 64, 0U);
      value_of(engine->warm_up());
      value_of(a->evaluate(std::vector{7}));
      value_of(b->evaluate(std::span(more).subspan(stayed)));
      EXPECT_EQ(b->size(), before.size() + more.size());
      scene_.expect_alone(*b);
      scene_.expect_alone(*a);
      value_of(a->truncate(0));
      value_of(b->truncate(0));
      EXPECT_EQ(pages_held(*engine), 0U);
    }
    EXPECT_GE(failed, 3) << kind.call;
  }
}

// A launch whose argument could not be set is never run again: no session reads what the others have in new buffers.
TEST_F(EngineFaults, NothingRunsOnBuffersThatWereReplaced) {
  for (const int number : {1, 2, 5, 9}) {
    SCOPED_TRACE(number);
    const auto engine = scene_.engine(2, 2048, 64);
    const auto a = value_of(engine->open_session()), b = value_of(engine->open_session());
    value_of(a->evaluate(scene_.random_tokens(random_, 900)));
    value_of(b->evaluate(scene_.random_tokens(random_, 10)));
    fail_at("clSetKernelArg", number);
    EXPECT_FALSE(b->evaluate(scene_.random_tokens(random_, 200)));
    no_fault();
    ASSERT_GE(calls_, number);
    // by the operations for one token, until a page is one of the new ones
    for (int i = 0; i < 70 && a->evaluate(std::vector{i % 48}); ++i) scene_.expect_alone(*a);
  }
}

TEST_F(EngineFaults, AStopInAStepEndsOneSessionAndTheOthersGoOn) {
  const auto engine = scene_.engine(3, 2048, 64);
  Control control;
  const auto a = value_of(engine->open_session(&control)), b = value_of(engine->open_session());
  const Tokens first = scene_.random_tokens(random_, 300), second = scene_.random_tokens(random_, 301);
  int launches = 0;
  on_engine_call = [&](std::string_view call) {
    if (call == "clEnqueueNDRangeKernel" && ++launches == 200) control.cancelled = true;
  };
  const StepReport report = value_of(evaluate(*engine, {{a.get(), first}, {b.get(), second}}));
  no_fault();
  ASSERT_GT(launches, 200);
  EXPECT_EQ(b->size(), second.size());
  EXPECT_GT(a->size(), 0U);
  EXPECT_LT(a->size(), first.size());
  EXPECT_EQ(report.tokens, a->size() + b->size());
  EXPECT_TRUE(std::equal(a->tokens().begin(), a->tokens().end(), first.begin()));
  control.cancelled = false;
  for (Session* session : {a.get(), b.get()}) scene_.expect_alone(*session);
  value_of(a->evaluate(std::span(first).subspan(a->size())));
  scene_.expect_alone(*a);
}

// The logits of one session are not what a step left that another one's fault has ended.
TEST_F(EngineFaults, LogitsOfAnotherStepThatFailedAreNobodys) {
  const auto engine = scene_.engine(2, 512);
  const auto a = value_of(engine->open_session()), b = value_of(engine->open_session());
  value_of(a->evaluate(std::vector{1, 2, 3}));
  fail_at("clEnqueueReadBuffer", 1);
  EXPECT_FALSE(b->evaluate(std::vector{4, 5}));
  no_fault();
  scene_.expect_alone(*a);
  EXPECT_EQ(b->size(), 0U);
}

}  // namespace
}  // namespace gguf_fuse::runtime
