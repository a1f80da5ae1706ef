// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "legality.hpp"

namespace gguf_fuse::fuse {
namespace {

/// Cuts fused tensors of `model` wherever `other` has their parts, whose shapes say where.
void match_parts(LogicalModel& model, const LogicalModel& other) {
  const TensorIndex others = index_by_name(other.tensors);
  std::set<std::string, std::less<>> own;
  for (const LogicalTensor& tensor : model.tensors) own.insert(tensor.name);
  std::vector<LogicalTensor> tensors;
  for (LogicalTensor& tensor : model.tensors) {
    const auto layer = layer_of(tensor.name);
    bool cut_done = false;
    for (const Rule& rule : rules()) {
      for (const std::string_view attribute : {"weight", "bias"}) {
        if (cut_done || !layer || tensor.name != fmt::format("blk.{}.{}.{}", *layer, rule.result, attribute)) continue;
        Cut cut{.rows = {}, .along_elements = attribute == "bias"};
        std::vector<std::string> names;
        std::uint64_t rows = 0;
        for (std::size_t i = 0; i < rule.part_count(); ++i) {
          names.push_back(fmt::format("blk.{}.{}.{}", *layer, rule.parts[i], attribute));
          const auto found = others.find(names.back());
          // A file may hold a tensor both ways; then each has its own counterpart.
          if (found == others.end() || (names.back() != tensor.name && own.contains(names.back()))) break;
          cut.rows.push_back(other.tensors[found->second].dims[cut.along_elements ? 0 : 1]);
          rows += cut.rows.back();
        }
        if (cut.rows.size() != rule.part_count() || rows != tensor.dims[cut.along_elements ? 0 : 1] ||
            !can_cut(tensor, cut))
          continue;
        for (std::size_t i = 0; i < rule.part_count(); ++i) tensors.push_back(cut_part(tensor, cut, i, names[i]));
        cut_done = true;
      }
    }
    if (!cut_done) tensors.push_back(std::move(tensor));
  }
  model.tensors = std::move(tensors);
}

Error differs(const ModelInfo& model, std::string_view tensor, std::string expected, std::string actual) {
  return {.code = ErrorCode::TensorsDiffer,
          .path = model.shards.front().path,
          .subject = std::string(tensor),
          .expected = std::move(expected),
          .actual = std::move(actual)};
}

std::string describe(const LogicalTensor& tensor) {
  return fmt::format("{} [{}]", tensor.type->name,
                     fmt::join(tensor.dims.begin(), tensor.dims.begin() + std::max(1U, tensor.dimension_count), ", "));
}

/// The tensors of the derived files with, for each, where its bytes are found in the original.
class Relation {
 public:
  explicit Relation(const ModelInfo& derived) {
    for (const Container& shard : derived.shards) {
      PlannedFile file;
      for (const TensorInfo& tensor : shard.tensors) {
        PlannedTensor planned;
        planned.name = tensor.name;
        planned.type = tensor.type;
        planned.dimension_count = tensor.dimension_count;
        planned.dims = tensor.dims;
        planned.offset = shard.data_offset + tensor.offset;
        planned.bytes = tensor.bytes;
        file.tensors.push_back(std::move(planned));
      }
      file.total_bytes = shard.data_offset + shard.data_bytes;
      files_.push_back(std::move(file));
    }
  }

  void add(const LogicalTensor& derived, const LogicalTensor& original) {
    for (const Run& run : derived.map.runs()) {
      PlannedTensor& tensor = tensor_at(run.source, run.source_offset);
      const Run back{.source_offset = run.offset,
                     .source_stride = run.stride,
                     .offset = run.source_offset - tensor.offset,
                     .stride = run.source_stride,
                     .bytes = run.bytes,
                     .count = run.count};
      ByteMap map;
      map.add(back, original.map);
      tensor.map.append(map);
    }
  }

  [[nodiscard]] std::vector<PlannedFile> take() { return std::move(files_); }

 private:
  PlannedTensor& tensor_at(std::uint32_t file, std::uint64_t offset) {
    auto& tensors = files_[file].tensors;
    const auto after =
        std::upper_bound(tensors.begin(), tensors.end(), offset,
                         [](std::uint64_t wanted, const PlannedTensor& tensor) { return wanted < tensor.offset; });
    return *(after - 1);
  }

  std::vector<PlannedFile> files_;
};

}  // namespace

Result<Plan> plan_compare(const ModelInfo& derived, const ModelInfo& original) {
  GGUF_FUSE_ASSIGN(LogicalModel left, original_model(derived));
  GGUF_FUSE_ASSIGN(LogicalModel right, original_model(original));
  match_parts(left, right);
  match_parts(right, left);
  const TensorIndex by_name = index_by_name(left.tensors);
  const TensorIndex wanted = index_by_name(right.tensors);
  const auto lacks = [](const TensorIndex& index) {
    return [&index](const LogicalTensor& tensor) { return !index.contains(tensor.name); };
  };
  const auto lost = std::find_if(right.tensors.begin(), right.tensors.end(), lacks(by_name));
  const auto more = std::find_if(left.tensors.begin(), left.tensors.end(), lacks(wanted));
  const auto alone = std::count_if(right.tensors.begin(), right.tensors.end(), lacks(by_name)) +
                     std::count_if(left.tensors.begin(), left.tensors.end(), lacks(wanted));
  if (alone != 0) {
    Error error = lost != right.tensors.end() ? differs(derived, lost->name, describe(*lost), "no such tensor")
                                              : differs(derived, more->name, "no such tensor", describe(*more));
    const bool mostly = 4 * static_cast<std::size_t>(alone) > right.tensors.size();
    if (mostly) error.code = ErrorCode::DifferentModels;
    if (!mostly) error.hint = "one of the two files has tensors that the other lacks";
    return fail(std::move(error));
  }
  Relation relation(derived);
  for (const LogicalTensor& tensor : right.tensors) {
    const LogicalTensor& counterpart = left.tensors[by_name.find(tensor.name)->second];
    if (counterpart.type != tensor.type || counterpart.dims != tensor.dims) {
      Error error = differs(derived, tensor.name, describe(tensor), describe(counterpart));
      if (counterpart.dims != tensor.dims) error.code = ErrorCode::DifferentModels;
      if (counterpart.dims == tensor.dims)
        error.hint = "one of the two was quantised differently; give the very file that the other was made from";
      return fail(std::move(error));
    }
    relation.add(counterpart, tensor);
  }
  Plan plan;
  plan.files = relation.take();
  return plan;
}

}  // namespace gguf_fuse::fuse
