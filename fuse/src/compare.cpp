// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "gather.hpp"
#include "plan_check.hpp"
#include "scatter.hpp"
#include "workers.hpp"

namespace gguf_fuse::fuse {
namespace {

Error difference(const Source& output, std::string_view tensor, std::uint64_t offset, std::string expected = {},
                 std::string actual = {}) {
  return {.code = ErrorCode::TensorsDiffer,
          .path = output.path(),
          .subject = tensor.empty() ? std::string("header or padding") : std::string(tensor),
          .offset = offset,
          .expected = std::move(expected),
          .actual = std::move(actual)};
}

std::string hex(std::byte value) { return fmt::format("{:#04x}", static_cast<unsigned>(value)); }

Result<void> check_equal(const Source& output, const PlannedFile& file, std::uint64_t begin,
                         std::span<const std::byte> expected, std::span<const std::byte> actual) {
  if (std::memcmp(expected.data(), actual.data(), expected.size()) == 0) return {};
  const auto [left, right] = std::mismatch(expected.begin(), expected.end(), actual.begin());
  const std::uint64_t offset = begin + static_cast<std::uint64_t>(left - expected.begin());
  return fail(difference(output, tensor_at(file, offset), offset, hex(*left), hex(*right)));
}

/// Compares one output file with what the plan says it holds.
class FileCompare {
 public:
  FileCompare(const PlannedFile& file, Model& model, Source& output, std::uint64_t chunk_bytes, Control* control)
      : file_(file), model_(model), output_(output), chunk_bytes_(chunk_bytes), control_(control) {
    // Without a header the plan only relates tensors, and a stream's header was read already.
    start_ = file.header.empty() && !file.tensors.empty() ? file.tensors.front().offset : 0;
  }

  Result<void> work(FirstError& first) {
    std::vector<std::byte> expected;
    std::vector<std::byte> actual;
    while (!first.is_set()) {
      if (cancelled(control_)) return fail(interrupted());
      const std::uint64_t begin = start_ + next_chunk_.fetch_add(1) * chunk_bytes_;
      if (begin >= file_.total_bytes) break;
      const std::uint64_t bytes = std::min(chunk_bytes_, file_.total_bytes - begin);
      actual.resize(bytes);
      GGUF_FUSE_CHECK(output_.read_at(begin, actual));
      if (file_.header.empty()) {
        GGUF_FUSE_CHECK(check_pieces(begin, expected, actual));
      } else {
        expected.resize(bytes);
        GGUF_FUSE_CHECK(gather(file_, model_, begin, expected));
        GGUF_FUSE_CHECK(check_equal(output_, file_, begin, expected, actual));
      }
      count_bytes(control_, bytes);
    }
    return {};
  }

 private:
  // One by one: a place of the output may be more than one place of the model.
  Result<void> check_pieces(std::uint64_t begin, std::vector<std::byte>& expected, std::span<const std::byte> actual) {
    return for_each_piece(
        file_, begin, begin + actual.size(), [&](const PlannedTensor&, const Piece& piece) -> Result<void> {
          expected.resize(piece.bytes);
          GGUF_FUSE_CHECK(model_.sources[piece.source]->read_at(piece.source_offset, expected));
          return check_equal(output_, file_, piece.offset, expected, actual.subspan(piece.offset - begin, piece.bytes));
        });
  }

  const PlannedFile& file_;
  Model& model_;
  Source& output_;
  std::uint64_t chunk_bytes_;
  Control* control_;
  std::uint64_t start_ = 0;
  std::atomic<std::uint64_t> next_chunk_{0};
};

Result<void> compare_stream(const Plan& plan, Model& model, Sources& outputs, const PipelineOptions& options) {
  const auto checked = walk_stream(plan, model, options, [&](const Window& window) -> Result<void> {
    std::vector<std::byte> actual;
    for (const ScatteredPiece& item : window.pieces) {
      actual.resize(item.piece.bytes);
      GGUF_FUSE_CHECK(outputs[item.file]->read_at(item.piece.offset, actual));
      const auto expected = std::span(window.bytes).subspan(item.piece.source_offset - window.begin, item.piece.bytes);
      GGUF_FUSE_CHECK(check_equal(*outputs[item.file], plan.files[item.file], item.piece.offset, expected, actual));
    }
    return {};
  });
  if (!checked) return fail(checked.error());
  return {};
}

}  // namespace

Result<void> compare(const Plan& plan, Model& model, Sources& outputs, const PipelineOptions& options) {
  GGUF_FUSE_CHECK(check_plan(plan, model));
  GGUF_FUSE_CHECK(check_sides(plan, outputs));
  start_count(options.control, plan.total_bytes());
  if (model.sequential()) return compare_stream(plan, model, outputs, options);
  GGUF_FUSE_ASSIGN(const WorkSize size, work_size(options, 2));
  for (std::size_t i = 0; i < plan.files.size(); ++i) {
    FileCompare file(plan.files[i], model, *outputs[i], size.chunk_bytes, options.control);
    const unsigned threads = outputs[i]->sequential() ? 1 : size.threads;
    GGUF_FUSE_CHECK(run_threads(threads, [&](FirstError& first) { return file.work(first); }));
  }
  return model.check_unchanged();
}

Result<void> compare(const Plan& plan, const std::vector<Extent>& extents, Sources& outputs,
                     const PipelineOptions& options) {
  GGUF_FUSE_CHECK(check_sides(plan, outputs));
  std::uint64_t total = 0;
  for (const Extent& extent : extents) {
    if (extent.file >= plan.files.size()) {
      return fail({.code = ErrorCode::InvalidArgument,
                   .path = "plan",
                   .expected = fmt::format("one of {} files", plan.files.size()),
                   .actual = fmt::format("file {}", extent.file),
                   .hint = "give the extents that executing this plan returned"});
    }
    total += extent.bytes;
  }
  start_count(options.control, total);
  GGUF_FUSE_ASSIGN(const WorkSize size, work_size(options, 1));
  std::atomic<std::size_t> next{0};
  return run_threads(size.threads, [&](FirstError& first) -> Result<void> {
    std::vector<std::byte> buffer;
    for (std::size_t i = next.fetch_add(1); i < extents.size() && !first.is_set(); i = next.fetch_add(1)) {
      if (cancelled(options.control)) return fail(interrupted());
      const Extent& extent = extents[i];
      Source& output = *outputs[extent.file];
      buffer.resize(extent.bytes);
      GGUF_FUSE_CHECK(output.read_at(extent.offset, buffer));
      if (XXH64(buffer.data(), buffer.size(), 0) != extent.hash) {
        return fail(difference(output, tensor_at(plan.files[extent.file], extent.offset), extent.offset));
      }
      count_bytes(options.control, extent.bytes);
    }
    return {};
  });
}

}  // namespace gguf_fuse::fuse
