// SPDX-License-Identifier: MIT
// Conversations as people have them: at a terminal.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "run_test.hpp"
#include "support/paths.hpp"

namespace gguf_fuse::test_support {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

constexpr int kPatience = 20000;                   // milliseconds: the machine may be busy
constexpr std::string_view kAsks = "\x1b[?2004h";  // each time a line is asked for
constexpr unsigned short kWidths[] = {60, 200};
constexpr const char* kUp = "\x1b[A";
constexpr const char* kCtrlC = "\x03";

std::vector<std::string> chat_arguments(const std::vector<std::string>& more) {
  std::vector<std::string> arguments{built("gguf-run"), "-m", llama(), "-cnv", "--chat-template", "chatml",
                                     "--temp",          "0",  "-n",    "6",    "--no-perf"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

/// What these messages are answered without a terminal, a line an answer. A message may hold newlines.
std::vector<std::string> answers(const std::vector<std::string>& messages, const std::vector<std::string>& more = {}) {
  const TempDir folder;
  write_text(folder.file("first"), messages.front());
  auto arguments = chat_arguments(more);
  arguments.insert(arguments.end(), {"--no-escape", "-bf", folder.file("first")});
  std::string rest;
  for (std::size_t i = 1; i < messages.size(); ++i) rest += messages[i] + "\n";
  const auto result = run_program(arguments, {.input = rest});
  if (result.exit_code != 0) throw std::runtime_error(result.err);
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < result.out.size();) {
    const std::size_t end = result.out.find('\n', at);
    lines.push_back(result.out.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

/// A conversation at a terminal, with a history of its own.
class Talk {
 public:
  explicit Talk(const std::vector<std::string>& more = {}, unsigned short columns = 100, const std::string& state = {},
                std::vector<std::string> environment = {})
      : program_(chat_arguments(more), RunningProgram::Kind::Terminal,
                 {.columns = columns, .environment = with_state(std::move(environment), state)}) {}

  /// Waits until a line is asked for once more; false when it is not.
  [[nodiscard]] bool asked() {
    // by the clock: an editor shows what is typed character by character
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatience);
    while (std::chrono::steady_clock::now() < end) {
      const std::string& shown = program_.output(20);
      if (const std::size_t at = shown.find(kAsks, seen_); at != std::string::npos) {
        last_ = shown.substr(seen_, at - seen_);
        seen_ = at + kAsks.size();
        return true;
      }
    }
    return false;
  }
  void type(std::string_view keys) { program_.write_input(keys); }
  /// What is shown from Enter to the next time that a line is asked for.
  std::string say(std::string_view keys) {
    type(keys);
    type("\r");
    return asked() ? last_ : "nothing was asked again: " + program_.output();
  }
  std::string paste(const std::string& text) {
    type("\x1b[200~" + text + "\x1b[201~");
    return say("");
  }
  std::string press(std::string_view keys) {
    type(keys);
    return asked() ? last_ : "nothing was asked again: " + program_.output();
  }
  [[nodiscard]] bool shows(std::string_view text) { return program_.wait_for(text, kPatience); }
  /// Ctrl-D.
  ProgramResult end() {
    type("\x04");
    return program_.finish();
  }
  RunningProgram& program() { return program_; }

 private:
  std::vector<std::string> with_state(std::vector<std::string> environment, const std::string& state) const {
    environment.insert(environment.end(),
                       {"XDG_STATE_HOME=" + (state.empty() ? folder_.path().string() : state), "HOME="});
    return environment;
  }

  TempDir folder_;
  RunningProgram program_;
  std::size_t seen_ = 0;
  std::string last_;
};

std::string fifty_lines(const std::string& separator) {
  std::string text;
  for (int i = 0; i < 50; ++i) text += "the water " + std::to_string(i) + (i == 49 ? "" : separator);
  return text;
}

std::string six_thousand_characters() {
  std::string text;
  while (text.size() < 6000) text += "the time ";
  text.resize(6000);
  return text;
}

TEST(ChatTerminal, APastedTextIsOneMessage) {
  const std::vector<std::string> room{"-c", "16384"};
  const auto lines = answers({fifty_lines("\n")}, room), characters = answers({six_thousand_characters()}, room);
  for (const unsigned short columns : kWidths) {
    Talk talk(room, columns);
    ASSERT_TRUE(talk.asked()) << talk.program().output();
    // terminals send the Enter key's character for a newline
    const std::string shown = talk.paste(fifty_lines("\r"));
    EXPECT_THAT(shown, HasSubstr(lines.at(0)));
    EXPECT_THAT(shown, HasSubstr("[#1 \"the water 0\", 50 lines]"));
    EXPECT_THAT(talk.say("/clear"), HasSubstr("begins again"));
    const std::string other = talk.paste(six_thousand_characters());
    EXPECT_THAT(other, HasSubstr(characters.at(0)));
    EXPECT_THAT(other, HasSubstr("6000 characters]"));
    // a short one stands in the line and can be edited there
    EXPECT_THAT(talk.say("/clear"), HasSubstr("begins again"));
    talk.type("\x1b[200~the waterx\x1b[201~\x7f");
    EXPECT_THAT(talk.say(""), HasSubstr(answers({"the water"}, room).at(0)));
    EXPECT_EQ(talk.end().exit_code, 0);
  }
}

// A mark is one thing to the Backspace key, and never sent when only some of it is left.
TEST(ChatTerminal, AMarkIsDeletedWholeAndADamagedOneIsNotSent) {
  const std::vector<std::string> room{"-c", "16384"};
  const std::string paste = "\x1b[200~" + fifty_lines("\r") + "\x1b[201~";
  Talk talk(room, 200);
  ASSERT_TRUE(talk.asked());
  talk.type(paste + "\x7f");
  EXPECT_THAT(talk.say("the water"), HasSubstr(answers({"the water"}, room).at(0)));
  EXPECT_THAT(talk.say("/clear"), HasSubstr("begins again"));
  constexpr const char* kLeft = "\x1b[D";
  EXPECT_THAT(talk.say(paste + kLeft + kLeft + "x"), HasSubstr("the line was not sent"));
  EXPECT_THAT(talk.say(kUp), HasSubstr(answers({fifty_lines("\n")}, room).at(0)));
  EXPECT_EQ(talk.end().exit_code, 0);
}

// What is copied from a terminal ends with a newline, and is no text of several lines for that.
TEST(ChatTerminal, APastedLineStaysALine) {
  Talk talk;
  ASSERT_TRUE(talk.asked());
  const std::string shown = talk.paste("the water\r");
  EXPECT_THAT(shown, Not(HasSubstr("[#")));
  EXPECT_THAT(shown, HasSubstr(answers({"the water"}).at(0)));
}

TEST(ChatTerminal, WithoutAnEditorALineThatWasCutIsNotSentAndCtrlCIsAskedTwice) {
  Talk talk({"--simple-io"});
  ASSERT_TRUE(talk.shows("> "));
  talk.type(six_thousand_characters() + "\r");
  ASSERT_TRUE(talk.shows("it was not sent"));
  talk.type("the ti");
  talk.type(kCtrlC);
  ASSERT_TRUE(talk.shows("Ctrl-C again"));
  talk.type("the water\r");
  ASSERT_TRUE(talk.shows(answers({"the water"}).at(0) + "\r\n\r\n> "));
  talk.type(kCtrlC);
  // two signals that come at once are one, so the second time that it is said is waited for
  const auto said = [&] { return talk.program().output(20).rfind("Ctrl-C again"); };
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatience);
  for (const std::size_t first = talk.program().output().find("Ctrl-C again");
       said() == first && std::chrono::steady_clock::now() < end;) {
  }
  talk.type(kCtrlC);
  EXPECT_EQ(talk.program().finish().exit_code, 128 + SIGINT);
}

TEST(ChatTerminal, ATypedLineMayBeLongerThanTheTerminalsOwn) {
  const std::vector<std::string> room{"-c", "16384"};
  std::string line = six_thousand_characters();
  Talk talk(room);
  ASSERT_TRUE(talk.asked());
  EXPECT_THAT(talk.say(line), HasSubstr(answers({line}, room).at(0)));
}

TEST(ChatTerminal, CharactersAreEditedWhole) {
  Talk talk;
  ASSERT_TRUE(talk.asked());
  // a wide character and one of two bytes, both deleted again
  EXPECT_THAT(talk.say("the water\xE6\xB0\xB4\xC3\xA9\x7f\x7f"), HasSubstr(answers({"the water"}).at(0)));
  EXPECT_THAT(talk.say("/clear"), HasSubstr("begins again"));
  EXPECT_THAT(talk.say("\xE6\xB0\xB4"), HasSubstr(answers({"\xE6\xB0\xB4"}).at(0)));
}

TEST(ChatTerminal, ABackslashContinuesALine) {
  Talk talk;
  ASSERT_TRUE(talk.asked());
  EXPECT_THAT(talk.say("the\\"), Not(HasSubstr("water")));
  EXPECT_TRUE(talk.shows("... "));
  EXPECT_THAT(talk.say("water"), HasSubstr(answers({"the\nwater"}).at(0)));
}

TEST(ChatTerminal, TheHistoryOutlivesTheProgram) {
  const TempDir state;
  const std::string file = state.file("gguf-fuse/history");
  const auto twice = answers({"the water", "the water"});
  {
    Talk talk({}, 100, state.path().string());
    ASSERT_TRUE(talk.asked());
    EXPECT_THAT(talk.say("the water"), HasSubstr(twice.at(0)));
    EXPECT_THAT(talk.say(kUp), HasSubstr(twice.at(1)));
    EXPECT_THAT(talk.paste("of\rtime"), Not(HasSubstr("nothing was asked")));
    EXPECT_THAT(talk.say(" secret"), Not(HasSubstr("nothing was asked")));
    EXPECT_EQ(talk.end().exit_code, 0);
  }
  struct stat status {};
  ASSERT_EQ(stat(file.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_EQ(read_text(file), "\"the water\"\n\"the water\"\n\"of\\ntime\"\n");
  Talk again({}, 100, state.path().string());
  ASSERT_TRUE(again.asked());
  EXPECT_THAT(again.say(std::string(kUp) + kUp), HasSubstr(twice.at(0)));
  EXPECT_THAT(again.say("/clear"), HasSubstr("begins again"));
  // the pasted one comes back whole: it is the third from the end, behind /clear and "the water"
  EXPECT_THAT(again.say(std::string(kUp) + kUp + kUp), HasSubstr(answers({"of\ntime"}).at(0)));
}

TEST(ChatTerminal, TheHistoryIsBounded) {
  const TempDir state;
  std::filesystem::create_directory(state.file("gguf-fuse"));
  std::string lines = "not JSON\n";
  for (int i = 0; i < 3000; ++i) lines += "\"message " + std::to_string(i) + "\"\n";
  write_text(state.file("gguf-fuse/history"), lines);
  Talk talk({}, 100, state.path().string());
  ASSERT_TRUE(talk.asked());
  const std::string kept = read_text(state.file("gguf-fuse/history"));
  EXPECT_EQ(std::count(kept.begin(), kept.end(), '\n'), 1000);
  EXPECT_THAT(kept, EndsWith("\"message 2999\"\n"));
}

TEST(ChatTerminal, NoHomeIsNeeded) {
  Talk talk({}, 100, "relative");
  ASSERT_TRUE(talk.asked());
  EXPECT_THAT(talk.say("the water"), HasSubstr(answers({"the water"}).at(0)));
  EXPECT_FALSE(std::filesystem::exists("relative"));
}

TEST(ChatTerminal, CtrlCGivesALineUpAndTwiceEnds) {
  Talk talk;
  ASSERT_TRUE(talk.asked());
  talk.type("the time");
  const std::string shown = talk.press(kCtrlC);
  EXPECT_THAT(shown, HasSubstr("^C"));
  EXPECT_EQ(shown.find("the time"), shown.rfind("the time")) << "drawn twice";
  EXPECT_THAT(talk.say("the water"), HasSubstr(answers({"the water"}).at(0)));
  EXPECT_THAT(talk.press(kCtrlC), HasSubstr("Ctrl-C again"));
  EXPECT_THAT(talk.say("/clear"), HasSubstr("begins again"));  // so it was not again
  EXPECT_THAT(talk.press(kCtrlC), HasSubstr("Ctrl-C again"));
  talk.type(kCtrlC);
  EXPECT_EQ(talk.program().finish().exit_code, 128 + SIGINT);
}

// It takes away what was typed, also where the program has seen that there is something and has not read it yet.
TEST(ChatTerminal, CtrlCIsHeardBetweenSeeingAKeyAndReadingIt) {
  Talk talk({}, 100, {},
            {"LD_PRELOAD=" + built("libgguf_fuse_faults.so"), "GGUF_FUSE_LATE_POLL=100",
             "ASAN_OPTIONS=verify_asan_link_order=0"});
  ASSERT_TRUE(talk.asked());
  talk.type("x");
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_THAT(talk.press(kCtrlC), HasSubstr("^C"));
  EXPECT_THAT(talk.say("/help"), HasSubstr("/regen"));
  EXPECT_EQ(talk.end().exit_code, 0);
}

TEST(ChatTerminal, CtrlDWithinAnAnswerTakesNoKeyAway) {
  Talk talk({"-n", "-1", "--ignore-eos", "-c", "1500"});
  ASSERT_TRUE(talk.asked());
  const std::size_t before = talk.program().output().size();
  talk.type("the water\r");
  for (int i = 0; i < 1000 && talk.program().output(20).size() < before + 50; ++i) {
  }
  talk.type("\x04");
  ASSERT_TRUE(talk.asked()) << talk.program().output();  // the answer ends as the context is full
  EXPECT_THAT(talk.say("/help"), HasSubstr("/regen"));
  EXPECT_EQ(talk.end().exit_code, 0);
}

TEST(ChatTerminal, CtrlCStopsAnAnswer) {
  Talk talk({"-n", "-1", "--ignore-eos", "-c", "100000"});
  ASSERT_TRUE(talk.asked());
  talk.type("the water\r");
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatience);
  while (std::chrono::steady_clock::now() < end && talk.program().output(50).size() < 3000) {
  }
  EXPECT_THAT(talk.press(kCtrlC), Not(HasSubstr("nothing was asked")));
  EXPECT_THAT(talk.say("/help"), HasSubstr("/regen"));  // it goes on
  EXPECT_EQ(talk.end().exit_code, 0);
}

TEST(ChatTerminal, CtrlCStopsAPromptAndTheMessageWasNeverSaid) {
  const std::vector<std::string> slow{"-c", "100000", "-ub", "2"};
  Talk talk(slow);
  ASSERT_TRUE(talk.asked());
  std::string text;
  for (int i = 0; i < 10; ++i) text += six_thousand_characters();
  talk.type("\x1b[200~" + text + "\x1b[201~\r");
  ASSERT_TRUE(talk.shows(" tokens\x1b[K")) << talk.program().output();  // how much of the prompt is computed
  EXPECT_THAT(talk.press(kCtrlC), HasSubstr("not part of the conversation"));
  EXPECT_THAT(talk.say("the water"), HasSubstr(answers({"the water"}, slow).at(0)));
}

TEST(ChatTerminal, AFullContextKeepsTheConversation) {
  const std::vector<std::string> small{"-c", "200"};
  Talk talk(small, 200);
  ASSERT_TRUE(talk.asked());
  EXPECT_THAT(talk.say("the water"), HasSubstr(answers({"the water"}, small).at(0)));
  EXPECT_THAT(talk.say(six_thousand_characters()), HasSubstr("the message was not sent"));
  EXPECT_THAT(talk.say("the time"), HasSubstr(answers({"the water", "the time"}, small).at(1)));
  EXPECT_EQ(talk.end().exit_code, 0);
}

TEST(ChatTerminal, CommandsAnswer) {
  for (const unsigned short columns : kWidths) {
    Talk talk({}, columns);
    ASSERT_TRUE(talk.asked());
    EXPECT_THAT(talk.say("/regen"), HasSubstr("there is no answer yet"));
    const auto expected = answers({"the water", "the time"});
    EXPECT_THAT(talk.say("the water"), HasSubstr(expected.at(0)));
    EXPECT_THAT(talk.say("/regen"), HasSubstr(expected.at(0)));
    EXPECT_THAT(talk.say("the time"), HasSubstr(expected.at(1)));
    EXPECT_THAT(talk.say("/clear "), HasSubstr("the conversation begins again"));
    EXPECT_THAT(talk.say("/claer"), HasSubstr("did you mean /clear?"));
    EXPECT_THAT(talk.say("/nonsense"), HasSubstr("there is no /nonsense"));
    EXPECT_THAT(talk.say("/clear now"), HasSubstr("nothing was done"));
    EXPECT_THAT(talk.say("/a/b is"), Not(HasSubstr("there is no")));
    EXPECT_THAT(talk.say(" /help"), Not(HasSubstr("this list")));
    const std::string help = talk.say("/help");
    for (const char* command : {"/help", "/regen", "/clear", "/exit", "Ctrl-C"}) {
      EXPECT_THAT(help, HasSubstr(command));
    }
    talk.type("/exit\r");
    EXPECT_EQ(talk.program().finish().exit_code, 0);
  }
}

}  // namespace
}  // namespace gguf_fuse::test_support
