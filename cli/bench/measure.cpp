// SPDX-License-Identifier: MIT
#include "measure.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <random>

#include "placement.hpp"
#include "print.hpp"

namespace gguf_fuse::cli {
namespace {

using Clock = std::chrono::steady_clock;

std::string time_now() { return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr))); }

/// A new folder that is removed with what is in it.
class ScratchFolder {
 public:
  static Result<ScratchFolder> make() {
    std::error_code code;
    std::string name = (std::filesystem::temp_directory_path(code) / "gguf-bench-XXXXXX").string();
    if (code || mkdtemp(name.data()) == nullptr) return fail(system_error(ErrorCode::OpenFailed, name, errno));
    return ScratchFolder(std::move(name));
  }
  ScratchFolder(ScratchFolder&& other) noexcept : name_(std::exchange(other.name_, {})) {}
  ScratchFolder& operator=(ScratchFolder&& other) noexcept {
    std::swap(name_, other.name_);
    return *this;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    if (!name_.empty()) std::filesystem::remove_all(name_, ignored);
  }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  explicit ScratchFolder(std::string name) : name_(std::move(name)) {}
  std::string name_;
};

/// Everything that one choice of model, devices and settings needs.
class Measurement {
 public:
  Measurement(const BenchOptions& options, BenchResult settings, Control& control)
      : options_(options), settings_(std::move(settings)), control_(control) {}

  Result<void> run(const std::function<void(const BenchResult&)>& done) {
    if (options_.load) GGUF_FUSE_CHECK(measure_load(done));
    if (options_.tests.empty()) return {};
    GGUF_FUSE_ASSIGN(Engine engine, start(settings_.engine));
    for (const BenchTest& test : options_.tests) {
      BenchResult result = settings_;
      describe(result, engine);
      result.test = test;
      result.time = time_now();
      const std::uint32_t vocabulary = engine.model->description().vocabulary;
      GGUF_FUSE_CHECK(test.sequences > 0 ? measure_sequences(*engine.session, vocabulary, result)
                                         : measure_test(*engine.session, vocabulary, result));
      done(result);
    }
    return {};
  }

 private:
  Result<Engine> start(const EngineOptions& engine) {
    StartOptions start = options_.start;
    start.session = settings_.session;
    std::uint64_t context = 1;
    for (const BenchTest& test : options_.tests) {
      start.session.sessions = std::max(start.session.sessions, test.sequences);
      context = std::max(context, needed_context(test));
    }
    start.context = static_cast<std::uint32_t>(std::min<std::uint64_t>(context, kMostContext));
    start.texts = start.session.sessions;
    start.session.micro_batch = std::min(settings_.session.micro_batch, settings_.batch);
    start.session.candidates = 1;
    start.progress = terminal_width(stderr) > 0;
    control_.bytes_done.store(0);
    return start_engine(engine, start, control_);
  }

  /// Each of several texts copies the page in which a shared prompt ends.
  static std::uint64_t needed_context(const BenchTest& test) {
    return test.tokens() + test.depth + (test.shared ? std::uint64_t{test.sequences} * kPageTokens : 0);
  }

  static void describe(BenchResult& result, const Engine& engine) {
    result.description = engine.model->description();
    result.devices = devices_text(*engine.model);
    result.activations = activations_for(result.engine, engine.model->devices());
  }

  /// Starting with an empty cache of programs, and with that cache full. What drivers cache of their own counts both
  /// times.
  Result<void> measure_load(const std::function<void(const BenchResult&)>& done) {
    BenchResult cold = settings_, warm = settings_;
    cold.load = "load, programs built";
    warm.load = "load, programs cached";
    for (std::uint32_t i = 0; i < options_.repetitions; ++i) {
      GGUF_FUSE_ASSIGN(const ScratchFolder folder, ScratchFolder::make());
      EngineOptions engine_options = settings_.engine;
      engine_options.device.cache_folder = folder.name();
      for (BenchResult* result : {&cold, &warm}) {
        if (i == 0) result->time = time_now();
        GGUF_FUSE_ASSIGN(const Engine engine, start(engine_options));
        if (i == 0) describe(*result, engine);
        result->seconds.push_back(engine.report.total);
        result->start = engine.report;
      }
    }
    done(cold);
    done(warm);
    return {};
  }

  std::vector<std::int32_t> random_tokens(std::uint32_t count, std::uint32_t vocabulary) {
    std::vector<std::int32_t> tokens(count);
    for (std::int32_t& token : tokens) token = static_cast<std::int32_t>(random_() % std::max(vocabulary, 1U));
    return tokens;
  }

  Result<void> measure_test(Session& session, std::uint32_t vocabulary, BenchResult& result) {
    const BenchTest& test = result.test;
    for (std::uint32_t i = 0; i < options_.repetitions; ++i) {
      GGUF_FUSE_CHECK(session.truncate(0));
      if (test.depth > 0) GGUF_FUSE_CHECK(session.evaluate(random_tokens(test.depth, vocabulary)));
      const auto prompt = random_tokens(test.prompt, vocabulary);
      const auto generated = random_tokens(test.generate, vocabulary);
      const auto begin = Clock::now();
      if (test.prompt > 0) GGUF_FUSE_CHECK(session.evaluate(prompt));
      for (const std::int32_t token : generated) GGUF_FUSE_CHECK(session.evaluate({&token, 1}));
      result.seconds.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
    }
    return {};
  }

