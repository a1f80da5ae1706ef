// SPDX-License-Identifier: MIT
// What `gguf-fuse plan` looks like where people read it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "cli_test.hpp"
#include "support/paths.hpp"
#include "support/random_model.hpp"

namespace gguf_fuse::test_support {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr int kPatience = 20000;  // milliseconds: the machine may be busy

std::size_t columns_of(std::string_view line) {
  std::size_t columns = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\x1b') {
      i = line.find('m', i);
    } else if ((static_cast<unsigned char>(line[i]) & 0xc0U) != 0x80U && line[i] != '\r') {
      ++columns;
    }
  }
  return columns;
}

/// The plan of a model on a terminal of so many columns.
std::string on_terminal(const std::string& path, int columns, const std::string& environment) {
  const std::string script = "stty cols " + std::to_string(columns) + " && " + environment + " exec \"$0\" plan \"$1\"";
  RunningProgram program({"/bin/sh", "-c", script, built("gguf-fuse"), path}, RunningProgram::Kind::Terminal);
  static_cast<void>(program.wait_for("next:", kPatience));
  const auto result = program.finish();
  EXPECT_EQ(result.exit_code, 0) << result.out;
  return result.out;
}

/// 40 layers: Q, K and V of one type but in the last ten.
std::string long_model(const TempDir& folder) {
  RandomModel model("qwen3moe");
  model.layers(40);
  for (std::uint32_t layer = 30; layer < 40; ++layer) model.type("attn_v", "F16", layer);
  return model.write(folder.file("a model.gguf"));
}

TEST(PlanView, FitsTerminalsOfAnyWidth) {
  const TempDir folder;
  const std::string path = long_model(folder);
  for (const int columns : {60, 80, 200}) {
    for (const char* environment : {"LC_ALL=C.UTF-8 TERM=xterm", "LC_ALL=C TERM=dumb"}) {
      const std::string text = on_terminal(path, columns, environment);
      SCOPED_TRACE(text);
      std::istringstream lines(text);
      bool headline = true;
      for (std::string line; std::getline(lines, line); headline = false) {
        if (headline || line.starts_with("next:")) continue;  // names of files are as long as they are
        EXPECT_LE(columns_of(line), static_cast<std::size_t>(columns)) << line;
      }
      EXPECT_THAT(text, HasSubstr("30 of 40"));
      EXPECT_THAT(text, HasSubstr("30-39: types differ"));
      EXPECT_THAT(text, HasSubstr("next:  gguf-fuse convert '" + path + "'"));
    }
  }
}

TEST(PlanView, BlocksAndColoursOnlyWhereTheyAreUnderstood) {
  const TempDir folder;
  const std::string path = long_model(folder);
  const std::string full = on_terminal(path, 100, "LC_ALL=C.UTF-8 TERM=xterm");
  EXPECT_THAT(full, HasSubstr("\u2588\u2588\u2588"));
  EXPECT_THAT(full, HasSubstr("\x1b[33m"));
  const std::string plain = on_terminal(path, 100, "LC_ALL=C TERM=dumb");
  EXPECT_THAT(plain, Not(HasSubstr("\x1b")));
  EXPECT_THAT(plain, HasSubstr("##########"));
  const std::string piped = gguf_fuse({"plan", path}).out;
  EXPECT_THAT(piped, Not(HasSubstr("\x1b")));
  EXPECT_THAT(piped, Not(HasSubstr("\u2588")));
  EXPECT_THAT(piped, HasSubstr("# fused"));
}

TEST(PlanView, ATensorForEachExpertReadsWell) {
  const TempDir folder;
  const std::string path = RandomModel("llama").experts(256).unstacked().write(folder.file("in.gguf"));
  const std::string text = gguf_fuse({"plan", "--target", "gguf-fuse", path}).out;
  EXPECT_THAT(text, HasSubstr("stacked gate     ########################  2 of 2  -> ffn_gate_exps"));
  EXPECT_THAT(text, HasSubstr("tensors   1552 -> 16\nproducts  17 -> 11 "));
  const auto decisions = parsed(gguf_fuse({"plan", "--json", "--target", "gguf-fuse", path}).out).at("decisions");
  EXPECT_EQ(decisions.at(0).at("parts"), nlohmann::json({"ffn_gate.{0..255}"}));
  const std::string fused = folder.file("fused.gguf");
  EXPECT_THAT(
      gguf_fuse({"convert", "--target", "gguf-fuse", path, fused}).out,
      HasSubstr("fused     2 x ffn_down_exps (stacked down), 2 x ffn_gate_up_exps (gate+up experts), 2 x attn_qkv"));
  const auto back = parsed(gguf_fuse({"unfuse", "-n", "--json", fused, folder.file("back.gguf")}).out);
  EXPECT_EQ(back.at("tensors").at("after"), 1552);
  EXPECT_EQ(back.at("decisions").at(1).at("parts"), nlohmann::json({"ffn_gate.{0..255}", "ffn_up.{0..255}"}));
  EXPECT_THAT(gguf_fuse({"plan", "--only", "stack", path}).out, HasSubstr("convert --only stack"));
}

TEST(PlanView, TheNextCommandIsTheOneThatWasPlanned) {
  const auto next = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "plan");
    const std::string out = gguf_fuse(arguments).out;
    return out.substr(out.find("next:"));
  };
  const std::string stem = llama().substr(0, llama().size() - 5);
  EXPECT_EQ(next({llama()}), "next:  gguf-fuse convert " + llama() + " " + stem + "-fused.gguf\n");
  EXPECT_EQ(
      next({"--target", "gguf-fuse", "--only", "qkv", "--layers", "1-", llama()}),
      "next:  gguf-fuse convert --target gguf-fuse --only qkv --layers 1- " + llama() + " " + stem + "-fused.gguf\n");
  EXPECT_THAT(next({"--target", "ik_llama.cpp", llama()}), HasSubstr("gguf-fuse plan --target llama.cpp"));
  // what it says works
  const TempDir folder;
  const std::string path = long_model(folder);
  const std::string command = next({path}).substr(7);
  const auto run =
      run_program({"/bin/sh", "-c",
                   "PATH=" + std::filesystem::path(built("gguf-fuse")).parent_path().string() + ":$PATH; " + command});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_TRUE(std::filesystem::exists(folder.file("a model-fused.gguf")));
}

}  // namespace
}  // namespace gguf_fuse::test_support
