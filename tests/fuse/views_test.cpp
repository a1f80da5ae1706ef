// SPDX-License-Identifier: MIT
// What an unfused file calls a tensor is found wherever a plan put it.
#include "gguf_fuse/fuse/views.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include <map>
#include <span>

#include "support/memory_sink.hpp"
#include "support/random_model.hpp"

namespace gguf_fuse::fuse {
namespace {

using support::any_model;
using support::model_of;
using support::RandomModel;
using support::run_plan;
using support::value_of;
using Bytes = std::vector<std::byte>;
using Tensors = std::map<std::string, std::string>;  // what they hold, in short

std::string fingerprint(std::span<const std::byte> bytes) {
  return fmt::format("{} bytes, {:016x}", bytes.size(), XXH64(bytes.data(), bytes.size(), 0));
}

Bytes copy_of(const Bytes& file, std::uint64_t begin, std::uint64_t bytes) {
  const auto first = file.begin() + static_cast<std::ptrdiff_t>(begin);
  return {first, first + static_cast<std::ptrdiff_t>(bytes)};
}

/// The tensors as the file has them.
Tensors stored(const Bytes& file) {
  const Model model = model_of(file);
  const Container& container = model.info.shards.front();
  Tensors tensors;
  for (const TensorInfo& tensor : container.tensors)
    tensors[std::string(tensor.name)] = fingerprint(copy_of(file, container.data_offset + tensor.offset, tensor.bytes));
  return tensors;
}

/// The tensors as the views of a plan find them in its output.
Tensors viewed(const Bytes& file, const FuseOptions& options) {
  Model model = model_of(file);
  const Plan plan = value_of(plan_fuse(model.info, options));
  const Bytes output = run_plan(plan, model).front();
  Tensors tensors;
  for (const TensorView& view : views_of(plan.files.front())) {
    if (view.joined != nullptr && view.joined->unknown) continue;
    const std::uint64_t row = row_bytes(*view.type, view.row_elements).value();
    const std::uint64_t begin = plan.files.front().tensors[view.tensor].offset;
    Bytes bytes;
    if (view.joined == nullptr) bytes = copy_of(output, begin, view.bytes);  // with what belongs to no row
    for (std::uint64_t m = 0; view.joined != nullptr && m < view.matrices; ++m) {
      const Bytes part = copy_of(output, begin + (view.first_row + m * view.stride) * row, view.rows * row);
      bytes.insert(bytes.end(), part.begin(), part.end());
    }
    EXPECT_EQ(bytes.size(), view.bytes) << view.name;
    tensors[std::string(view.name)] = fingerprint(bytes);
  }
  return tensors;
}

TEST(Views, FindEveryTensorOfAnyModel) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    const Bytes file = any_model(seed).build();
    for (const bool fuse : {false, true}) {
      const FuseOptions options{.target = Target::GgufFuse, .stack = false, .gate_up = fuse, .qkv = fuse};
      Tensors found = viewed(file, options);
      Tensors expected = stored(file);
      // What is fused by design is found in parts, which FindThePartsOfWhatCameFused looks at.
      const Plan plan = value_of(plan_fuse(model_of(file).info, options));
      for (const PlannedTensor& tensor : plan.files.front().tensors) {
        if (!tensor.joined || !tensor.joined->stored) continue;
        for (const Joined::Part& part : tensor.joined->parts) found.erase(part.name);
        expected.erase(tensor.name);
      }
      EXPECT_EQ(found, expected);
    }
  }
}

TEST(Views, FindThePartsOfWhatCameFused) {
  const RandomModel models[] = {
      RandomModel("qwen2moe").experts(5, 2, 40),
      RandomModel("gpt-oss").experts(3, 2, 64),
      RandomModel("qwen2"),
      RandomModel("deepseek2").experts(4, 2, 32),
  };
  for (const RandomModel& model : models) {
    const Bytes apart = model.build();
    RandomModel fused = model;
    for (const Rule& rule : rules()) {
      if (rule.axis == Axis::Rows) fused.fused(rule.id);
    }
    EXPECT_EQ(viewed(fused.build(), {.target = Target::GgufFuse}), stored(apart));
  }
}

TEST(Views, NeighboursFollowEachOther) {
  Model model = model_of(RandomModel("qwen3moe").experts(4, 2, 32).build());
  const Plan plan = value_of(plan_fuse(model.info, {.target = Target::GgufFuse}));
  std::map<std::string_view, TensorView> views;
  for (const TensorView& view : views_of(plan.files.front())) views.emplace(view.name, view);
  EXPECT_TRUE(views.at("blk.0.attn_k.weight").continues(views.at("blk.0.attn_q.weight")));
  EXPECT_TRUE(views.at("blk.0.attn_v.weight").continues(views.at("blk.0.attn_k.weight")));
  EXPECT_FALSE(views.at("blk.0.attn_v.weight").continues(views.at("blk.0.attn_q.weight")));
  EXPECT_FALSE(views.at("blk.1.attn_k.weight").continues(views.at("blk.0.attn_q.weight")));
  EXPECT_TRUE(views.at("blk.0.ffn_up_exps.weight").continues(views.at("blk.0.ffn_gate_exps.weight")));
  EXPECT_EQ(views.at("blk.0.ffn_up_exps.weight").stride, 64U);
  EXPECT_FALSE(views.at("blk.0.ffn_up_exps.weight").contiguous());
  EXPECT_TRUE(views.at("blk.0.ffn_down_exps.weight").contiguous());
  EXPECT_EQ(views.at("blk.0.ffn_down_exps.weight").joined, nullptr);
}

TEST(Views, SayWhyPartsCannotBeTold) {
  const auto reason_of = [](RandomModel made) {
    Model model = model_of(made.build());
    const Plan plan = value_of(plan_fuse(model.info, {.target = Target::GgufFuse}));
    for (const TensorView& view : views_of(plan.files.front())) {
      if (view.joined == nullptr || !view.joined->unknown) continue;
      EXPECT_EQ(view.rows, 0U);
      return view.joined->unknown->text();
    }
    return std::string();
  };
  const auto rows = [](std::string name, std::uint64_t more) {
    return [name = std::move(name), more](std::vector<support::TensorSpec>& table) {
      for (auto& tensor : table) {
        if (tensor.name != name) continue;
        tensor.dims[1] += more;
        tensor.data.clear();
      }
    };
  };
  EXPECT_EQ(reason_of(RandomModel("phi3")), "");
  EXPECT_THAT(reason_of(RandomModel("phi3").edit(rows("blk.0.attn_qkv.weight", 1))),
              testing::HasSubstr("do not follow from the head counts"));
  EXPECT_EQ(reason_of(RandomModel("phi3").edit(rows("blk.0.ffn_up.weight", 2))), "ffn_up is not fused");
  EXPECT_EQ(
      reason_of(RandomModel("qwen3moe").fused(RuleId::GateUpExperts).edit(rows("blk.0.ffn_gate_up_exps.weight", 1))),
      "ffn_gate_up_exps has an odd number of rows");
}

}  // namespace
}  // namespace gguf_fuse::fuse
