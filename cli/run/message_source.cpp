// SPDX-License-Identifier: MIT
#include "message_source.hpp"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "print.hpp"
#include "signals.hpp"
#include "start.hpp"
#include "terminal_messages.hpp"

namespace gguf_fuse::cli {
namespace {

/// Lines of standard input, of any length. Not stdio: a signal has to end the waiting.
class Lines final : public MessageSource {
 public:
  std::optional<std::string> next() override {
    if (terminal_) put(stderr, "> ");
    for (;;) {
      if (const std::size_t end = buffer_.find('\n', searched_); end != std::string::npos) {
        std::string line = buffer_.substr(0, end);
        buffer_.erase(0, end + 1);
        searched_ = 0;
        warn_of_cut(line);
        return line;
      }
      searched_ = buffer_.size();
      char bytes[4096];
      const ssize_t count = read(STDIN_FILENO, bytes, sizeof bytes);
      if (count > 0) {
        buffer_.append(bytes, static_cast<std::size_t>(count));
        continue;
      }
      if (count < 0 && errno == EINTR && caught_signal() == 0) continue;  // the window's size changed, say
      if (count < 0 || buffer_.empty()) return std::nullopt;
      searched_ = 0;
      return std::exchange(buffer_, {});
    }
  }
  [[nodiscard]] bool is_interactive() const override { return terminal_; }

 private:
  /// A terminal that does its own editing gives no longer lines and says nothing.
  void warn_of_cut(const std::string& line) const {
    constexpr std::size_t kLongest = 4095;
    if (terminal_ && line.size() >= kLongest) print_warning("the terminal cut this line after 4,095 bytes");
  }

  std::string buffer_;
  std::size_t searched_ = 0;  // bytes of it that hold no newline
  bool terminal_ = isatty(STDIN_FILENO) != 0;
};

}  // namespace

std::unique_ptr<MessageSource> open_messages(Control& control, bool simple) {
  if (!simple && isatty(STDIN_FILENO) != 0) {
    if (auto editor = open_terminal_messages(control)) return editor;
  }
  return std::make_unique<Lines>();
}

}  // namespace gguf_fuse::cli
