// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "gguf_fuse/kernels/buffer.hpp"
#include "gguf_fuse/kernels/device.hpp"
#include "gguf_fuse/kernels/launch.hpp"
#include "gguf_fuse/kernels/step.hpp"

namespace gguf_fuse::kernels {

/// What an operation costs for a number of tokens: floating point operations (a multiply-add counts two) and bytes that
/// have to be moved at least.
struct Work {
  double flops = 0;
  double bytes = 0;
};

using StepGrid = std::function<Grid(const StepSize& size)>;

/// A launch of an operation and how its grid follows from what a step holds.
struct Stage {
  Launch launch;
  StepGrid grid;
  bool cut = false;  ///< it may run in parts (Launch::enqueue), which matters where it takes long
};

/// A recorded operation: kernels with all their arguments set. Enqueued again and again; only the grid changes.
class GGUF_FUSE_EXPORT Operation {
 public:
  Operation(std::string name, std::vector<Stage> stages) : name_(std::move(name)), stages_(std::move(stages)) {}

  [[nodiscard]] const std::string& name() const { return name_; }
  /// The same for as many rows as `rows` makes of a number of tokens: slots of experts, say.
  [[nodiscard]] Operation over(const std::function<std::uint32_t(std::uint32_t)>& rows) &&;
  /// Gives all launches that have an argument of this name another value of the same kind: a buffer that has grown. No
  /// size is checked. Errors: InvalidArgument (no launch has it), BadLaunch (of another kind; the operation is of no
  /// use then), OpenClFailed.
  [[nodiscard]] Result<void> set(std::string_view argument, const ArgumentValue& value);
  /// Enqueues all stages for a step of this size; what it holds is in the step buffer. Errors: OpenClFailed.
  [[nodiscard]] Result<void> enqueue(const StepSize& size);
  /// The same with launches cut into `parts` where they can be. `launched` is called after each launch with its share
  /// of the operation; when it returns false the rest is left out.
  [[nodiscard]] Result<void> enqueue(const StepSize& size, std::uint32_t parts,
                                     const std::function<Result<bool>(double share)>& launched);

 private:
  std::string name_;
  std::vector<Stage> stages_;
};

}  // namespace gguf_fuse::kernels
