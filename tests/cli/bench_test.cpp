// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <regex>

#include "run_test.hpp"
#include "support/paths.hpp"

namespace gguf_fuse::test_support {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

ProgramResult gguf_bench(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), built("gguf-bench"));
  return run_program(arguments);
}

std::vector<std::string> small(const std::vector<std::string>& more) {
  std::vector<std::string> arguments{"-m", llama(), "-p", "8", "-n", "4", "-r", "2", "--no-warmup"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST(Bench, JsonHasLlamaBenchsKeys) {
  const auto result = gguf_bench(small({"-o", "json", "-pg", "8,4", "-d", "0,16"}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto json = parsed(result.out);
  std::vector<std::string> names;
  for (const auto& row : json) {
    names.push_back(row.at("test"));
    for (const char* key : {"model_filename", "model_type", "model_size", "model_n_params", "n_prompt", "n_gen",
                            "n_depth", "test_time", "avg_ns", "stddev_ns", "avg_ts", "stddev_ts"}) {
      EXPECT_TRUE(row.contains(key)) << key;
    }
    const std::vector<double> nanoseconds = row.at("samples_ns"), rates = row.at("samples_ts");
    ASSERT_EQ(nanoseconds.size(), 2U);
    ASSERT_EQ(rates.size(), 2U);
    const double tokens = row.at("n_prompt").get<double>() + row.at("n_gen").get<double>();
    for (std::size_t i = 0; i < 2; ++i) EXPECT_NEAR(rates[i], tokens / nanoseconds[i] * 1e9, rates[i] * 1e-3);
    const double mean = (rates[0] + rates[1]) / 2;
    EXPECT_NEAR(row.at("avg_ts").get<double>(), mean, mean * 1e-9);
    EXPECT_NEAR(row.at("stddev_ts").get<double>(), std::abs(rates[0] - rates[1]) / std::sqrt(2.0), mean * 1e-9);
  }
  EXPECT_THAT(names, ElementsAre("pp8", "tg4", "pp8+tg4", "pp8 @ d16", "tg4 @ d16", "pp8+tg4 @ d16"));
  EXPECT_EQ(json[0].at("model_filename"), llama());
}

std::size_t line_count(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

TEST(Bench, EveryFormatRecordsFusingAndPlaces) {
  const auto options = [](const std::string& format) {
    return small(
        {"-n", "0", "-o", format, "--fuse", "off", "-mqkv", "-ot", R"(blk\.1\.attn_q=CPU)", "-cmoe", "-t", "2"});
  };
  constexpr const char* kOverrides = R"(blk\.1\.attn_q=CPU;\.ffn_(up|down|gate|gate_up)_(ch|)exps=CPU)";
  const auto expect = [&](const nlohmann::json& row) {
    EXPECT_EQ(row.at("fuse"), "off");
    EXPECT_EQ(row.at("merge_up_gate_experts"), false);
    EXPECT_EQ(row.at("merge_qkv"), true);
    EXPECT_EQ(row.at("tensor_buft_overrides"), kOverrides);
    EXPECT_EQ(row.at("n_cpu_moe"), 0);
    EXPECT_EQ(row.at("n_threads"), 2);
  };
  expect(parsed(gguf_bench(options("json")).out).at(0));
  expect(parsed(first_line(gguf_bench(options("jsonl")).out)));
  const auto csv = gguf_bench(options("csv")).out;
  EXPECT_THAT(csv,
              HasSubstr("fuse,merge_up_gate_experts,merge_qkv,n_threads,n_gpu_layers,n_cpu_moe,tensor_buft_overrides"));
  EXPECT_THAT(csv, HasSubstr(std::string(R"("off","false","true","2","-1","0",")") + kOverrides));
  const auto table = gguf_bench(options("md")).out;
  const std::regex header(R"(\| +muge \| +threads \| +ot \|)");
  EXPECT_TRUE(std::regex_search(table, header)) << table;  // mqkv is as usual
  EXPECT_THAT(table, HasSubstr(kOverrides));
  const auto layers = parsed(first_line(gguf_bench(small({"-ncmoe", "1", "-o", "jsonl"})).out));
  EXPECT_EQ(layers.at("n_cpu_moe"), 1);
  EXPECT_EQ(layers.at("tensor_buft_overrides"), "none");
  EXPECT_EQ(layers.at("fuse"), "auto");
}

TEST(Bench, JsonIsOneLineAndSoAreItsErrors) {
  const auto whole = gguf_bench(small({"-o", "json"}));
  EXPECT_EQ(line_count(whole.out), 1U);
  EXPECT_EQ(parsed(whole.out).size(), 2U);
  const std::vector<std::pair<std::vector<std::string>, int>> errors{{{"-m", "/nonexistent/a"}, 1},
                                                                     {{"-m", llama(), "--repetitons", "2"}, 2},
                                                                     {{"-m", llama(), "-r", "0"}, 2},
                                                                     {{}, 2}};
  for (auto [arguments, code] : errors) {
    arguments.insert(arguments.end(), {"-o", "json"});
    const auto array = gguf_bench(arguments);
    EXPECT_EQ(array.exit_code, code);
    EXPECT_EQ(line_count(array.out), 1U) << array.out;
    ASSERT_EQ(parsed(array.out).size(), 1U) << array.out;
    EXPECT_EQ(parsed(array.out)[0].at("error").at("exit_code"), code);
    EXPECT_EQ(array.err, "");
    arguments.back() = "jsonl";
    const auto line = gguf_bench(arguments);
    EXPECT_EQ(line_count(line.out), 1U) << line.out;
    EXPECT_EQ(parsed(line.out), parsed(array.out)[0]);
  }
  // what was measured before is there all the same
  const auto half = gguf_bench(small({"-m", "/nonexistent/a", "-o", "json"}));
  EXPECT_EQ(half.exit_code, 1);
  const auto rows = parsed(half.out);
  ASSERT_EQ(rows.size(), 3U) << half.out;
  EXPECT_EQ(rows[0].at("test"), "pp8");
  EXPECT_EQ(rows[2].at("error").at("code"), "OpenFailed");
}

TEST(Bench, OneRepetitionHasNoDeviation) {
  const auto table = gguf_bench({"-m", llama(), "-p", "8", "-n", "0", "-r", "1", "--no-warmup"}).out;
  EXPECT_THAT(table, HasSubstr(" pp8 |"));
  EXPECT_THAT(table, testing::Not(HasSubstr("±")));
}

TEST(Bench, TheTableHasARowForEachTest) {
  const auto result = gguf_bench(small({"-ub", "4,8", "-ctk", "f16"}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, StartsWith("| model"));
  EXPECT_THAT(result.out, HasSubstr("n_ubatch"));
  EXPECT_THAT(result.out, testing::Not(HasSubstr("type_k")));  // not another than usual
  const std::regex row("\\|[^\n]*llama Q8_0[^\n]* (pp8|tg4) \\| +[0-9.]+ ± [0-9.]+ \\|");
  const std::sregex_iterator rows(result.out.begin(), result.out.end(), row);
  EXPECT_EQ(std::distance(rows, std::sregex_iterator()), 4) << result.out;
}

TEST(Bench, LinesAndCsvHoldTheSame) {
  const auto lines = gguf_bench(small({"-o", "jsonl"})).out;
  ASSERT_EQ(std::count(lines.begin(), lines.end(), '\n'), 2);
  EXPECT_EQ(parsed(lines.substr(0, lines.find('\n'))).at("test"), "pp8");
  const auto csv = gguf_bench(small({"-o", "csv"})).out;
  ASSERT_EQ(std::count(csv.begin(), csv.end(), '\n'), 3);
  EXPECT_THAT(csv, HasSubstr("n_prompt,n_gen,n_depth"));
  EXPECT_THAT(csv, HasSubstr("\"pp8\",\"8\",\"0\",\"0\","));
}

std::vector<std::string> several(const std::vector<std::string>& more) {
  std::vector<std::string> arguments{"-m", llama(), "-npp", "8", "-ntg", "4", "-npl", "1,3", "-r", "2", "--no-warmup"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST(BenchSequences, JsonHasLlamaBatchedBenchsKeys) {
  const auto rows = parsed(gguf_bench(several({"-o", "json", "-npp", "16"})).out);
  ASSERT_EQ(rows.size(), 4U);
  std::vector<std::string> names;
  for (const auto& row : rows) {
    names.push_back(row.at("test"));
    const double prompt = row.at("pp"), generated = row.at("tg"), sequences = row.at("pl");
    EXPECT_EQ(row.at("n_kv").get<double>(), sequences * (prompt + generated));
    EXPECT_EQ(row.at("is_pp_shared"), false);
    const double prompts = row.at("t_pp"), tokens = row.at("t_tg"), all = row.at("t");
    EXPECT_NEAR(prompts + tokens, all, 1e-6);
    // means of two rates lie between them, and above the rate of the mean time
    EXPECT_GE(row.at("speed_pp").get<double>(), sequences * prompt / prompts * 0.999);
    EXPECT_GE(row.at("speed_tg").get<double>(), sequences * generated / tokens * 0.999);
    EXPECT_EQ(row.at("samples_ns").size(), 2U);
  }
  EXPECT_THAT(names, ElementsAre("pp8+tg4 x 1", "pp8+tg4 x 3", "pp16+tg4 x 1", "pp16+tg4 x 3"));
  const auto shared = parsed(gguf_bench(several({"-o", "json", "-pps", "-npp", "100"})).out);
  ASSERT_EQ(shared.size(), 4U);
  EXPECT_EQ(shared[3].at("test"), "pp100+tg4 x 3, one prompt");
  EXPECT_EQ(shared[3].at("n_kv"), 100 + 3 * 4);
  EXPECT_EQ(shared[3].at("is_pp_shared"), true);
}

TEST(BenchSequences, EveryFormatHasThem) {
  const auto table = gguf_bench(several({})).out;
  EXPECT_TRUE(std::regex_search(
      table, std::regex(R"(\| model +\| +PP \| +TG \| +B \| +N_KV \| +T_PP s \| +S_PP t/s \| +T_TG s \| +S_TG t/s)")))
      << table;
  EXPECT_TRUE(std::regex_search(table, std::regex(R"(\n\| llama Q8_0 \| +8 \| +4 \| +3 \| +36 \| +[0-9.]+ \|)")))
      << table;
  EXPECT_EQ(line_count(gguf_bench(several({"-o", "jsonl"})).out), 2U);
  const auto csv = gguf_bench(several({"-o", "csv"})).out;
  EXPECT_EQ(line_count(csv), 3U);
  EXPECT_THAT(csv, HasSubstr(",is_pp_shared,pp,tg,pl,n_kv,t_pp,speed_pp,t_tg,speed_tg,t,speed\n"));
}

TEST(BenchSequences, WhatTheContextDoesNotHoldIsLeftOut) {
  const auto result = gguf_bench(several({"-c", "12", "-o", "json"}));
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(parsed(result.out).size(), 1U);
  EXPECT_THAT(result.err, HasSubstr("pp8+tg4 x 3 is left out: it takes 36 tokens, -c allows 12"));
}

TEST(Bench, LoadMeasuresStarting) {
  const auto result = gguf_bench({"-m", llama(), "-p", "0", "-n", "0", "-r", "1", "--load", "-o", "json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto json = parsed(result.out);
  ASSERT_EQ(json.size(), 2U);
  EXPECT_EQ(json[0].at("test"), "load, programs built");
  EXPECT_EQ(json[1].at("test"), "load, programs cached");
  for (const auto& row : json) EXPECT_GT(row.at("avg_ns").get<double>(), 0);
}

TEST(Bench, MistakesAreNamed) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> mistakes{
      {{}, "which model? give -m FILE"},
      {{"-m", "-"}, "standard input cannot be measured"},
      {{"-m", "a", "-p", "0", "-n", "0"}, "nothing to measure"},
      {{"-m", "a", "-npl", "2", "-p", "8"}, "-npl measures several texts at once, -p does not"},
      {{"-m", "a", "-npp", "2", "--load"}, "-npp measures several texts at once, --load does not"},
      {{"-m", "a", "-npl", "0"}, "-npl \"0\""},
      {{"-m", "a", "-npp", "0", "-ntg", "0"}, "nothing to measure"},
      {{"-m", "a", "-npl", "8", "-c", "3"}, "nothing to measure: pp512+tg128 x 8 is left out"},
      {{"-m", "a", "-pps"}, "-pps goes with -npl"},
      {{"-m", "a", "-c", "64"}, "-c goes with -npl"},
      {{"-m", "a", "-p", "1,x"}, "-p \"x\": give a whole number"},
      {{"-m", "a", "-pg", "5"}, "give two numbers, as in -pg 512,128"},
      {{"-m", "a", "-r", "0"}, "-r \"0\""},
      {{"-m", "a", "-o", "sql"}, "give one of md, csv, json, jsonl"},
      {{"-m", "a", "-ctk", "f16,q9"}, "-ctk \"q9\""},
      {{"-m", "a", "b"}, "unexpected argument \"b\""},
      {{"-m", "a", "--repetitons", "2"}, "did you mean --repetitions?"},
  };
  for (const auto& [arguments, message] : mistakes) {
    const auto result = gguf_bench(arguments);
    EXPECT_EQ(result.exit_code, 2) << message;
    EXPECT_THAT(result.err, HasSubstr(message));
    EXPECT_THAT(result.err, HasSubstr("try: gguf-bench --help"));
    EXPECT_EQ(result.out, "");
  }
  EXPECT_EQ(gguf_bench({"-m", "/nonexistent/a"}).exit_code, 1);
}

TEST(BenchHelp, IsOnStandardOutput) {
  const auto help = gguf_bench({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.out, StartsWith("Usage: gguf-bench "));
  EXPECT_THAT(gguf_bench({"--version"}).out, StartsWith("gguf-bench "));
}

}  // namespace
}  // namespace gguf_fuse::test_support
