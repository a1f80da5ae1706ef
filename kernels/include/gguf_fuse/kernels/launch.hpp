// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gguf_fuse/kernels/buffer.hpp"
#include "gguf_fuse/kernels/program.hpp"
#include "gguf_fuse/loader/error.hpp"

namespace gguf_fuse::kernels {

/// Local memory of a work-group, for a `local` pointer.
struct LocalBytes {
  std::size_t bytes = 0;
};

/// What an argument is set to. Width and kind must be the declared ones: 1 is no uint, 1U is.
using ArgumentValue = std::variant<Buffer, LocalBytes, std::int32_t, std::uint32_t, std::int64_t, std::uint64_t, float>;

struct Argument {
  std::string_view name;
  ArgumentValue value;
};

/// Work-items of a launch. `global` counts all of them and is a multiple of `local`; where one of it is 0 nothing runs.
/// `local` all 0 is the kernel's reqd_work_group_size, or else the driver's choice.
struct Grid {
  std::array<std::size_t, 3> global{1, 1, 1};
  std::array<std::size_t, 3> local{0, 0, 0};
};

/// A kernel with its arguments, to be enqueued any number of times: made once, run for every token.
///
/// It has a kernel object of its own, so arguments stay set; it keeps its program and buffers alive. Use it from one
/// thread at a time.
class GGUF_FUSE_EXPORT Launch {
 public:
  /// Errors: BadLaunch (no such kernel, an argument that is unknown, wrongly typed or missing, a bad grid),
  /// OpenClFailed.
  [[nodiscard]] static Result<Launch> make(std::shared_ptr<Program> program, std::string_view kernel,
                                           std::span<const Argument> arguments, Grid grid);
  [[nodiscard]] static Result<Launch> make(std::shared_ptr<Program> program, std::string_view kernel,
                                           std::initializer_list<Argument> arguments, Grid grid);
  /// Without arguments or grid, to be set one by one. Errors: BadLaunch (no such kernel), OpenClFailed.
  [[nodiscard]] static Result<Launch> make(std::shared_ptr<Program> program, std::string_view kernel);

  Launch(Launch&& other) noexcept;
  Launch& operator=(Launch&& other) noexcept;
  ~Launch();

  /// Sets or replaces an argument. An error is kept and returned by check() and enqueue().
  Launch& set(std::string_view argument, ArgumentValue value);
  Launch& set_grid(Grid grid);

  /// BadLaunch when an argument was unknown, of another width or kind, or is missing, or when the grid is none.
  [[nodiscard]] Result<void> check() const;
  /// Puts the kernel into the device's queue. Errors: those of check(), OpenClFailed, OutOfDeviceMemory.
  [[nodiscard]] Result<void> enqueue() const { return enqueue(0, 1); }
  /// The same of part number `part` of `parts` nearly equal ones of the first dimension's work-groups; a part without
  /// any is none. Only for kernels that ask for global ids, which go on counting, and not for groups.
  [[nodiscard]] Result<void> enqueue(std::uint32_t part, std::uint32_t parts) const;

  [[nodiscard]] const KernelSignature& signature() const;

 private:
  struct State;
  explicit Launch(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace gguf_fuse::kernels
