// SPDX-License-Identifier: MIT
#include "terminal_input.hpp"

#include <langinfo.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <clocale>
#include <cwchar>

#include "signals.hpp"

namespace gguf_fuse::cli {
namespace {

constexpr wchar_t kReplacement = 0xFFFD;

static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may use nothing that locks");
std::atomic<bool> redraw_wanted{false};

extern "C" void on_terminal_signal(int) { redraw_wanted.store(true); }

struct Decoded {
  wchar_t value = kReplacement;
  std::size_t bytes = 0;  ///< 0: more are needed
};

/// The first character of `bytes`; what is no UTF-8 is replaced, a byte at a time.
Decoded decode_one(std::string_view bytes) {
  std::mbstate_t state{};
  wchar_t value = 0;
  const std::size_t used = std::mbrtowc(&value, bytes.data(), bytes.size(), &state);
  constexpr auto kIncomplete = static_cast<std::size_t>(-2), kWrong = static_cast<std::size_t>(-1);
  if (used == kIncomplete) return {};
  if (used == kWrong) return {kReplacement, 1};
  return {value, std::max<std::size_t>(used, 1)};
}

}  // namespace

TerminalInput::Character TerminalInput::next() {
  for (;;) {
    while (const auto value = decode()) {
      // what a terminal makes of a Ctrl-D that came before its own editing was turned off; an editor would quote the
      // next key for it
      if (*value != L'\0') return {.value = *value};
    }
    if (caught_signal() != 0) return {.stop = Stop::Signal};
    if (redraw_wanted.exchange(false)) return {.stop = Stop::Redraw};
    if (input_.read(bytes_) == StandardInput::Outcome::End) return {.stop = Stop::EndOfInput};
  }
}

std::optional<wchar_t> TerminalInput::decode() {
  if (at_ == bytes_.size()) return std::nullopt;
  const Decoded decoded = decode_one(std::string_view(bytes_).substr(at_));
  if (decoded.bytes == 0) return std::nullopt;
  at_ += decoded.bytes;
  if (at_ == bytes_.size()) drop();
  return decoded.value;
}

void TerminalInput::drop() {
  bytes_.clear();
  at_ = 0;
}

TerminalSignals::TerminalSignals() {
  struct sigaction action {};
  action.sa_handler = on_terminal_signal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGWINCH, &action, &resized_);
  sigaction(SIGCONT, &action, &continued_);
}

TerminalSignals::~TerminalSignals() {
  sigaction(SIGWINCH, &resized_, nullptr);
  sigaction(SIGCONT, &continued_, nullptr);
}

void use_utf8() {
  std::setlocale(LC_CTYPE, "");
  if (std::string_view(nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
}

std::wstring widen(std::string_view text) {
  std::wstring out;
  while (!text.empty()) {
    const Decoded decoded = decode_one(text);
    out += decoded.value;
    text.remove_prefix(std::max<std::size_t>(decoded.bytes, 1));
  }
  return out;
}

std::string narrow(std::wstring_view text) {
  std::string out;
  for (const wchar_t character : text) {
    std::array<char, 16> bytes{};  // more than any multibyte character takes
    std::mbstate_t state{};
    const std::size_t count = std::wcrtomb(bytes.data(), character, &state);
    if (count != static_cast<std::size_t>(-1)) out.append(bytes.data(), count);
  }
  return out;
}

}  // namespace gguf_fuse::cli
