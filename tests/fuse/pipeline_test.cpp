// SPDX-License-Identifier: MIT
#include "gguf_fuse/fuse/pipeline.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "gguf_fuse/fuse/convert.hpp"
#include "support/memory_sink.hpp"
#include "support/random_model.hpp"

namespace gguf_fuse::fuse {
namespace {

using support::any_model;
using support::MemorySink;
using support::MemoryStream;
using support::model_of;
using support::RandomModel;
using support::run_plan;
using support::value_of;
using Bytes = std::vector<std::byte>;

// Chunks of 64 KiB, so that a model of a few hundred KiB is work for several threads.
constexpr std::uint64_t kSmallChunk = std::uint64_t{64} << 10;

PipelineOptions threads(unsigned count) { return {.threads = count, .max_memory = 2 * count * kSmallChunk}; }

RandomModel mixture() { return RandomModel("granite_swa").layers(4).embedding(128).feed_forward(256).experts(8); }

Model stream_of(const Bytes& file) { return value_of(open_model(std::make_unique<MemoryStream>(file))); }

TEST(Pipeline, OutputIsTheSameForAnyNumberOfThreads) {
  const Bytes file = mixture().build();
  Model model = model_of(file);
  const Plan plan = value_of(plan_fuse(model.info));
  const auto expected = run_plan(plan, model, threads(1));
  for (const unsigned count : {2U, 3U, 8U, 16U})
    EXPECT_TRUE(run_plan(plan, model, threads(count)) == expected) << count;
}

TEST(Pipeline, AStreamGivesTheSameFile) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const Bytes file = any_model(seed).build();
    Model model = model_of(file);
    const auto expected = run_plan(value_of(plan_fuse(model.info)), model);
    Model stream = stream_of(file);
    std::vector<std::unique_ptr<Sink>> sinks;
    sinks.push_back(std::make_unique<MemorySink>());
    const Execution execution = value_of(execute(value_of(plan_fuse(stream.info)), stream, sinks, threads(3)));
    Plan plan = value_of(plan_fuse(stream.info));
    ASSERT_TRUE(complete_record(plan, execution, nullptr));
    ASSERT_TRUE(write_headers(plan, sinks));
    EXPECT_TRUE(static_cast<MemorySink&>(*sinks[0]).bytes() == expected.at(0)) << "seed " << seed;
    EXPECT_TRUE(execution.padding_was_zero);
    Sources outputs;
    outputs.push_back(sinks[0]->read_back());
    EXPECT_TRUE(compare(plan, execution.extents, outputs));
  }
}

TEST(Pipeline, UnfusingAStreamGivesTheOriginal) {
  const Bytes file = mixture().build();
  Model model = model_of(file);
  const Bytes fused = run_plan(value_of(plan_fuse(model.info)), model).at(0);
  Model stream = stream_of(fused);
  std::vector<std::unique_ptr<Sink>> sinks;
  sinks.push_back(std::make_unique<MemorySink>());
  ASSERT_TRUE(execute(value_of(plan_unfuse(stream.info)), stream, sinks, threads(2)));
  ASSERT_TRUE(write_headers(value_of(plan_unfuse(stream.info)), sinks));
  EXPECT_TRUE(static_cast<MemorySink&>(*sinks[0]).bytes() == file);
}

TEST(Pipeline, ASequentialSinkIsWrittenInOrderByManyThreads) {
  const Bytes file = mixture().build();
  Model model = model_of(file);
  Plan plan = value_of(plan_fuse(model.info));
  const auto expected = run_plan(plan, model);
  ASSERT_TRUE(complete_record(plan, value_of(survey(plan, model, threads(8))), nullptr));
  for (int round = 0; round < 10; ++round) {
    std::vector<std::unique_ptr<Sink>> sinks;
    sinks.push_back(std::make_unique<MemorySink>(true));
    ASSERT_TRUE(execute(plan, model, sinks, threads(8)));
    EXPECT_TRUE(static_cast<MemorySink&>(*sinks[0]).bytes() == expected.at(0));
  }
}

TEST(Pipeline, ComparingAStreamWithAFile) {
  const Bytes file = mixture().build();
  Model model = model_of(file);
  Bytes fused = run_plan(value_of(plan_fuse(model.info)), model).at(0);
  const auto equal = [&] {
    Model left = model_of(fused);
    Model right = stream_of(file);
    return compare(value_of(plan_compare(left.info, right.info)), right, left.sources, threads(2)).has_value();
  };
  EXPECT_TRUE(equal());
  fused[fused.size() / 2] ^= std::byte{1};
  EXPECT_FALSE(equal());
}

// A source that fails from some offset on, as a disk does.
class FailingSource final : public Source {
 public:
  FailingSource(const Bytes& bytes, std::uint64_t good) : bytes_(bytes), good_(good) {}
  Result<void> read_at(std::uint64_t offset, std::span<std::byte> out) override {
    if (offset + out.size() > good_) return fail({.code = ErrorCode::ReadFailed, .path = path_, .offset = good_});
    return memory_source(bytes_, path_)->read_at(offset, out);
  }
  [[nodiscard]] std::optional<std::uint64_t> size() const override { return bytes_.size(); }
  [[nodiscard]] bool sequential() const override { return false; }
  [[nodiscard]] const std::string& path() const override { return path_; }

 private:
  const Bytes& bytes_;
  std::uint64_t good_;
  std::string path_ = "failing";
};

