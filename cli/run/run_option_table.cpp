// SPDX-License-Identifier: MIT
#include "run_option_table.hpp"

#include <fmt/format.h>

#include <limits>

#include "values.hpp"

namespace gguf_fuse::cli {
namespace {

constexpr auto kGenerate = static_cast<unsigned>(Command::Generate);
constexpr auto kEval = static_cast<unsigned>(Command::Eval);
constexpr auto kTokenize = static_cast<unsigned>(Command::Tokenize);
constexpr unsigned kEngine = kGenerate | kEval;
constexpr unsigned kAll = kGenerate | kEval | kTokenize;

constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();

using Setter = std::function<void(const std::string&, const std::string&)>;

Setter count_into(std::uint32_t& target, std::int64_t minimum) {
  return [&target, minimum](const std::string& name, const std::string& text) {
    target = static_cast<std::uint32_t>(parse_integer(name, text, minimum, kMost));
  };
}

Setter integer_into(std::int32_t& target, std::int64_t minimum) {
  return [&target, minimum](const std::string& name, const std::string& text) {
    target = static_cast<std::int32_t>(parse_integer(name, text, minimum, kMost));
  };
}

Setter decimal_into(float& target, double minimum, double maximum) {
  return [&target, minimum, maximum](const std::string& name, const std::string& text) {
    target = static_cast<float>(parse_decimal(name, text, minimum, maximum));
  };
}

template <typename Text>
Setter text_into(Text& target) {
  return [&target](const std::string&, const std::string& text) { target = text; };
}

/// A value that the shell cannot guess, and that may be empty.
Values text() { return {.kind = Values::Kind::Text}; }
Values file() { return {.kind = Values::Kind::File}; }

Setter cache_type_into(CacheType& target) {
  return [&target](const std::string& name, const std::string& text) { target = parse_cache_type(name, text); };
}

void add_prompts_options(OptionTable& table, RunOptions& options, RawRunOptions& raw) {
  table
      .value(
          {"--prompts"}, "FILE",
          "many prompts, each answered alone: a JSON string a line (- is standard input); answers come in their order",
          text_into(raw.prompts_file))
      .takes(file());
  table
      .value({"-np", "--parallel"}, "N", "answer at most so many of --prompts at a time (default: 1)",
             [&](const std::string& name, const std::string& text) {
               constexpr std::int64_t kMostParallel = 1000;
               // llama.cpp's -1, to choose, is what is usual here
               const std::int64_t count = parse_integer(name, text, -1, kMostParallel);
               if (count == 0) throw UsageError(fmt::format("{} \"0\": give 1 at least", name));
               options.parallel = static_cast<std::uint32_t>(count < 0 ? 1 : count);
             })
      .environment = "LLAMA_ARG_N_PARALLEL";
}

void add_model_options(OptionTable& table, RunOptions& options, RawRunOptions& raw) {
  table.begin_group("Model and prompt", kAll);
  table
      .value({"-m", "--model"}, "FILE",
             "a GGUF file, any one shard of a split model, a .gguf.gz, or - for standard input",
             text_into(options.engine.model))
      .takes({.kind = Values::Kind::Model})
      .environment = "LLAMA_ARG_MODEL";
  table
      .value({"-f", "--file"}, "FILE", "read the text from a file (- is standard input), without its last newline",
             text_into(raw.file))
      .takes(file())
      .commands = kGenerate | kTokenize;
  table.begin_group("Model and prompt", kGenerate);
  table.value({"-bf", "--binary-file"}, "FILE", "the same with its last newline", text_into(raw.binary_file))
      .takes(file());
  table
      .value({"-p", "--prompt"}, "TEXT", "text to continue; in a conversation the first message",
             text_into(options.prompt))
      .takes(text());
  add_prompts_options(table, options, raw);
  table.flag({"-e", "--escape"}, "\\n, \\t, \\xNN and the like in texts mean characters (default)", raw.escape)
      .opposites = {"--no-escape"};
  table
      .value({"-cnv", "--conversation"}, {},
             "talk in turns, with the model's chat template (default: on a terminal, without a prompt)",
             [&](const std::string&, const std::string& on) { options.conversation = on == "1"; })
      .opposites = {"-no-cnv", "--no-conversation"};
  table.value({"-sys", "--system-prompt"}, "TEXT", "what a conversation begins with", text_into(options.system))
      .takes(text());
  table.value({"-sysf", "--system-prompt-file"}, "FILE", "the same from a file", text_into(raw.system_file))
      .takes(file());
  table.flag({"-st", "--single-turn"}, "end the conversation after one answer", options.single_turn);
  table.flag({"--simple-io"}, "read lines as they come, without editing and history", options.simple_io);
  table
      .value({"--chat-template"}, "NAME", "a built-in template instead of the model's own",
             text_into(options.chat_template))
      .takes({.kind = Values::Kind::Words, .words = ChatTemplate::builtin_names()})
      .environment = "LLAMA_ARG_CHAT_TEMPLATE";
  table
      .value({"--chat-template-file"}, "FILE", "a Jinja template instead of the model's own",
             text_into(raw.template_file))
      .takes(file())
      .environment = "LLAMA_ARG_CHAT_TEMPLATE_FILE";
  table
      .value({"--chat-template-kwargs"}, "JSON", "an object of more variables for the template",
             text_into(options.chat.variables))
      .environment = "LLAMA_ARG_CHAT_TEMPLATE_KWARGS";
  table
      .choice(
          {"-rea", "--reasoning"}, "MODE", "on, off or auto: tell the template whether to think (default: auto)",
          {"auto", "on", "off"},
          [&](std::size_t index) { options.chat.reasoning = index == 0 ? std::nullopt : std::optional(index == 1); })
      .environment = "LLAMA_ARG_REASONING";
}

void add_length_options(OptionTable& table, RunOptions& options) {
  table.begin_group("Length", kGenerate);
  table
      .value({"-n", "--predict", "--n-predict"}, "N",
             "tokens to generate; -1: until the model or the context ends (default: -1)",
             [&](const std::string& name, const std::string& text) {
               // llama.cpp's -2, to fill the context, ends there too
               const std::int64_t tokens = parse_integer(name, text, -2, kMost);
               options.generate.tokens = static_cast<std::int32_t>(tokens < 0 ? -1 : tokens);
             })
      .environment = "LLAMA_ARG_N_PREDICT";
  table
      .value({"-c", "--ctx-size"}, "N",
             "tokens of context, of all --prompts that are answered at a time together; 0: as many as the model was "
             "trained with, for each (default: the same, at most 4096)",
             [&](const std::string& name, const std::string& text) {
               options.start.context = static_cast<std::uint32_t>(parse_integer(name, text, 0, kMost));
             })
      .environment = "LLAMA_ARG_CTX_SIZE";
  OptionRow& shift = table.flag({"--context-shift"},
                                "when the context is full, drop the older half: of a text's tokens, or of a "
                                "conversation's exchanges (default: no, the text ends)",
                                options.context_shift);
  shift.opposites = {"--no-context-shift"};
  shift.environment = "LLAMA_ARG_CONTEXT_SHIFT";
  table.value({"--keep"}, "N",
              "tokens of the beginning that --context-shift does not drop; -1: the whole prompt (default: 0)",
              integer_into(options.keep, -1));
  table
      .value({"-r", "--reverse-prompt", "--stop"}, "TEXT", "end where the model says this; may be given more than once",
             [&](const std::string&, const std::string& text) { options.generate.stop.push_back(text); })
      .takes(text())
      .repeatable = true;
  table.flag({"--ignore-eos"}, "go on when the model says that it is done", options.generate.ignore_end);
}

void add_sampling_options(OptionTable& table, RunOptions& options, RawRunOptions& raw) {
  constexpr double kLargest = 1e6;
  SamplerOptions& sampler = options.sampler;
  table.begin_group("Sampling, in this order", kGenerate);
  table.value({"-s", "--seed"}, "N", "equal seeds give equal texts; -1: another one each time (default: -1)",
              text_into(raw.seed));
  table
      .value({"--repeat-penalty"}, "X", "divides the logits of recent tokens; 1: none (default: 1)",
             decimal_into(sampler.repeat_penalty, 1e-3, kLargest))
      .environment = "LLAMA_ARG_REPEAT_PENALTY";
  table.value({"--repeat-last-n"}, "N", "how many tokens are recent; 0: none, -1: all (default: 64)",
              integer_into(sampler.penalty_last, -1));
  table
      .value({"--frequency-penalty"}, "X", "subtracted for each time a token came recently (default: 0)",
             decimal_into(sampler.frequency_penalty, -kLargest, kLargest))
      .environment = "LLAMA_ARG_FREQUENCY_PENALTY";
  table
      .value({"--presence-penalty"}, "X", "subtracted when a token came recently (default: 0)",
             decimal_into(sampler.presence_penalty, -kLargest, kLargest))
      .environment = "LLAMA_ARG_PRESENCE_PENALTY";
  table.value({"--top-k"}, "N", "only the N most likely tokens; 0: all (default: 40)", integer_into(sampler.top_k, -1))
      .environment = "LLAMA_ARG_TOP_K";
  table
      .value({"--top-p"}, "X", "of these as few as have this probability together; 1: all (default: 0.95)",
             decimal_into(sampler.top_p, 0, 1))
      .environment = "LLAMA_ARG_TOP_P";
  table
      .value({"--min-p"}, "X", "and none less likely than X times the likeliest; 0: all (default: 0.05)",
             decimal_into(sampler.min_p, 0, 1))
      .environment = "LLAMA_ARG_MIN_P";
  table
      .value({"--temp", "--temperature"}, "X",
             "below 1: likely tokens become likelier; 0: always the likeliest (default: 0.8)",
             decimal_into(sampler.temperature, -kLargest, kLargest))
      .environment = "LLAMA_ARG_TEMPERATURE";
}

void add_memory_options(OptionTable& table, RunOptions& options) {
  table.begin_group("Memory", kGenerate);
  table.value({"-b", "--batch-size"}, "N", "the most that -ub may be (default: 2048)", count_into(options.batch, 1))
      .environment = "LLAMA_ARG_BATCH";
  table
      .value({"-ub", "--ubatch-size"}, "N", "tokens of a prompt that are computed at once (default: 512)",
             count_into(options.start.session.micro_batch, 1))
      .environment = "LLAMA_ARG_UBATCH";
  table.begin_group("Memory", kEngine);
  table
      .value({"-ctk", "--cache-type-k"}, "T",
             fmt::format("type of the cached keys: {} (default: f16)", fmt::join(names_of(cache_types()), ", ")),
             cache_type_into(options.start.session.cache_k))
      .takes(cache_type_values())
      .environment = "LLAMA_ARG_CACHE_TYPE_K";
  table
      .value({"-ctv", "--cache-type-v"}, "T", "the same of the cached values",
             cache_type_into(options.start.session.cache_v))
      .takes(cache_type_values())
      .environment = "LLAMA_ARG_CACHE_TYPE_V";
}

void add_output_options(OptionTable& table, RunOptions& options) {
  table.begin_group("Output", kAll);
  table.flag({"--json"}, "one JSON object at the end, instead of text (with --prompts one for each); errors too",
             options.json);
  table.begin_group("Output", kGenerate);
  table.flag({"--display-prompt"}, "print the prompt before the text (default)", options.display_prompt).opposites = {
      "--no-display-prompt"};
  table.flag({"-sp", "--special"}, "print special tokens", options.generate.special).commands = kGenerate | kTokenize;
  table.flag({"--verbose-prompt"}, "list the tokens of the prompt on standard error", options.verbose_prompt);
  OptionRow& perf = table.flag({"--perf"}, "say at the end what took how long (default)", options.report);
  perf.opposites = {"--no-perf"};
  perf.environment = "LLAMA_ARG_PERF";
  OptionRow& timings = table.flag({"--show-timings"}, "the same", options.report);
  timings.opposites = {"--no-show-timings"};
  timings.environment = "LLAMA_ARG_SHOW_TIMINGS";
  table.flag({"--warmup"}, "compute once before it counts (default)", options.start.warm_up).opposites = {
      "--no-warmup"};
  table.begin_group("Output", kEngine);
  table.flag({"--explain-placement"}, "tell what would be on which device and why, and load nothing",
             options.explain_placement);
  table.flag({"--profile"}, "time of every kernel, on standard error; slows down", options.engine.device.profiling);
  table.flag({"-v", "--verbose", "--log-verbose"}, "say what is decided, and why", options.engine.verbose);
}

void add_other_options(OptionTable& table, RunOptions& options, RawRunOptions& raw) {
  table.begin_group("eval", kEval);
  table.value({"--tokens"}, "N,N", "ids of the tokens to evaluate", text_into(raw.tokens));
  table.choice({"--logits"}, "WHICH", "last or all: of which positions (default: last)", {"last", "all"},
               [&](std::size_t index) { options.all_logits = index == 1; });
  table.begin_group("Others", kAll);
  table.flag({"--list-devices"}, "list the OpenCL devices of this machine", options.list_devices);
  table.flag({"--list-llama-flags"}, "list what the flags of llama-cli and ik_llama.cpp mean here, as a Markdown table",
             options.list_llama_flags);
  table.flag({"-h", "--help", "--usage"}, "print this help", raw.help);
  table.flag({"--version"}, "print version and licence", raw.version);
  add_completion_options(table, [&raw](Shell shell) { raw.completion = shell; });
}

}  // namespace

void add_run_options(OptionTable& table, RunOptions& options, RawRunOptions& raw) {
  add_model_options(table, options, raw);
  add_length_options(table, options);
  add_sampling_options(table, options, raw);
  add_device_options(table, options.engine, kEngine);
  add_loading_options(table, options.engine, kEngine);
  add_memory_options(table, options);
  add_arithmetic_options(table, options.engine, kEngine);
  add_output_options(table, options);
  add_other_options(table, options, raw);
}

}  // namespace gguf_fuse::cli
