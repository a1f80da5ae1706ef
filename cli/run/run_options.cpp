// SPDX-License-Identifier: MIT
#include "run_options.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <limits>
#include <memory>
#include <random>

#include "gguf_fuse/loader/version.hpp"
#include "llama_flags.hpp"
#include "prompt_lines.hpp"
#include "run_option_table.hpp"
#include "values.hpp"

namespace gguf_fuse::cli {
namespace {

struct CommandRow {
  Command command;
  std::string_view name;
  std::string_view summary;
};
constexpr CommandRow kCommands[] = {{Command::Eval, "eval", "evaluate tokens, for scripts"},
                                    {Command::Tokenize, "tokenize", "print the ids of a text, for scripts"}};

/// All of a file, or of standard input for "-".
Result<std::string> read_whole(const std::string& path) {
  const auto close = [](std::FILE* file) {
    if (file != stdin) std::fclose(file);
  };
  const std::unique_ptr<std::FILE, decltype(close)> file(path == "-" ? stdin : std::fopen(path.c_str(), "rb"), close);
  if (!file) return fail(system_error(ErrorCode::OpenFailed, path, errno));
  std::string text;
  char buffer[65536];
  while (const std::size_t count = std::fread(buffer, 1, sizeof buffer, file.get())) text.append(buffer, count);
  if (std::ferror(file.get()) != 0) return fail(system_error(ErrorCode::ReadFailed, path, errno));
  return text;
}

Result<std::string> read_text_file(const std::string& path) {
  GGUF_FUSE_ASSIGN(std::string text, read_whole(path));
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

/// The command is the first word; words behind it are its own. A file there is the model of a generation.
Command take_command(std::vector<std::string>& words) {
  if (words.empty()) return Command::Generate;
  for (const CommandRow& row : kCommands) {
    if (words.front() != row.name) continue;
    words.erase(words.begin());
    return row.command;
  }
  if (looks_like_model(words.front())) return Command::Generate;
  throw UsageError(fmt::format("unexpected argument \"{}\": give a prompt with -p, or eval or tokenize",
                               escape_text(words.front())));
}

std::uint32_t parse_seed(const std::string& text) {
  const std::int64_t seed = parse_integer("-s", text, -1, std::numeric_limits<std::uint32_t>::max());
  return seed < 0 ? std::random_device()() : static_cast<std::uint32_t>(seed);
}

std::vector<std::int32_t> parse_tokens(const std::string& text) {
  if (text.empty()) throw UsageError("--tokens is missing: gguf-run eval -m FILE --tokens 1,2,3");
  std::vector<std::int32_t> tokens;
  for (const std::string& part : parse_list("--tokens", text)) {
    tokens.push_back(
        static_cast<std::int32_t>(parse_integer("--tokens", part, 0, std::numeric_limits<std::int32_t>::max())));
  }
  return tokens;
}

/// --prompts, where it was given.
Result<void> finish_prompts(RunOptions& options, const RawRunOptions& raw) {
  if (!raw.prompts_file) return {};
  if (options.prompt || raw.file || raw.binary_file) throw UsageError("give --prompts, or one prompt with -p or -f");
  if (options.context_shift) throw UsageError("--context-shift goes with one text, not with --prompts");
  if (*raw.prompts_file == "-" && (options.engine.model == "-" || raw.system_file == "-")) {
    throw UsageError("standard input cannot be two things: give --prompts a file");
  }
  GGUF_FUSE_ASSIGN(const std::string text, read_whole(*raw.prompts_file));
  options.prompts = parse_prompt_lines(*raw.prompts_file, text);
  return {};
}

Result<void> finish_generate(RunOptions& options, const RawRunOptions& raw) {
  GGUF_FUSE_CHECK(finish_prompts(options, raw));
  if (options.prompt && (raw.file || raw.binary_file)) throw UsageError("give -p or -f, not both");
  if (raw.file && raw.binary_file) throw UsageError("give -f or -bf, not both");
  if (raw.system_file && !options.system.empty()) throw UsageError("give -sys or -sysf, not both");
  const bool piped_model = options.engine.model == "-";
  const bool piped_text = raw.file == "-" || raw.binary_file == "-" || raw.system_file == "-";
  if (piped_model && (piped_text || (options.conversation == true && !options.prompts))) {
    throw UsageError("standard input is the model already; give -p TEXT");
  }
  if (raw.file) {
    GGUF_FUSE_ASSIGN(options.prompt, read_text_file(*raw.file));
  }
  if (raw.binary_file) {
    GGUF_FUSE_ASSIGN(options.prompt, read_whole(*raw.binary_file));
  }
  if (raw.system_file) {
    GGUF_FUSE_ASSIGN(options.system, read_text_file(*raw.system_file));
  }
  if (raw.template_file) {
    GGUF_FUSE_ASSIGN(options.chat_template_source, read_whole(*raw.template_file));
  }
  if (raw.escape) {
    if (options.prompt) options.prompt = unescape(*options.prompt);
    options.system = unescape(options.system);
    for (std::string& text : options.generate.stop) text = unescape(text);
  }
  options.sampler.seed = parse_seed(raw.seed);
  if (!options.conversation && !options.system.empty()) options.conversation = true;
  if (options.conversation == true && options.json && !options.prompts)
    throw UsageError("--json goes with a prompt, not with -cnv");
  return {};
}

/// Options that were given and change nothing in this run.
std::vector<std::string> idle_options(const RunOptions& options, const GivenArguments& given) {
  const bool silent =
      options.conversation == false || (!options.conversation && (options.prompt || options.prompts || options.json));
  const SamplerOptions& sampler = options.sampler;
  const bool penalises = sampler.repeat_penalty != 1 || sampler.frequency_penalty != 0 || sampler.presence_penalty != 0;
  constexpr std::string_view kNoConversation = "the text is continued as it is; -cnv makes it a conversation";
  constexpr std::string_view kOneAnswer = "each of --prompts gets one answer, and no line is read";
  struct Row {
    std::string_view option;
    bool idle;
    std::string_view why;
  };
  const Row rows[] = {
      {"--chat-template", silent, kNoConversation},
      {"--chat-template-file", silent, kNoConversation},
      {"--chat-template-kwargs", silent, kNoConversation},
      {"--reasoning", silent, kNoConversation},
      {"-sys", silent, kNoConversation},
      {"-sysf", silent, kNoConversation},
      {"-st", silent || options.prompts, options.prompts ? kOneAnswer : kNoConversation},
      {"--simple-io", silent || options.prompts, options.prompts ? kOneAnswer : kNoConversation},
      {"-np", !options.prompts, "there is one text at a time without --prompts"},
      {"--keep", !options.context_shift, "nothing is dropped without --context-shift"},
      {"--repeat-last-n", !penalises, "no penalty is asked for"},
  };
  std::vector<std::string> lines;
  for (const Row& row : rows) {
    if (row.idle && given.has(row.option)) lines.push_back(fmt::format("{} has no effect: {}", row.option, row.why));
  }
  return lines;
}

std::string run_completion(const OptionTable& table, Shell shell) {
  const auto command = [&table](Command which, std::string_view name, std::string_view summary) {
    return CompletedCommand{.name = std::string(name),
                            .summary = std::string(summary),
                            .rows = table.rows(static_cast<unsigned>(which)),
                            .arguments = {.kind = Values::Kind::Model}};
  };
  CompletedProgram program{.name = "gguf-run", .commands = {command(Command::Generate, {}, {})}};
  for (const CommandRow& row : kCommands) program.commands.push_back(command(row.command, row.name, row.summary));
  return completion_script(program, shell);
}

Result<void> finish_tokenize(RunOptions& options, const RawRunOptions& raw, std::vector<std::string>& words) {
  if (words.empty() == !raw.file) throw UsageError("give one text: gguf-run tokenize -m FILE TEXT, or - or -f FILE");
  if (words.size() > 1) throw UsageError("tokenize takes one TEXT; put it into quotes");
  if (raw.file) {
    GGUF_FUSE_ASSIGN(options.text, read_text_file(*raw.file));
  } else if (words.front() == "-") {
    GGUF_FUSE_ASSIGN(options.text, read_whole("-"));
  } else {
    options.text = std::move(words.front());
  }
  return {};
}

}  // namespace

Result<RunCommandLine> parse_run_command_line(const std::vector<std::string>& arguments) {
  RunCommandLine line;
  RunOptions options;
  RawRunOptions raw;
  OptionTable table;
  add_run_options(table, options, raw);
  table.know_others(run_foreign_options());
  GivenArguments given = table.read(arguments);
  if (given.has("--help") || (!given.words.empty() && given.words.front() == "help"))
    return {{.text = run_help(table)}};
  if (given.has("--version")) {
    line.text = fmt::format("gguf-run {}\nMIT license: free to use, change and share, without warranty.\n", version);
    return line;
  }
  options.command = take_command(given.words);
  const auto command = static_cast<unsigned>(options.command);
  std::string_view name = "a generation";
  for (const CommandRow& row : kCommands) {
    if (row.command == options.command) name = row.name;
  }
  line.warnings = table.apply(given, name, command);
  if (raw.completion) return {{.text = run_completion(table, *raw.completion)}};
  if (options.list_devices || options.list_llama_flags)
    return {{.options = std::move(options), .text = {}, .warnings = std::move(line.warnings)}};
  if (options.command != Command::Tokenize) take_model(options.engine, given.words);
  if (options.engine.model.empty()) throw UsageError("which model? give -m FILE");
  if (options.command == Command::Generate && !options.explain_placement) {
    GGUF_FUSE_CHECK(finish_generate(options, raw));
    for (std::string& text : idle_options(options, given)) line.warnings.push_back(std::move(text));
  }
  if (options.command == Command::Eval) options.tokens = parse_tokens(raw.tokens);
  if (options.command == Command::Tokenize) {
    GGUF_FUSE_CHECK(finish_tokenize(options, raw, given.words));
  } else if (!given.words.empty()) {
    throw UsageError(fmt::format("unexpected argument \"{}\"", escape_text(given.words.front())));
  }
  line.options = std::move(options);
  return line;
}

ForeignOptions run_foreign_options() { return {"gguf-run", {llama_cli_flags(), ik_llama_flags()}}; }

std::string run_help(const OptionTable& table) {
  constexpr std::string_view kUsage =
      "Usage: gguf-run -m FILE -p TEXT [OPTIONS]\n"
      "   or: gguf-run -m FILE --prompts FILE [-np N] [OPTIONS]\n"
      "   or: gguf-run FILE -cnv [OPTIONS]\n"
      "   or: gguf-run eval -m FILE --tokens N,N [--logits last|all] [OPTIONS]\n"
      "   or: gguf-run tokenize -m FILE TEXT [--special]\n\n"
      "Runs a GGUF model on any OpenCL device, a CPU with PoCL too. The text goes to standard output,\n"
      "everything else to standard error. Names of options are llama.cpp's; the environment variables in\n"
      "brackets count where the option is not given.\n";
  constexpr std::string_view kEnd =
      "\nCommands for scripts, which print one JSON object:\n"
      "  eval      tokens as given; for each position argmax and logsumexp of its logits; nll, -log of the\n"
      "            probability of the token that follows (so one entry fewer); logits of the last position,\n"
      "            or of all, one array each\n"
      "  tokenize  the ids of TEXT (- reads standard input, as it is); with --special BOS and the like are\n"
      "            added, and control tokens in the text recognised\n"
      "\nIn a conversation:\n"
      "  /help   lists these\n"
      "  /regen  gives another answer to the last message\n"
      "  /clear  begins again\n"
      "  /exit   ends it, as does Ctrl-D\n"
      "  Ctrl-C  stops the prompt or the answer\n"
      "  \\       at the end of a line on a terminal: the message goes on in the next one\n"
      "\nExamples:\n"
      "  gguf-run -m model.gguf -p \"The capital of France is\" -n 32\n"
      "      continue a text\n"
      "  gguf-run -m model.gguf -cnv -sys \"You answer in one sentence.\"\n"
      "      talk\n"
      "  gguf-run -m model.gguf -f question.txt --temp 0 --json > answer.json\n"
      "      for a script, the same each time\n"
      "  gguf-run -m model.gguf --prompts questions.jsonl -np 8 -cnv -n 200 --json > answers.jsonl\n"
      "      many questions, eight at a time, each for itself\n"
      "\nExit status:\n"
      "  0    done\n"
      "  1    the environment is at fault: no device, not enough memory, a file that cannot be read\n"
      "  2    the command line is wrong, or the prompt is longer than the context\n"
      "  3    the model is damaged or no GGUF file\n"
      "  6    the model needs what is not implemented\n"
      "  130  interrupted (SIGINT); 143 after SIGTERM. What was said stays\n";
  const auto all = static_cast<unsigned>(Command::Generate) | static_cast<unsigned>(Command::Eval) |
                   static_cast<unsigned>(Command::Tokenize);
  return std::string(kUsage) + table.help(all) + std::string(kEnd);
}

}  // namespace gguf_fuse::cli
