// SPDX-License-Identifier: MIT
// The library's functions given what no caller should give them: each answers with an error value.
#include <gtest/gtest.h>

#include <functional>

#include "gguf_fuse/fuse/convert.hpp"
#include "support/memory_sink.hpp"
#include "support/random_model.hpp"

namespace gguf_fuse::fuse {
namespace {

using support::MemorySink;
using support::model_of;
using support::RandomModel;
using support::value_of;
using Piece = gguf_fuse::fuse::Run;  // Run is a function of each test
using Sinks = std::vector<std::unique_ptr<Sink>>;

template <typename T>
void expect_refused(const Result<T>& result) {
  ASSERT_FALSE(result);
  EXPECT_EQ(error_name(result.error().code), "InvalidArgument") << result.error().message();
  EXPECT_FALSE(result.error().expected.empty());
}

Sinks memory_sinks(std::size_t count) {
  Sinks sinks;
  for (std::size_t i = 0; i < count; ++i) sinks.push_back(std::make_unique<MemorySink>());
  return sinks;
}

Sources memory_sources(std::span<const std::vector<std::byte>> files) {
  Sources sources;
  for (const auto& file : files) sources.push_back(memory_source(file, "memory"));
  return sources;
}

TEST(Misuse, FewerSinksThanFilesOrNone) {
  const auto shards = RandomModel("llama").build_shards(5);
  Model model = model_of(shards);
  const Plan plan = value_of(plan_fuse(model.info, {.split = {.keep = true}}));
  ASSERT_GT(plan.files.size(), 1U);
  for (std::size_t count = 0; count < plan.files.size(); ++count) {
    expect_refused(execute(plan, model, memory_sinks(count)));
    expect_refused(write_headers(plan, memory_sinks(count)));
  }
  Sinks with_null = memory_sinks(plan.files.size());
  with_null.back() = nullptr;
  expect_refused(execute(plan, model, with_null));
  expect_refused(write_headers(plan, with_null));
  EXPECT_TRUE(execute(plan, model, memory_sinks(plan.files.size())));
}

TEST(Misuse, FewerOutputsThanFilesOrNone) {
  const auto shards = RandomModel("llama").build_shards(5);
  Model model = model_of(shards);
  const Plan plan = value_of(plan_fuse(model.info, {.split = {.keep = true}}));
  const Sinks sinks = memory_sinks(plan.files.size());
  value_of(execute(plan, model, sinks));
  Sources sources;
  for (const auto& sink : sinks) {
    expect_refused(compare(plan, model, sources));
    sources.push_back(sink->read_back());
  }
  EXPECT_TRUE(compare(plan, model, sources));
  EXPECT_TRUE(compare(plan, std::vector<Extent>{}, sources));
  const auto file = static_cast<std::uint32_t>(plan.files.size());
  expect_refused(compare(plan, std::vector<Extent>{{.file = file, .offset = 0, .bytes = 1, .hash = 0}}, sources));
  sources.back() = nullptr;
  expect_refused(compare(plan, model, sources));
  expect_refused(compare(plan, std::vector<Extent>{}, sources));
}

TEST(Misuse, ThePlanOfAnotherModel) {
  const auto large = RandomModel("llama").layers(4).build();
  const auto small = RandomModel("llama").layers(1).build();
  Model own = model_of(large);
  const Plan plan = value_of(plan_fuse(own.info));
  Model other = model_of(small);
  expect_refused(execute(plan, other, memory_sinks(1)));
  const auto files = support::run_plan(plan, own);
  Sources sources = memory_sources(files);
  expect_refused(compare(plan, other, sources));
  Model stream = value_of(open_model(std::make_unique<support::MemoryStream>(small)));
  expect_refused(execute(plan, stream, memory_sinks(1)));
}

TEST(Misuse, PlansMadeByHand) {
  const auto file = RandomModel("llama").layers(1).build();
  Model model = model_of(file);
  const Plan good = value_of(plan_fuse(model.info));
  const auto refused = [&](const std::function<void(PlannedFile&, PlannedTensor&, Piece&)>& change) {
    Plan plan = good;
    PlannedFile& first = plan.files.front();
    std::vector<Piece> runs = first.tensors[1].map.runs();
    change(first, first.tensors[1], runs.front());
    if (!first.tensors.empty()) first.tensors[1].map = runs;
    expect_refused(execute(plan, model, memory_sinks(1)));
  };
  constexpr std::uint64_t kMost = ~std::uint64_t{0};
  refused([](PlannedFile&, PlannedTensor&, Piece& run) { run.source = 1; });
  refused([](PlannedFile&, PlannedTensor&, Piece& run) { run.source_offset = kMost; });
  refused([](PlannedFile&, PlannedTensor&, Piece& run) { run.bytes = kMost; });
  refused([](PlannedFile&, PlannedTensor&, Piece& run) { run.count = 0; });
  refused([](PlannedFile&, PlannedTensor&, Piece& run) { run.count = 2; });  // strides of 0
  refused([](PlannedFile&, PlannedTensor&, Piece& run) { run.count = run.stride = run.source_stride = kMost; });
  refused([](PlannedFile&, PlannedTensor&, Piece& run) { run.offset = 1; });
  refused([](PlannedFile&, PlannedTensor& tensor, Piece&) { tensor.offset = 0; });
  refused([](PlannedFile&, PlannedTensor& tensor, Piece&) { tensor.offset = kMost; });
  refused([](PlannedFile&, PlannedTensor& tensor, Piece&) { tensor.bytes = kMost; });
  refused([](PlannedFile& planned, PlannedTensor&, Piece&) { planned.total_bytes = 10; });
  refused([](PlannedFile& planned, PlannedTensor&, Piece&) {
    planned.tensors.clear();
    planned.total_bytes = planned.header.size() - 1;
  });
}

TEST(Misuse, ModelsThatWereMovedFrom) {
  const auto file = RandomModel("llama").build();
  Model model = model_of(file);
  const Plan plan = value_of(plan_fuse(model.info));
  const Model taken = std::move(model);
  // NOLINTBEGIN(bugprone-use-after-move): that is what is tried
  EXPECT_EQ(model.info.metadata().size(), 0U);
  EXPECT_EQ(model.info.tensor_count(), 0U);
  EXPECT_EQ(model.info.total_bytes(), 0U);
  EXPECT_FALSE(model.sequential());
  EXPECT_TRUE(model.check_unchanged());
  expect_refused(plan_fuse(model.info));
  expect_refused(plan_unfuse(model.info));
  expect_refused(plan_compare(model.info, taken.info));
  expect_refused(plan_compare(taken.info, model.info));
  expect_refused(execute(plan, model, memory_sinks(1)));
  expect_refused(hash_tensors(model));
  // NOLINTEND(bugprone-use-after-move)
  Model without_sources;
  without_sources.info = taken.info;
  expect_refused(execute(plan, without_sources, memory_sinks(1)));
  expect_refused(hash_tensors(without_sources));
  without_sources.sources.push_back(nullptr);
  EXPECT_FALSE(without_sources.sequential());
  EXPECT_TRUE(without_sources.check_unchanged());
  expect_refused(execute(plan, without_sources, memory_sinks(1)));
}

TEST(Misuse, NumbersThatAreNoEnumerators) {
  const auto number = std::uint8_t{200};
  EXPECT_EQ(rule(static_cast<RuleId>(number)).name, "no rule");
  EXPECT_EQ(Reason{static_cast<ReasonCode>(number)}.text(), "for a reason that this version does not know");
  EXPECT_EQ(target_name(static_cast<Target>(number)), "unknown");
  static_cast<void>(support(static_cast<Target>(number), "llama", static_cast<RuleId>(number)));
  const auto file = RandomModel("llama").build();
  EXPECT_TRUE(plan_fuse(model_of(file).info, {.target = static_cast<Target>(number)}));
}

TEST(Misuse, RequestsWithoutNames) {
  EXPECT_FALSE(convert({}));
  EXPECT_FALSE(convert({.input = "", .output = "out.gguf"}));
  EXPECT_FALSE(verify("", ""));
}

}  // namespace
}  // namespace gguf_fuse::fuse
