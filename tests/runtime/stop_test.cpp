// SPDX-License-Identifier: MIT
// One stop, the Control of the model's options, ends whatever a session computes: told by what is launched after it.
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <thread>

#include "gguf_fuse/runtime/generate.hpp"
#include "support/file_util.hpp"
#include "support/opencl_device.hpp"
#include "support/runtime/run_model.hpp"

namespace gguf_fuse::runtime {
namespace {

using namespace std::chrono_literals;
using support::logit_difference;
using support::reference_path;
using support::value_of;

std::function<void(std::string_view)> on_call;

std::string watching_library() { return (support::program_folder() / "libgguf_fuse_opencl_faults.so").string(); }

class Stop : public testing::Test {
 protected:
  Stop() {
    void* library = dlopen(watching_library().c_str(), RTLD_NOW);
    watch_ = static_cast<void (**)(const char*)>(dlsym(library, "gguf_fuse_opencl_watch"));
    *watch_ = [](const char* call) {
      if (on_call) on_call(call);
    };
    session_ = open(512);
    // Drivers compile at a kernel's first launch, which may take so long that launches are cut: from here on they are
    // as many each time.
    for (int i = 0; i < 3; ++i) {
      value_of(session_->evaluate(tokens_));
      value_of(session_->truncate(0));
    }
  }
  ~Stop() override {
    on_call = nullptr;
    *watch_ = nullptr;
  }

  std::unique_ptr<Session> open(std::uint32_t micro_batch) {
    model_ = support::open_runnable(reference_path("llama-q8_0"), {.devices = {device_}, .control = &control_});
    return value_of(Session::create(
        model_, {.context = 64, .micro_batch = micro_batch, .cache_k = CacheType::F32, .cache_v = CacheType::F32}));
  }

  /// Cancels at the launch of this number, from 1; counts all of them.
  void stop_at(int launch) {
    launches_ = 0;
    on_call = [this, launch](std::string_view call) {
      if (call == "clEnqueueNDRangeKernel" && ++launches_ == launch) control_.cancelled = true;
    };
  }
  void go_on() {
    on_call = nullptr;
    control_.cancelled = false;
  }

  const support::ScopedVariable library_{"GGUF_FUSE_OPENCL_LIBRARY", watching_library()};
  const std::shared_ptr<Device> device_ = value_of(Device::open(support::test_device(), {.dot = DotProduct::None}));
  const std::vector<std::int32_t> tokens_{1, 261, 264, 272, 5, 6, 7, 8, 9, 10, 11};
  Control control_;
  std::shared_ptr<RunnableModel> model_;
  std::unique_ptr<Session> session_;
  int launches_ = 0;

