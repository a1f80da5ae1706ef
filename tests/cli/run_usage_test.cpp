// SPDX-License-Identifier: MIT
// What gguf-run understands; nothing here needs a device.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "run_test.hpp"
#include "support/paths.hpp"

namespace gguf_fuse::test_support {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

struct WrongUse {
  std::vector<std::string> arguments;
  std::string message;
};

const WrongUse kWrongUses[] = {
    {{}, "which model? give -m FILE"},
    {{"-p", "x"}, "which model? give -m FILE"},
    {{"-m", "a"}, "what should the model continue? give -p TEXT"},
    {{"-m", "a", "hello"}, "unexpected argument \"hello\": give a prompt with -p"},
    {{"-m", "a", "-p", "x", "-f", "y"}, "give -p or -f, not both"},
    {{"-m", "a", "-p", "x", "-bf", "y"}, "give -p or -f, not both"},
    {{"-m", "a", "-f", "x", "-bf", "y"}, "give -f or -bf, not both"},
    {{"-m", "a", "-sys", "x", "-sysf", "y"}, "give -sys or -sysf, not both"},
    {{"-m", "-", "-p", "x", "-sysf", "-"}, "standard input is the model already"},
    {{"-m", "a", "-p", "x", "--keep", "-2"}, "--keep \"-2\""},
    {{"-m", "a", "b.gguf", "-p", "x"}, "unexpected argument \"b.gguf\""},
    {{"-m"}, "option -m needs a value: -m FILE"},
    {{"-m", "-p", "x"}, "option -m needs a value"},
    {{"-m", "a", "--ctx-szie", "5"}, "unknown option --ctx-szie; did you mean --ctx-size?"},
    {{"-m", "a", "-nlg", "5"}, "unknown option -nlg; did you mean -ngl?"},
    {{"-m", "a", "--\x1b[31m"}, "unknown option --\\x1b[31m"},
    {{"-m", "a", "-fitter"}, "unknown option -fitter"},
    {{"-m", "a", "-muge"}, "what should the model continue? give -p TEXT"},
    {{"-m", "a", "-p", "x", "--fuse", "maybe"}, "--fuse \"maybe\": unknown value; give one of auto, on, off"},
    {{"-m", "a", "-p", "x", "-mqkv=1"}, "option -mqkv takes no value"},
    {{"-m", "a", "-p", "x", "--merge-qkv=1"}, "option --merge-qkv takes no value"},
    {{"-m", "a", "-p", "x", "--no-merge-up-gate"}, "did you mean --no-merge-up-gate-experts?"},
    {{"-m", "a", "-p", "x", "-lm", "fast"}, "give one of auto, none, mmap, dio"},
    {{"-m", "a", "-p", "x", "-ot", "exps"}, "-ot: \"exps\" is not PATTERN=DEVICE"},
    {{"-m", "a", "-p", "x", "-ot", "exps="}, "-ot: \"exps=\" is not PATTERN=DEVICE"},
    {{"-m", "a", "-p", "x", "-ot", "=CPU"}, "-ot: \"=CPU\" is not PATTERN=DEVICE"},
    {{"-m", "a", "-p", "x", "--override-tensor", "a=0,,b=1"}, "--override-tensor: \"\" is not PATTERN=DEVICE"},
    {{"-m", "a", "-p", "x", "-ot",
      "\x1b="
      "0,b"},
     "-ot: \"b\" is not PATTERN=DEVICE"},
    {{"-m", "a", "-p", "x", "-ncmoe", "-1"}, "-ncmoe \"-1\": give a whole number from 0 to 4096"},
    {{"-m", "a", "-p", "x", "--cpu-moe=yes"}, "option --cpu-moe takes no value"},
    {{"tokenize", "-m", "a", "x", "--fuse", "off"}, "option --fuse does not belong to tokenize"},
    {{"-m", "a", "-p", "x", "-n", "ten"}, "-n \"ten\": give a whole number from -2 to 2147483647"},
    {{"-m", "a", "-p", "x", "--predict=1.5"}, "--predict \"1.5\": give a whole number"},
    {{"-m", "a", "-p", "x", "-c", "-1"}, "-c \"-1\": give a whole number from 0"},
    {{"-m", "a", "-p", "x", "-b", "0"}, "-b \"0\": give a whole number from 1"},
    {{"-m", "a", "-p", "x", "-ub", "0"}, "-ub \"0\""},
    {{"-m", "a", "-p", "x", "-t", "1000"}, "-t \"1000\": give a whole number from -1 to 256"},
    {{"-m", "a", "-p", "x", "-ngl", "many"}, "-ngl \"many\""},
    {{"-m", "a", "-p", "x", "-ts", "1,,2"}, "a part of the list is empty"},
    {{"-m", "a", "-p", "x", "-ts", "1,x"}, "-ts \"x\": give a number"},
    {{"-m", "a", "-p", "x", "-ts", "0/0"}, "at least one share"},
    {{"-m", "a", "-p", "x", "-s", "4294967296"}, "-s \"4294967296\": give a whole number from -1 to 4294967295"},
    {{"-m", "a", "-p", "x", "--temp", "warm"}, "--temp \"warm\": give a number"},
    {{"-m", "a", "-p", "x", "--temp", "nan"}, "--temp \"nan\": give a number"},
    {{"-m", "a", "-p", "x", "--top-p", "1.5"}, "--top-p \"1.5\": give a number from 0 to 1"},
    {{"-m", "a", "-p", "x", "--min-p", "-0.1"}, "--min-p \"-0.1\": give a number from 0 to 1"},
    {{"-m", "a", "-p", "x", "--top-k", "-2"}, "--top-k \"-2\""},
    {{"-m", "a", "-p", "x", "--repeat-penalty", "0"}, "--repeat-penalty \"0\""},
    {{"-m", "a", "-p", "x", "--repeat-last-n", "-2"}, "--repeat-last-n \"-2\""},
    {{"-m", "a", "-p", "x", "--frequency-penalty", ""}, "--frequency-penalty \"\""},
    {{"-m", "a", "-p", "x", "--presence-penalty", "inf"}, "--presence-penalty \"inf\""},
    {{"-m", "a", "-p", "x", "-ctk", "q6_0"}, "-ctk q6_0: gguf-fuse has no such cache"},
    {{"-m", "a", "-p", "x", "-ctv", "f17"}, "did you mean f16?"},
    {{"-m", "a", "-p", "x", "--activations", "q4"}, "--activations \"q4\""},
    {{"-m", "a", "-p", "x", "--style", "fast"}, "give one of auto, vector, group"},
    {{"-m", "a", "-p", "x", "--dot", "dp4"}, "did you mean dp4a?"},
    {{"-m", "a", "-p", "x", "--json=yes"}, "option --json takes no value"},
    {{"-m", "a", "-p", "x", "--tokens", "1"}, "option --tokens does not belong to a generation"},
    {{"-m", "a", "-cnv", "--json"}, "--json goes with a prompt, not with -cnv"},
    {{"-m", "-", "-f", "-"}, "standard input is the model already"},
    {{"-m", "-", "-cnv"}, "standard input is the model already"},
    {{"eval", "-m", "a"}, "--tokens is missing"},
    {{"eval", "-m", "a", "--tokens", "1,b"}, "--tokens \"b\": give a whole number"},
    {{"eval", "-m", "a", "--tokens", "1,-2"}, "--tokens \"-2\""},
    {{"eval", "-m", "a", "--tokens", "1,"}, "--tokens"},
    {{"eval", "-m", "a", "--tokens", "1", "--logits", "first"}, "give one of last, all"},
    {{"eval", "-m", "a", "--tokens", "1", "-p", "x"}, "option -p does not belong to eval"},
    {{"eval", "-m", "a", "--tokens", "1", "2"}, "unexpected argument \"2\""},
    {{"tokenize", "-m", "a"}, "give one text"},
    {{"tokenize", "-m", "a", "x", "y"}, "tokenize takes one TEXT"},
    {{"tokenize", "-m", "a", "x", "-f", "y"}, "give one text"},
    {{"tokenize", "-m", "a", "x", "-c", "5"}, "option -c does not belong to tokenize"},
};

TEST(RunUsage, EveryMistakeIsNamedAndExitsWithTwo) {
  for (const WrongUse& use : kWrongUses) {
    const auto result = gguf_run(use.arguments);
    const std::string shown = testing::PrintToString(use.arguments);
    EXPECT_EQ(result.exit_code, 2) << shown << result.err;
    const bool json = std::find(use.arguments.begin(), use.arguments.end(), "--json") != use.arguments.end();
    if (json) {
      EXPECT_EQ(parsed(result.out).at("error").at("exit_code"), 2);
      EXPECT_THAT(parsed(result.out).at("error").at("message"), HasSubstr(use.message));
    } else {
      EXPECT_EQ(result.out, "") << shown;
      EXPECT_THAT(result.err, StartsWith("error: ")) << shown;
      EXPECT_THAT(result.err, HasSubstr(use.message)) << shown;
      EXPECT_THAT(result.err, HasSubstr("try: gguf-run --help")) << shown;
    }
  }
}

TEST(RunUsage, WrongFilesSayWhatIsWrong) {
  const TempDir folder;
  write_text(folder.file("text.gguf"), "this is no model");
  EXPECT_EQ(gguf_run({"tokenize", "-m", folder.file("none.gguf"), "x"}).exit_code, 1);
  EXPECT_EQ(gguf_run({"tokenize", "-m", folder.file("text.gguf"), "x"}).exit_code, 3);
  EXPECT_EQ(gguf_run({"tokenize", "-m", llama(), "-f", folder.file("none.txt")}).exit_code, 1);
  EXPECT_THAT(gguf_run({"tokenize", "-m", llama(), "-f", folder.file("none.txt")}).err, HasSubstr("none.txt"));
  const auto json = gguf_run({"tokenize", "--json", "-m", folder.file("text.gguf"), "x"});
  EXPECT_EQ(parsed(json.out).at("error").at("exit_code"), 3);
  EXPECT_EQ(json.err, "");
}

/// Every option in the spelling of its help, and the other spelling of long names.
TEST(RunUsage, ValuesInEverySpellingAreTaken) {
  // the model does not exist, so that an understood command line ends with 1
  const std::vector<std::vector<std::string>> spellings{
      {"--model=/nonexistent/b"},
      {"-p", "x"},
      {"--prompt=x"},
      {"--prompt", "-x y"},
      {"-p", "--"},
      {"-e"},
      {"--escape"},
      {"--no-escape"},
      {"--no_escape"},
      {"-no-cnv"},
      {"--no-conversation"},
      {"-n", "-1"},
      {"-n", "-2"},
      {"-n", "5"},
      {"--predict", "5"},
      {"--n-predict=5"},
      {"--n_predict", "5"},
      {"-c", "0"},
      {"--ctx-size", "9"},
      {"--ctx_size=9"},
      {"-r", "a", "-r", "b"},
      {"--reverse-prompt", "a"},
      {"--stop", "a"},
      {"--ignore-eos"},
      {"-s", "-1"},
      {"--seed", "4294967295"},
      {"--repeat-penalty", "1.1"},
      {"--repeat-last-n", "-1"},
      {"--frequency-penalty", "-0.5"},
      {"--presence-penalty", "0.5"},
      {"--top-k", "0"},
      {"--top_k=40"},
      {"--top-p", "1"},
      {"--min-p", "0"},
      {"--temp", "0"},
      {"--temperature", "1e-1"},
      {"-ts", "1"},

      {"--tensor-split", "0.5"},
      {"-ngl", "auto"},
      {"--gpu-layers", "all"},
      {"--n-gpu-layers", "3"},
      {"-ngl", "-1"},
      {"-t", "2"},
      {"--threads", "-1"},
      {"--fuse", "auto"},
      {"--fuse=on"},
      {"--fuse", "off"},
      {"-muge"},
      {"--merge-up-gate-experts"},
      {"--no-merge-up-gate-experts"},
      {"-mqkv"},
      {"--merge-qkv"},
      {"--no-merge-qkv"},
      {"-lm", "auto"},
      {"-lm", "mmap"},
      {"--load-mode", "dio"},
      {"--load_mode=none"},
      {"--mmap"},
      {"--no-mmap"},
      {"-ot", "exps=CPU"},
      {"-ot", "a=b=0,c=0"},
      {"--override-tensor", "exps=0"},
      {"-cmoe"},
      {"--cpu-moe"},
      {"-ncmoe", "0"},
      {"--n-cpu-moe", "4096"},
      {"-b", "64"},
      {"--batch-size", "64"},
      {"-ub", "64"},
      {"--ubatch-size", "64"},
      {"-ctk", "q8_0"},
      {"--cache-type-k", "f32"},
      {"-ctv", "f16"},
      {"--cache-type-v=q8_0"},
      {"--activations", "f32"},
      {"--activations", "auto"},
      {"--style", "auto"},
      {"--style", "group"},
      {"--dot", "none"},
      {"--dot", "khr-integer"},
      {"-sp"},
      {"--special"},
      {"--display-prompt"},
      {"--no-display-prompt"},
      {"--verbose-prompt"},
      {"--perf"},
      {"--no-perf"},
      {"--warmup"},
      {"--no-warmup"},
      {"--profile"},
      {"-v"},
      {"--verbose"},
      {"-c", "1", "-c", "2"},
  };
  for (std::vector<std::string> arguments : spellings) {
    const std::string shown = testing::PrintToString(arguments);
    if (arguments[0] != "-p" && arguments[0].compare(0, 8, "--prompt") != 0) {
      arguments.insert(arguments.begin(), {"-p", "prompt"});
    }
    arguments.insert(arguments.begin(), {"-m", "/nonexistent/a"});
    const auto result = gguf_run(arguments);
    EXPECT_EQ(result.exit_code, 1) << shown << result.err;
    EXPECT_EQ(result.out, "") << shown;
  }
}

TEST(RunUsage, RepeatedOptionsAreToldAndTheLastCounts) {
  const auto result = gguf_run({"-m", "/nonexistent/a", "-p", "x", "-c", "1", "-c", "2"});
  EXPECT_THAT(result.err, HasSubstr("warning: -c is given more than once; the last one counts"));
  for (const char* repeatable : {"-r", "-ot"}) {
    const auto both = gguf_run({"-m", "/nonexistent/a", "-p", "x", repeatable, "1=0", repeatable, "2=0"});
    EXPECT_THAT(both.err, Not(HasSubstr("warning"))) << repeatable;
  }
}

RunOptions with(std::vector<std::string> environment) { return {.input = {}, .environment = std::move(environment)}; }

TEST(RunUsage, TheEnvironmentCountsWhereNothingIsGiven) {
  const std::vector<std::string> prompt{"-p", "x"};
  EXPECT_THAT(gguf_run(prompt, with({"LLAMA_ARG_MODEL=/nonexistent/from-environment"})).err,
              HasSubstr("from-environment"));
  EXPECT_EQ(run_json({"tokenize", ""}, with({"LLAMA_ARG_MODEL=" + llama()})).at("tokens").size(), 0U);
  // a value that makes no sense is a mistake wherever it comes from
  for (const char* name : {"N_PREDICT", "CTX_SIZE", "TOP_K", "TOP_P", "MIN_P", "TEMPERATURE", "TENSOR_SPLIT",
                           "N_GPU_LAYERS", "THREADS", "BATCH", "UBATCH", "CACHE_TYPE_K", "CACHE_TYPE_V", "LOAD_MODE",
                           "MMAP", "OVERRIDE_TENSOR", "CPU_MOE", "N_CPU_MOE"}) {
    const std::string variable = std::string("LLAMA_ARG_") + name;
    const auto result = gguf_run({"-m", "a", "-p", "x"}, with({variable + "=nonsense"}));
    EXPECT_EQ(result.exit_code, 2) << variable;
    EXPECT_THAT(result.err, testing::ContainsRegex(variable + ":? \"nonsense\"")) << variable;
  }
  // an empty one is none
  EXPECT_EQ(gguf_run({"-m", "/nonexistent/a", "-p", "x"}, with({"LLAMA_ARG_CTX_SIZE="})).exit_code, 1);
}

TEST(RunUsage, TheCommandLineWinsOverTheEnvironmentAndSaysSo) {
  const auto result =
      gguf_run({"--model", "/nonexistent/given", "-p", "x"}, with({"LLAMA_ARG_MODEL=/nonexistent/from-environment"}));
  EXPECT_THAT(result.err, HasSubstr("LLAMA_ARG_MODEL environment variable is set, but will be overwritten by command "
                                    "line argument --model"));
  EXPECT_THAT(result.err, HasSubstr("/nonexistent/given"));
  EXPECT_THAT(result.err, Not(HasSubstr("from-environment")));
  // even nonsense, when it does not count
  EXPECT_EQ(gguf_run({"-m", "/nonexistent/a", "-p", "x", "-c", "5"}, with({"LLAMA_ARG_CTX_SIZE=no"})).exit_code, 1);
}

TEST(RunUsage, TokenizeReadsFilesAndStandardInput) {
  const TempDir folder;
  write_text(folder.file("text"), "the water\n");
  const auto expected = run_json({"tokenize", "-m", llama(), "the water"});
  EXPECT_EQ(run_json({"tokenize", "-m", llama(), "-f", folder.file("text")}), expected);
  EXPECT_EQ(run_json({"tokenize", "-m", llama(), "-"}, {.input = "the water"}), expected);
  EXPECT_NE(run_json({"tokenize", "-m", llama(), "-"}, {.input = "the water\n"}), expected);
  EXPECT_EQ(run_json({"-m", llama(), "tokenize", "the water"}), expected);
  EXPECT_NE(run_json({"tokenize", "-m", llama(), "--", "--special"}), expected);
  // escapes are for prompts
  EXPECT_NE(run_json({"tokenize", "-m", llama(), "a\\nb"}), run_json({"tokenize", "-m", llama(), "a\nb"}));
}

TEST(RunUsage, TokenizeGivesLlamaCppsTokens) {
  for (const char* name : {"llama-q8_0", "gemma3-q8_0", "qwen2-f16"}) {
    const auto reference = parsed(read_text(model(std::string(name) + ".json")));
    const std::string path = model(std::string(name) + ".gguf");
    ASSERT_FALSE(reference.at("tokenizer").at("tests").empty());
    for (const auto& test : reference.at("tokenizer").at("tests")) {
      const std::string text = test.at("text");
      EXPECT_EQ(run_json({"tokenize", "-m", path, text}).at("tokens"), test.at("plain")) << text;
      EXPECT_EQ(run_json({"tokenize", "-m", path, text, "--special"}).at("tokens"), test.at("special")) << text;
    }
  }
}

TEST(RunHelp, IsOnStandardOutputAndFits) {
  for (const char* flag : {"--help", "-h", "--usage", "help"}) {
    const auto result = gguf_run({flag});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.err, "");
    EXPECT_THAT(result.out, StartsWith("Usage: gguf-run "));
    std::istringstream lines(result.out);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 102U) << line;
  }
  EXPECT_EQ(gguf_run({"eval", "-m", "x", "--help"}).exit_code, 0);
}

TEST(RunHelp, VersionNamesProgramAndLicence) {
  const auto result = gguf_run({"--version"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, testing::ContainsRegex("^gguf-run [0-9]+\\.[0-9]+\\.[0-9]+\n"));
  EXPECT_THAT(result.out, HasSubstr("MIT"));
}

TEST(RunUsage, WithoutOpenClItSaysWhatToInstall) {
  const auto result =
      gguf_run({"-m", llama(), "-p", "x"}, with({"GGUF_FUSE_OPENCL_LIBRARY=/nonexistent/libOpenCL.so"}));
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("apt install"));
  // what needs no device works all the same
  EXPECT_EQ(gguf_run({"tokenize", "-m", llama(), "x"}, with({"GGUF_FUSE_OPENCL_LIBRARY=/nonexistent/libOpenCL.so"}))
                .exit_code,
            0);
}

}  // namespace
}  // namespace gguf_fuse::test_support
