// SPDX-License-Identifier: MIT
// Scales beside matrices of NVFP4: a model with them gives the logits of one of floats into which they are multiplied.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "gguf_fuse/fuse/convert.hpp"
#include "support/file_util.hpp"
#include "support/random_model.hpp"
#include "support/reference/matmul_reference.hpp"
#include "support/runtime/run_model.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::runtime {
namespace {

using support::Bytes;
using support::ModelSetup;
using support::RandomModel;
using support::TempDir;
using support::TensorSpec;
using support::value_of;

const std::vector<std::int32_t> kTokens = {5, 17, 200, 31, 99, 4, 250, 12, 77, 130, 8, 64, 3, 180, 45, 222, 90, 6, 41};

/// Logits of the last token of a batch, then of a token that comes alone.
std::vector<float> logits_of(const std::string& path, const ModelSetup& setup = {}) {
  const auto session = support::open_session(path, setup);
  value_of(session->evaluate(kTokens));
  std::vector<float> logits = value_of(session->logits());
  value_of(session->evaluate(std::vector{7}));
  const auto single = value_of(session->logits());
  logits.insert(logits.end(), single.begin(), single.end());
  return logits;
}

Bytes bytes_of(const std::vector<float>& values) {
  Bytes bytes(values.size() * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

std::vector<float> floats_of(const Bytes& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

bool is_scale(const TensorSpec& spec) { return spec.name.ends_with(".scale"); }

Bytes data_of(const TensorSpec& spec) { return spec.data.empty() ? support::random_tensor(1, spec) : spec.data; }

std::string scale_of(const TensorSpec& weight) { return weight.name.substr(0, weight.name.rfind('.')) + ".scale"; }

std::uint64_t matrices_of(const TensorSpec& spec) { return spec.dims.size() > 2 ? spec.dims[2] : 1; }

const TensorSpec* find(const std::vector<TensorSpec>& table, const std::string& name) {
  const auto found = std::find_if(table.begin(), table.end(), [&](const TensorSpec& one) { return one.name == name; });
  return found == table.end() ? nullptr : &*found;
}

RandomModel small(const char* architecture) {
  RandomModel model(architecture);
  return model.layers(2).vocabulary(320).embedding(64).heads(4, 2, 16).feed_forward(128).type("NVFP4");
}

/// A scale of another value beside each matrix that has none, and for each expert.
RandomModel scaled(RandomModel model) {
  return model.edit([](std::vector<TensorSpec>& table) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < table.size(); ++i) {
      if (table[i].type != "NVFP4" || find(table, scale_of(table[i])) != nullptr) continue;
      std::vector<float> values(matrices_of(table[i]));
      for (float& value : values) value = 0.05F + 0.03F * static_cast<float>(count++ * 7 % 11);
      TensorSpec scale{.name = scale_of(table[i]), .type = "F32", .dims = {values.size()}, .data = bytes_of(values)};
      table.insert(table.begin() + static_cast<std::ptrdiff_t>(i) + 1, std::move(scale));
    }
  });
}

/// A matrix of NVFP4 as floats, times its scale; whether it has one.
bool make_floats(TensorSpec& spec, const TensorSpec* scale) {
  const Bytes bytes = data_of(spec);
  const TensorType& type = *find_tensor_type(spec.type);
  const std::uint64_t columns = spec.dims[0];
  const std::uint64_t row = row_bytes(type, columns).value();
  std::vector<float> values(bytes.size() / row * columns);
  for (std::uint64_t i = 0; i < bytes.size() / row; ++i) {
    value_of(kernels::decode_row_reference(type, std::span(bytes).subspan(i * row, row),
                                           std::span(values).subspan(i * columns, columns)));
  }
  std::vector<float> factors = scale == nullptr ? std::vector<float>{} : floats_of(data_of(*scale));
  const bool is_factor = factors.size() == matrices_of(spec);
  for (std::size_t i = 0; is_factor && i < values.size(); ++i) values[i] *= factors[i * factors.size() / values.size()];
  spec.type = "F32";
  spec.data = bytes_of(values);
  return is_factor;
}

RandomModel in_floats(RandomModel model) {
  return model.edit([](std::vector<TensorSpec>& table) {
    const std::vector<TensorSpec> before = table;
    std::vector<std::string> multiplied;
    for (TensorSpec& spec : table) {
      const std::string scale = scale_of(spec);
      if (spec.type == "NVFP4" && make_floats(spec, find(before, scale))) multiplied.push_back(scale);
    }
    std::erase_if(table, [&](const TensorSpec& spec) { return std::ranges::count(multiplied, spec.name) != 0; });
  });
}

double spread(const std::vector<float>& logits) {
  double sum = 0, squares = 0;
  for (const double value : logits) sum += value, squares += value * value;
  const auto count = static_cast<double>(logits.size());
  return std::sqrt(squares / count - sum / count * (sum / count));
}

class MatrixScales : public testing::TestWithParam<const char*> {
 protected:
  [[nodiscard]] static RandomModel plain() {
    RandomModel model = small(GetParam());
    if (GetParam() == std::string("llama")) model.tensor({"output.weight", "NVFP4", {64, 320}});
    return model;
  }
  [[nodiscard]] static RandomModel model() { return scaled(plain()); }
  TempDir dir_;
};

// With float activations, which tell it exactly; the products themselves are Matmul's to test with both.
TEST_P(MatrixScales, AreMultipliedIntoTheWeights) {
  const auto expected = logits_of(in_floats(model()).write(dir_.file("floats.gguf")));
  const std::string path = model().write(dir_.file("model.gguf"));
  EXPECT_LE(support::logit_difference(logits_of(path), expected).max, 2e-5 * spread(expected));
  EXPECT_GE(support::logit_difference(logits_of(plain().write(dir_.file("plain.gguf"))), expected).max,
            0.1 * spread(expected));
}

TEST_P(MatrixScales, GiveTheSameBitsFusedOrNot) {
  const std::string path = model().write(dir_.file("model.gguf"));
  for (const Activations activations : {Activations::Q8, Activations::F32}) {
    const auto apart = logits_of(path, {.activations = activations, .fuse_gate_up = false, .fuse_qkv = false});
    EXPECT_EQ(logits_of(path, {.activations = activations}), apart);
  }
  if (GetParam() == std::string("phi3") || GetParam() == std::string("deepseek2")) return;
  EXPECT_GT(support::open_runnable(path)->description().fused.while_loading, 0U);
  value_of(convert({.input = path, .output = dir_.file("fused.gguf"), .fuse = {.target = Target::GgufFuse}}));
  EXPECT_EQ(logits_of(dir_.file("fused.gguf")), logits_of(path));
  value_of(
      convert({.input = dir_.file("fused.gguf"), .output = dir_.file("back.gguf"), .direction = Direction::Unfuse}));
  EXPECT_EQ(support::read_file(dir_.file("back.gguf")), support::read_file(path));
}

TEST_P(MatrixScales, StandAnywhereInAStreamAndOnAnyDevice) {
  const auto expected = logits_of(model().write(dir_.file("model.gguf")));
  RandomModel last = model();
  last.edit(
      [](std::vector<TensorSpec>& table) { std::stable_partition(table.begin(), table.end(), std::not_fn(is_scale)); });
  RandomModel first = model();
  first.edit([](std::vector<TensorSpec>& table) { std::stable_partition(table.begin(), table.end(), is_scale); });
  const auto& devices = support::test_devices();
  const ModelSetup both{.devices = {devices.front(), devices.back()}, .placement = {.split = {1, 1}}};
  for (const RandomModel& one : {last, first}) {
    const auto sink = gzip_sink(value_of(file_sink(dir_.file("stream.gguf.gz"), {.replace = true})));
    value_of(sink->write_at(0, one.build()));
    value_of(sink->commit());
    EXPECT_EQ(logits_of(dir_.file("stream.gguf.gz")), expected);
    EXPECT_EQ(logits_of(one.write(dir_.file("other.gguf")), both), expected);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, MatrixScales,
                         testing::Values("llama", "phi3", "qwen2moe", "qwen3moe", "gemma4", "deepseek2"),
                         [](const auto& one) { return std::string(one.param); });

// As llama.cpp reads them: the whole tensor has one.
TEST(MatrixScalesOf, TensorsThatCameFusedAreOfAllTheirParts) {
  const TempDir dir;
  for (const auto& [rule, result, parts] :
       {std::tuple(RuleId::Qkv, "attn_qkv", std::vector<std::string>{"attn_q", "attn_k", "attn_v"}),
        std::tuple(RuleId::GateUpDense, "ffn_up", std::vector<std::string>{"ffn_gate", "ffn_up"})}) {
    RandomModel apart = small("llama");
    for (const std::string& part : parts) apart.scale(part, {}, "scale", 0.25F);
    const auto expected = logits_of(apart.write(dir.file("apart.gguf")));
    RandomModel fused = small("llama").fused(rule);
    EXPECT_NE(logits_of(fused.write(dir.file("plain.gguf"))), expected);
    EXPECT_EQ(logits_of(fused.scale(result, {}, "scale", 0.25F).write(dir.file("fused.gguf"))), expected) << result;
  }
}

TEST(MatrixScalesOf, PartsThatBecameOneForLlamaCppAreOfEachPart) {
  const TempDir dir;
  RandomModel apart = small("llama");
  for (const char* part : {"attn_q", "attn_k", "attn_v"}) apart.scale(part, {}, "scale", 0.25F);
  const std::string path = apart.write(dir.file("apart.gguf"));
  const auto report = value_of(convert({.input = path, .output = dir.file("fused.gguf")}));
  ASSERT_EQ(report.plan.fused_count(), 2U);
  EXPECT_EQ(logits_of(dir.file("fused.gguf")), logits_of(path));
  EXPECT_EQ(logits_of(dir.file("fused.gguf"), {.fuse_gate_up = false, .fuse_qkv = false}), logits_of(path));
}

// What gguf-fuse writes for gguf-run, and another program took the record away.
TEST(MatrixScalesOf, PartsThatWereFusedStayTheirs) {
  const TempDir dir;
  const RandomModel model = scaled(small("llama"));
  const auto expected = logits_of(model.write(dir.file("apart.gguf")));
  const RandomModel fused = RandomModel(model).fused(RuleId::Qkv).fused(RuleId::GateUpDense);
  EXPECT_EQ(logits_of(fused.write(dir.file("fused.gguf"))), expected);
}

TEST(MatrixScalesOf, EmbeddingsServeATiedOutput) {
  const TempDir dir;
  const RandomModel tied = small("llama").scale("token_embd", {}, "scale", 0.5F);
  const auto expected = logits_of(in_floats(tied).write(dir.file("floats.gguf")));
  const std::string path = tied.write(dir.file("model.gguf"));
  const auto& devices = support::test_devices();
  for (const ModelSetup& setup :
       {ModelSetup{}, ModelSetup{.devices = {devices.front(), devices.back()}, .placement = {.split = {1, 1}}}}) {
    EXPECT_LE(support::logit_difference(logits_of(path, setup), expected).max, 2e-5 * spread(expected));
  }
}

TEST(MatrixScalesOf, HaveOneElementOrOneAnExpert) {
  const TempDir dir;
  const auto outcome = [&](const std::string& name, std::vector<std::uint64_t> dims) {
    const std::string path = small("qwen3moe").tensor({name, "F32", std::move(dims)}).write(dir.file("in.gguf"));
    ModelOptions options;
    options.devices = {support::test_devices().front()};
    const auto model = RunnableModel::open(path, options);
    return model ? "opens" : model.error().message();
  };
  EXPECT_EQ(outcome("blk.0.attn_q.scale", {1}), "opens");
  EXPECT_THAT(outcome("blk.0.attn_q.scale", {2}), testing::HasSubstr("1 element"));
  EXPECT_EQ(outcome("blk.0.ffn_up_exps.scale", {1}), "opens");
  EXPECT_EQ(outcome("blk.0.ffn_up_exps.scale", {4}), "opens");
  EXPECT_THAT(outcome("blk.0.ffn_up_exps.scale", {3}), testing::HasSubstr("1 or 4 elements"));
  EXPECT_THAT(outcome("blk.0.ffn_up_exps.scale", {4, 2}), testing::HasSubstr("blk.0.ffn_up_exps.scale"));
}

}  // namespace
}  // namespace gguf_fuse::runtime
