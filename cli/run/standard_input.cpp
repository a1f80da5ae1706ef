// SPDX-License-Identifier: MIT
#include "standard_input.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace gguf_fuse::cli {
namespace {

/// The terminal opened once more, never to wait in a read: a Ctrl-C takes away what was typed, also between the poll
/// that saw it and the read. Not a flag of standard input itself, which the shell shares. Below 0 where that cannot be.
int open_terminal() {
  std::array<char, 256> name{};
  if (isatty(STDIN_FILENO) == 0 || ttyname_r(STDIN_FILENO, name.data(), name.size()) != 0) return -1;
  return open(name.data(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

}  // namespace

StandardInput::StandardInput() : own_descriptor_(open_terminal()) {}

StandardInput::~StandardInput() {
  if (own_descriptor_ >= 0) close(own_descriptor_);
}

StandardInput::Outcome StandardInput::read(std::string& bytes) {
  constexpr int kMilliseconds = 200;
  const int descriptor = own_descriptor_ >= 0 ? own_descriptor_ : STDIN_FILENO;
  pollfd waiting{descriptor, POLLIN, 0};
  if (poll(&waiting, 1, kMilliseconds) <= 0) return Outcome::Nothing;
  std::array<char, 4096> read_bytes{};
  const ssize_t count = ::read(descriptor, read_bytes.data(), read_bytes.size());
  if (count < 0) return errno == EINTR || errno == EAGAIN ? Outcome::Nothing : Outcome::End;
  bytes.append(read_bytes.data(), static_cast<std::size_t>(count));
  return count == 0 ? Outcome::End : Outcome::Read;
}

}  // namespace gguf_fuse::cli
