// SPDX-License-Identifier: MIT
#pragma once

#include <string>

namespace gguf_fuse::cli {

/// Standard input for whoever has to hear signals, too: no call waits for long. Not stdio, which waits on.
class StandardInput {
 public:
  enum class Outcome { Read, Nothing, End };

  StandardInput();
  ~StandardInput();
  StandardInput(const StandardInput&) = delete;
  StandardInput& operator=(const StandardInput&) = delete;

  /// Appends what is there to `bytes`, after a wait of 200 ms at most. End: also when it cannot be read (any more).
  [[nodiscard]] Outcome read(std::string& bytes);

 private:
  int own_descriptor_ = -1;  // of a terminal
};

}  // namespace gguf_fuse::cli
