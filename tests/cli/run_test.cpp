// SPDX-License-Identifier: MIT
// gguf-run from end to end, on tiny models: they speak nonsense, but always the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <csignal>

#include "run_test.hpp"
#include "support/paths.hpp"

namespace gguf_fuse::test_support {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

constexpr int kPatience = 60000;  // milliseconds: the machine may be busy, and programs have to be built

std::vector<std::int32_t> sequence_tokens(std::size_t index) { return llama_reference()["sequences"][index]["tokens"]; }

double spread_of(const std::vector<double>& values) {
  double mean = 0, squares = 0;
  for (const double value : values) mean += value / static_cast<double>(values.size());
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size()));
}

void expect_near(const nlohmann::json& found, const nlohmann::json& expected, double tolerance) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_NEAR(found[i].get<double>(), expected[i].get<double>(), tolerance) << i;
  }
}

TEST(RunEval, GivesLlamaCppsLogits) {
  const auto reference = llama_reference();
  for (const auto& sequence : reference.at("sequences")) {
    const std::vector<std::int32_t> tokens = sequence.at("tokens");
    const auto found = run_json({"eval", "-m", llama(), "--tokens", joined(tokens), "--activations", "f32"});
    const double tolerance = 1e-3 * spread_of(sequence.at("logits_f32"));
    EXPECT_EQ(found.at("tokens"), sequence.at("tokens"));
    EXPECT_EQ(found.at("argmax"), sequence.at("argmax_f32"));
    expect_near(found.at("logsumexp"), sequence.at("logsumexp_f32"), tolerance);
    ASSERT_EQ(found.at("logits").size(), 320U);
    expect_near(found.at("logits"), sequence.at("logits_f32"), tolerance);
    ASSERT_EQ(found.at("nll").size(), tokens.size() - 1);
    double nll = 0;
    for (const double one : found.at("nll")) nll += one / static_cast<double>(tokens.size() - 1);
    EXPECT_NEAR(nll, sequence.at("mean_nll_f32").get<double>(), 1e-3);
  }
}

TEST(RunEval, AllLogitsAreThoseOfEveryPosition) {
  const auto tokens = sequence_tokens(0);
  const auto whole = run_json({"eval", "-m", llama(), "--tokens", joined(tokens), "--logits", "all"});
  const auto last = run_json({"eval", "-m", llama(), "--tokens", joined(tokens)});
  ASSERT_EQ(whole.at("logits").size(), tokens.size());
  EXPECT_EQ(whole.at("logits").back(), last.at("logits"));
  for (const char* key : {"tokens", "argmax", "logsumexp", "nll"}) EXPECT_EQ(whole.at(key), last.at(key)) << key;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const std::vector<double> logits = whole["logits"][i];
    const auto largest = std::max_element(logits.begin(), logits.end()) - logits.begin();
    EXPECT_EQ(whole["argmax"][i].get<std::ptrdiff_t>(), largest);
    double sum = 0;
    for (const double logit : logits) sum += std::exp(logit);
    EXPECT_NEAR(whole["logsumexp"][i].get<double>(), std::log(sum), 1e-4);
    if (i + 1 == tokens.size()) continue;
    const double logit = logits[static_cast<std::size_t>(tokens[i + 1])];
    EXPECT_NEAR(whole["nll"][i].get<double>(), std::log(sum) - logit, 1e-4);
  }
}

TEST(RunEval, LongSequencesAreOneSequence) {
  // 150 tokens come in three chunks; what comes first must not depend on what follows, nor on chunks
  std::vector<std::int32_t> tokens;
  for (std::int32_t i = 0; i < 150; ++i) tokens.push_back((i * 37 + 5) % 320);
  const auto whole = run_json({"eval", "-m", llama(), "--tokens", joined(tokens), "--activations", "f32"});
  EXPECT_EQ(whole.at("argmax").size(), 150U);
  EXPECT_EQ(whole.at("nll").size(), 149U);
  const std::vector<std::int32_t> half(tokens.begin(), tokens.begin() + 100);
  const auto part = run_json({"eval", "-m", llama(), "--tokens", joined(half), "--activations", "f32"});
  for (std::size_t i = 0; i < half.size(); ++i) {
    EXPECT_NEAR(whole["logsumexp"][i].get<double>(), part["logsumexp"][i].get<double>(), 1e-3) << i;
  }
}

