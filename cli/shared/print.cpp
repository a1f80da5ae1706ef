// SPDX-License-Identifier: MIT
#include "print.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "gguf_fuse/loader/error.hpp"

namespace gguf_fuse::cli {
namespace {

/// Three significant digits: 9.84, 98.4, 984.
std::string three_digits(double value) {
  if (value < 9.995) return fmt::format("{:.2f}", value);
  if (value < 99.95) return fmt::format("{:.1f}", value);
  return fmt::format("{:.0f}", value);
}

std::string padded(const std::string& text, std::size_t width, Align align) {
  const std::size_t own = display_width(text);
  const std::string space(width > own ? width - own : 0, ' ');
  return align == Align::Left ? text + space : space + text;
}

}  // namespace

std::vector<std::string> wrap(std::string_view text, std::size_t width) {
  std::vector<std::string> lines;
  std::string line;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    const std::string_view word = text.substr(begin, end - begin);
    if (!line.empty() && display_width(line) + 1 + display_width(word) > width)
      lines.push_back(std::exchange(line, {}));
    if (!line.empty()) line += ' ';
    line += word;
    begin = end + 1;
  }
  lines.push_back(line);
  return lines;
}

std::string format_bytes(std::uint64_t bytes) {
  if (bytes < 1000) return fmt::format("{} B", bytes);
  constexpr std::array<std::string_view, 6> kUnits{"kB", "MB", "GB", "TB", "PB", "EB"};
  double value = static_cast<double>(bytes) / 1000;
  std::size_t unit = 0;
  // 999.6 would be shown as 1000
  while (value >= 999.5 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  return fmt::format("{} {}", three_digits(value), kUnits[unit]);
}

std::optional<double> per_second(double count, double seconds) {
  constexpr double kShortest = 1e-4;
  if (count <= 0 || seconds < kShortest) return std::nullopt;
  return count / seconds;
}

std::string format_rate(std::uint64_t bytes, double seconds) {
  const std::optional<double> rate = per_second(static_cast<double>(bytes), seconds);
  return rate ? format_bytes(static_cast<std::uint64_t>(*rate)) + "/s" : std::string();
}

std::string format_seconds(double seconds) {
  if (seconds < 0.005) return "under 0.01 s";
  if (seconds < 9.95) return fmt::format("{:.{}f} s", seconds, seconds < 0.995 ? 2 : 1);
  constexpr double kLongest = 1e9;  // an estimate beyond decades is no estimate, and would not fit an integer
  const auto whole = static_cast<std::uint64_t>(std::llround(std::min(seconds, kLongest)));
  if (whole < 100) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{}:{:02} min", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02} h", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string format_layers(const std::vector<std::uint32_t>& layers) {
  std::string out;
  for (std::size_t first = 0; first < layers.size();) {
    std::size_t last = first;
    while (last + 1 < layers.size() && layers[last + 1] == layers[last] + 1) ++last;
    if (!out.empty()) out += ',';
    out += fmt::format("{}", layers[first]);
    if (last > first) out += fmt::format("-{}", layers[last]);
    first = last + 1;
  }
  return out;
}

std::string format_shape(const Dimensions& dims, std::uint32_t dimension_count) {
  if (dimension_count == 0) return "scalar";
  const auto count = std::min<std::size_t>(dimension_count, dims.size());
  return fmt::format("{}", fmt::join(dims.begin(), dims.begin() + static_cast<std::ptrdiff_t>(count), " x "));
}

std::string plural(std::uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  for (const char byte : text) {
    if ((static_cast<unsigned char>(byte) & 0xC0U) != 0x80U) ++width;
  }
  return width;
}

std::size_t terminal_width(std::FILE* stream) {
  const int descriptor = fileno(stream);
  if (isatty(descriptor) == 0) return 0;
  winsize size{};
  constexpr std::size_t kUsual = 80;
  return ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kUsual;
}

bool use_colour(std::FILE* stream) {
  const char* no_colour = std::getenv("NO_COLOR");
  if (no_colour != nullptr && *no_colour != '\0') return false;
  const char* terminal = std::getenv("TERM");
  if (terminal == nullptr || std::string_view(terminal) == "dumb") return false;
  return isatty(fileno(stream)) != 0;
}

std::string coloured(std::FILE* stream, Colour colour, std::string_view text) {
  if (!use_colour(stream)) return std::string(text);
  constexpr std::array kCodes{1, 2, 31, 32, 33};
  return fmt::format("\x1b[{}m{}\x1b[0m", kCodes.at(static_cast<std::size_t>(colour)), text);
}

void put(std::FILE* stream, std::string_view text) { std::fwrite(text.data(), 1, text.size(), stream); }

void print_warning(std::string_view text) {
  // a progress bar may stand in this line
  const std::size_t width = terminal_width(stderr);
  constexpr std::string_view kMark = "warning:";
  const std::string whole = fmt::format("{} {}", kMark, escape_text(text));
  std::string lines = width > 0 ? fmt::format("{}", fmt::join(wrap(whole, width), "\n")) : whole;
  lines.replace(0, kMark.size(), coloured(stderr, Colour::Yellow, kMark));
  put(stderr, (width > 0 ? "\r\x1b[K" : "") + lines + "\n");
}

bool finish_output() {
  static int first_error = 0;  // once it failed, a later flush has nothing to write and succeeds
  if (std::fflush(stdout) != 0 && first_error == 0) first_error = errno;
  if (first_error != 0) errno = first_error;
  return first_error == 0 && std::ferror(stdout) == 0;
}

std::vector<std::size_t> Table::widths() const {
  std::vector<std::size_t> widths;
  for (const Column& column : columns_) widths.push_back(display_width(column.title));
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], display_width(row[i]));
  }
  return widths;
}