 private:
  void (**watch_)(const char*) = nullptr;
};

// An operation of several launches is finished: attention has two, experts and candidates have three.
constexpr int kMostLaunches = 3;

TEST_F(Stop, NothingIsLaunchedAfterItAndTheSessionGoesOn) {
  stop_at(0);
  value_of(session_->evaluate(tokens_));
  const auto expected = value_of(session_->logits());
  const int all = launches_;
  ASSERT_GT(all, 20);
  for (const int launch : {1, 2, all / 2, all - kMostLaunches}) {
    value_of(session_->truncate(0));
    stop_at(launch);
    EXPECT_EQ(session_->evaluate(tokens_).error().code, ErrorCode::Interrupted);
    EXPECT_LT(launches_ - launch, kMostLaunches) << launch;
    EXPECT_EQ(session_->size(), 0U);
    go_on();
    value_of(session_->evaluate(tokens_));
    EXPECT_EQ(value_of(session_->logits()), expected) << launch;
  }
}

TEST_F(Stop, LaunchesThatTakeLongAreCutAndGiveTheSameBits) {
  stop_at(0);
  value_of(session_->evaluate(tokens_));
  const auto expected = value_of(session_->logits());
  const int whole = launches_;
  int slow = 4;  // a device that works that often for 60 ms while the host waits
  launches_ = 0;
  on_call = [&](std::string_view call) {
    if (call == "clEnqueueNDRangeKernel") ++launches_;
    if (call == "clWaitForEvents" && slow-- > 0) std::this_thread::sleep_for(60ms);
  };
  const auto fresh = open(512);  // it has learned nothing yet
  value_of(fresh->evaluate(tokens_));
  go_on();
  EXPECT_LE(slow, 0);
  EXPECT_GT(launches_, whole);
  EXPECT_EQ(value_of(fresh->logits()), expected);
}

TEST_F(Stop, WholeMicroBatchesStay) {
  value_of(session_->evaluate(tokens_));
  const auto expected = value_of(session_->logits());
  const auto pieces = open(4);
  stop_at(0);
  value_of(pieces->evaluate(std::span(tokens_).first(4)));
  const int one = launches_;
  value_of(pieces->truncate(0));
  stop_at(one + one / 2);
  EXPECT_EQ(pieces->evaluate(tokens_).error().code, ErrorCode::Interrupted);
  EXPECT_THAT(pieces->tokens(), testing::ElementsAreArray(std::span(tokens_).first(4)));
  // what was computed of the last token is lost, and cannot be computed now
  EXPECT_EQ(pieces->top(1).error().code, ErrorCode::Interrupted);
  EXPECT_EQ(pieces->logits().error().code, ErrorCode::Interrupted);
  go_on();
  EXPECT_EQ(value_of(pieces->top(1)).size(), 1U);
  value_of(pieces->evaluate(std::span(tokens_).subspan(4)));
  EXPECT_LE(logit_difference(value_of(pieces->logits()), expected).max, 2e-5);
}

// Operations of a step change the states of a delta network one after the other: where a step ends early, those of its
// beginning have to come back.
TEST_F(Stop, StatesAreThoseOfWholeMicroBatches) {
  model_ = support::open_runnable(reference_path("qwen35moe-q8_0"), {.devices = {device_}, .control = &control_});
  const auto session = value_of(Session::create(model_, {.context = 64, .micro_batch = 4}));
  const std::vector<std::int32_t> tokens{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  value_of(session->evaluate(tokens));
  value_of(session->truncate(0));
  stop_at(0);
  value_of(session->evaluate(tokens));
  const auto expected = value_of(session->logits());
  const int all = launches_;
  for (const int launch : {1, all / 3, all / 2, all - all / 10, all - kMostLaunches}) {
    value_of(session->truncate(0));
    stop_at(launch);
    EXPECT_EQ(session->evaluate(tokens).error().code, ErrorCode::Interrupted);
    go_on();
    value_of(session->evaluate(std::span(tokens).subspan(session->size())));
    EXPECT_LE(logit_difference(value_of(session->logits()), expected).max, 1e-4) << launch;
  }
}

TEST_F(Stop, NothingIsGeneratedAfterOneDuringThePrompt) {
  stop_at(0);
  value_of(session_->evaluate(tokens_));
  const int all = launches_;
  Sampler sampler({.temperature = 0});
  for (const int launch : {1, all / 2, all}) {  // with the last one the prompt is whole
    value_of(session_->truncate(0));
    stop_at(launch);
    bool shown = false;
    const auto generation = value_of(generate(*session_, *value_of(model_->tokenizer()), sampler, tokens_,
                                              {.tokens = 5}, [&](std::string_view) { shown = true; }));
    EXPECT_EQ(generation.reason, FinishReason::Cancelled);
    EXPECT_THAT(generation.tokens, testing::IsEmpty()) << launch;
    EXPECT_FALSE(shown);
    EXPECT_EQ(generation.prompt_tokens, session_->size());
    go_on();
  }
}

TEST_F(Stop, EndsBuildingAndWarmingUp) {
  stop_at(5);
  EXPECT_EQ(session_->warm_up().error().code, ErrorCode::Interrupted);
  EXPECT_LT(launches_ - 5, kMostLaunches);
  EXPECT_EQ(Session::create(model_, {.context = 64}).error().code, ErrorCode::Interrupted);
  go_on();
  value_of(session_->warm_up());
  value_of(session_->evaluate(tokens_));
  EXPECT_EQ(session_->size(), tokens_.size());
}

// Whatever launches take, the host is never further ahead than the two that a stop has to wait for.
TEST_F(Stop, TheQueueStaysShort) {
  value_of(session_->evaluate(tokens_));
  int ahead = 0, longest = 0;
  on_call = [&](std::string_view call) {
    if (call == "clWaitForEvents") ahead = 0;
    if (call != "clEnqueueNDRangeKernel") return;
    longest = std::max(longest, ++ahead);
    std::this_thread::sleep_for(30ms);
  };
  value_of(session_->truncate(0));
  value_of(session_->evaluate(tokens_));  // comes in the portions that short launches have taught
  ahead = longest = 0;                    // its end waited for all of them
  value_of(session_->evaluate(tokens_));
  EXPECT_LE(longest, 2 * kMostLaunches);
}

}  // namespace
}  // namespace gguf_fuse::runtime
