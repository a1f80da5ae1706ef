// SPDX-License-Identifier: MIT
#include "terminal_messages.hpp"

#include <fmt/format.h>
#include <histedit.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "message_history.hpp"
#include "paste_marks.hpp"
#include "print.hpp"
#include "signals.hpp"
#include "terminal_input.hpp"

namespace gguf_fuse::cli {
namespace {

// What a terminal puts around a pasted text once it was asked to (xterm's bracketed paste mode).
constexpr std::string_view kPasteOn = "\x1b[?2004h", kPasteOff = "\x1b[?2004l";
constexpr std::wstring_view kPasteEnd = L"\x1b[201~";
// A key that no keyboard sends while Ctrl-C is a signal.
constexpr const wchar_t* kGiveUp = L"\x03";

std::string with_newlines(std::string text) {
  // terminals send what the Enter key sends
  for (std::size_t at = 0; (at = text.find("\r\n", at)) != std::string::npos;) text.erase(at, 1);
  std::replace(text.begin(), text.end(), '\r', '\n');
  return text;
}

class TerminalMessages final : public MessageSource {
 public:
  explicit TerminalMessages(Control& control)
      : control_(control), editor_(el_init("gguf-run", stdin, stderr, stderr)), history_(history_winit()) {
    if (!is_open()) return;
    set_up_editor();
    for (const std::string& message : file_.load()) remember(message);
  }
  ~TerminalMessages() override {
    if (editor_ != nullptr) el_end(editor_);
    if (history_ != nullptr) history_wend(history_);
  }
  TerminalMessages(const TerminalMessages&) = delete;
  TerminalMessages& operator=(const TerminalMessages&) = delete;

  [[nodiscard]] bool is_open() const { return editor_ != nullptr && history_ != nullptr; }
  [[nodiscard]] bool is_interactive() const override { return true; }
  [[nodiscard]] bool edits() const override { return true; }
  std::optional<std::string> next() override;

 private:
  enum class End { Enter, Interrupt, Input };
  struct Line {
    End end = End::Input;
    std::string text{};  ///< as it stands in the editor, with marks
    bool empty = false;  ///< nothing stood there when it was given up
  };

  static TerminalMessages& of(EditLine* editor) {
    void* self = nullptr;
    el_wget(editor, EL_CLIENTDATA, &self);
    return *static_cast<TerminalMessages*>(self);
  }
  static wchar_t* prompt(EditLine* editor) { return of(editor).prompt_.data(); }
  static int read_character(EditLine* editor, wchar_t* out) { return of(editor).read_one(out); }
  static unsigned char insert_paste(EditLine* editor, wint_t) { return of(editor).paste(); }
  static unsigned char delete_before(EditLine* editor, wint_t) { return of(editor).erase(); }
  static unsigned char go_to_end(EditLine* editor, wint_t);

  void set_up_editor();
  int read_one(wchar_t* out);
  unsigned char paste();
  unsigned char erase();
  void draw_again();
  Line edit_line(std::wstring prompt);
  void remember(const std::string& message);
  bool goes_on_after_interrupt(bool empty);

