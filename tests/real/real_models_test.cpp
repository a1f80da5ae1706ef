// SPDX-License-Identifier: MIT
// Real models, and mixtures upcycled from one: there and back, byte for byte, in every container.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>

#include "../cli/cli_test.hpp"
#include "gguf_fuse/fuse/convert.hpp"
#include "support/memory_sink.hpp"
#include "support/paths.hpp"

namespace gguf_fuse::test_support {
namespace {

constexpr const char* kSmolLM2 = "smollm2-135m-instruct-q4_1.gguf";
constexpr const char* kGemma3 = "gemma-3-270m-it-q4_k_m.gguf";

class Real : public ::testing::Test {
 protected:
  /// The model's path; empty when it is not here.
  static std::string find_model(const char* name) {
    const char* models = std::getenv("GGUF_FUSE_MODELS");
    const std::string path = std::string(models != nullptr ? models : "/nonexistent") + "/" + name;
    return std::filesystem::exists(path) ? path : std::string();
  }

  std::string mixture(const std::string& architecture, int experts) {
    std::string path = folder_.file(architecture + ".gguf");
    const ProgramResult made = run_program({built("gguf-upcycle"), find_model(kSmolLM2), path, "--experts",
                                            std::to_string(experts), "--arch", architecture});
    EXPECT_EQ(made.exit_code, 0) << made.err;
    return path;
  }

  void there_and_back(const std::string& input, Target target, std::size_t fused) {
    const std::string output = folder_.file("fused.gguf");
    const std::string back = folder_.file("back.gguf");
    ConvertRequest there{.input = input, .output = output};
    there.fuse.target = target;
    there.replace = true;
    const ConvertReport report = value_of(convert(there));
    EXPECT_EQ(report.plan.fused_count(), fused);
    EXPECT_TRUE(report.verified);
    EXPECT_EQ(value_of(verify(output, input)).tensors, value_of(open_model(input)).info.tensor_count());
    const ConvertReport returned =
        value_of(convert({.input = output, .output = back, .direction = Direction::Unfuse, .replace = true}));
    EXPECT_EQ(returned.restored, Restores::Original) << texts_of(returned.unproven);
    EXPECT_EQ(difference(input, back), "");
  }

  TempDir folder_;
};

#define NEED_MODEL(name)                      \
  const std::string input = find_model(name); \
  if (input.empty())                          \
  GTEST_SKIP() << name << " is not here: scripts/models.sh brings it, GGUF_FUSE_MODELS names its folder"

TEST_F(Real, SmolLM2ThereAndBack) {
  NEED_MODEL(kSmolLM2);
  there_and_back(input, Target::LlamaCpp, 30);
  there_and_back(input, Target::GgufFuse, 60);
}

TEST_F(Real, SmolLM2ThroughGzipAndPipes) {
  NEED_MODEL(kSmolLM2);
  const std::string zipped = folder_.file("fused.gguf.gz");
  const std::string back = folder_.file("back.gguf");
  value_of(convert({.input = input, .output = zipped}));
  value_of(convert({.input = zipped, .output = back, .direction = Direction::Unfuse}));
  EXPECT_EQ(difference(input, back), "");
  const std::string program = built("gguf-fuse");
  const std::string command =
      "cat '" + input + "' | '" + program + "' convert - - | '" + program + "' unfuse - - | cmp - '" + input + "'";
  const ProgramResult piped = run_program({"/bin/bash", "-c", "set -o pipefail; " + command});
  EXPECT_EQ(piped.exit_code, 0) << piped.err << piped.out;
}

TEST_F(Real, SmolLM2ThroughShards) {
  NEED_MODEL(kSmolLM2);
  ConvertRequest cut{.input = input, .output = folder_.file("shards.gguf")};
  cut.fuse.split.max_bytes = 20'000'000;
  const ConvertReport report = value_of(convert(cut));
  ASSERT_GE(report.outputs.size(), 5U);
  value_of(
      convert({.input = report.outputs.back(), .output = folder_.file("back.gguf"), .direction = Direction::Unfuse}));
  EXPECT_EQ(difference(input, folder_.file("back.gguf")), "");
}

TEST_F(Real, Gemma3ThereAndBack) {
  NEED_MODEL(kGemma3);
  there_and_back(input, Target::LlamaCpp, 9);
}

TEST_F(Real, Gemma3HeaderTakesLittleMemory) {
  NEED_MODEL(kGemma3);
  const auto source = value_of(open_source(input));
  const Container container = value_of(read_container(*source));
  EXPECT_EQ(container.metadata.find("tokenizer.ggml.tokens")->count(), 262144U);
  // Header bytes as read, and the little that is kept beside them.
  EXPECT_LT(container.header->capacity(), std::size_t{16} << 20);
}

TEST_F(Real, MixturesThereAndBack) {
  NEED_MODEL(kSmolLM2);
  there_and_back(mixture("granite_swa", 8), Target::LlamaCpp, 60);
  there_and_back(mixture("llama", 4), Target::GgufFuse, 60);
  there_and_back(mixture("qwen3moe", 4), Target::IkLlamaCpp, 30);
}

}  // namespace
}  // namespace gguf_fuse::test_support