class FailingSink final : public Sink {
 public:
  FailingSink(std::uint64_t good, bool sequential) : good_(good), sequential_(sequential) {}
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (offset + bytes.size() > good_) return fail({.code = ErrorCode::WriteFailed, .path = path_, .offset = offset});
    return {};
  }
  [[nodiscard]] bool sequential() const override { return sequential_; }
  Result<void> commit() override { return {}; }
  [[nodiscard]] const std::string& path() const override { return path_; }

 private:
  std::uint64_t good_;
  bool sequential_;
  std::string path_ = "failing";
};

TEST(Pipeline, AReaderThatFailsStopsEverythingAndNamesTheTensor) {
  const Bytes file = mixture().build();
  const Model intact = model_of(file);
  const Container& container = intact.info.shards.front();
  for (std::size_t i = 0; i < container.tensors.size(); i += 3) {
    const TensorInfo& tensor = container.tensors[i];
    Model model = model_of(file);
    model.sources[0] = std::make_unique<FailingSource>(file, container.data_offset + tensor.offset + tensor.bytes - 1);
    std::vector<std::unique_ptr<Sink>> sinks;
    sinks.push_back(std::make_unique<MemorySink>(i % 2 == 0));
    const auto done = execute(value_of(plan_fuse(model.info)), model, sinks, threads(4));
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::ReadFailed);
    EXPECT_FALSE(done.error().subject.empty());
  }
}

TEST(Pipeline, AWriterThatFailsStopsEverything) {
  const Bytes file = mixture().build();
  for (const bool sequential : {false, true}) {
    for (std::uint64_t good = 0; good < file.size(); good += kSmallChunk) {
      Model model = model_of(file);
      std::vector<std::unique_ptr<Sink>> sinks;
      sinks.push_back(std::make_unique<FailingSink>(good, sequential));
      const auto done = execute(value_of(plan_fuse(model.info)), model, sinks, threads(4));
      ASSERT_FALSE(done);
      EXPECT_EQ(done.error().code, ErrorCode::WriteFailed);
    }
  }
}

TEST(Pipeline, AStreamThatEndsEarlyNamesTheTensor) {
  const Bytes file = mixture().build();
  for (std::size_t cut = 1; cut < file.size() / 2; cut += file.size() / 7) {
    const Bytes part(file.begin(), file.end() - static_cast<std::ptrdiff_t>(cut + 32));
    Model model = stream_of(part);
    std::vector<std::unique_ptr<Sink>> sinks;
    sinks.push_back(std::make_unique<MemorySink>());
    const auto done = execute(value_of(plan_fuse(model.info)), model, sinks, threads(8));
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::Truncated);
    EXPECT_FALSE(done.error().subject.empty());
  }
}

TEST(Pipeline, CancellingStopsIt) {
  const Bytes file = mixture().build();
  Control control;
  control.cancelled = true;
  PipelineOptions options = threads(4);
  options.control = &control;
  for (const bool sequential : {false, true}) {
    Model model = sequential ? stream_of(file) : model_of(file);
    std::vector<std::unique_ptr<Sink>> sinks;
    sinks.push_back(std::make_unique<MemorySink>());
    const auto done = execute(value_of(plan_fuse(model.info)), model, sinks, options);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::Interrupted);
  }
}

TEST(Pipeline, ProgressReachesItsTotal) {
  const Bytes file = mixture().build();
  Model model = model_of(file);
  Control control;
  PipelineOptions options = threads(3);
  options.control = &control;
  const Plan plan = value_of(plan_fuse(model.info));
  (void)run_plan(plan, model, options);
  EXPECT_EQ(control.bytes_done, control.bytes_total);
  EXPECT_EQ(control.bytes_total, plan.total_bytes());
}

TEST(Pipeline, MemoryLimitIsKeptOrRefused) {
  const Bytes file = mixture().build();
  Model model = model_of(file);
  const Plan plan = value_of(plan_fuse(model.info));
  std::vector<std::unique_ptr<Sink>> sinks;
  sinks.push_back(std::make_unique<MemorySink>());
  const auto refused = execute(plan, model, sinks, {.threads = 4, .max_memory = 1000});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::MemoryLimitTooSmall);
  EXPECT_TRUE(execute(plan, model, sinks, {.threads = 64, .max_memory = kSmallChunk})) << "one thread is enough";
}

TEST(Pipeline, PaddingThatIsNotZeroIsSeen) {
  Bytes file = RandomModel("llama").build();
  const Model intact = model_of(file);
  const Container& container = intact.info.shards.front();
  ASSERT_LT(container.header->size(), container.data_offset);
  file[container.data_offset - 1] = std::byte{7};
  for (const bool sequential : {false, true}) {
    Model model = sequential ? stream_of(file) : model_of(file);
    std::vector<std::unique_ptr<Sink>> sinks;
    sinks.push_back(std::make_unique<MemorySink>());
    EXPECT_FALSE(value_of(execute(value_of(plan_fuse(model.info)), model, sinks)).padding_was_zero);
  }
}

TEST(Pipeline, HashesOfThreadsEqualHashesOfAStream) {
  const Bytes file = mixture().build();
  Model model = model_of(file);
  Model stream = stream_of(file);
  const auto a = value_of(hash_tensors(model, threads(4)));
  const auto b = value_of(hash_tensors(stream, threads(4)));
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].xxh64, b[i].xxh64);
    EXPECT_EQ(a[i].name, b[i].name);
  }
}

}  // namespace
}  // namespace gguf_fuse::fuse
