// SPDX-License-Identifier: MIT
#include "start.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>

#include "placement.hpp"
#include "print.hpp"
#include "progress.hpp"

namespace gguf_fuse::cli {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

std::uint32_t context_of(const StartOptions& start, const ModelDescription& model) {
  constexpr std::uint32_t kUsual = 4096;
  const std::uint32_t trained = model.train_context == 0 ? kUsual : model.train_context;
  const auto wanted = start.context;
  const auto for_all = [&start](std::uint32_t each) {
    constexpr std::uint64_t kMost = std::numeric_limits<std::int32_t>::max();
    return static_cast<std::uint32_t>(std::min(std::uint64_t{each} * start.texts, kMost));
  };
  if (!wanted) return for_all(std::min(trained, kUsual));
  if (*wanted > for_all(trained)) {
    print_warning(fmt::format("-c {} is more than the {} tokens that the model was trained with", *wanted, trained));
  }
  return *wanted == 0 ? for_all(trained) : *wanted;
}

std::string programs_text(const BuildReport& build) {
  if (build.programs == 0) return "programs";
  const std::string programs = plural(build.programs, "program");
  if (build.cached == build.programs) return programs + " from the cache";
  if (build.cached == 0) return programs + " built";
  return fmt::format("{} built, {} from the cache", plural(build.programs - build.cached, "program"), build.cached);
}

/// What a first start waits for. How many there will be is known when the last one is built.
std::string compiling_text(const BuildCount& builds) {
  const std::uint32_t begun = builds.begun.load();
  if (begun == 0) return {};
  const std::uint32_t finished = std::min(builds.finished.load(), begun);
  if (finished == begun) return fmt::format("compile  {} done, which run for the first time", plural(begun, "program"));
  return fmt::format("compile  {} done, {} at work; the next start finds them", plural(finished, "program"),
                     begun - finished);
}

Result<std::vector<KernelTiming>> sorted_timings(const Device& device) {
  GGUF_FUSE_ASSIGN(std::vector<KernelTiming> timings, device.timings());
  std::sort(timings.begin(), timings.end(),
            [](const KernelTiming& a, const KernelTiming& b) { return a.nanoseconds > b.nanoseconds; });
  return timings;
}

}  // namespace

Log make_log(bool verbose) {
  return [verbose](LogLevel level, std::string_view text) {
    if (level == LogLevel::Warning) return print_warning(text);
    if (!verbose) return;
    const std::string_view clear = terminal_width(stderr) > 0 ? "\r\x1b[K" : "";
    std::string lines(clear);
    while (!text.empty()) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      lines += escape_text(text.substr(0, end)) + "\n";
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    put(stderr, lines);
  };
}

Result<std::shared_ptr<RunnableModel>> open_runnable(const EngineOptions& options, Control& control,
                                                     BuildCount* builds) {
  const Log log = make_log(options.verbose);
  GGUF_FUSE_ASSIGN(const DeviceChoice choice, choose_devices(options));
  for (const std::string& note : choice.notes) print_warning(note);
  GGUF_FUSE_ASSIGN(auto devices, open_devices(choice, options, log, builds));
  ModelOptions loading = model_options(options, choice);
  loading.activations = activations_for(options, devices);
  loading.devices = std::move(devices);
  loading.control = &control;
  loading.log = log;
  return RunnableModel::open(options.model, std::move(loading));
}

Result<Engine> start_engine(const EngineOptions& options, const StartOptions& start, Control& control) {
  const auto begin = Clock::now();
  Engine engine;
  engine.builds = std::make_unique<BuildCount>();
  const Progress progress(control, {"load"}, start.progress,
                          [&builds = *engine.builds] { return compiling_text(builds); });
  GGUF_FUSE_ASSIGN(engine.model, open_runnable(options, control, engine.builds.get()));
  for (const std::string& note : engine.model->description().notes) print_warning(note);
  if (options.tell_unfused) {
    for (const std::string& line : engine.model->description().not_fused) print_warning(line);
  }
  for (const std::string& line : idle_override_texts(options.overrides, engine.model->description().placement)) {
    print_warning(line);
  }
  if (start.opened) GGUF_FUSE_CHECK(start.opened(*engine.model));
  SessionOptions session = start.session;
  session.context = context_of(start, engine.model->description());
  GGUF_FUSE_ASSIGN(engine.session, Session::create(engine.model, session));
  GGUF_FUSE_ASSIGN(engine.report.load, engine.model->wait());
  if (start.warm_up) {
    const auto warm_up_begin = Clock::now();
    GGUF_FUSE_CHECK(engine.session->warm_up());
    engine.report.warm_up = seconds_since(warm_up_begin);
  }
  engine.report.build = engine.session->build_report();
  engine.report.total = seconds_since(begin);
  return engine;
}

