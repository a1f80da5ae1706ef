// SPDX-License-Identifier: MIT
#include "legality.hpp"

#include <algorithm>

namespace gguf_fuse::fuse::detail {
namespace {

using Refusal = std::optional<Reason>;

// Dimensions are below 2^63; tensors without elements may have any number of rows.
constexpr std::uint64_t kMostRows = std::uint64_t{1} << 62;

template <ReasonCode Code, typename... Arguments>
Reason engine_reason(Target target, const Arguments&... arguments) {
  Reason reason = because<Code>(arguments...);
  reason.engine = target == Target::Both ? "one of the engines" : target_name(target);
  return reason;
}

Reason trap(const ModelView& view) {
  Reason reason = because<ReasonCode::EngineTrap>(view.row()->trap.text);
  reason.engine = view.row()->trap.engine;
  return reason;
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
  switch (support(target, view.architecture(), rule.id)) {
    case Support::Yes:
    case Support::Required:
      return std::nullopt;
    case Support::Unknown:
      return engine_reason<ReasonCode::EngineUntold>(target, escape_text(view.architecture()));
    case Support::Crashes:
      return trap(view);
    case Support::No:
    case Support::None:
      break;
  }
  return engine_reason<ReasonCode::EngineReadsNone>(target, rule.result, view.architecture());
}

Refusal refuse_type(const Rule& rule, const Parts& parts, Target target) {
  const TensorType& type = *parts.weights[0]->type;
  for (std::size_t i = 1; i < rule.part_count(); ++i) {
    if (parts.weights[i]->type == &type) continue;
    std::string types;
    for (std::size_t j = 0; j < rule.part_count(); ++j)
      types += fmt::format("{}{} {}", j ? ", " : "", rule.parts[j], parts.weights[j]->type->name);
    return because<ReasonCode::TypesDiffer>(types);
  }
  if (!type.rows_are_self_contained()) return because<ReasonCode::OneScale>(type.name);
  if (!all_of_target(type.engines, target)) return engine_reason<ReasonCode::EngineLacksType>(target, type.name);
  return std::nullopt;
}

Refusal refuse_shape(const Rule& rule, const Parts& parts) {
  const LogicalTensor& first = *parts.weights[0];
  if (first.dimension_count != rule.dimension_count)
    return because<ReasonCode::OtherDimensions>(rule.parts[0], first.dimension_count);
  for (std::size_t i = 1; i < rule.part_count(); ++i) {
    const LogicalTensor& part = *parts.weights[i];
    const bool equal_rows = rule.rows == PartRows::OfHeads || part.dims[1] == first.dims[1];
    if (part.dims[0] != first.dims[0] || part.dims[2] != first.dims[2] ||
        part.dimension_count != first.dimension_count || !equal_rows) {
      const auto sizes = [](const LogicalTensor& one) { return fmt::format("{}", fmt::join(one.dims, ", ")); };
      return because<ReasonCode::ShapesDiffer>(rule.parts[0], sizes(first), rule.parts[i], sizes(part));
    }
  }
  Dimensions whole = first.dims;
  for (std::size_t i = 1; i < rule.part_count(); ++i)
    whole[1] = std::min(whole[1] + parts.weights[i]->dims[1], kMostRows);
  if (whole[1] == kMostRows || !tensor_bytes(*first.type, whole)) return because<ReasonCode::TooLarge>();
  for (std::size_t i = 0; i < rule.part_count(); ++i) {
    const LogicalTensor& part = *parts.weights[i];
    if (!can_cut(part, {.rows = {part.dims[1]}})) return because<ReasonCode::PartialGroups>(rule.parts[i]);
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
    return because<ReasonCode::SomeBiases>(join_parts(rule, parts.biases, true));
  }
  if (!all_of_target(rule.family->bias_engines, target)) return engine_reason<ReasonCode::EngineLacksBiases>(target);
  if (target != Target::GgufFuse && view.has_trait(kNoFusedBias))
    return engine_reason<ReasonCode::EngineIgnoresBias>(target, rule.result);
  for (std::size_t i = 0; i < rule.part_count(); ++i) {
    if (!bias_fits(*parts.biases[i], *parts.weights[i], *parts.biases[0]))
      return because<ReasonCode::OtherBias>(rule.parts[i]);
  }
  return std::nullopt;
}

// Engines look for one scale beside a fused tensor. gguf-run multiplies rows, whatever tensor they are in.
Refusal refuse_scales(const ModelView& view, const Rule& rule, std::uint32_t layer, Target target) {
  if (target == Target::GgufFuse) return std::nullopt;
  for (const std::string_view part : rule.part_names()) {
    for (const std::string_view attribute : {"scale", "input_scale"}) {
      if (view.find(layer, part, attribute) != nullptr) return because<ReasonCode::OwnScale>(part, attribute);
    }
  }
  return std::nullopt;
}

// Tensors and flags beside the weights that a single fused tensor could not carry.
Refusal refuse_companions(const ModelView& view, const Rule& rule, std::uint32_t layer, const Parts& parts) {
  const bool precise = view.wants_precise_activations(parts.weights[0]->name);
  for (std::size_t i = 1; i < rule.part_count(); ++i) {
    if (view.wants_precise_activations(parts.weights[i]->name) != precise) {
      return because<ReasonCode::ActivationsDiffer>();
    }
  }
  for (const std::string_view attribute : {"weight", "bias"}) {
    const LogicalTensor* result = view.find(layer, rule.result, attribute);
    if (result != nullptr && !rule.result_is_part()) return because<ReasonCode::ResultThere>(rule.result);
  }
  return std::nullopt;
}

Refusal refuse_heads(const ModelView& view, const Rule& rule, std::uint32_t layer, const Parts& parts, Target target) {
  if (target != Target::GgufFuse && view.has_trait(kQkNormBreaks) &&
      (view.find(layer, "attn_q_norm", "weight") != nullptr || view.find(layer, "attn_k_norm", "weight") != nullptr)) {
    return trap(view);
  }
  if (view.borrows_keys(layer)) return because<ReasonCode::KeysBorrowed>();
  const Stated heads = view.hyperparameter("attention.head_count", layer);
  const Stated stated_key_heads = view.hyperparameter("attention.head_count_kv", layer);
  if (!heads) return heads.error();
  if (!stated_key_heads) return stated_key_heads.error();
  if (!*heads) return because<ReasonCode::NotStated>("attention.head_count");
  const std::uint64_t key_heads = stated_key_heads->value_or(**heads);
  if (**heads == 0 || key_heads == 0) {
    return because<ReasonCode::NoHeads>(**heads == 0 ? "attention.head_count" : "attention.head_count_kv");
  }
  const std::array<std::uint64_t, 3> counts = {**heads, key_heads, key_heads};
  for (std::size_t i = 0; i < rule.part_count(); ++i) {
    const std::uint64_t rows = parts.weights[i]->dims[1];
    if (rows % counts[i] != 0) return because<ReasonCode::RowsBetweenHeads>(rule.parts[i], rows, counts[i]);
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
    return because<ReasonCode::PartsMissing>(join_parts(rule, parts.weights, true),
                                             join_parts(rule, parts.weights, false));
  }
  if (auto reason = refuse_type(rule, parts, target)) return reason;
  if (auto reason = refuse_shape(rule, parts)) return reason;
  if (auto reason = refuse_biases(view, rule, parts, target)) return reason;
  if (auto reason = refuse_scales(view, rule, layer, target)) return reason;
  if (auto reason = refuse_companions(view, rule, layer, parts)) return reason;
  return rule.rows == PartRows::OfHeads ? refuse_heads(view, rule, layer, parts, target) : std::nullopt;
}

}  // namespace gguf_fuse::fuse::detail
