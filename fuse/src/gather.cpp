// SPDX-License-Identifier: MIT
#include "gather.hpp"

#include <algorithm>

namespace gguf_fuse::fuse::detail {
namespace {

// The first tensor that ends after `offset`. Tensors lie in the order of their offsets.
std::vector<PlannedTensor>::const_iterator first_tensor(const PlannedFile& file, std::uint64_t offset) {
  return std::partition_point(file.tensors.begin(), file.tensors.end(),
                              [offset](const PlannedTensor& tensor) { return tensor.offset + tensor.bytes <= offset; });
}

}  // namespace

Result<void> for_each_piece(const PlannedFile& file, std::uint64_t begin, std::uint64_t end,
                            const std::function<Result<void>(const PlannedTensor&, const Piece&)>& function) {
  for (auto tensor = first_tensor(file, begin); tensor != file.tensors.end() && tensor->offset < end; ++tensor) {
    const std::uint64_t from = begin > tensor->offset ? begin - tensor->offset : 0;
    for (const Run& run : tensor->map.runs()) {
      Result<void> done;
      for_each_piece_in_output(run, from, end - tensor->offset, [&](Piece piece) {
        piece.offset += tensor->offset;
        if (done) done = function(*tensor, piece);
      });
      if (done) continue;
      Error error = std::move(done).error();
      if (error.subject.empty()) error.subject = tensor->name;
      return fail(std::move(error));
    }
  }
  return {};
}

Result<void> gather_tensors(const PlannedFile& file, Model& model, std::uint64_t begin, std::span<std::byte> out) {
  return for_each_piece(file, begin, begin + out.size(), [&](const PlannedTensor&, const Piece& piece) {
    return model.sources[piece.source]->read_at(piece.source_offset, out.subspan(piece.offset - begin, piece.bytes));
  });
}

Result<void> gather(const PlannedFile& file, Model& model, std::uint64_t begin, std::span<std::byte> out) {
  std::fill(out.begin(), out.end(), std::byte{0});
  if (begin < file.header.size()) {
    const auto part =
        std::span(file.header).subspan(begin, std::min<std::uint64_t>(file.header.size() - begin, out.size()));
    std::copy(part.begin(), part.end(), out.begin());
  }
  return gather_tensors(file, model, begin, out);
}

std::string_view tensor_at(const PlannedFile& file, std::uint64_t offset) {
  const auto tensor = first_tensor(file, offset);
  const bool inside = tensor != file.tensors.end() && tensor->offset <= offset;
  return inside ? std::string_view(tensor->name) : std::string_view();
}

}  // namespace gguf_fuse::fuse::detail
