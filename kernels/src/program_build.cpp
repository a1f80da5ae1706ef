// SPDX-License-Identifier: MIT
// What the cache holds, and when it is written. PoCL 3.1 compiles the machine code of a kernel for a work-group size at
// its first launch, and packs what it has by then into the binary; but it packs only once, at the first question. So
// the binary is fetched late, after the kernels ran. Measured with a program of two kernels, 2 cores of an x86-64
// server CPU with AVX-512, 2026-11-21:
//   from source, nothing cached      build 740 ms, first launches 36 and 70 ms
//   from source, PoCL's cache warm   build  25-35 ms, first launches below 1 ms
//   binary fetched after the build   load    4 ms, first launches 33 and 70 ms (below 1 ms with PoCL's cache warm)
//   binary fetched after a launch    load    5 ms (2 ms with PoCL's cache warm), first launches below 2 ms
// Builds in several threads are safe there, but share one lock for the most part: 8 programs by two threads took
// 1.0 to 1.2 s, one after another 1.2 to 1.8 s.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "disk_cache.hpp"
#include "profile_host.hpp"
#include "program_state.hpp"
#include "source_assembly.hpp"

namespace gguf_fuse::kernels::detail {
namespace {

constexpr std::size_t kMaxErrorLines = 3;

std::string build_options(const ProgramSpec& spec) {
  std::string options = "-cl-kernel-arg-info";
  bool standard = false;
  for (const std::string& option : spec.options) {
    options += " " + option;
    standard = standard || option.rfind("-cl-std=", 0) == 0;
  }
  return standard ? options : options + " -cl-std=CL1.2";
}

/// Everything that the outcome of a build depends on.
std::string program_identity(const DeviceCore& device, const std::string& source, const std::string& options) {
  const DeviceInfo& info = device.info;
  // A driver may compile for the number of units: PoCL 3.1 does not, and its part of a device is another device to it.
  const std::string part = device.part.get() != nullptr ? fmt::format("{} units\n", info.compute_units) : "";
  // Newlines separate: none of the names holds one, and the source comes last.
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}{}\n{}", info.platform, info.name, info.driver, info.version,
                     host_cpu().name, part, options, source);
}

std::string build_log(const DeviceCore& device, cl_program program) {
  std::size_t bytes = 0;
  if (device.cl.clGetProgramBuildInfo(program, device.id(), CL_PROGRAM_BUILD_LOG, 0, nullptr, &bytes) != CL_SUCCESS) {
    return {};
  }
  std::string log(bytes, '\0');
  if (device.cl.clGetProgramBuildInfo(program, device.id(), CL_PROGRAM_BUILD_LOG, bytes, log.data(), nullptr) !=
      CL_SUCCESS) {
    return {};
  }
  log.erase(std::find(log.begin(), log.end(), '\0'), log.end());
  return log;
}

