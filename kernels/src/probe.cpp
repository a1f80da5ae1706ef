// SPDX-License-Identifier: MIT
#include "probe.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>

#include "disk_cache.hpp"
#include "gguf_fuse/kernels/launch.hpp"
#include "probe_process.hpp"
#include "profile_host.hpp"
#include "profile_rules.hpp"
#include "style.hpp"

namespace gguf_fuse::kernels::detail {
namespace {

constexpr std::string_view kProbeProgram = "gguf-fuse-probe";
/// Compiling takes up to a second on an idle machine.
constexpr int kTimeoutSeconds = 60;

/// What probe/dot.cl has.
constexpr DotProduct kTried[] = {DotProduct::None, DotProduct::VnniAvx512, DotProduct::VnniAvx, DotProduct::Dp4a};

/// Without the probe program, or when it could not find out: drivers with which the path was tried by us.
struct KnownRow {
  std::string_view driver;  ///< start of its version
  DotProduct dot;
};
constexpr KnownRow kKnown[] = {{"3.1", DotProduct::VnniAvx512}, {"3.1", DotProduct::VnniAvx}};

std::string known_verdict(const DeviceInfo& info, DotProduct dot) {
  for (const KnownRow& row : kKnown) {
    if (is_pocl(info) && row.dot == dot && info.driver.rfind(row.driver, 0) == 0) return {};
  }
  return fmt::format("{} was not found, so that it could not be tried", kProbeProgram);
}

bool is_program(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error) && ::access(path.c_str(), X_OK) == 0;
}

/// Path of the probe program; empty when there is none.
std::string find_probe() {
  namespace fs = std::filesystem;
  const char* named = std::getenv("GGUF_FUSE_PROBE");
  if (named != nullptr) return is_program(named) ? named : "";
  std::error_code error;
  const fs::path beside = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const fs::path& folder : {beside, beside.parent_path() / "libexec", fs::path(GGUF_FUSE_LIBEXEC)}) {
    std::string path = (folder / kProbeProgram).string();
    if (is_program(path)) return path;
  }
  return {};
}

struct Verdict {
  std::string fault{};   ///< empty: it works
  bool certain = false;  ///< a property of the machine, not of the moment
};

Verdict ask_process(const std::string& program, const DeviceInfo& info, DotProduct dot) {
  const ProcessEnd end = run_process(
      {program, std::to_string(info.index), info.name, std::string(dot_product_name(dot))}, kTimeoutSeconds);
  if (end.failure.empty() && end.output == "ok") return {.certain = true};
  const std::string said = end.output.empty() ? "" : ": " + end.output;
  return {.fault = (end.failure.empty() ? "the probe failed" : end.failure) + said,
          .certain = end.failure.empty() || end.crashed};
}

bool works(const Verdict& verdict) { return verdict.certain && verdict.fault.empty(); }

