// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gguf_fuse::cli {

/// The file of what was typed in conversations: one JSON string a line, the oldest first, readable for its owner only.
/// It is a convenience: whatever goes wrong with it costs the history and nothing else.
class MessageHistory {
 public:
  /// $XDG_STATE_HOME/gguf-fuse/history, else ~/.local/state/gguf-fuse/history; nothing is kept without either.
  MessageHistory();
  explicit MessageHistory(std::string path) : path_(std::move(path)) {}

  /// What is kept: the newest kMostMessages, of kMostBytes together. A file that has grown far beyond is cut.
  [[nodiscard]] std::vector<std::string> load() const;
  /// Messages that begin with a space are not kept, as in shells, nor those of more than 64 KiB.
  void add(std::string_view message) const;

  static constexpr std::size_t kMostMessages = 1000;
  static constexpr std::size_t kMostBytes = std::size_t{1} << 20U;

 private:
  void cut(const std::vector<std::string>& messages) const;

  std::string path_;
};

}  // namespace gguf_fuse::cli
