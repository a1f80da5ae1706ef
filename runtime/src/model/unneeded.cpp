// SPDX-License-Identifier: MIT
#include "model/unneeded.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "gguf_fuse/loader/error.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

using Where = UnneededRow::Where;

// Names as llama.cpp (src/llama-arch.cpp, tools/mtmd/clip-impl.h) and Ollama, which keeps vision towers in the same
// file, write them.
constexpr auto kRows = std::to_array<UnneededRow>({
    {Where::Begin, "v.", "a vision tower, which text does not pass"},
    {Where::Begin, "a.", "an audio encoder, which text does not pass"},
    {Where::Begin, "mm.", "a projector of images or sound, which text does not pass"},
    {Where::Anywhere, ".attn_rot_embd", "a table of rotary embedding, which is computed"},
    {Where::Begin, "cls.", "a head that classifies or ranks, behind which no token is"},
    {Where::Begin, "dense_2.", "a projection of sentence embeddings, behind which no token is"},
    {Where::Begin, "dense_3.", "a projection of sentence embeddings, behind which no token is"},
    {Where::End, ".input_scale", "a scale for activations of four bits, which these kernels do not have"},
});

}  // namespace

std::span<const UnneededRow> unneeded_rows() { return kRows; }

const UnneededRow* find_unneeded(std::string_view tensor) {
  const auto* const found = std::find_if(kRows.begin(), kRows.end(), [&](const UnneededRow& row) {
    switch (row.where) {
      case Where::Begin:
        return tensor.starts_with(row.text);
      case Where::Anywhere:
        return tensor.find(row.text) != std::string_view::npos;
      case Where::End:
        return tensor.ends_with(row.text);
    }
    return false;
  });
  return found == kRows.end() ? nullptr : found;
}

std::vector<std::string> left_out_lines(const std::vector<std::string>& tensors) {
  std::vector<std::string> lines;
  for (const UnneededRow& row : kRows) {
    const auto of_row = [&](const std::string& tensor) { return find_unneeded(tensor) == &row; };
    const auto first = std::find_if(tensors.begin(), tensors.end(), of_row);
    if (first == tensors.end()) continue;
    const auto count = std::count_if(tensors.begin(), tensors.end(), of_row);
    lines.push_back(fmt::format("left out: {}{}: {}", escape_text(*first),
                                count == 1 ? "" : fmt::format(" and {} more", count - 1), row.what));
  }
  return lines;
}

}  // namespace gguf_fuse::runtime::detail