std::string start_text(const StartReport& report) {
  std::string text = fmt::format("{}: header {}, weights {}, {} in {}", format_seconds(report.total),
                                 format_seconds(report.load.header), format_seconds(report.load.seconds),
                                 programs_text(report.build), format_seconds(report.build.seconds));
  if (report.warm_up) text += fmt::format(", warm-up {}", format_seconds(*report.warm_up));
  return text;
}

std::string load_text(const StartReport& report) {
  const LoadReport& load = report.load;
  const std::string rate = format_rate(load.bytes, load.seconds);
  std::string text =
      fmt::format("{} in {}{}; read {}, repack {}", format_bytes(load.bytes), format_seconds(load.seconds),
                  rate.empty() ? "" : ", " + rate, format_seconds(load.read), format_seconds(load.repack));
  if (load.strategy) text += fmt::format(", upload {}", format_seconds(load.upload));
  const bool cached = report.build.programs > 0 && report.build.cached == report.build.programs;
  text += fmt::format(", compile {}{}", format_seconds(report.build.seconds), cached ? " (cached)" : "");
  const std::string_view limit = bottleneck(load);
  return limit.empty() ? text : fmt::format("{}; bottleneck: {}", text, limit);
}

std::string_view bottleneck(const LoadReport& load) {
  const std::pair<double, std::string_view> stages[] = {
      {load.read, "read"}, {load.repack, "repack"}, {load.upload, "upload"}};
  const auto longest = std::max_element(std::begin(stages), std::end(stages),
                                        [](const auto& a, const auto& b) { return a.first < b.first; });
  return per_second(1, longest->first) ? longest->second : std::string_view();
}

std::string devices_text(const RunnableModel& model) {
  std::vector<std::pair<std::string, std::size_t>> texts;  // equal neighbours once, with their number
  for (const auto& device : model.devices()) {
    std::string text = fmt::format("{} ({} kernels, 8-bit dot product: {})", escape_text(device->info().name),
                                   style_name(device->profile().style), dot_product_name(device->profile().dot));
    if (texts.empty() || texts.back().first != text) texts.emplace_back(std::move(text), 0);
    ++texts.back().second;
  }
  std::string out;
  for (const auto& [text, count] : texts) {
    if (!out.empty()) out += " + ";
    if (count > 1) out += fmt::format("{} x ", count);
    out += text;
  }
  return out;
}

Result<std::string> profile_text(const RunnableModel& model) {
  std::string out;
  for (const auto& device : model.devices()) {
    GGUF_FUSE_ASSIGN(const std::vector<KernelTiming> timings, sorted_timings(*device));
    double total = 0;
    for (const KernelTiming& timing : timings) total += static_cast<double>(timing.nanoseconds);
    Table table({{"kernel"},
                 {"launches", Align::Right},
                 {"ms", Align::Right},
                 {"us each", Align::Right},
                 {"share", Align::Right}});
    for (const KernelTiming& timing : timings) {
      const auto nanoseconds = static_cast<double>(timing.nanoseconds);
      table.add(
          {timing.kernel, std::to_string(timing.launches), fmt::format("{:.1f}", nanoseconds / 1e6),
           fmt::format("{:.1f}", nanoseconds / 1e3 / static_cast<double>(std::max<std::uint64_t>(timing.launches, 1))),
           fmt::format("{:.1f} %", total > 0 ? 100 * nanoseconds / total : 0)});
    }
    out += fmt::format("\n{}, loading and warm-up included\n{}", escape_text(device->info().name), table.render());
  }
  return out;
}

Result<Json> profile_json(const RunnableModel& model) {
  Json devices = Json::array();
  for (const auto& device : model.devices()) {
    GGUF_FUSE_ASSIGN(const std::vector<KernelTiming> timings, sorted_timings(*device));
    Json kernels = Json::array();
    for (const KernelTiming& timing : timings) {
      kernels.push_back({{"kernel", timing.kernel},
                         {"launches", timing.launches},
                         {"seconds", static_cast<double>(timing.nanoseconds) / 1e9}});
    }
    devices.push_back({{"device", device->info().name}, {"kernels", std::move(kernels)}});
  }
  return devices;
}

}  // namespace gguf_fuse::cli
