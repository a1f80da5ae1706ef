// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/program.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <system_error>
#include <thread>

#include "gguf_fuse/kernels/device.hpp"
#include "program_state.hpp"

namespace gguf_fuse::kernels {

/// Programs by what they are made of. Whoever needs one that is being built waits for it.
struct Device::Programs {
  struct Entry {
    std::mutex mutex;
    std::shared_ptr<Program> program;  ///< null until it was built
  };
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<Entry>> entries;

  /// Those that are built; waits for those being built.
  [[nodiscard]] std::vector<std::shared_ptr<Program>> finished();
};

namespace {

void append(std::string& text, const Defines& defines) {
  for (const auto& [name, value] : defines) text += fmt::format("{}={}\n", name, value);
  text += '\n';
}

std::string identity(const ProgramSpec& spec) {
  std::string text = spec.file + '\n';
  for (const std::string& option : spec.options) text += option + ' ';
  append(text, spec.defines);
  for (const Defines& fallback : spec.fallbacks) append(text, fallback);
  return text + spec.source;
}

/// The first variant that builds; the error is the wanted variant's.
Result<std::unique_ptr<ProgramState>> build_any(const DeviceCore& device, const ProgramSpec& spec) {
  auto wanted = build_program(device, spec, spec.defines);
  if (wanted || wanted.error().code != ErrorCode::KernelBuildFailed) return wanted;
  for (std::size_t i = 0; i < spec.fallbacks.size(); ++i) {
    auto state = build_program(device, spec, spec.fallbacks[i]);
    if (!state) continue;
    (*state)->variant = i + 1;
    device.log(LogLevel::Warning, fmt::format("{}; its plainer variant {} is used", wanted.error().message(), i + 1));
    return state;
  }
  return wanted;
}

}  // namespace

Program::Program(std::shared_ptr<DeviceCore> device, std::unique_ptr<ProgramState> state)
    : device_(std::move(device)), state_(std::move(state)) {}

Program::~Program() { save(); }

const std::vector<KernelSignature>& Program::kernels() const { return state_->kernels; }

const KernelSignature* Program::kernel(std::string_view name) const {
  const auto found = std::find_if(state_->kernels.begin(), state_->kernels.end(),
                                  [&](const KernelSignature& kernel) { return kernel.kernel == name; });
  return found != state_->kernels.end() ? &*found : nullptr;
}

std::size_t Program::variant() const { return state_->variant; }

bool Program::from_cache() const { return state_->from_cache; }

void Program::save() {
  const std::lock_guard lock(state_->save_mutex);
  if (state_->saved) return;
  state_->saved = true;
  save_program(*device_, *state_);
}

Device::Device(std::shared_ptr<DeviceCore> core) : core_(std::move(core)), programs_(std::make_unique<Programs>()) {}

Device::~Device() = default;

Result<std::shared_ptr<Program>> Device::program(const ProgramSpec& spec) {
  std::shared_ptr<Programs::Entry> entry;
  {
    const std::lock_guard lock(programs_->mutex);
    std::shared_ptr<Programs::Entry>& known = programs_->entries[identity(spec)];
    if (!known) known = std::make_shared<Programs::Entry>();
    entry = known;
  }
  const std::lock_guard lock(entry->mutex);
  if (!entry->program) {
    GGUF_FUSE_ASSIGN(std::unique_ptr<ProgramState> state, build_any(*core_, spec));
    entry->program = std::make_shared<Program>(core_, std::move(state));
  }
  return entry->program;
}

Result<std::vector<std::shared_ptr<Program>>> Device::programs(std::span<const ProgramSpec> specs) {
  std::vector<Result<std::shared_ptr<Program>>> built(specs.size(), std::shared_ptr<Program>());
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i = next++; i < specs.size(); i = next++) built[i] = program(specs[i]);
  };
  {
    std::vector<std::jthread> threads;
    const std::size_t cores = std::max(std::thread::hardware_concurrency(), 1U);
    const std::size_t count = std::min(cores, specs.size());
    try {
      for (std::size_t i = 1; i < count; ++i) threads.emplace_back(work);
    } catch (const std::system_error&) {  // as many as the system allows
    }
    work();
  }
  std::vector<std::shared_ptr<Program>> programs;
  for (auto& result : built) {
    GGUF_FUSE_CHECK(result);
    programs.push_back(std::move(*result));
  }
  return programs;
}

std::vector<std::shared_ptr<Program>> Device::Programs::finished() {
  std::vector<std::shared_ptr<Program>> programs;
  const std::lock_guard lock(mutex);
  for (const auto& [what, entry] : entries) {
    const std::lock_guard entry_lock(entry->mutex);
    if (entry->program) programs.push_back(entry->program);
  }
  return programs;
}

Device::ProgramCount Device::program_count() const {
  ProgramCount count;
  for (const auto& program : programs_->finished()) {
    ++count.all;
    if (program->from_cache()) ++count.cached;
  }
  return count;
}

void Device::save_programs() {
  static_cast<void>(finish());  // whatever it says will be said again by the next call
  for (const auto& program : programs_->finished()) program->save();
}

}  // namespace gguf_fuse::kernels