/// Whether this process, and with it a probe, may have less memory than the machine.
bool memory_is_limited() {
  for (const auto resource : {RLIMIT_AS, RLIMIT_DATA}) {
    rlimit limit{};
    if (::getrlimit(resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) return true;
  }
  return false;
}

/// A compiler that runs out of memory, threads or disk ends the process or complains just as one that does not know an
/// instruction. So a fault is certain only when nothing limits memory, the plain product works, and the fault comes
/// again after that.
Verdict ask_carefully(const std::string& program, const DeviceInfo& info, DotProduct dot) {
  Verdict first = ask_process(program, info, dot);
  if (!first.certain || first.fault.empty()) return first;
  first.certain = !memory_is_limited() && works(ask_process(program, info, DotProduct::None));
  if (!first.certain) return first;
  return ask_process(program, info, dot);
}

/// Answers of this process. What is not certain is asked again after a while: not at once, as the next device would
/// wait for the same timeout.
struct Answer {
  std::string fault;
  std::optional<std::chrono::steady_clock::time_point> until;
};
constexpr std::chrono::minutes kUncertainFor{1};

/// Four products each for 16 rows in two steps, with the extremes of both operands: 255 * -128 and 255 * 127.
struct ProbeData {
  static constexpr std::size_t kSteps = 2;
  std::array<std::uint8_t, 64 * kSteps> a{};
  std::array<std::int8_t, 4 * kSteps> b{-128, 127, -1, 3, 127, 127, -128, -77};
  std::array<std::int32_t, 16> sums{};
  std::array<std::int32_t, 16> expected{};

  ProbeData() {
    for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<std::uint8_t>(i % 3 == 0 ? 255 : i * 37);
    for (std::size_t row = 0; row < sums.size(); ++row) {
      sums[row] = static_cast<std::int32_t>(row) - 8;
      expected[row] = sums[row];
      for (std::size_t k = 0; k < b.size(); ++k) expected[row] += a[64 * (k / 4) + 4 * row + k % 4] * b[k];
    }
  }
};

Result<bool> compute(Device& device, DotProduct dot) {
  const ProbeData data;
  GGUF_FUSE_ASSIGN(auto program, device.program({.file = "probe/dot.cl", .defines = {{dot_define(dot), ""}}}));
  GGUF_FUSE_ASSIGN(const Buffer a, device.allocate(data.a.size()));
  GGUF_FUSE_ASSIGN(const Buffer b, device.allocate(data.b.size()));
  GGUF_FUSE_ASSIGN(const Buffer sums, device.allocate(sizeof data.sums));
  GGUF_FUSE_CHECK(a.write(std::as_bytes(std::span(data.a))));
  GGUF_FUSE_CHECK(b.write(std::as_bytes(std::span(data.b))));
  GGUF_FUSE_CHECK(sums.write(std::as_bytes(std::span(data.sums))));
  const auto steps = static_cast<std::uint32_t>(ProbeData::kSteps);
  GGUF_FUSE_ASSIGN(const Launch launch,
                   Launch::make(program, "probe_dot", {{"a", a}, {"b", b}, {"sums", sums}, {"steps", steps}}, Grid{}));
  GGUF_FUSE_CHECK(launch.enqueue());
  std::array<std::int32_t, 16> found{};
  GGUF_FUSE_CHECK(sums.read(std::as_writable_bytes(std::span(found))));
  return found == data.expected;
}

}  // namespace

Result<std::string> run_probe(const DeviceInfo& info, DotProduct dot) {
  if (std::find(std::begin(kTried), std::end(kTried), dot) == std::end(kTried)) {
    return fmt::format("there is no probe for {}", dot_product_name(dot));
  }
  GGUF_FUSE_ASSIGN(const auto device, Device::open(info, {.dot = dot, .cache_folder = {}}));
  const Result<bool> same = compute(*device, dot);
  if (same) return *same ? "" : "wrong results";
  if (same.error().code == ErrorCode::KernelBuildFailed) return same.error().message();
  return fail(same.error());
}

std::string probe_verdict(const DeviceInfo& info, DotProduct dot, const DeviceOptions& options) {
  const std::string program = find_probe();
  if (program.empty()) return known_verdict(info, dot);
  const DiskCache cache(options.cache_folder, "probes");
  // 2: before, crashes for want of memory were kept
  const std::string key = DiskCache::key(fmt::format("2\n{}\n{}\n{}\n{}\n{}\n{}", info.platform, info.name, info.driver,
                                                     info.version, host_cpu().name, dot_product_name(dot)));
  // One question at a time, and each once a process even without a cache folder.
  static std::mutex mutex;
  static auto& answers = *new std::map<std::string, Answer>;
  const std::lock_guard lock(mutex);
  const auto now = std::chrono::steady_clock::now();
  const auto known = answers.find(key);
  if (known != answers.end() && now < known->second.until.value_or(now + kUncertainFor)) return known->second.fault;
  if (const auto stored = cache.load(key)) return (answers[key] = {*stored, std::nullopt}).fault;
  const Verdict verdict = ask_carefully(program, info, dot);
  if (!verdict.certain) {
    const std::string fault = known_verdict(info, dot).empty() ? "" : verdict.fault;
    return (answers[key] = {fault, std::chrono::steady_clock::now() + kUncertainFor}).fault;
  }
  if (const auto stored = cache.store(key, verdict.fault); !stored && options.log) {
    options.log(LogLevel::Warning, stored.error().message());
  }
  return (answers[key] = {verdict.fault, std::nullopt}).fault;
}

}  // namespace gguf_fuse::kernels::detail