/// The first lines that speak of errors, or the first lines.
std::string first_errors(std::string_view log) {
  std::string errors;
  std::string others;
  std::size_t error_count = 0;
  std::size_t other_count = 0;
  while (!log.empty()) {
    const std::size_t end = std::min(log.find('\n'), log.size());
    const std::string_view line = log.substr(0, end);
    log.remove_prefix(std::min(end + 1, log.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const bool error = line.find("error") != std::string_view::npos;
    std::size_t& count = error ? error_count : other_count;
    std::string& text = error ? errors : others;
    if (count++ < kMaxErrorLines) text += fmt::format("{}{}", text.empty() ? "" : " | ", line);
  }
  return errors.empty() ? others : errors;
}

/// What compilers say that lack something else than a better program: the texts of strerror, and LLVM's.
constexpr std::string_view kShortages[] = {
    "Cannot allocate memory", "out of memory",       "No space left on device",
    "Disk quota exceeded",    "Too many open files", "File too large",
    "Read-only file system",  "Permission denied",   "Resource temporarily unavailable"};

bool is_shortage(std::string_view log) {
  return std::any_of(std::begin(kShortages), std::end(kShortages),
                     [&](std::string_view text) { return log.find(text) != std::string_view::npos; });
}

Result<void> compile(const DeviceCore& device, cl_program program, const ProgramSpec& spec) {
  const cl_device_id id = device.id();
  const std::string options = build_options(spec);
  const cl_int code = device.cl.clBuildProgram(program, 1, &id, options.c_str(), nullptr, nullptr);
  if (code == CL_SUCCESS) return {};
  // nothing is wrong with the program, and a plainer one would fare no better
  if (code == CL_OUT_OF_HOST_MEMORY) return device.checked("clBuildProgram", code);
  const std::string log = build_log(device, program);
  const std::string errors = first_errors(log);
  return fail(Error{.code = ErrorCode::KernelBuildFailed,
                    .path = spec.file,
                    .subject = device.info.name,
                    .actual = fmt::format("clBuildProgram: {}: {}", opencl_code(code), errors),
                    .hint = is_shortage(log)
                                ? "the compiler needs memory, threads and a folder for its files (~/.cache, "
                                  "TMPDIR): free some, or raise the limits (ulimit -v, -u, -n, -f)"
                                : ""});
}

/// Length of the signatures' text as 8 digits, the text, the binary.
constexpr std::size_t kLengthDigits = 8;

struct CacheEntry {
  std::vector<KernelSignature> kernels;
  std::string binary;
};

std::optional<CacheEntry> parse_entry(std::string_view content) {
  std::size_t length = 0;
  for (std::size_t i = 0; i < kLengthDigits; ++i) {
    if (i >= content.size() || content[i] < '0' || content[i] > '9') return std::nullopt;
    length = 10 * length + static_cast<std::size_t>(content[i] - '0');
  }
  content.remove_prefix(kLengthDigits);
  if (length > content.size()) return std::nullopt;
  auto kernels = signatures_from_text(content.substr(0, length));
  if (!kernels) return std::nullopt;
  return CacheEntry{.kernels = std::move(*kernels), .binary = std::string(content.substr(length))};
}

ClOwned<cl_program> load_binary(const DeviceCore& device, const ProgramSpec& spec, const std::string& binary) {
  const cl_device_id id = device.id();
  const std::size_t bytes = binary.size();
  const auto* data = reinterpret_cast<const unsigned char*>(binary.data());
  cl_int status = CL_SUCCESS;
  cl_int code = CL_SUCCESS;
  ClOwned<cl_program> program(
      device.cl, device.cl.clCreateProgramWithBinary(device.context.get(), 1, &id, &bytes, &data, &status, &code));
  if (code != CL_SUCCESS || status != CL_SUCCESS || !compile(device, program.get(), spec)) return {};
  return program;
}

/// The program as the cache has it; null when it has none that the driver takes.
std::unique_ptr<ProgramState> from_cache(const DeviceCore& device, const ProgramSpec& spec, const std::string& key) {
  std::string damage;
  const auto content = DiskCache(device.options.cache_folder, "programs").load(key, &damage);
  if (!damage.empty()) device.log(LogLevel::Warning, fmt::format("{}; {} is built again", damage, spec.file));
  if (!content) return nullptr;
  auto entry = parse_entry(*content);
  ClOwned<cl_program> program = entry ? load_binary(device, spec, entry->binary) : ClOwned<cl_program>();
  if (program.get() == nullptr) {
    device.log(LogLevel::Warning, fmt::format("{}: the driver refused the stored program; {} is built again",
                                              device.info.name, spec.file));
    return nullptr;
  }
  auto state = std::make_unique<ProgramState>();
  state->program = std::move(program);
  state->kernels = std::move(entry->kernels);
  state->from_cache = true;
  state->saved = true;
  return state;
}

Result<std::unique_ptr<ProgramState>> from_source(const DeviceCore& device, const ProgramSpec& spec,
                                                  const std::string& source) {
  const char* text = source.c_str();
  cl_int code = CL_SUCCESS;
  auto state = std::make_unique<ProgramState>();
  state->program = {device.cl, device.cl.clCreateProgramWithSource(device.context.get(), 1, &text, nullptr, &code)};
  GGUF_FUSE_CHECK(device.checked("clCreateProgramWithSource", code));
  GGUF_FUSE_CHECK(compile(device, state->program.get(), spec));
  GGUF_FUSE_ASSIGN(state->kernels, read_signatures(device, state->program.get(), spec.file));
  return state;
}

}  // namespace

Result<std::unique_ptr<ProgramState>> build_program(const DeviceCore& device, const ProgramSpec& spec,
                                                    const Defines& defines) {
  GGUF_FUSE_ASSIGN(const std::string source, assemble_source(spec, defines));
  const std::string key = DiskCache::key(program_identity(device, source, build_options(spec)));
  std::unique_ptr<ProgramState> state = from_cache(device, spec, key);
  if (!state) {
    BuildCount* count = device.options.builds;
    if (count != nullptr) ++count->begun;
    auto built = from_source(device, spec, source);
    if (count != nullptr) ++count->finished;
    if (!built) return fail(std::move(built).error());
    state = std::move(*built);
  }
  state->file = spec.file;
  state->cache_key = key;
  return state;
}

void save_program(const DeviceCore& device, const ProgramState& state) {
  if (device.options.cache_folder.empty()) return;
  const cl_program program = state.program.get();
  const std::string signatures = signatures_to_text(state.kernels);
  std::string content = fmt::format("{:0{}}{}", signatures.size(), kLengthDigits, signatures);
  const std::size_t start = content.size();

  std::size_t bytes = 0;
  cl_int code = device.cl.clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof bytes, &bytes, nullptr);
  if (code == CL_SUCCESS && bytes != 0) {
    content.resize(start + bytes);
    auto* binary = reinterpret_cast<unsigned char*>(content.data() + start);
    code = device.cl.clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof binary, &binary, nullptr);
  }
  if (code != CL_SUCCESS || bytes == 0) {
    device.log(LogLevel::Info, fmt::format("{}: the driver gives no binary of {}", device.info.name, state.file));
    return;
  }
  const auto stored = DiskCache(device.options.cache_folder, "programs").store(state.cache_key, content);
  if (!stored && !device.told_unwritable.exchange(true)) {
    device.log(LogLevel::Warning, fmt::format("the program cache: {}", stored.error().message()));
  }
}

}  // namespace gguf_fuse::kernels::detail
