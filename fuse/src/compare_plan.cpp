// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "legality.hpp"

namespace gguf_fuse::fuse {
namespace {

/// Cuts fused tensors of a model wherever another one has their parts, whose shapes say where.
class Matcher {
 public:
  Matcher(LogicalModel& model, const LogicalModel& other) : model_(model), other_(other) {
    others_ = index_by_name(other.tensors);
    for (const LogicalTensor& tensor : model.tensors) own_.insert(tensor.name);
  }

  void run() {
    std::vector<LogicalTensor> tensors;
    for (LogicalTensor& tensor : model_.tensors) take(std::move(tensor), tensors);
    model_.tensors = std::move(tensors);
  }

 private:
  // What a rule makes may be a part of what another one makes.
  void take(LogicalTensor tensor, std::vector<LogicalTensor>& tensors) const {
    const auto layer = layer_of(tensor.name);
    if (layer && take_common(*layer, tensor, tensors)) return;
    for (const Rule& rule : rules()) {
      for (const std::string_view attribute : {"weight", "bias"}) {
        if (!layer || tensor.name != tensor_name(*layer, rule.result, attribute)) continue;
        Cut cut{.rows = {}, .along_elements = attribute == "bias", .stack = rule.axis == Axis::Matrices};
        const std::vector<std::string> names = part_names(rule, *layer, attribute);
        if (!find_rows(rule, *layer, names, cut) || !fits(tensor, cut)) continue;
        for (LogicalTensor& part : cut_apart(tensor, cut, names)) {
          const bool found = others_.contains(part.name);
          found ? tensors.push_back(std::move(part)) : take(std::move(part), tensors);
        }
        return;
      }
    }
    tensors.push_back(std::move(tensor));
  }

  // A scale that stands for equal ones of the other model.
  bool take_common(std::uint32_t layer, const LogicalTensor& tensor, std::vector<LogicalTensor>& tensors) const {
    for (const Rule& rule : rules()) {
      for (const std::string_view attribute : kScales) {
        if (!rule.one_scale || tensor.name != tensor_name(layer, rule.result, attribute) || !is_scalar(tensor))
          continue;
        const std::vector<std::string> names = part_names(rule, layer, attribute);
        if (!std::all_of(names.begin(), names.end(),
                         [&](const std::string& name) { return others_.contains(name) && !own_.contains(name); }))
          continue;
        std::vector<LogicalTensor> copies = copies_of(tensor, names);
        for (std::size_t i = 1; i < copies.size(); ++i) copies[i].copy_of = tensor.index;
        std::move(copies.begin(), copies.end(), std::back_inserter(tensors));
        return true;
      }
    }
    return false;
  }

  [[nodiscard]] std::vector<std::string> part_names(const Rule& rule, std::uint32_t layer,
                                                    std::string_view attribute) const {
    std::vector<std::string> names;
    if (!rule.numbered()) {
      for (const std::string_view part : rule.part_names()) names.push_back(tensor_name(layer, part, attribute));
      return names;
    }
    for (std::size_t i = 0;; ++i) {
      std::string name = tensor_name(layer, fmt::format("{}.{}", rule.parts[0], i), attribute);
      if (!others_.contains(name)) return names;
      names.push_back(std::move(name));
    }
  }

  static bool fits(const LogicalTensor& tensor, const Cut& cut) {
    const std::uint64_t whole = rows_to_cut(tensor, cut);
    std::uint64_t rows = 0;
    for (const std::uint64_t part : cut.rows) {
      if (part > whole - rows) return false;
      rows += part;
    }
    return rows == whole && can_cut(tensor, cut);
  }

  // The rows of each part in the other model, where it may be stacked of others.
  bool find_rows(const Rule& rule, std::uint32_t layer, const std::vector<std::string>& names, Cut& cut) const {
    const std::string_view attribute = cut.along_elements ? "bias" : "weight";
    for (std::size_t i = 0; i < names.size(); ++i) {
      // A file may hold a tensor both ways; then each has its own counterpart.
      if (names[i] != tensor_name(layer, rule.result, attribute) && own_.contains(names[i])) return false;
      auto found = others_.find(names[i]);
      if (found == others_.end() && !rule.numbered()) found = find_stacked(layer, rule.parts[i], attribute);
      if (found == others_.end()) return false;
      cut.rows.push_back(other_.tensors[found->second].dims[cut.along_elements ? 0 : 1]);
    }
    return !names.empty();
  }

  [[nodiscard]] TensorIndex::const_iterator find_stacked(std::uint32_t layer, std::string_view base,
                                                         std::string_view attribute) const {
    for (const Rule& rule : rules()) {
      if (rule.numbered() && rule.result == base)
        return others_.find(tensor_name(layer, fmt::format("{}.0", rule.parts[0]), attribute));
    }
    return others_.end();
  }

  LogicalModel& model_;
  const LogicalModel& other_;
  TensorIndex others_;
  std::set<std::string, std::less<>> own_;
};

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
      if (derived.copy_of) {
        copies_.emplace_back(run.source, tensor).second.map = map;
      } else {
        tensor.map.append(map);
      }
    }
  }

  /// Copies stand behind the tensor that they have in common.
  [[nodiscard]] std::vector<PlannedFile> take() {
    for (auto& [file, copy] : copies_) files_[file].tensors.push_back(std::move(copy));
    for (PlannedFile& file : files_) {
      std::stable_sort(file.tensors.begin(), file.tensors.end(),
                       [](const PlannedTensor& a, const PlannedTensor& b) { return a.offset < b.offset; });
    }
    return std::move(files_);
  }

 private:
  PlannedTensor& tensor_at(std::uint32_t file, std::uint64_t offset) {
    auto& tensors = files_[file].tensors;
    const auto after =
        std::upper_bound(tensors.begin(), tensors.end(), offset,
                         [](std::uint64_t wanted, const PlannedTensor& tensor) { return wanted < tensor.offset; });
    return *(after - 1);
  }

  std::vector<PlannedFile> files_;
  std::vector<std::pair<std::uint32_t, PlannedTensor>> copies_;
};

}  // namespace

Result<Plan> plan_compare(const ModelInfo& derived, const ModelInfo& original) {
  GGUF_FUSE_ASSIGN(LogicalModel left, original_model(derived));
  GGUF_FUSE_ASSIGN(LogicalModel right, original_model(original));
  Matcher(left, right).run();
  Matcher(right, left).run();
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
