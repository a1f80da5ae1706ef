// SPDX-License-Identifier: MIT
#include "message_history.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "json_output.hpp"

namespace gguf_fuse::cli {
namespace {

std::string default_path() {
  // a relative path would depend on where one stands, so XDG's rules ignore it
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && *state == '/') return std::string(state) + "/gguf-fuse/history";
  const char* home = std::getenv("HOME");
  return home != nullptr && *home == '/' ? std::string(home) + "/.local/state/gguf-fuse/history" : std::string();
}

std::string line_of(std::string_view message) {
  return Json(message).dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
}

/// Appends to a file that nobody else may read; false when that fails.
bool append(const std::string& path, std::string_view bytes) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (file < 0) return false;
  // one write: another conversation may append at the same time
  const bool whole = fchmod(file, S_IRUSR | S_IWUSR) == 0 &&
                     write(file, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
  return close(file) == 0 && whole;
}

}  // namespace

MessageHistory::MessageHistory() : path_(default_path()) {}

std::vector<std::string> MessageHistory::load() const {
  std::vector<std::string> messages;
  std::ifstream file(path_);
  std::string line;
  while (std::getline(file, line)) {
    const auto json = Json::parse(line, nullptr, false);
    if (json.is_string()) messages.push_back(json.get<std::string>());
  }
  std::size_t count = 0, bytes = 0;
  while (count < std::min(messages.size(), kMostMessages)) {
    bytes += messages[messages.size() - 1 - count].size();
    if (bytes > kMostBytes) break;
    ++count;
  }
  const std::size_t dropped = messages.size() - count;
  messages.erase(messages.begin(), messages.begin() + static_cast<std::ptrdiff_t>(dropped));
  // not each time: to write the file anew is what could lose it
  if (dropped > kMostMessages || (dropped > 0 && bytes > kMostBytes)) cut(messages);
  return messages;
}

void MessageHistory::cut(const std::vector<std::string>& messages) const {
  const std::string beside = path_ + ".new";
  std::string bytes;
  for (const std::string& message : messages) bytes += line_of(message);
  if (!append(beside, bytes) || std::rename(beside.c_str(), path_.c_str()) != 0) unlink(beside.c_str());
}

void MessageHistory::add(std::string_view message) const {
  constexpr std::size_t kLongest = 65536;  // bytes
  if (path_.empty() || message.empty() || message.front() == ' ' || message.size() > kLongest) return;
  std::error_code ignored;
  const auto folder = std::filesystem::path(path_).parent_path();
  if (std::filesystem::create_directories(folder, ignored)) {
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, ignored);
  }
  static_cast<void>(append(path_, line_of(message)));
}

}  // namespace gguf_fuse::cli