  Result<void> measure_sequences(Session& first, std::uint32_t vocabulary, BenchResult& result) {
    const BenchTest& test = result.test;
    std::vector<std::unique_ptr<Session>> others;
    std::vector<Session*> all{&first};
    while (all.size() < test.sequences) {
      GGUF_FUSE_ASSIGN(std::unique_ptr<Session> session, first.engine().open_session());
      all.push_back(others.emplace_back(std::move(session)).get());
    }
    if (options_.start.warm_up) {
      GGUF_FUSE_CHECK(append_to_each(all, 1, vocabulary));
    }
    for (std::uint32_t i = 0; i < options_.repetitions; ++i) {
      for (Session* const session : all) GGUF_FUSE_CHECK(session->truncate(0));
      const auto prompts_begin = Clock::now();
      if (test.shared && test.prompt > 0) {
        GGUF_FUSE_CHECK(first.evaluate(random_tokens(test.prompt, vocabulary)));
        for (const auto& session : others) GGUF_FUSE_CHECK(session->begin_as(first, test.prompt));
      } else {
        GGUF_FUSE_CHECK(append_to_each(all, test.prompt, vocabulary));
      }
      const auto begin = Clock::now();
      for (std::uint32_t token = 0; token < test.generate; ++token) {
        GGUF_FUSE_CHECK(append_to_each(all, 1, vocabulary));
      }
      result.prompt_seconds.push_back(std::chrono::duration<double>(begin - prompts_begin).count());
      result.seconds.push_back(std::chrono::duration<double>(Clock::now() - prompts_begin).count());
    }
    return {};
  }

  /// So many other tokens to each sequence, at once.
  Result<void> append_to_each(const std::vector<Session*>& sessions, std::uint32_t count, std::uint32_t vocabulary) {
    if (count == 0) return {};
    const std::vector<std::int32_t> tokens =
        random_tokens(count * static_cast<std::uint32_t>(sessions.size()), vocabulary);
    std::vector<runtime::Engine::Part> parts;
    for (std::size_t i = 0; i < sessions.size(); ++i) {
      parts.push_back({.session = sessions[i], .tokens = std::span(tokens).subspan(i * count, count)});
    }
    GGUF_FUSE_CHECK(sessions.front()->engine().evaluate(parts));
    return {};
  }

  static constexpr std::uint64_t kMostContext = std::numeric_limits<std::int32_t>::max();

  const BenchOptions& options_;
  BenchResult settings_;
  Control& control_;
  std::mt19937 random_{1};
};

/// Calls `each` for every combination of settings.
Result<void> for_each_setting(const BenchOptions& options,
                              const std::function<Result<void>(const BenchResult&)>& each) {
  for (const std::string& model : options.models)
    for (const std::string& devices : options.devices)
      for (const std::vector<double>& split : options.splits)
        for (const std::optional<std::uint32_t> gpu_layers : options.gpu_layers)
          for (const std::uint32_t batch : options.batches)
            for (const std::uint32_t micro_batch : options.micro_batches)
              for (const CacheType cache_k : options.caches_k)
                for (const CacheType cache_v : options.caches_v) {
                  BenchResult settings{.engine = options.engine,
                                       .session = {.micro_batch = micro_batch, .cache_k = cache_k, .cache_v = cache_v},
                                       .batch = batch};
                  settings.engine.model = model;
                  settings.engine.devices = devices;
                  settings.engine.gpu_layers = gpu_layers;
                  settings.engine.loading.placement.split = split;
                  GGUF_FUSE_CHECK(each(settings));
                }
  return {};
}

/// So many tokens a second; empty where one took too little time to say.
std::vector<double> rates_of(std::uint64_t tokens, const std::vector<double>& seconds) {
  std::vector<double> rates;
  for (const double one : seconds) {
    const std::optional<double> rate = per_second(static_cast<double>(tokens), one);
    if (!rate) return {};
    rates.push_back(*rate);
  }
  return rates;
}

}  // namespace

std::string BenchResult::split_text() const {
  return fmt::format("{}", fmt::join(engine.loading.placement.split, "/"));
}

std::vector<double> BenchResult::rates() const { return rates_of(test.tokens(), seconds); }

std::vector<double> BenchResult::prompt_rates() const { return rates_of(test.prompt_tokens(), prompt_seconds); }

std::vector<double> BenchResult::generation_rates() const {
  return rates_of(test.generated_tokens(), generation_seconds());
}

std::vector<double> BenchResult::generation_seconds() const {
  std::vector<double> generation;
  for (std::size_t i = 0; i < prompt_seconds.size(); ++i) generation.push_back(seconds[i] - prompt_seconds[i]);
  return generation;
}

Result<void> measure(const BenchOptions& options, Control& control,
                     const std::function<void(const BenchResult&)>& done) {
  return for_each_setting(
      options, [&](const BenchResult& settings) { return Measurement(options, settings, control).run(done); });
}

}  // namespace gguf_fuse::cli
