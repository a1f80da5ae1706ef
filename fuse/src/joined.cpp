// SPDX-License-Identifier: MIT
#include "joined.hpp"

namespace gguf_fuse::fuse::detail {
namespace {

/// Whether the tensor with the result's name is the part of that name alone.
bool is_plain_part(const ModelView& view, const Rule& rule, std::uint32_t layer, const LogicalTensor& tensor) {
  return rule.result_is_part() && stated_length(view, rule, layer) == tensor.dims[1];
}

Joined joined(const Rule& rule, std::uint32_t layer, bool of_elements, const LogicalTensor& tensor,
              const UnfuseCut& cut) {
  Joined result{.rule = rule.id, .stored = true, .of_elements = of_elements, .parts = {}};
  const std::size_t axis = result.of_elements ? 0 : 1;
  if (!cut) {
    result.unknown = cut.error();
  } else {
    std::uint64_t rows = 0;
    for (const std::uint64_t part : cut->rows) rows += part;
    if (rows != tensor.dims[axis]) result.unknown = because<ReasonCode::OtherFusedBias>();
    if (!can_cut(tensor, {.rows = cut->rows, .along_elements = result.of_elements}))
      result.unknown = because<ReasonCode::CutInGroup>();
  }
  for (std::size_t i = 0; i < rule.part_names().size(); ++i) {
    result.parts.push_back(
        {.name = tensor_name(layer, rule.parts[i], result.attribute()), .rows = result.unknown ? 0 : cut->rows[i]});
  }
  return result;
}

}  // namespace

std::unordered_map<std::uint32_t, Joined> stored_joined(const ModelView& view) {
  std::unordered_map<std::uint32_t, Joined> result;
  for (const Rule& rule : rules()) {
    if (rule.axis != Axis::Rows) continue;  // a stack is what an unfused file has
    for (const std::uint32_t layer : view.layers()) {
      const LogicalTensor* const weight = view.find(layer, rule.result, "weight");
      if (weight == nullptr || view.find(layer, rule.parts[0], "weight") != nullptr) continue;
      if (rule.own_in_recurrent && view.recurrent(layer)) continue;
      if (is_plain_part(view, rule, layer, *weight)) continue;
      const UnfuseCut cut = natural_cut(view, rule, layer, *weight);
      result.emplace(weight->index, joined(rule, layer, false, *weight, cut));
      if (const LogicalTensor* const bias = view.find(layer, rule.result, "bias"))
        result.emplace(bias->index, joined(rule, layer, true, *bias, cut));
    }
  }
  return result;
}

}  // namespace gguf_fuse::fuse::detail
