// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/launch.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "device_core.hpp"
#include "invalid.hpp"
#include "program_state.hpp"

namespace gguf_fuse::kernels {

struct Launch::State {
  std::shared_ptr<Program> program;
  const DeviceCore& device;
  const KernelSignature& signature;
  ClOwned<cl_kernel> kernel;
  std::array<std::size_t, 3> required_local{};  ///< reqd_work_group_size, or all 0
  std::size_t time_slot = 0;
  std::vector<Buffer> buffers{};  ///< OpenCL does not keep the buffers of a kernel alive
  std::vector<bool> is_set{};
  Grid grid{};
  cl_uint dimensions = 1;
  std::optional<Error> error{};  ///< the first one of set() or set_grid()
  bool complete = false;         ///< check() found nothing
  bool empty = false;            ///< no work-items

  [[nodiscard]] Error bad(std::string subject, std::string expected, std::string actual) const {
    return Error{.code = ErrorCode::BadLaunch,
                 .path = fmt::format("{}: {}", device.info.name, signature.kernel),
                 .subject = std::move(subject),
                 .expected = std::move(expected),
                 .actual = std::move(actual)};
  }
  void keep(Error what) {
    if (!error) error = std::move(what);
  }
};

namespace {

struct KindRow {
  ArgumentKind kind;
  std::string_view name;
};
// In the order of ArgumentValue's alternatives.
constexpr KindRow kKinds[] = {
    {ArgumentKind::Buffer, "a buffer"}, {ArgumentKind::Local, "local memory"}, {ArgumentKind::Int32, "an int"},
    {ArgumentKind::UInt32, "a uint"},   {ArgumentKind::Int64, "a long"},       {ArgumentKind::UInt64, "a ulong"},
    {ArgumentKind::Float, "a float"},
};
static_assert(std::size(kKinds) == std::variant_size_v<ArgumentValue>);

std::string name_of(ArgumentKind kind) {
  return std::string(
      std::find_if(std::begin(kKinds), std::end(kKinds), [&](const KindRow& row) { return row.kind == kind; })->name);
}

std::string shape(const std::array<std::size_t, 3>& sizes) {
  return fmt::format("{} x {} x {}", sizes[0], sizes[1], sizes[2]);
}

/// Why a grid cannot be launched; empty when it can.
std::string grid_fault(const Grid& grid, std::size_t max_work_group) {
  const auto zeros = std::count(grid.local.begin(), grid.local.end(), std::size_t{0});
  if (zeros == 3) return {};
  if (zeros != 0) return "a work-group without work-items";
  std::size_t items = 1;
  for (std::size_t i = 0; i < 3; ++i) {
    if (grid.global[i] % grid.local[i] != 0)
      return fmt::format("{} in groups of {}", shape(grid.global), shape(grid.local));
    if (grid.local[i] > max_work_group / items) return fmt::format("a work-group of {}", shape(grid.local));
    items *= grid.local[i];
  }
  return {};
}

}  // namespace

Launch::Launch(std::unique_ptr<State> state) : state_(std::move(state)) {}
Launch::Launch(Launch&& other) noexcept = default;
Launch& Launch::operator=(Launch&& other) noexcept = default;
Launch::~Launch() = default;

Result<Launch> Launch::make(std::shared_ptr<Program> program, std::string_view kernel) {
  if (!program) return invalid("a launch", "a program", "none");
  const KernelSignature* signature = program->kernel(kernel);
  DeviceCore& device = *program->device_;
  if (signature == nullptr) {
    std::string names;
    for (const KernelSignature& known : program->kernels()) names += (names.empty() ? "" : ", ") + known.kernel;
    return fail(Error{.code = ErrorCode::BadLaunch,
                      .path = program->state_->file,
                      .subject = std::string(kernel),
                      .expected = fmt::format("a kernel of the program: {}", names)});
  }
  cl_int code = CL_SUCCESS;
  ClOwned<cl_kernel> handle(device.cl,
                            device.cl.clCreateKernel(program->state_->program.get(), signature->kernel.c_str(), &code));
  GGUF_FUSE_CHECK(device.checked("clCreateKernel", code));
  auto state = std::make_unique<State>(
      State{.program = std::move(program), .device = device, .signature = *signature, .kernel = std::move(handle)});
  GGUF_FUSE_CHECK(device.checked(
      "clGetKernelWorkGroupInfo",
      device.cl.clGetKernelWorkGroupInfo(state->kernel.get(), device.id(), CL_KERNEL_COMPILE_WORK_GROUP_SIZE,
                                         sizeof state->required_local, state->required_local.data(), nullptr)));
  state->time_slot = device.times.slot(signature->kernel);
  state->buffers.resize(signature->arguments.size());
  state->is_set.resize(signature->arguments.size());
  return Launch(std::move(state));
}

Result<Launch> Launch::make(std::shared_ptr<Program> program, std::string_view kernel,
                            std::span<const Argument> arguments, Grid grid) {
  GGUF_FUSE_ASSIGN(Launch launch, make(std::move(program), kernel));
  for (const Argument& argument : arguments) launch.set(argument.name, argument.value);
  launch.set_grid(grid);
  GGUF_FUSE_CHECK(launch.check());
  return launch;
}

Result<Launch> Launch::make(std::shared_ptr<Program> program, std::string_view kernel,
                            std::initializer_list<Argument> arguments, Grid grid) {
  return make(std::move(program), kernel, std::span(arguments.begin(), arguments.size()), grid);
}

Launch& Launch::set(std::string_view argument, ArgumentValue value) {
  if (!state_) return *this;  // moved from: check() says so
  State& state = *state_;
  const auto& arguments = state.signature.arguments;
  const auto found = std::find_if(arguments.begin(), arguments.end(),
                                  [&](const KernelArgument& known) { return known.name == argument; });
  if (found == arguments.end()) {
    state.keep(state.bad(std::string(argument), {}, "the kernel has no such argument"));
    return *this;
  }
  const auto index = static_cast<std::size_t>(found - arguments.begin());
  const ArgumentKind kind = kKinds[value.index()].kind;
  if (kind != found->kind) {
    state.keep(state.bad(found->name, name_of(found->kind), name_of(kind)));
    return *this;
  }
  const auto give = [&](std::size_t bytes, const void* data) {
    const cl_int code = state.device.cl.clSetKernelArg(state.kernel.get(), static_cast<cl_uint>(index), bytes, data);
    if (const auto result = state.device.checked("clSetKernelArg", code); !result) state.keep(result.error());
  };
  if (const auto* local = std::get_if<LocalBytes>(&value)) {
    give(local->bytes, nullptr);
  } else if (auto* buffer = std::get_if<Buffer>(&value)) {
    if (!buffer->state_ || buffer->state_->device.get() != &state.device) {
      state.keep(state.bad(found->name, "a buffer of this device",
                           buffer->state_ ? "one of " + buffer->state_->device->info.name : "none"));
      return *this;
    }
    const cl_mem memory = buffer->state_->memory.get();
    give(sizeof(cl_mem), &memory);
    state.buffers[index] = std::move(*buffer);
  } else {
    std::visit([&](const auto& number) { give(sizeof number, &number); }, value);
  }
  state.is_set[index] = true;
  state.complete = false;
  return *this;
}

Launch& Launch::set_grid(Grid grid) {
  if (!state_) return *this;
  State& state = *state_;
  constexpr std::array<std::size_t, 3> kUnsaid{};
  if (grid.local == kUnsaid) grid.local = state.required_local;
  if (state.required_local != kUnsaid && grid.local != state.required_local) {
    state.keep(state.bad("grid", "work-groups of " + shape(state.required_local), shape(grid.local)));
  }
  const std::string fault = grid_fault(grid, state.device.info.max_work_group);
  if (!fault.empty()) {
    state.keep(state.bad("grid",
                         fmt::format("work-groups of at most {} work-items that divide the global size",
                                     state.device.info.max_work_group),
                         fault));
  }
  state.grid = grid;
  state.empty = std::find(grid.global.begin(), grid.global.end(), std::size_t{0}) != grid.global.end();
  state.dimensions = grid.global[2] > 1 ? 3 : grid.global[1] > 1 ? 2 : 1;
  return *this;
}

Result<void> Launch::check() const {
  if (!state_) return invalid("a launch", "one that was made", "one that was moved from");
  State& state = *state_;
  if (state.error) return fail(*state.error);
  const auto missing = std::find(state.is_set.begin(), state.is_set.end(), false);
  if (missing != state.is_set.end()) {
    const auto& argument = state.signature.arguments[static_cast<std::size_t>(missing - state.is_set.begin())];
    return fail(state.bad(argument.name, name_of(argument.kind), "nothing"));
  }
  state.complete = true;
  return {};
}

Result<void> Launch::enqueue(std::uint32_t part, std::uint32_t parts) const {
  if (!state_) return check();
  const State& state = *state_;
  if (!state.complete || state.error) GGUF_FUSE_CHECK(check());
  if (state.empty) return {};
  std::array<std::size_t, 3> begin{}, size = state.grid.global;
  if (parts > 1) {
    const std::size_t group = std::max<std::size_t>(state.grid.local[0], 1), groups = size[0] / group;
    begin[0] = groups * part / parts * group;
    size[0] = groups * (part + 1) / parts * group - begin[0];
    if (size[0] == 0) return {};
  }
  const DeviceCore& device = state.device;
  const bool timed = device.options.profiling;
  cl_event event = nullptr;
  const cl_int code = device.cl.clEnqueueNDRangeKernel(
      device.queue.get(), state.kernel.get(), state.dimensions, begin[0] != 0 ? begin.data() : nullptr, size.data(),
      state.grid.local[0] != 0 ? state.grid.local.data() : nullptr, 0, nullptr, timed ? &event : nullptr);
  if (code != CL_SUCCESS) {
    Error error = opencl_error("clEnqueueNDRangeKernel", code, device.info.name);
    error.subject = state.signature.kernel;
    return fail(std::move(error));
  }
  return timed ? state.program->device_->record(state.time_slot, event) : Result<void>();
}

const KernelSignature& Launch::signature() const {
  static const KernelSignature kNone{};
  return state_ ? state_->signature : kNone;
}

}  // namespace gguf_fuse::kernels
