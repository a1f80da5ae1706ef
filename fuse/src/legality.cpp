// SPDX-License-Identifier: MIT
#include "legality.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace gguf_fuse {
namespace {

using Refusal = std::optional<std::string>;

// Dimensions are below 2^63; tensors without elements may have any number of rows.
constexpr std::uint64_t kMostRows = std::uint64_t{1} << 62;

std::string_view engine_name(Target target) {
  return target == Target::Both ? "one of the engines" : target_name(target);
}

// Whether the target's engines are all among `engines`.
bool all_of_target(std::uint8_t engines, Target target) {
  const std::uint8_t wanted = target_row(target).engines;
  return (engines & wanted) == wanted;
}

std::string join_parts(const Rule& rule, const std::array<const LogicalTensor*, kMostParts>& parts, bool present) {
  std::string names;
  for (std::size_t i = 0; i < rule.part_count(); ++i) {
    if ((parts[i] != nullptr) != present) continue;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", rule.parts[i]);
  }
  return names;
}

Refusal refuse_target(const ModelView& view, const Rule& rule, Target target) {
  const std::string_view trap = view.row() != nullptr ? view.row()->trap : std::string_view{};
  switch (support(target, view.architecture(), rule.id)) {
    case Support::Yes:
    case Support::Required:
      return std::nullopt;
    case Support::Unknown:
      return fmt::format("{} is not known to read fused tensors of \"{}\"", engine_name(target),
                         escape_text(view.architecture()));
    case Support::Crashes:
      return fmt::format("{}", trap.empty() ? "the engine would go wrong on it" : trap);
    case Support::No:
    case Support::None:
      break;
  }
  return fmt::format("{} reads no fused {} in {}", engine_name(target), rule.result, view.architecture());
}

Refusal refuse_type(const Rule& rule, const Parts& parts, Target target) {
  const TensorType& type = *parts.weights[0]->type;
  for (std::size_t i = 1; i < rule.part_count(); ++i) {
    if (parts.weights[i]->type == &type) continue;
    std::string text = "types differ:";
    for (std::size_t j = 0; j < rule.part_count(); ++j)
      text += fmt::format("{} {} {}", j ? "," : "", rule.parts[j], parts.weights[j]->type->name);
    return text;
  }
  if (!type.rows_are_self_contained()) return fmt::format("{} keeps one scale for the whole tensor", type.name);
  if (!all_of_target(type.engines, target))
    return fmt::format("{} cannot read type {}", engine_name(target), type.name);
  return std::nullopt;
}

Refusal refuse_shape(const Rule& rule, const Parts& parts) {
  const LogicalTensor& first = *parts.weights[0];
  if (first.dimension_count != rule.dimension_count)
    return fmt::format("{} has {} dimensions", rule.parts[0], first.dimension_count);
  for (std::size_t i = 1; i < rule.part_count(); ++i) {
    const LogicalTensor& part = *parts.weights[i];
    const bool equal_rows = rule.rows == PartRows::OfHeads || part.dims[1] == first.dims[1];
    if (part.dims[0] != first.dims[0] || part.dims[2] != first.dims[2] ||
        part.dimension_count != first.dimension_count || !equal_rows) {
      return fmt::format("shapes differ: {} [{}], {} [{}]", rule.parts[0], fmt::join(first.dims, ", "), rule.parts[i],
                         fmt::join(part.dims, ", "));
    }
  }
  Dimensions whole = first.dims;
  for (std::size_t i = 1; i < rule.part_count(); ++i)
    whole[1] = std::min(whole[1] + parts.weights[i]->dims[1], kMostRows);
  if (whole[1] == kMostRows || !tensor_bytes(*first.type, whole))
    return "the fused tensor would be too large for any file";
  for (std::size_t i = 0; i < rule.part_count(); ++i) {
    const LogicalTensor& part = *parts.weights[i];
    if (!can_cut(part, {.rows = {part.dims[1]}}))
      return fmt::format("{} is not made of whole row groups", rule.parts[i]);
  }
  return std::nullopt;
}

bool bias_fits(const LogicalTensor& bias, const LogicalTensor& weight, const LogicalTensor& first_bias) {
  return bias.type == first_bias.type && bias.dimension_count == first_bias.dimension_count &&
         bias.dims[0] == weight.dims[1] && bias.dims[1] == weight.dims[2] && bias.dims[2] == 1 && bias.dims[3] == 1 &&
         can_cut(bias, {.rows = {bias.dims[0]}, .along_elements = true});
}

Refusal refuse_biases(const ModelView& view, const Rule& rule, const Parts& parts, Target target) {
  if (parts.bias_count == 0) return std::nullopt;
  if (parts.bias_count != rule.part_count()) {
    return fmt::format("only {} has a bias, which engines would ignore", join_parts(rule, parts.biases, true));
  }
  if (!all_of_target(rule.family->bias_engines, target))
    return fmt::format("{} has no place for biases", engine_name(target));
  if (target != Target::GgufFuse && view.has_trait(kNoFusedBias))
    return fmt::format("{} ignores the bias of {}", engine_name(target), rule.result);
  for (std::size_t i = 0; i < rule.part_count(); ++i) {
    if (!bias_fits(*parts.biases[i], *parts.weights[i], *parts.biases[0]))
      return fmt::format("the bias of {} does not fit its rows", rule.parts[i]);
  }
  return std::nullopt;
}

// Tensors and flags beside the weights that a single fused tensor could not carry.
Refusal refuse_companions(const ModelView& view, const Rule& rule, std::uint32_t layer, const Parts& parts) {
  for (const std::string_view part : rule.part_names()) {
    for (const std::string_view attribute : {"scale", "input_scale"}) {
      if (view.find(layer, part, attribute) != nullptr) return fmt::format("{} has a .{} of its own", part, attribute);
    }
  }
  const bool precise = view.wants_precise_activations(parts.weights[0]->name);
  for (std::size_t i = 1; i < rule.part_count(); ++i) {
    if (view.wants_precise_activations(parts.weights[i]->name) != precise) {
      return "general.tensor_extra.prec_a4 asks for different activations";
    }
  }
  for (const std::string_view attribute : {"weight", "bias"}) {
    const LogicalTensor* result = view.find(layer, rule.result, attribute);
    if (result != nullptr && !rule.result_is_part())
      return fmt::format("{} is there already, beside its parts", rule.result);
  }
  return std::nullopt;
}

Refusal refuse_heads(const ModelView& view, const Rule& rule, std::uint32_t layer, const Parts& parts, Target target) {
  if (target != Target::GgufFuse && view.has_trait(kQkNormBreaks) &&
      (view.find(layer, "attn_q_norm", "weight") != nullptr || view.find(layer, "attn_k_norm", "weight") != nullptr)) {
    return std::string(view.row()->trap);
  }
  if (view.borrows_keys(layer)) return "this layer uses the keys and values of an earlier one";
  const Stated heads = view.hyperparameter("attention.head_count", layer);
  const Stated stated_key_heads = view.hyperparameter("attention.head_count_kv", layer);
  if (!heads) return heads.error();
  if (!stated_key_heads) return stated_key_heads.error();
  if (!*heads) return "the model does not say attention.head_count";
  const std::uint64_t key_heads = stated_key_heads->value_or(**heads);
  if (**heads == 0 || key_heads == 0) {
    return fmt::format("{} is 0 here: a layer of another kind, whose Q, K and V stay as they are",
                       **heads == 0 ? "attention.head_count" : "attention.head_count_kv");
  }
  const std::array<std::uint64_t, 3> counts = {**heads, key_heads, key_heads};
  for (std::size_t i = 0; i < rule.part_count(); ++i) {
    const std::uint64_t rows = parts.weights[i]->dims[1];
    if (rows % counts[i] != 0)
      return fmt::format("{} has {} rows, not a multiple of {} heads", rule.parts[i], rows, counts[i]);
  }
  return std::nullopt;
}

}  // namespace

