// SPDX-License-Identifier: MIT
// A file that lost a tensor on its way (a broken conversion, a merge of wrong shards) is refused; it does not run and
// say nonsense.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "gguf_fuse/runtime/model.hpp"
#include "model/architecture.hpp"
#include "support/edited_model.hpp"
#include "support/file_util.hpp"
#include "support/random.hpp"
#include "support/random_model.hpp"
#include "support/runtime/run_model.hpp"
#include "support/temp_dir.hpp"
#include "support/tiny_model.hpp"

namespace gguf_fuse::runtime {
namespace {

using support::EditedModel;
using support::RandomModel;
using support::TempDir;
using support::TensorSpec;
using testing::HasSubstr;

/// The code's name, or "opens".
std::string outcome(const std::string& path) {
  const auto model = RunnableModel::open(path, {.devices = {support::test_devices().front()}});
  return model ? "opens" : std::string(error_name(model.error().code));
}

/// What may be missing and says something by it.
struct Absence {
  std::string_view architectures;  // with spaces around each; none: all
  std::string_view tensor;         // the end of its name
  std::string_view reason;
};
constexpr Absence kAbsences[] = {
    {" llama qwen2 qwen3 qwen3moe qwen3vlmoe qwen35moe gemma3 gemma4 glm4moe deepseek2 granite_swa phi3 ",
     "output.weight",
     "the embeddings serve as the output matrix in models without one, and no key tells which these are"},
    {" llama granite_swa ", "rope_freqs.weight",
     "only some models stretch positions, and no key tells which these are"},
};

bool may_be_absent(std::string_view architecture, std::string_view tensor) {
  return std::any_of(std::begin(kAbsences), std::end(kAbsences), [&](const Absence& row) {
    const std::string name = " " + std::string(architecture) + " ";
    return tensor == row.tensor && row.architectures.find(name) != std::string_view::npos;
  });
}

/// Those that gguf-run runs, fused twins too.
std::vector<std::string> reference_models() {
  std::vector<std::string> names;
  const auto folder = std::filesystem::path(support::reference_path("x")).parent_path();
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().stem();
    const bool other_types = name.starts_with("ik-");  // of ik_llama.cpp
    if (entry.path().extension() != ".gguf" || other_types) continue;
    if (find_architecture(EditedModel(entry.path()).architecture()) != nullptr) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

class LostTensor : public testing::TestWithParam<std::string> {};

TEST_P(LostTensor, EachIsMissedUnlessItsAbsenceMeansSomething) {
  const TempDir dir;
  const EditedModel whole(support::reference_path(GetParam()));
  const std::string architecture = whole.architecture();
  ASSERT_EQ(outcome(support::reference_path(GetParam())), "opens");
  for (const TensorSpec& tensor : whole.tensors()) {
    const std::string path = EditedModel(whole).without_tensor(tensor.name).write(dir.file("in.gguf"));
    EXPECT_EQ(outcome(path), may_be_absent(architecture, tensor.name) ? "opens" : "MissingTensor") << tensor.name;
  }
}

std::string test_name(const testing::TestParamInfo<std::string>& model) {
  std::string name = model.param;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(Reference, LostTensor, testing::ValuesIn(reference_models()), test_name);

/// What may be missing of a tiny model and says something by it.
bool may_be_absent_of(const Architecture& row, std::string_view tensor) {
  if (tensor == "output.weight") return !row.own_output;  // the embeddings serve
  if (tensor == "output.bias") return true;
  const auto* const attention = row.attention();
  return tensor == "rope_freqs.weight" && !(attention != nullptr && attention->global_rope_factors);
}

// Of each, some tensors that a seed chooses.
TEST(LostTensorOfTinyModels, IsMissedUnlessItsAbsenceMeansSomething) {
  constexpr std::size_t kTensors = 16;
  const TempDir dir;
  for (const auto& model : support::tiny_models()) {
    const Architecture* const row = find_architecture(model.architecture());
    if (row == nullptr) continue;
    const std::string path = dir.file("whole.gguf");
    support::write_file(path, support::build_tiny_model(model));
    if (outcome(path) == "UnsupportedHyperparameter") continue;  // architectures_test.cpp says which these are
    const EditedModel whole(path);
    const auto& tensors = whole.tensors();
    const auto order = support::Random(1, model.name).permutation(tensors.size());
    for (std::size_t i = 0; i < std::min(kTensors, order.size()); ++i) {
      const std::string& lost = tensors[order[i]].name;
      const std::string without = EditedModel(whole).without_tensor(lost).write(dir.file("in.gguf"));
      // Without a gate up may seem to hold both.
      const std::string_view other = lost.find(".ffn_gate") != std::string::npos ? "BadTensorShape" : "MissingTensor";
      const auto refused = testing::AnyOf("MissingTensor", other);
      SCOPED_TRACE(std::string(model.name) + " " + lost);
      if (may_be_absent_of(*row, lost)) {
        EXPECT_EQ(outcome(without), "opens");
      } else {
        EXPECT_THAT(outcome(without), refused);
      }
    }
  }
}

// Beside what the reference models have: each may be absent, and not in some layers only.
TEST(LostParts, WhatIsOptionalIsInAllLayersOfAKindOrInNone) {
  const struct {
    const char* architecture;
    const char* part;
  } rows[] = {{"llama", "attn_output"}, {"llama", "ffn_down"}, {"qwen3", "attn_q"},
              {"qwen3", "attn_k"},      {"qwen3", "attn_v"},   {"phi3", "attn_qkv"}};
  const TempDir dir;
  for (const auto& row : rows) {
    SCOPED_TRACE(std::string(row.architecture) + " " + row.part);
    RandomModel model = RandomModel(row.architecture).layers(3).bias(row.part);
    const std::string_view part = row.part;
    const bool one_of_three = part == "attn_q" || part == "attn_k" || part == "attn_v";
    EXPECT_EQ(outcome(model.write(dir.file("all.gguf"))), one_of_three ? "MissingTensor" : "opens");
    if (one_of_three) {
      model = RandomModel(row.architecture).layers(3).bias("attn_q").bias("attn_k").bias("attn_v");
      EXPECT_EQ(outcome(model.write(dir.file("three.gguf"))), "opens");
    }
    model.edit([&](std::vector<TensorSpec>& table) {
      std::erase_if(table, [&](const TensorSpec& t) { return t.name == "blk.1." + std::string(part) + ".bias"; });
    });
    EXPECT_EQ(outcome(model.write(dir.file("some.gguf"))), "MissingTensor");
  }
}

TEST(LostParts, OfTwoSetsOfRotaryFactorsBothAreThere) {
  const TempDir dir;
  const auto model = [](std::vector<std::string> tensors, bool said) {
    RandomModel made = RandomModel("phi3").heads(2, 1, 32);
    for (const std::string& name : tensors) made.tensor({name, "F32", {16}});
    if (said) made.keys([](HeaderWriter& writer) { writer.add_string("phi3.rope.scaling.type", "longrope"); });
    return made;
  };
  const std::string far = "rope_factors_long.weight";
  const std::string near = "rope_factors_short.weight";
  EXPECT_EQ(outcome(model({}, false).write(dir.file("none.gguf"))), "opens");
  EXPECT_EQ(outcome(model({far, near}, false).write(dir.file("both.gguf"))), "opens");
  EXPECT_EQ(outcome(model({far}, false).write(dir.file("long.gguf"))), "MissingTensor");
  EXPECT_EQ(outcome(model({near}, false).write(dir.file("short.gguf"))), "MissingTensor");
  EXPECT_EQ(outcome(model({}, true).write(dir.file("said.gguf"))), "MissingTensor");
}

std::vector<float> logits_of(const std::string& path) {
  const auto session = support::open_session(path);
  support::value_of(session->evaluate(std::vector{3, 14, 15, 9, 26, 5}));
  return support::value_of(session->logits());
}

// llama.cpp's saver writes them beside every matrix.
TEST(Scales, OfOneAreNeutralAndOthersAreRefused) {
  const TempDir dir;
  const auto plain = logits_of(RandomModel("qwen3moe").write(dir.file("plain.gguf")));
  for (const std::string_view part : {"attn_q", "attn_output", "ffn_gate_exps", "ffn_down_exps"}) {
    const auto scaled = [&](float value) {
      return RandomModel("qwen3moe").scale(part, std::nullopt, "scale", value).write(dir.file("in.gguf"));
    };
    EXPECT_EQ(logits_of(scaled(1)), plain) << part;
    if (part == "ffn_down_exps") {  // a factor of each expert's result
      EXPECT_NE(logits_of(scaled(2)), plain);
      continue;
    }
    const auto refused = support::open_runnable(scaled(2))->wait();
    ASSERT_FALSE(refused) << part;
    EXPECT_EQ(refused.error().code, ErrorCode::UnsupportedHyperparameter);
    EXPECT_EQ(refused.error().subject, "blk.0." + std::string(part) + ".scale");
  }
}

TEST(UnneededTensors, AreLeftOutWithANote) {
  const TempDir dir;
  const struct {
    const char* tensor;
    const char* why;
  } rows[] = {{"v.blk.0.attn_q.weight", "vision tower"},
              {"a.blk.0.attn_q.weight", "audio encoder"},
              {"mm.0.weight", "projector"},
              {"blk.0.attn_rot_embd", "rotary"},
              {"blk.1.attn_rot_embd.weight", "rotary"},
              {"cls.output.weight", "ranks"},
              {"dense_2.weight", "sentence embeddings"},
              {"dense_3.weight", "sentence embeddings"},
              {"blk.0.attn_q.input_scale", "four bits"}};
  const auto plain = support::open_runnable(RandomModel("llama").write(dir.file("plain.gguf")));
  ASSERT_TRUE(plain->description().notes.empty());
  RandomModel all("llama");
  for (const auto& row : rows) {
    const auto model =
        support::open_runnable(RandomModel("llama").tensor({row.tensor, "F32", {8}}).write(dir.file("in.gguf")));
    ASSERT_EQ(model->description().notes.size(), 1U) << row.tensor;
    EXPECT_THAT(model->description().notes[0], testing::AllOf(HasSubstr(row.tensor), HasSubstr(row.why)));
    EXPECT_EQ(model->description().bytes, plain->description().bytes);
    all.tensor({row.tensor, "F32", {8}});
  }
  EXPECT_EQ(logits_of(all.write(dir.file("all.gguf"))), logits_of(dir.file("plain.gguf")));
}

}  // namespace
}  // namespace gguf_fuse::runtime
