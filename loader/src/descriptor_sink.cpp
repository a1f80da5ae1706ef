// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>

#include "file_io.hpp"
#include "gguf_fuse/loader/sink.hpp"

namespace gguf_fuse::loader {
namespace {

// A closed pipe and a file beyond its limit are errors here, not the end of the process. Both signals go to the thread
// that writes, so it is enough to hold them back in this one and to take away what has come meanwhile.
class SignalGuard {
 public:
  SignalGuard() {
    ::sigemptyset(&held_);
    ::sigaddset(&held_, SIGPIPE);
    ::sigaddset(&held_, SIGXFSZ);
    sigset_t pending{};
    ::sigpending(&pending);
    if (::sigismember(&pending, SIGPIPE) != 0) ::sigdelset(&held_, SIGPIPE);
    if (::sigismember(&pending, SIGXFSZ) != 0) ::sigdelset(&held_, SIGXFSZ);
    ::pthread_sigmask(SIG_BLOCK, &held_, &before_);
  }
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;
  ~SignalGuard() {
    const int saved = errno;
    const timespec at_once{};
    while (::sigtimedwait(&held_, nullptr, &at_once) > 0 || errno == EINTR) {
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    errno = saved;
  }

 private:
  sigset_t held_{};
  sigset_t before_{};
};

class DescriptorSink final : public Sink {
 public:
  DescriptorSink(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}

  [[nodiscard]] Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (offset != position_) {
      return fail(Error{.code = ErrorCode::InvalidArgument,
                        .path = path_,
                        .offset = offset,
                        .expected = fmt::format("byte {} of a stream", position_),
                        .actual = fmt::format("{}", offset)});
    }
    const SignalGuard guard;
    while (!bytes.empty()) {
      const ssize_t put = retried([&] { return ::write(descriptor_, bytes.data(), bytes.size()); });
      if (put > 0) {
        position_ += static_cast<std::uint64_t>(put);
        bytes = bytes.subspan(static_cast<std::size_t>(put));
      } else if (put == 0) {
        return fail(write_error(EIO));
      } else if (errno == EAGAIN) {
        pollfd file{descriptor_, POLLOUT, 0};
        ::poll(&file, 1, -1);
      } else {
        return fail(write_error(errno));
      }
    }
    return {};
  }

  [[nodiscard]] bool sequential() const override { return true; }
  [[nodiscard]] const std::string& path() const override { return path_; }

  [[nodiscard]] Result<void> commit() override {
    struct stat status {};
    if (::fstat(descriptor_, &status) == 0 && !S_ISREG(status.st_mode)) return {};
    auto synced = sync_file(descriptor_, path_);
    if (!synced) synced.error().hint = "what the output has got may not be complete";
    return synced;
  }

 private:
  Error write_error(int error_number) const {
    Error error = system_error(ErrorCode::WriteFailed, path_, error_number, position_);
    error.hint = "what the output has got so far is not complete";
    if (error_number == EPIPE) error.hint = "the program that reads the output has ended; what it got is not complete";
    return error;
  }

  int descriptor_;
  std::string path_;
  std::uint64_t position_ = 0;
};

}  // namespace

Result<std::unique_ptr<Sink>> descriptor_sink(int descriptor, std::string path) {
  if (::isatty(descriptor) == 1) {
    return fail(Error{.code = ErrorCode::OutputIsTerminal, .path = std::move(path)});
  }
  return std::make_unique<DescriptorSink>(descriptor, std::move(path));
}

}  // namespace gguf_fuse::loader
