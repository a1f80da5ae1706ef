// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "gguf_fuse/kernels/buffer.hpp"
#include "gguf_fuse/kernels/device.hpp"
#include "gguf_fuse/kernels/launch.hpp"

namespace gguf_fuse::kernels {

/// What an operation costs for a number of tokens: floating point operations (a multiply-add counts two) and bytes that
/// have to be moved at least.
struct Work {
  double flops = 0;
  double bytes = 0;
};

/// Where a step stands, in a buffer that every kernel reads, so that recorded launches need no new arguments.
struct StepInfo {
  std::uint32_t past = 0;    ///< tokens already in the context
  std::uint32_t tokens = 0;  ///< of this step
  std::uint32_t unused[2] = {};
};
inline constexpr std::size_t kStepBytes = sizeof(StepInfo);

/// A launch of an operation and how its grid follows from the number of tokens.
struct Stage {
  Launch launch;
  std::function<Grid(std::uint32_t tokens, std::uint32_t past)> grid;
  bool cut = false;  ///< it may run in parts (Launch::enqueue), which matters where it takes long
};

/// A recorded operation: kernels with all their arguments set. Enqueued again and again; only the grid changes.
class GGUF_FUSE_EXPORT Operation {
 public:
  Operation(std::string name, std::vector<Stage> stages) : name_(std::move(name)), stages_(std::move(stages)) {}

  [[nodiscard]] const std::string& name() const { return name_; }
  /// The same for as many rows as `rows` makes of a number of tokens: slots of experts, say.
  [[nodiscard]] Operation over(const std::function<std::uint32_t(std::uint32_t)>& rows) &&;
  /// Enqueues all stages for `tokens` tokens behind `past` earlier ones. Errors: OpenClFailed.
  [[nodiscard]] Result<void> enqueue(std::uint32_t tokens, std::uint32_t past = 0);
  /// The same with launches cut into `parts` where they can be. `launched` is called after each launch with its share
  /// of the operation; when it returns false the rest is left out.
  [[nodiscard]] Result<void> enqueue(std::uint32_t tokens, std::uint32_t past, std::uint32_t parts,
                                     const std::function<Result<bool>(double share)>& launched);

 private:
  std::string name_;
  std::vector<Stage> stages_;
};

}  // namespace gguf_fuse::kernels
