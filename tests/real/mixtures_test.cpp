// SPDX-License-Identifier: MIT
// Mixtures upcycled from SmolLM2 say what SmolLM2 says: from every kind of file, fused in every way, on one device and
// on two. The one of 64 experts takes 3.2 GB of the temporary folder and is made only when GGUF_FUSE_TEST_64_EXPERTS is
// set.
#include <gmock/gmock.h>

#include "../cli/run_test.hpp"
#include "gguf_fuse/fuse/convert.hpp"
#include "speech.hpp"
#include "support/paths.hpp"
#include "support/upcycle.hpp"

namespace gguf_fuse::runtime {
namespace {

using support::MixtureKind;
using support::TempDir;
using testing::HasSubstr;
using Tokens = std::vector<std::int32_t>;

constexpr std::uint32_t kLarge = 64;
constexpr std::uint32_t kLayers = 30;
constexpr std::size_t kWords = 16;

struct Mixture {
  MixtureKind kind;
  std::uint32_t experts;
  [[nodiscard]] std::string name() const {
    return (kind == MixtureKind::Llama ? "llama_" : "granite_swa_") + std::to_string(experts);
  }
};

/// One mixture, removed with the test.
class SpeakingMixtures : public testing::TestWithParam<Mixture> {
 protected:
  void SetUp() override {
    const std::string dense = model_path(kSmolLM2);
    if (dense.empty()) GTEST_SKIP() << kSmolLM2 << " is not here: scripts/models.sh brings it";
    const auto& [kind, experts] = GetParam();
    if (experts == kLarge && std::getenv("GGUF_FUSE_TEST_64_EXPERTS") == nullptr) {
      GTEST_SKIP() << "takes 3.2 GB of the temporary folder: asked for with GGUF_FUSE_TEST_64_EXPERTS=1";
    }
    value_of(support::upcycle(dense, mixture_, {.kind = kind, .experts = experts}));
  }

  /// A few prompts, as many words each.
  static nlohmann::json some_golden() {
    nlohmann::json some = nlohmann::json::array();
    for (const std::size_t prompt : {0U, 1U, 4U}) {
      nlohmann::json result = golden(kSmolLM2).at(prompt);
      for (const char* key : {"greedy_f32", "greedy_gap_f32"}) {
        result.at(key).erase(result.at(key).begin() + kWords, result.at(key).end());
      }
      some.push_back(std::move(result));
    }
    return some;
  }

  static Tokens words_of(Session& session) { return greedy(session, golden(kSmolLM2).at(1).at("tokens"), kWords); }
  static Tokens words_of(const std::string& path, const ModelSetup& setup) {
    return words_of(*open_session(path, setup));
  }

