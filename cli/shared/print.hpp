// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gguf_fuse/loader/tensor_type.hpp"
#include "namespace.hpp"

namespace gguf_fuse::cli {

/// Decimal units, as disks and download pages count: 98.4 MB.
[[nodiscard]] std::string format_bytes(std::uint64_t bytes);
/// `count` things in so many seconds, a second; nothing where there were none, or where less than a tenth of a
/// millisecond passed: that is the clock's and a launch's own time, no measurement.
[[nodiscard]] std::optional<double> per_second(double count, double seconds);
/// 1.2 GB/s; empty where per_second says nothing.
[[nodiscard]] std::string format_rate(std::uint64_t bytes, double seconds);
/// 0.12 s, 45 s, 3:20 min, 1:02:03 h.
[[nodiscard]] std::string format_seconds(double seconds);
/// Ascending layer numbers as ranges: 0-3,5,7-29.
[[nodiscard]] std::string format_layers(const std::vector<std::uint32_t>& layers);
/// 576 x 1536 x 8, in ggml's order.
[[nodiscard]] std::string format_shape(const Dimensions& dims, std::uint32_t dimension_count);
/// `1 layer`, `30 layers`.
[[nodiscard]] std::string plural(std::uint64_t count, std::string_view noun);

/// Columns on a terminal for `text`, taking every code point as one.
[[nodiscard]] std::size_t display_width(std::string_view text);
/// `text` in lines of at most `width` columns, cut at spaces where there are any.
[[nodiscard]] std::vector<std::string> wrap(std::string_view text, std::size_t width);
/// Columns of the terminal behind `stream`; 0 when it is none.
[[nodiscard]] std::size_t terminal_width(std::FILE* stream);
/// A terminal whose user did not ask for plain text (NO_COLOR, TERM=dumb).
[[nodiscard]] bool use_colour(std::FILE* stream);

enum class Colour : std::uint8_t { Bold, Dim, Red, Green, Yellow };
/// `text` in a colour when `stream` shows colours.
[[nodiscard]] std::string coloured(std::FILE* stream, Colour colour, std::string_view text);

/// Writes text. Failures stay in the stream's error flag, which finish_output reads.
void put(std::FILE* stream, std::string_view text);
/// On standard error, as wide as its terminal; in place of a progress bar where one stands.
void print_warning(std::string_view text);
/// Flushes standard output; false when something printed did not arrive, now or before (errno tells why).
[[nodiscard]] bool finish_output();

enum class Align : std::uint8_t { Left, Right };

/// Rows of text in aligned columns, two spaces apart.
class Table {
 public:
  struct Column {
    std::string title;
    Align align = Align::Left;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  /// With a width other than 0 the last column is wrapped to fit. Titles are left out where all are empty.
  [[nodiscard]] std::string render(std::size_t width = 0, std::string_view indent = "") const;
  /// The same as a Markdown table; `aligned` for people who read it as it is.
  [[nodiscard]] std::string render_markdown(bool aligned = false) const;

 private:
  [[nodiscard]] std::vector<std::size_t> widths() const;
  void append(std::string& out, const std::vector<std::string>& cells, const std::vector<std::size_t>& widths,
              std::size_t width, std::string_view indent) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace gguf_fuse::cli