void Table::append(std::string& out, const std::vector<std::string>& cells, const std::vector<std::size_t>& widths,
                   std::size_t width, std::string_view indent) const {
  std::string line(indent);
  for (std::size_t i = 0; i + 1 < cells.size(); ++i) line += padded(cells[i], widths[i], columns_[i].align) + "  ";
  const std::size_t used = display_width(line);
  const std::string& last = cells.back();
  constexpr std::size_t kNarrowest = 20;  // a narrower column reads worse than one that the terminal wraps
  if (width < used + kNarrowest || used + display_width(last) <= width) {
    line += columns_.back().align == Align::Right ? padded(last, widths.back(), Align::Right) : last;
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
    return;
  }
  for (const std::string& part : wrap(last, width - used)) {
    out += line + part + '\n';
    line.assign(used, ' ');
  }
}

std::string Table::render(std::size_t width, std::string_view indent) const {
  const auto sizes = widths();
  std::vector<std::string> titles;
  bool titled = false;
  for (const Column& column : columns_) {
    titles.push_back(column.title);
    titled = titled || !column.title.empty();
  }
  std::string out;
  if (titled) append(out, titles, sizes, 0, indent);
  for (const auto& row : rows_) append(out, row, sizes, width, indent);
  return out;
}

std::string Table::render_markdown(bool aligned) const {
  const auto sizes = aligned ? widths() : std::vector<std::size_t>(columns_.size(), 0);
  std::string titles = "|", rule = "|", rows;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const Align align = columns_[i].align;
    titles += " " + padded(columns_[i].title, sizes[i], align) + " |";
    const std::string dashes(std::max<std::size_t>(sizes[i], align == Align::Right ? 4 : 3), '-');
    rule += align == Align::Right ? " " + dashes.substr(1) + ": |" : " " + dashes + " |";
  }
  for (const auto& row : rows_) {
    rows += "|";
    for (std::size_t i = 0; i < row.size(); ++i) rows += " " + padded(row[i], sizes[i], columns_[i].align) + " |";
    rows += "\n";
  }
  return titles + "\n" + rule + "\n" + rows;
}

}  // namespace gguf_fuse::cli
