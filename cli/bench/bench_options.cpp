// SPDX-License-Identifier: MIT
#include "bench_options.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "completion.hpp"
#include "gguf_fuse/loader/version.hpp"
#include "llama_flags.hpp"
#include "values.hpp"

namespace gguf_fuse::cli {
namespace {

constexpr unsigned kBench = 1;
constexpr std::int64_t kMost = 1 << 24;  // tokens

/// Options that become tests once all are known.
struct RawTests {
  std::vector<std::uint32_t> prompts{512}, generations{128}, depths{0};
  std::vector<BenchTest> pairs{};
  std::vector<std::uint32_t> many_prompts{512}, many_generations{128}, sequences{1};
  bool shared_prompt = false;
  bool help = false, version = false, list_llama_flags = false;
  std::optional<Shell> completion{};
};

std::uint32_t count_of(const std::string& name, const std::string& text, std::int64_t minimum = 0) {
  return static_cast<std::uint32_t>(parse_integer(name, text, minimum, kMost));
}

/// Collects values of `parse` separated by commas or given by repetition; the first replaces the default.
template <typename T, typename Parse>
std::function<void(const std::string&, const std::string&)> list_into(std::vector<T>& target, Parse parse) {
  return [&target, parse, first = true](const std::string& name, const std::string& text) mutable {
    if (first) target.clear();
    first = false;
    for (const std::string& part : parse_list(name, text)) target.push_back(parse(name, part));
  };
}

Values list_of(Values values) {
  values.list = true;
  return values;
}

auto counts_into(std::vector<std::uint32_t>& target, std::int64_t minimum) {
  return list_into(
      target, [minimum](const std::string& name, const std::string& text) { return count_of(name, text, minimum); });
}

void add_sequence_options(OptionTable& table, BenchOptions& options, RawTests& raw) {
  table
      .value({"-npl"}, "N,N", "so many texts at once: their prompts together, then a token of each in every step",
             counts_into(raw.sequences, 1))
      .repeatable = true;
  table.value({"-npp"}, "N,N", "tokens of the prompt of each (default: 512)", counts_into(raw.many_prompts, 0))
      .repeatable = true;
  table.value({"-ntg"}, "N,N", "tokens one by one of each (default: 128)", counts_into(raw.many_generations, 0))
      .repeatable = true;
  table.flag({"-pps"}, "the prompt is the same for all, and computed once", raw.shared_prompt);
  table.value({"-c", "--ctx-size"}, "N",
              "tokens of all texts together; what needs more is left out (default: as needed)",
              [&](const std::string& name, const std::string& text) { options.context = count_of(name, text); });
}

void add_test_options(OptionTable& table, BenchOptions& options, RawTests& raw) {
  table.begin_group("What is measured", kBench);
  table
      .value({"-m", "--model"}, "FILE,FILE", "the models",
             list_into(options.models, [](const std::string&, const std::string& text) { return text; }))
      .takes({.kind = Values::Kind::Model})
      .repeatable = true;
  table
      .value({"-p", "--n-prompt"}, "N,N", "prompts of so many tokens, at once (default: 512)",
             counts_into(raw.prompts, 0))
      .repeatable = true;
  table.value({"-n", "--n-gen"}, "N,N", "so many tokens one by one (default: 128)", counts_into(raw.generations, 0))
      .repeatable = true;
  table
      .value({"-pg"}, "P,N", "a prompt of P tokens, then N one by one, measured together",
             [&](const std::string& name, const std::string& text) {
               const auto parts = parse_list(name, text);
               if (parts.size() != 2) throw UsageError(fmt::format("{}: give two numbers, as in -pg 512,128", name));
               raw.pairs.push_back({.prompt = count_of(name, parts[0]), .generate = count_of(name, parts[1])});
             })
      .repeatable = true;
  table
      .value({"-d", "--n-depth"}, "N,N", "tokens in the context before what is measured (default: 0)",
             counts_into(raw.depths, 0))
      .repeatable = true;
  add_sequence_options(table, options, raw);
  table.flag({"--load"}, "seconds to start as well: with programs built, then from the cache of programs",
             options.load);
  table.value({"-r", "--repetitions"}, "N", "how often each is measured (default: 5)",
              [&](const std::string& name, const std::string& text) { options.repetitions = count_of(name, text, 1); });
  table.flag({"--warmup"}, "compute once before it counts (default)", options.start.warm_up).opposites = {
      "--no-warmup"};
}

void add_setting_options(OptionTable& table, BenchOptions& options) {
  table.begin_group("Settings, each a list", kBench);
  table
      .value({"-b", "--batch-size"}, "N,N", "the most that -ub may be (default: 2048)", counts_into(options.batches, 1))
      .repeatable = true;
  table
      .value({"-ub", "--ubatch-size"}, "N,N", "tokens of a prompt that are computed at once (default: 512)",
             counts_into(options.micro_batches, 1))
      .repeatable = true;
  table
      .value({"-ctk", "--cache-type-k"}, "T,T",
             fmt::format("type of the cached keys: {} (default: f16)", fmt::join(names_of(cache_types()), ", ")),
             list_into(options.caches_k, parse_cache_type))
      .takes(list_of(cache_type_values()))
      .repeatable = true;
  table
      .value({"-ctv", "--cache-type-v"}, "T,T", "the same of the cached values",
             list_into(options.caches_v, parse_cache_type))
      .takes(list_of(cache_type_values()))
      .repeatable = true;
  table
      .value({"-dev", "--device"}, "D/D,D", "devices, joined by / where layers are split over several",
             list_into(options.devices,
                       [](const std::string&, std::string text) {
                         std::replace(text.begin(), text.end(), '/', ',');
                         return text;
                       }))
      .takes(device_values())
      .repeatable = true;
  table
      .value({"-ts", "--tensor-split"}, "A/B,A/B", "shares of the layers, one for each device (default: equal)",
             list_into(options.splits, parse_split))
      .repeatable = true;
  table
      .value({"-ngl", "--n-gpu-layers"}, "N,N",
             "offload N layers, the output counted as one, from the last device of -dev to those before it: "
             "auto, all or a number (default: all)",
             list_into(options.gpu_layers, parse_gpu_layers))
      .repeatable = true;
  add_thread_option(table, options.engine);
}

void add_output_options(OptionTable& table, BenchOptions& options, RawTests& raw) {
  table.begin_group("Output", kBench);
  table.choice({"-o", "--output"}, "FORMAT", "md, csv, json or jsonl (default: md)", {"md", "csv", "json", "jsonl"},
               [&](std::size_t index) { options.format = static_cast<BenchFormat>(index); });
  table.flag({"-v", "--verbose"}, "say what is decided, and why", options.engine.verbose);
  table.flag({"--list-devices"}, "list the OpenCL devices of this machine", options.list_devices);
  table.flag({"--list-llama-flags"}, "list what the flags of llama-bench mean here, as a Markdown table",
             raw.list_llama_flags);
  table.flag({"-h", "--help"}, "print this help", raw.help);
  table.flag({"--version"}, "print version and licence", raw.version);
  add_completion_options(table, [&raw](Shell shell) { raw.completion = shell; });
}

std::vector<BenchTest> tests_of(const RawTests& raw) {
  std::vector<BenchTest> tests;
  for (const std::uint32_t depth : raw.depths) {
    for (const std::uint32_t prompt : raw.prompts) {
      if (prompt > 0) tests.push_back({.prompt = prompt, .generate = 0, .depth = depth});
    }
    for (const std::uint32_t generate : raw.generations) {
      if (generate > 0) tests.push_back({.prompt = 0, .generate = generate, .depth = depth});
    }
    for (BenchTest pair : raw.pairs) {
      pair.depth = depth;
      if (pair.prompt + pair.generate > 0) tests.push_back(pair);
    }
  }
  return tests;
}

/// Those of -npl, in the order of llama-batched-bench; too large ones are left out with a warning.
std::vector<BenchTest> sequence_tests_of(const RawTests& raw, std::uint32_t context,
                                         std::vector<std::string>& warnings) {
  std::vector<BenchTest> tests;
  for (const std::uint32_t prompt : raw.many_prompts)
    for (const std::uint32_t generate : raw.many_generations)
      for (const std::uint32_t sequences : raw.sequences) {
        const BenchTest test{
            .prompt = prompt, .generate = generate, .sequences = sequences, .shared = raw.shared_prompt};
        if (context > 0 && test.tokens() > context) {
          warnings.push_back(
              fmt::format("{} is left out: it takes {} tokens, -c allows {}", test.name(), test.tokens(), context));
        } else if (test.tokens() > 0) {
          tests.push_back(test);
        }
      }
  return tests;
}

/// What is measured, as the options say. Tests of one text and of several have other columns: one sort at a time.
std::vector<BenchTest> choose_tests(const GivenArguments& given, const BenchOptions& options, const RawTests& raw,
                                    std::vector<std::string>& warnings) {
  const auto first_of = [&given](const std::vector<std::string_view>& names) {
    const auto found = std::find_if(names.begin(), names.end(), [&](auto name) { return given.has(name); });
    return found == names.end() ? std::string_view() : *found;
  };
  const std::string_view several = first_of({"-npl", "-npp", "-ntg"}), single = first_of({"-p", "-n", "-pg", "-d"});
  if (several.empty()) {
    const std::string_view idle = first_of({"-pps", "-c"});
    if (!idle.empty()) throw UsageError(fmt::format("{} goes with -npl, several texts at once", idle));
    return tests_of(raw);
  }
  if (!single.empty() || options.load) {
    throw UsageError(fmt::format("{} measures several texts at once, {} does not: give them in two runs", several,
                                 single.empty() ? "--load" : single));
  }
  return sequence_tests_of(raw, options.context, warnings);
}

std::string bench_completion(const OptionTable& table, Shell shell) {
  const Values model{.kind = Values::Kind::Model};
  return completion_script({.name = "gguf-bench", .commands = {{.rows = table.rows(kBench), .arguments = model}}},
                           shell);
}

std::string bench_help(const OptionTable& table) {
  constexpr std::string_view kUsage =
      "Usage: gguf-bench -m FILE [OPTIONS]\n\n"
      "Measures how fast a GGUF model runs on an OpenCL device: tokens a second of prompts (pp) and of\n"
      "single tokens (tg), mean and standard deviation. Options and names of tests are llama-bench's; with\n"
      "-npl those of several texts at once, as llama-batched-bench does. Lists are separated by commas or\n"
      "given by repetition; all combinations are measured.\n";
  constexpr std::string_view kEnd =
      "\nExamples:\n"
      "  gguf-bench -m model.gguf\n"
      "      the usual two: pp512 and tg128\n"
      "  gguf-bench -m model.gguf -p 0 -n 64 -d 0,4096 -o json\n"
      "      single tokens with an empty and a long context, for a script\n"
      "  gguf-bench -m model.gguf -dev 0,1,0/1 --load\n"
      "      two devices, then both together; starting too\n"
      "  gguf-bench -m model.gguf -npp 128 -ntg 64 -npl 1,2,4,8\n"
      "      one text, then two, four and eight at once\n";
  return std::string(kUsage) + table.help(kBench) + std::string(kEnd);
}

}  // namespace

std::string BenchTest::name() const {
  std::string name = prompt > 0 ? fmt::format("pp{}", prompt) : "";
  if (generate > 0) name += fmt::format("{}tg{}", name.empty() ? "" : "+", generate);
  if (sequences > 0) return fmt::format("{} x {}{}", name, sequences, shared ? ", one prompt" : "");
  return depth > 0 ? fmt::format("{} @ d{}", name, depth) : name;
}

std::uint64_t BenchTest::prompt_tokens() const {
  return std::uint64_t{prompt} * (shared ? 1 : std::max(sequences, 1U));
}

std::uint64_t BenchTest::generated_tokens() const { return std::uint64_t{generate} * std::max(sequences, 1U); }

ForeignOptions bench_foreign_options() { return {"gguf-bench", {llama_bench_flags(), ik_llama_flags()}}; }

BenchCommandLine parse_bench_command_line(const std::vector<std::string>& arguments) {
  BenchOptions options;
  RawTests raw;
  OptionTable table;
  add_test_options(table, options, raw);
  add_setting_options(table, options);
  add_loading_options(table, options.engine, kBench);
  add_override_options(table, options.engine);
  add_arithmetic_options(table, options.engine, kBench);
  add_output_options(table, options, raw);
  table.know_others(bench_foreign_options());
  GivenArguments given = table.read(arguments);
  if (given.has("--help")) return {.text = bench_help(table)};
  if (given.has("--version")) {
    return {.text =
                fmt::format("gguf-bench {}\nMIT license: free to use, change and share, without warranty.\n", version)};
  }
  std::vector<std::string>& words = given.words;
  const std::string positional = !words.empty() && looks_like_model(words.front()) ? words.front() : std::string();
  if (!positional.empty()) words.erase(words.begin());
  if (!given.words.empty()) {
    throw UsageError(fmt::format("unexpected argument \"{}\"", escape_text(given.words.front())));
  }
  BenchCommandLine line;
  line.warnings = table.apply(given, "gguf-bench", kBench);
  if (raw.completion) return {.text = bench_completion(table, *raw.completion)};
  if (raw.list_llama_flags) return {.text = bench_foreign_options().markdown()};
  if (options.models.empty() && !positional.empty()) options.models.push_back(positional);
  if (options.list_devices) return {.options = std::move(options), .warnings = std::move(line.warnings)};
  if (options.models.empty()) throw UsageError("which model? give -m FILE");
  if (std::count(options.models.begin(), options.models.end(), "-") > 0) {
    throw UsageError("a model from standard input cannot be measured: it may be loaded more than once");
  }
  options.tests = choose_tests(given, options, raw, line.warnings);
  if (options.tests.empty() && !options.load) {
    throw UsageError(line.warnings.empty() ? "nothing to measure: prompts and generations of 0 tokens"
                                           : "nothing to measure: " + line.warnings.back());
  }
  line.options = std::move(options);
  return line;
}

}  // namespace gguf_fuse::cli