  Control& control_;
  EditLine* editor_;
  HistoryW* history_;
  MessageHistory file_;
  PasteMarks marks_;
  TerminalInput input_;
  std::wstring prompt_;
  std::size_t columns_ = 0;    // of the window, as the line was drawn
  bool giving_up_ = false;     // Ctrl-C came, and the cursor goes behind the line
  bool asked_to_end_ = false;  // Ctrl-C on an empty line, once
};

void TerminalMessages::set_up_editor() {
  el_wset(editor_, EL_CLIENTDATA, this);
  el_wset(editor_, EL_PROMPT, &TerminalMessages::prompt);
  el_wset(editor_, EL_GETCFN, &TerminalMessages::read_character);
  el_wset(editor_, EL_EDITOR, L"emacs");
  HistEventW event{};
  history_w(history_, &event, H_SETSIZE, static_cast<int>(MessageHistory::kMostMessages));
  history_w(history_, &event, H_SETUNIQUE, 1);
  el_wset(editor_, EL_HIST, history_w, history_);
  el_wset(editor_, EL_ADDFN, L"insert-paste", L"Takes a pasted text into the line", &TerminalMessages::insert_paste);
  // what a user's own ~/.editrc says comes later and wins
  const auto bind = [this](const wchar_t* keys, const wchar_t* function) {
    el_wset(editor_, EL_BIND, keys, function, nullptr);
  };
  el_wset(editor_, EL_ADDFN, L"delete-before", L"Deletes a character or a mark", &TerminalMessages::delete_before);
  el_wset(editor_, EL_ADDFN, L"go-to-end", L"Goes behind the line", &TerminalMessages::go_to_end);
  bind(L"\\e[200~", L"insert-paste");
  bind(L"^?", L"delete-before");
  bind(L"^H", L"delete-before");
  bind(kGiveUp, L"go-to-end");
  bind(L"^R", L"em-inc-search-prev");
  bind(L"\\e[1;5D", L"ed-prev-word");
  bind(L"\\e[1;5C", L"em-next-word");
  bind(L"\\e[3~", L"ed-delete-next-char");
  el_source(editor_, nullptr);
}

/// For libedit: 1, or 0 at the end of the input, or -1 when the line is given up.
int TerminalMessages::read_one(wchar_t* out) {
  for (;;) {
    const auto character = input_.next();
    if (!character.stop) {
      *out = character.value;
      return 1;
    }
    if (*character.stop == TerminalInput::Stop::EndOfInput) return 0;
    if (*character.stop == TerminalInput::Stop::Signal) {
      if (giving_up_) return -1;
      giving_up_ = true;
      *out = *kGiveUp;
      return 1;
    }
    draw_again();
  }
}

unsigned char TerminalMessages::go_to_end(EditLine* editor, wint_t) {
  const LineInfoW* line = el_wline(editor);
  el_cursor(editor, static_cast<int>(line->lastchar - line->cursor));
  return CC_REFRESH;
}

/// After the window's size changed, or after another program had the terminal.
void TerminalMessages::draw_again() {
  // a shell that had the terminal meanwhile left it in its own mode
  el_wset(editor_, EL_PREP_TERM, 0);
  el_wset(editor_, EL_PREP_TERM, 1);
  const std::size_t columns = terminal_width(stderr);
  if (columns != columns_ && columns > 0) {
    // terminals break the rows anew: up to the first one, and away with them all
    const LineInfoW* line = el_wline(editor_);
    const std::wstring before = prompt_ + std::wstring(line->buffer, line->cursor);
    const std::size_t rows = display_width(narrow(before)) / columns;
    put(stderr, rows > 0 ? fmt::format("\r\x1b[{}A\x1b[J", rows) : "\r\x1b[J");
  }
  columns_ = columns;
  el_resize(editor_);
  put(stderr, kPasteOn);
  el_wset(editor_, EL_REFRESH);
}

/// Deletes what stands before the cursor: a mark as a whole, for it means nothing without one of its characters.
unsigned char TerminalMessages::erase() {
  const LineInfoW* line = el_wline(editor_);
  const std::string before =
      narrow(std::wstring_view(line->buffer, static_cast<std::size_t>(line->cursor - line->buffer)));
  if (before.empty()) return CC_ERROR;
  const std::size_t mark = marks_.mark_at_end(before);
  el_wdeletestr(editor_, mark == 0 ? 1 : static_cast<int>(widen(before.substr(before.size() - mark)).size()));
  return CC_REFRESH;
}

unsigned char TerminalMessages::paste() {
  std::wstring text;
  while (!text.ends_with(kPasteEnd)) {
    wchar_t character = 0;
    if (read_one(&character) != 1) return CC_ERROR;
    text += character;
  }
  text.resize(text.size() - kPasteEnd.size());
  std::string pasted = with_newlines(narrow(text));
  // what is copied from a terminal ends with a newline
  const std::string_view line = std::string_view(pasted).substr(0, pasted.size() - (pasted.ends_with('\n') ? 1 : 0));
  if (PasteMarks::fits_line(line)) pasted.resize(line.size());
  if (!PasteMarks::fits_line(pasted)) pasted = marks_.hold(std::move(pasted));
  return el_winsertstr(editor_, widen(pasted).c_str()) == 0 ? CC_REFRESH : CC_ERROR;
}

TerminalMessages::Line TerminalMessages::edit_line(std::wstring prompt) {
  const TerminalSignals signals;
  prompt_ = std::move(prompt);
  giving_up_ = false;
  columns_ = terminal_width(stderr);
  el_resize(editor_);
  // before anything invites to type: the terminal's own editing would take the marks of a paste apart
  el_wset(editor_, EL_PREP_TERM, 1);
  put(stderr, kPasteOn);
  int count = 0;
  const wchar_t* text = el_wgets(editor_, &count);
  put(stderr, kPasteOff);
  if (text == nullptr || count <= 0) {
    const bool interrupted = caught_signal() == SIGINT;
    const LineInfoW* line = el_wline(editor_);
    put(stderr, interrupted ? "^C\n" : "\n");
    return {.end = interrupted ? End::Interrupt : End::Input, .empty = line->lastchar == line->buffer};
  }
  std::wstring_view line(text, static_cast<std::size_t>(count));
  while (!line.empty() && (line.back() == L'\n' || line.back() == L'\r')) line.remove_suffix(1);
  return {.end = End::Enter, .text = narrow(line)};
}

/// As in llama.cpp a backslash at its end continues a line.
std::optional<std::string> TerminalMessages::next() {
  std::string message;
  bool continued = false;
  for (;;) {
    Line line = edit_line(continued ? L"... " : L"> ");
    if (line.end == End::Input) return std::nullopt;
    if (line.end == End::Interrupt) {
      if (!goes_on_after_interrupt(line.empty && !continued)) return std::nullopt;
      message.clear();
      continued = false;
      continue;
    }
    asked_to_end_ = false;
    if (const std::string* const text = marks_.damaged(line.text)) {
      remember(*text);
      print_warning(
          "the mark of a pasted text was changed and no longer stands for it: the line was not sent; arrow up "
          "brings the text back");
      continue;
    }
    continued = line.text.ends_with('\\');
    if (continued) line.text.pop_back();
    message += marks_.expand(line.text);
    if (continued) {
      message += '\n';
      continue;
    }
    if (message.find_first_not_of(" \t\n") == std::string::npos) return std::string();
    remember(message);
    file_.add(message);
    return message;
  }
}

void TerminalMessages::remember(const std::string& message) {
  HistEventW event{};
  const std::wstring line = widen(PasteMarks::fits_line(message) ? message : marks_.hold(message));
  history_w(history_, &event, H_ENTER, line.c_str());
}

/// The first Ctrl-C gives a line up; on an empty line it says how to end, and the next one ends.
bool TerminalMessages::goes_on_after_interrupt(bool empty) {
  if (empty && asked_to_end_) return false;
  asked_to_end_ = empty;
  input_.drop();
  forget_signal(control_);  // before it is said: the next one counts
  if (empty) put(stderr, kHowToEnd);
  return true;
}

}  // namespace

std::unique_ptr<MessageSource> open_terminal_messages(Control& control) {
  const char* terminal = std::getenv("TERM");
  if (terminal == nullptr || std::string_view(terminal) == "dumb" || isatty(STDERR_FILENO) == 0) return nullptr;
  use_utf8();
  auto messages = std::make_unique<TerminalMessages>(control);
  return messages->is_open() ? std::move(messages) : nullptr;
}

}  // namespace gguf_fuse::cli
