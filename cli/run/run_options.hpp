// SPDX-License-Identifier: MIT
#pragma once

#include "gguf_fuse/runtime/chat.hpp"
#include "gguf_fuse/runtime/generate.hpp"
#include "start.hpp"

namespace gguf_fuse::cli {

enum class Command : unsigned { Generate = 1, Eval = 2, Tokenize = 4 };

/// What the command line and the environment ask for, checked and converted.
struct RunOptions {
  Command command = Command::Generate;
  EngineOptions engine{};
  SamplerOptions sampler{};
  GenerateOptions generate{};

  StartOptions start{};        ///< -c, -ub, -ctk, -ctv, --warmup
  std::uint32_t batch = 2048;  ///< -b

  std::optional<std::string> prompt{};                ///< -p or the content of -f, escapes replaced
  std::optional<std::vector<std::string>> prompts{};  ///< --prompts: many, each answered alone
  std::uint32_t parallel = 1;                         ///< -np: how many of them at a time
  std::optional<bool> conversation{};                 ///< -cnv, -no-cnv
  std::string system{};
  std::string chat_template{};
  std::optional<std::string> chat_template_source{};  ///< of --chat-template-file
  ChatOptions chat{};
  bool single_turn = false;    ///< -st: one answer
  bool simple_io = false;      ///< no line editor
  bool context_shift = false;  ///< a full context drops what is old
  std::int32_t keep = 0;       ///< --keep: tokens of the beginning that are never dropped; -1: the whole prompt

  std::vector<std::int32_t> tokens{};  ///< eval
  bool all_logits = false;             ///< eval
  std::string text{};                  ///< tokenize

  bool display_prompt = true;
  bool verbose_prompt = false;
  bool report = true;  ///< timings at the end
  bool json = false;
  bool list_devices = false;
  bool explain_placement = false;
  bool list_llama_flags = false;
};

struct RunCommandLine {
  std::optional<RunOptions> options{};
  std::string text{};                   ///< help or version, where that was asked for instead
  std::vector<std::string> warnings{};  ///< for standard error
};

/// Reads -f files and the text of tokenize too. Throws UsageError. Errors: OpenFailed, ReadFailed.
[[nodiscard]] Result<RunCommandLine> parse_run_command_line(const std::vector<std::string>& arguments);

/// What gguf-run says to the flags of llama-cli and ik_llama.cpp.
[[nodiscard]] ForeignOptions run_foreign_options();

/// `gguf-run --help`.
[[nodiscard]] std::string run_help(const OptionTable& table);

}  // namespace gguf_fuse::cli