Parts find_parts(const ModelView& view, const Rule& rule, std::uint32_t layer) {
  Parts parts;
  for (std::size_t i = 0; i < rule.part_count(); ++i) {
    parts.weights[i] = view.find(layer, rule.parts[i], "weight");
    parts.biases[i] = view.find(layer, rule.parts[i], "bias");
    parts.weight_count += parts.weights[i] != nullptr;
    parts.bias_count += parts.biases[i] != nullptr;
  }
  return parts;
}

Refusal refusal(const ModelView& view, const Rule& rule, std::uint32_t layer, Target target) {
  if (auto reason = refuse_target(view, rule, target)) return reason;
  const Parts parts = find_parts(view, rule, layer);
  if (parts.weight_count != rule.part_count()) {
    return fmt::format("has {} but no {}", join_parts(rule, parts.weights, true),
                       join_parts(rule, parts.weights, false));
  }
  if (auto reason = refuse_type(rule, parts, target)) return reason;
  if (auto reason = refuse_shape(rule, parts)) return reason;
  if (auto reason = refuse_biases(view, rule, parts, target)) return reason;
  if (auto reason = refuse_companions(view, rule, layer, parts)) return reason;
  return rule.rows == PartRows::OfHeads ? refuse_heads(view, rule, layer, parts, target) : std::nullopt;
}

}  // namespace gguf_fuse
