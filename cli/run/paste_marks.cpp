// SPDX-License-Identifier: MIT
#include "paste_marks.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "print.hpp"

namespace gguf_fuse::cli {
namespace {

/// How the text begins, as one short line.
std::string beginning(std::string_view text) {
  constexpr std::size_t kCharacters = 16;
  std::string out;
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    const bool starts = (byte & 0xC0U) != 0x80U;  // not inside a character
    if (starts && display_width(out) == kCharacters) return out + "...";
    if (byte == '\n' && !out.empty()) return out;
    if (byte >= ' ' && byte != 0x7F && !(out.empty() && byte == ' ')) out += character;
  }
  return out;
}

}  // namespace

bool PasteMarks::fits_line(std::string_view text) {
  constexpr std::size_t kLongest = 1000;  // some rows: one can still read and edit it
  return text.size() <= kLongest && std::none_of(text.begin(), text.end(), [](char byte) {
           return static_cast<unsigned char>(byte) < ' ' || byte == 0x7F;
         });
}

std::string PasteMarks::hold(std::string text) {
  const auto same = [&text](const Held& held) { return held.text == text; };
  const auto found = std::find_if(held_.begin(), held_.end(), same);
  if (found != held_.end()) return found->mark;
  const auto newlines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  const std::size_t lines = newlines + (text.empty() || text.back() == '\n' ? 0 : 1);
  const std::string size = lines > 1 ? plural(lines, "line") : plural(display_width(text), "character");
  std::string mark = fmt::format("[#{} \"{}\", {}]", held_.size() + 1, beginning(text), size);
  return held_.emplace_back(Held{std::move(mark), std::move(text)}).mark;
}

std::string PasteMarks::expand(std::string_view line) const {
  std::string out;
  while (!line.empty()) {
    const auto here = [line](const Held& held) { return line.starts_with(held.mark); };
    const auto found = std::find_if(held_.begin(), held_.end(), here);
    if (found == held_.end()) {
      const std::size_t next = std::min(line.find('[', 1), line.size());
      out += line.substr(0, next);
      line.remove_prefix(next);
    } else {
      out += found->text;
      line.remove_prefix(found->mark.size());
    }
  }
  return out;
}

std::size_t PasteMarks::mark_at_end(std::string_view line) const {
  const auto ends = [line](const Held& held) { return line.ends_with(held.mark); };
  const auto found = std::find_if(held_.begin(), held_.end(), ends);
  return found == held_.end() ? 0 : found->mark.size();
}

const std::string* PasteMarks::damaged(std::string_view line) const {
  std::string rest(line);
  for (const Held& held : held_) {
    for (std::size_t at = 0; (at = rest.find(held.mark, at)) != std::string::npos;) rest.erase(at, held.mark.size());
  }
  // One edit leaves one half as it was.
  const auto half_there = [&rest](const Held& held) {
    const std::string_view mark = held.mark;
    return rest.find(mark.substr(0, mark.size() / 2)) != std::string::npos ||
           rest.find(mark.substr(mark.size() / 2)) != std::string::npos;
  };
  const auto found = std::find_if(held_.begin(), held_.end(), half_there);
  return found == held_.end() ? nullptr : &found->text;
}

}  // namespace gguf_fuse::cli
