// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gguf_fuse::cli {

/// Texts that are too long for a line of an editor, and the marks that stand for them there:
/// [#2 "int main(", 50 lines].
class PasteMarks {
 public:
  /// Whether a line can show the text as it is.
  [[nodiscard]] static bool fits_line(std::string_view text);
  /// Keeps a text and returns its mark; equal texts have one mark.
  [[nodiscard]] std::string hold(std::string text);
  /// The line with texts for their marks.
  [[nodiscard]] std::string expand(std::string_view line) const;
  /// How many bytes of the line's end are a mark; 0 when it does not end with one.
  [[nodiscard]] std::size_t mark_at_end(std::string_view line) const;
  /// The text whose mark was edited, so that what is left in the line stands for nothing; none: nullptr.
  [[nodiscard]] const std::string* damaged(std::string_view line) const;

 private:
  struct Held {
    std::string mark;
    std::string text;
  };
  std::vector<Held> held_;
};

}  // namespace gguf_fuse::cli