  const TempDir dir_;
  const std::string mixture_ = dir_.file("mixture.gguf");
  // Where 8-bit products are slower than floats nobody is given them unasked.
  const ModelSetup usual_{
      .activations = support::test_devices().front()->profile().eight_bit ? Activations::Q8 : Activations::F32,
      .cache = CacheType::F16,
      .context = 256};
};
INSTANTIATE_TEST_SUITE_P(Upcycled, SpeakingMixtures,
                         testing::Values(Mixture{MixtureKind::Llama, 4}, Mixture{MixtureKind::Llama, 8},
                                         Mixture{MixtureKind::GraniteSwa, 4}, Mixture{MixtureKind::GraniteSwa, 8},
                                         Mixture{MixtureKind::Llama, kLarge}),
                         [](const auto& mixture) { return mixture.param.name(); });

TEST_P(SpeakingMixtures, AsTheDenseModelFusedInEveryWay) {
  const auto prompts = some_golden();
  expect_float_words(prompts, *open_session(mixture_, {.context = 256}));
  ModelSetup setup = usual_;
  setup.fuse_gate_up = setup.fuse_qkv = false;
  const auto apart = open_session(mixture_, setup);
  if (setup.activations == Activations::Q8) expect_golden_words(prompts, *apart);
  value_of(apart->truncate(0));
  const Tokens expected = words_of(*apart);

  for (const auto& [gate_up, qkv] : {std::pair{true, true}, {true, false}, {false, true}}) {
    SCOPED_TRACE(testing::Message() << "gate+up " << gate_up << ", Q+K+V " << qkv);
    setup.fuse_gate_up = gate_up;
    setup.fuse_qkv = qkv;
    const auto model = support::open_runnable(mixture_, setup);
    EXPECT_EQ(model->description().fused.of("experts"), gate_up ? kLayers : 0);
    EXPECT_EQ(model->description().fused.of("qkv"), qkv ? kLayers : 0);
    const SessionOptions options{.context = setup.context};
    const auto first = value_of(Session::create(model, options));
    EXPECT_EQ(words_of(*first), expected);
    const auto second = value_of(Session::create(model, options));
    EXPECT_EQ(words_of(*second), expected);
    value_of(first->truncate(0));
    EXPECT_EQ(words_of(*first), expected);
  }
}

TEST_P(SpeakingMixtures, AlsoOnTwoDevices) {
  const Tokens expected = words_of(mixture_, usual_);
  ModelSetup two = usual_;
  const auto& devices = support::test_devices();
  two.devices = {devices.front(), devices.back()};
  EXPECT_EQ(words_of(mixture_, two), expected);
  two.placement.split = {1, 0};
  two.placement.overrides = {{.pattern = R"(\.ffn_(up|down|gate|gate_up)_exps)", .device = 1}};  // as -cmoe
  EXPECT_EQ(words_of(mixture_, two), expected);
}

/// All words of a run, by the program.
Tokens said(const std::vector<std::string>& arguments) {
  std::vector<std::string> all{"-p",     golden(kSmolLM2).at(1).at("prompt"),
                               "-n",     std::to_string(kWords),
                               "--temp", "0",
                               "-c",     "256",
                               "--json", "--no-warmup"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return test_support::run_json(all).at("tokens");
}

/// The files made of one mixture; one of them at a time beside it.
class SpeakingFiles : public SpeakingMixtures {
 protected:
  std::string converted(const std::string& name, const FuseOptions& options) const {
    ConvertRequest request{.input = mixture_, .output = dir_.file(name)};
    request.fuse = options;
    request.verify = false;
    request.replace = true;
    return value_of(convert(request)).outputs.back();
  }
};
INSTANTIATE_TEST_SUITE_P(Upcycled, SpeakingFiles,
                         testing::Values(Mixture{MixtureKind::Llama, 4}, Mixture{MixtureKind::GraniteSwa, 4}),
                         [](const auto& mixture) { return mixture.param.name(); });

TEST_P(SpeakingFiles, ConvertedAndInShards) {
  const Tokens expected = words_of(mixture_, usual_);
  for (const Target target : {Target::LlamaCpp, Target::GgufFuse}) {
    const std::string fused = converted("fused.gguf", {.target = target});
    EXPECT_EQ(words_of(fused, usual_), expected) << target_name(target);
  }
  std::filesystem::remove(dir_.file("fused.gguf"));
  const std::string shard =
      converted("shards.gguf", {.gate_up = false, .qkv = false, .split = {.max_bytes = 50'000'000}});
  EXPECT_EQ(support::open_runnable(shard, usual_)->description().fused.while_loading, 2 * kLayers);
  EXPECT_EQ(words_of(shard, usual_), expected);
}

TEST_P(SpeakingFiles, TheProgramReadsThemThroughPipesAndGzip) {
  const std::vector<std::string> fuse{"-muge", "-mqkv"};
  const auto with = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), fuse.begin(), fuse.end());
    return arguments;
  };
  const Tokens expected = said({"-m", mixture_, "--fuse", "off"});
  EXPECT_EQ(said(with({"-m", mixture_})), expected);
  EXPECT_EQ(said(with({"-m", mixture_, "-cmoe", "-lm", "dio"})), expected);
  const std::string prompt = golden(kSmolLM2).at(1).at("prompt");
  const std::string words = std::to_string(kWords);
  const auto piped = test_support::run_program({"/bin/bash", "-c",
                                                "set -o pipefail; cat '" + mixture_ + "' | '" +
                                                    test_support::built("gguf-run") + "' -m - -p '" + prompt + "' -n " +
                                                    words + " --temp 0 -c 256 --json --no-warmup -muge -mqkv"});
  ASSERT_EQ(piped.exit_code, 0) << piped.err;
  EXPECT_EQ(test_support::parsed(piped.out).at("tokens"), expected);
  if (GetParam().kind == MixtureKind::Llama) return;  // once: compressing takes longest
  const std::string zipped = converted("mixture.gguf.gz", {.gate_up = false, .qkv = false});
  EXPECT_EQ(said(with({"-m", zipped})), expected);
}

}  // namespace
}  // namespace gguf_fuse::runtime