TEST(RunEval, OneTokenHasNoLikelihood) {
  const auto found = run_json({"eval", "-m", llama(), "--tokens", "1"});
  EXPECT_THAT(found.at("nll"), IsEmpty());
  EXPECT_EQ(found.at("argmax").size(), 1U);
}

TEST(RunEval, TokensOutsideTheVocabularyAreRefused) {
  const auto result = gguf_run({"eval", "-m", llama(), "--tokens", "1,320"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("320"));
}

TEST(RunGenerate, PutsTextOnStandardOutputAndTheRestOnStandardError) {
  const auto result = gguf_run({"-m", llama(), "-p", "the water", "-n", "8", "--temp", "0"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, StartsWith("the water"));
  EXPECT_EQ(result.out.back(), '\n');
  for (const char* row : {"load", "prompt", "generation", "memory", "context", "tokens/s"}) {
    EXPECT_THAT(result.err, HasSubstr(row));
    EXPECT_THAT(result.out, Not(HasSubstr(row)));
  }
  EXPECT_THAT(result.err, Not(HasSubstr("\x1b")));
  const auto quiet = gguf_run(
      {"-m", llama(), "-p", "the water", "-n", "8", "--temp", "0", "--no-perf", "--no-display-prompt", "--no-warmup"});
  EXPECT_EQ(quiet.err, "");
  EXPECT_EQ("the water" + quiet.out, result.out);
}

TEST(RunGenerate, JsonHoldsWhatHappened) {
  const auto text = gguf_run({"-m", llama(), "-p", "the water", "-n", "8", "--temp", "0", "--no-perf"});
  const auto json = run_json({"-m", llama(), "-p", "the water", "-n", "8", "--temp", "0", "--json"});
  EXPECT_EQ("the water" + json.at("text").get<std::string>() + "\n", text.out);
  EXPECT_THAT(json.at("prompt_tokens"), ElementsAre(1, 261, 264, 272, 270));
  EXPECT_EQ(json.at("tokens").size(), 8U);
  EXPECT_EQ(json.at("finish_reason"), "token_limit");
  const auto& timings = json.at("timings");
  EXPECT_EQ(timings.at("prompt_tokens"), 5);
  EXPECT_EQ(timings.at("generated_tokens"), 8);
  for (const char* key : {"prompt_tokens_per_second", "generated_tokens_per_second", "weight_bytes_per_second"}) {
    EXPECT_GT(timings.at(key).get<double>(), 0) << key;
  }
  // the prompt's logits gave the first of the eight
  EXPECT_NEAR(timings.at("generated_tokens_per_second").get<double>() * timings.at("generation_seconds").get<double>(),
              7, 1e-6);
  EXPECT_GT(timings.at("load").at("seconds").get<double>(), 0);
}

TEST(RunGenerate, WhatCannotBeMeasuredIsNotTold) {
  const std::vector<std::string> one{"-m", llama(), "-p", "the water", "-n", "1", "--temp", "0"};
  const auto text = gguf_run(one).err;
  EXPECT_THAT(text, testing::ContainsRegex("generation  1 token\n"));
  EXPECT_THAT(text, Not(HasSubstr("memory ")));
  auto json_arguments = one;
  json_arguments.push_back("--json");
  const auto timings = run_json(json_arguments).at("timings");
  EXPECT_EQ(timings.at("generated_tokens"), 1);
  EXPECT_TRUE(timings.at("generated_tokens_per_second").is_null());
  EXPECT_TRUE(timings.at("weight_bytes_per_second").is_null());
  auto none = one;
  none[5] = "0";
  EXPECT_THAT(gguf_run(none).err, testing::ContainsRegex("generation  0 tokens\n"));
}

TEST(RunGenerate, TheReportAllocatesNothingToMeasureWith) {
  const auto peak = [](const std::vector<std::string>& more) {
    std::vector<std::string> arguments{"-m", llama(), "-p", "a", "-n", "4", "--temp", "0"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return gguf_run(arguments).peak_kilobytes;
  };
  const auto quiet = peak({"--no-perf"});
  ASSERT_GT(quiet, 0);
  constexpr long kRoom = 48 * 1024;  // programs and allocators differ from run to run
  EXPECT_LT(peak({}), quiet + kRoom);
  EXPECT_LT(peak({"--json"}), quiet + kRoom);
}

TEST(RunGenerate, SeedsDecide) {
  const auto tokens_of = [](const std::string& seed) {
    return run_json({"-m", llama(), "-p", "the", "-n", "16", "--temp", "5", "--top-k", "0", "--top-p", "1", "--min-p",
                     "0", "--ignore-eos", "-s", seed, "--json", "--no-perf"})
        .at("tokens");
  };
  EXPECT_EQ(tokens_of("1"), tokens_of("1"));
  EXPECT_NE(tokens_of("1"), tokens_of("2"));
  EXPECT_NE(tokens_of("-1"), tokens_of("-1"));
}

TEST(RunGenerate, EscapesInPromptsMeanCharacters) {
  const auto prompt_tokens = [](std::vector<std::string> arguments) {
    for (const std::string& word :
         {std::string("--json"), std::string("0"), std::string("-n"), llama(), std::string("-m")})
      arguments.insert(arguments.begin(), word);
    return run_json(std::move(arguments)).at("prompt_tokens");
  };
  EXPECT_EQ(prompt_tokens({"-p", "a\\nb\\x41\\\\"}), prompt_tokens({"-p", "a\nbA\\", "--no-escape"}));
  EXPECT_NE(prompt_tokens({"-p", "a\\nb"}), prompt_tokens({"-p", "a\\nb", "--no-escape"}));
  const TempDir folder;
  write_text(folder.file("prompt"), "the water\n");
  EXPECT_EQ(prompt_tokens({"-f", folder.file("prompt")}), prompt_tokens({"-p", "the water"}));
}

TEST(RunGenerate, StopTextsAndFullContextsEndIt) {
  const std::vector<std::string> begin{"-m", llama(), "-p", "the water", "--temp", "0", "--json"};
  const auto run = [&](const std::vector<std::string>& more) {
    auto arguments = begin;
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_json(arguments);
  };
  const std::string whole = run({"-n", "20"}).at("text");
  const std::size_t at = whole.find_first_of("abcdefghijklmnopqrstuvwxyz", 4);
  ASSERT_NE(at, std::string::npos) << whole;
  const auto stopped = run({"-n", "20", "-r", whole.substr(at, 1)});
  EXPECT_EQ(stopped.at("finish_reason"), "stop_text");
  EXPECT_EQ(stopped.at("text"), whole.substr(0, whole.find(whole[at])));
  const auto full = gguf_run({"-m", llama(), "-p", "the water", "--temp", "0", "-c", "16", "--ignore-eos"});
  EXPECT_EQ(full.exit_code, 0);
  EXPECT_THAT(full.err, HasSubstr("warning: the context is full (16 tokens)"));
  EXPECT_EQ(run({"-c", "16", "--ignore-eos"}).at("finish_reason"), "context_full");
}

TEST(RunGenerate, APromptLongerThanTheContextIsAnError) {
  const auto result = gguf_run({"-m", llama(), "-p", "the water of the time", "-c", "4", "--no-perf"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("the context is full"));
}

TEST(RunGenerate, VerbosePromptListsTokens) {
  const auto result = gguf_run({"-m", llama(), "-p", "the", "-n", "1", "--verbose-prompt", "--no-perf"});
  EXPECT_THAT(result.err, HasSubstr("prompt of 2 tokens"));
  EXPECT_THAT(result.err, HasSubstr("       1  \"<s>\""));
  EXPECT_THAT(result.err, HasSubstr("     261  \" the\""));
}

TEST(RunGenerate, ProfileNamesKernels) {
  const auto result = gguf_run({"-m", llama(), "-p", "the", "-n", "2", "--profile", "--no-perf"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.err, HasSubstr("launches"));
}

TEST(RunGenerate, LayersMayBeSplitOverDevices) {
  const RunOptions two{.input = {}, .environment = {"POCL_DEVICES=pthread pthread"}};
  const auto alone = run_json({"eval", "-m", llama(), "--tokens", "1,2,3"});
  EXPECT_EQ(run_json({"eval", "-m", llama(), "--tokens", "1,2,3", "-ts", "1/1"}, two), alone);
  EXPECT_EQ(run_json({"eval", "-m", llama(), "--tokens", "1,2,3", "-dev", "1,0"}, two), alone);
  const auto three = gguf_run({"eval", "-m", llama(), "--tokens", "1", "-dev", "0,1", "-ts", "1,1,1"}, two);
  EXPECT_EQ(three.exit_code, 2);
  EXPECT_THAT(three.err, HasSubstr("-ts"));
  EXPECT_EQ(gguf_run({"eval", "-m", llama(), "--tokens", "1", "-dev", "nothing-like-this"}, two).exit_code, 2);
}

TEST(RunGenerate, LayersOnAGpuNeedAGpu) {
  const RunOptions cpu{.input = {}, .environment = {"POCL_DEVICES=pthread"}};
  const auto devices = gguf_run({"--list-devices"}, cpu);
  EXPECT_EQ(devices.exit_code, 0);
  if (devices.out.find("GPU") != std::string::npos) GTEST_SKIP() << "this machine has one";
  const auto result = gguf_run({"eval", "-m", llama(), "--tokens", "1", "-ngl", "1"}, cpu);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.err, HasSubstr("-ngl has no effect: no GPU is used"));
}

TEST(RunGenerate, AReaderThatGoesEndsItQuietly) {
  RunningProgram program(
      {"/bin/bash", "-c",
       built("gguf-run") + " -m " + llama() +
           " -p 'the water' --ignore-eos -c 200000 --no-perf | head -c 10; code=${PIPESTATUS[0]}; echo; echo $code"},
      RunningProgram::Kind::Pipes);
  const auto result = program.finish();
  EXPECT_THAT(result.out, HasSubstr("the water"));
  EXPECT_THAT(result.out, testing::EndsWith("\n1\n"));
  EXPECT_THAT(result.out, Not(HasSubstr("error")));
}

TEST(RunSignals, TheFirstEndsTheTextAndTheReportStillComes) {
  for (const int number : {SIGINT, SIGTERM}) {
    RunningProgram program({built("gguf-run"), "-m", llama(), "-p", "the water", "--ignore-eos", "-c", "100000"},
                           RunningProgram::Kind::Pipes);
    ASSERT_TRUE(program.wait_for("the water", kPatience)) << program.output();
    static_cast<void>(program.output(50));
    program.send_signal(number);
    const auto result = program.finish();
    EXPECT_EQ(result.exit_code, 128 + number);
    EXPECT_FALSE(result.signalled);
    EXPECT_THAT(result.out, HasSubstr("generation"));
    EXPECT_THAT(result.out, Not(HasSubstr("error")));
  }
}

std::vector<std::string> chat_arguments(const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments{built("gguf-run"), "-m", llama(), "-cnv", "--chat-template", "chatml",
                                     "--temp",          "0",  "-n",    "6",    "--no-perf"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST(RunChat, AnswersEveryMessageUntilTheInputEnds) {
  const auto one = run_program(chat_arguments(), {.input = "the water\n"});
  EXPECT_EQ(one.exit_code, 0) << one.err;
  EXPECT_EQ(std::count(one.out.begin(), one.out.end(), '\n'), 1) << one.out;
  const auto two = run_program(chat_arguments(), {.input = "the water\nthe time\n"});
  EXPECT_THAT(two.out, StartsWith(one.out));
  EXPECT_GT(two.out.size(), one.out.size());
  // what was said before counts, unless it is cleared
  const auto cleared = run_program(chat_arguments(), {.input = "the time\n/clear\nthe water\n"});
  EXPECT_THAT(cleared.out, testing::EndsWith(one.out));
  // -p is the first message
  EXPECT_EQ(run_program(chat_arguments({"-p", "the water"}), {.input = "the time\n"}).out, two.out);
  EXPECT_EQ(run_program(chat_arguments(), {.input = "the water\n/exit\nthe time\n"}).out, one.out);
  EXPECT_NE(run_program(chat_arguments({"-sys", "of the time"}), {.input = "the water\n"}).out, one.out);
}

TEST(RunChat, NeedsATemplateThatIsKnown) {
  const auto none = gguf_run({"-m", llama(), "-cnv"});
  EXPECT_EQ(none.exit_code, 6);
  EXPECT_THAT(none.err, HasSubstr("template"));
  const auto wrong = gguf_run({"-m", llama(), "-cnv", "--chat-template", "chatmll"});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("chatml"));
}

TEST(RunChat, CtrlCEndsAnAnswerAndAtThePromptTheProgram) {
  const std::vector<std::string> endless{built("gguf-run"), "-m", llama(),  "-cnv",         "--chat-template",
                                         "chatml",          "-c", "100000", "--ignore-eos", "--no-display-prompt"};
  RunningProgram program(endless, RunningProgram::Kind::Pipes);
  ASSERT_TRUE(program.wait_for("trained with", kPatience));  // the warning about -c, before the model is loaded
  const std::size_t begin = program.output().size();
  const auto says_more_than = [&](std::size_t size) {
    for (int i = 0; i < kPatience / 20; ++i) {
      if (program.output(20).size() > size) return true;
    }
    return false;
  };
  program.write_input("the water\n");
  ASSERT_TRUE(says_more_than(begin + 50)) << program.output();
  program.send_signal(SIGINT);  // ends the answer
  std::size_t size = 0;
  while (size < program.output(500).size()) size = program.output().size();
  program.write_input("the time\n");
  EXPECT_TRUE(says_more_than(size + 50)) << program.output();  // it goes on
  program.send_signal(SIGINT);
  size = 0;
  while (size < program.output(500).size()) size = program.output().size();
  program.send_signal(SIGINT);  // nothing is being said: the end
  const auto result = program.finish();
  EXPECT_EQ(result.exit_code, 128 + SIGINT);
  EXPECT_THAT(result.out, HasSubstr("generation"));
}

TEST(RunTerminal, AFirstStartSaysThatItCompiles) {
  const TempDir folder;
  RunningProgram program(
      {"/usr/bin/env", "XDG_CACHE_HOME=" + folder.file("cache"), "POCL_CACHE_DIR=" + folder.file("pocl"),
       built("gguf-run"), "-m", llama(), "-p", "the", "-n", "1"},
      RunningProgram::Kind::Terminal);
  EXPECT_TRUE(program.wait_for("compile ", kPatience)) << program.output();
  EXPECT_TRUE(program.wait_for("at work", kPatience)) << program.output();
}

TEST(RunTerminal, ProgressIsErased) {
  RunningProgram program({built("gguf-run"), "-m", llama(), "-p", "the", "-n", "2", "--no-warmup"},
                         RunningProgram::Kind::Terminal);
  const auto result = program.finish();
  EXPECT_EQ(result.exit_code, 0);
  const std::size_t drawn = result.out.rfind("load ");
  const std::size_t erased = result.out.rfind("\x1b[K");
  if (erased != std::string::npos) {
    EXPECT_THAT(result.out.substr(erased), HasSubstr("the"));
  }
  EXPECT_NE(drawn, std::string::npos);  // the report's row at least
}

}  // namespace
}  // namespace gguf_fuse::test_support
