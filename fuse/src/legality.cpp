// SPDX-License-Identifier: MIT
#include "legality.hpp"

#include <algorithm>

#include "gguf_fuse/fuse/part_names.hpp"

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

std::string join_parts(const Parts& parts, const std::vector<const LogicalTensor*>& tensors, bool present) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if ((tensors[i] != nullptr) == present) names.push_back(parts.names[i]);
  }
  return join_names(names);
}

// What of [0, count) is not among `numbers`, which ascend.
std::vector<NumberRange> gaps_between(std::span<const std::uint32_t> numbers, std::uint64_t count) {
  std::vector<NumberRange> gaps;
  std::uint64_t next = 0;
  for (const std::uint64_t number : numbers) {
    if (number >= count) break;
    if (number > next) gaps.emplace_back(next, number - 1);
    next = number + 1;
  }
  if (next < count) gaps.emplace_back(next, count - 1);
  return gaps;
}

Refusal refuse_numbers(const ModelView& view, const Rule& rule, std::uint32_t layer, const Parts& parts) {
  const Stated stated = view.hyperparameter(rule.count_key, layer);
  if (!stated) return stated.error();
  if (!*stated) return because<ReasonCode::NotStated>(rule.count_key);
  const std::span<const std::uint32_t> numbers = view.numbers(layer, rule.parts[0]);
  const std::vector<NumberRange> missing = gaps_between(numbers, **stated);
  if (!missing.empty())
    return because<ReasonCode::PartsMissing>(join_names(parts.names), numbered_text(rule.parts[0], missing));
  if (numbers.size() == **stated) return std::nullopt;
  const std::vector<std::string> beyond(parts.names.begin() + static_cast<std::ptrdiff_t>(**stated), parts.names.end());
  return because<ReasonCode::PartsBeyond>(join_names(beyond), rule.count_key, **stated);
}

Refusal refuse_names(const ModelView& view, const Rule& rule, std::uint32_t layer, const Parts& parts) {
  if (rule.numbered()) return refuse_numbers(view, rule, layer, parts);
  if (parts.weight_count == parts.names.size()) return std::nullopt;
  return because<ReasonCode::PartsMissing>(join_parts(parts, parts.weights, true),
                                           join_parts(parts, parts.weights, false));
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

// Each part with its type; experts in a row of one type are told together.
std::string types_text(const Rule& rule, const Parts& parts) {
  std::string text;
  std::vector<std::string> alike;
  for (std::size_t i = 0; i < parts.names.size(); ++i) {
    alike.push_back(parts.names[i]);
    const TensorType* type = parts.weights[i]->type;
    const bool last = i + 1 == parts.names.size() || parts.weights[i + 1]->type != type;
    if (rule.numbered() && !last) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", join_names(alike), type->name);
    alike.clear();
  }
  return text;
}

Refusal refuse_type(const Rule& rule, const Parts& parts, Target target) {
  const TensorType& type = *parts.weights[0]->type;
  const auto differs = [&type](const LogicalTensor* part) { return part->type != &type; };
  if (std::any_of(parts.weights.begin(), parts.weights.end(), differs))
    return because<ReasonCode::TypesDiffer>(types_text(rule, parts));
  if (!type.rows_are_self_contained()) return because<ReasonCode::OneScale>(type.name);
  if (!all_of_target(type.engines, target)) return engine_reason<ReasonCode::EngineLacksType>(target, type.name);
  return std::nullopt;
}

Refusal refuse_shape(const Rule& rule, const Parts& parts) {
  const LogicalTensor& first = *parts.weights[0];
  if (first.dimension_count != rule.dimension_count)
    return because<ReasonCode::OtherDimensions>(parts.names[0], first.dimension_count);
  for (std::size_t i = 1; i < parts.names.size(); ++i) {
    const LogicalTensor& part = *parts.weights[i];
    const bool rows_fit = !rule.equal_rows() || part.dims[1] == first.dims[1];
    if (part.dims[0] != first.dims[0] || part.dims[2] != first.dims[2] ||
        part.dimension_count != first.dimension_count || !rows_fit) {
      const auto sizes = [](const LogicalTensor& one) { return fmt::format("{}", fmt::join(one.dims, ", ")); };
      return because<ReasonCode::ShapesDiffer>(parts.names[0], sizes(first), parts.names[i], sizes(part));
    }
  }
  Dimensions whole = first.dims;
  const std::size_t axis = Join{.axis = rule.axis}.dimension();
  for (std::size_t i = 1; i < parts.names.size(); ++i)
    whole[axis] = std::min(whole[axis] + parts.weights[i]->dims[axis], kMostRows);
  if (whole[axis] == kMostRows || whole[2] > kMostMatrices || !tensor_bytes(*first.type, whole))
    return because<ReasonCode::TooLarge>();
  for (std::size_t i = 0; i < parts.names.size(); ++i) {
    const LogicalTensor& part = *parts.weights[i];
    if (!can_cut(part, {.rows = {part.dims[1]}})) return because<ReasonCode::PartialGroups>(parts.names[i]);
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
  if (parts.bias_count != parts.names.size()) {
    return because<ReasonCode::SomeBiases>(join_parts(parts, parts.biases, true));
  }
  if (!all_of_target(rule.family->bias_engines, target)) return engine_reason<ReasonCode::EngineLacksBiases>(target);
  if (target != Target::GgufFuse && view.has_trait(kNoFusedBias))
    return engine_reason<ReasonCode::EngineIgnoresBias>(target, rule.result);
  for (std::size_t i = 0; i < parts.names.size(); ++i) {
    if (!bias_fits(*parts.biases[i], *parts.weights[i], *parts.biases[0]))
      return because<ReasonCode::OtherBias>(parts.names[i]);
  }
  return std::nullopt;
}

// A record tells the rows of a stack's parts or those of each matrix, not both of one tensor.
Refusal refuse_stacks(const Parts& parts) {
  for (const auto* tensors : {&parts.weights, &parts.biases}) {
    std::vector<std::string> stacked;
    std::size_t count = 0;
    for (std::size_t i = 0; i < tensors->size(); ++i) {
      const LogicalTensor* tensor = (*tensors)[i];
      if (tensor == nullptr) continue;
      ++count;
      if (tensor->stacked) stacked.push_back(parts.names[i]);
    }
    if (!stacked.empty() && stacked.size() != count) return because<ReasonCode::SomeStacked>(join_names(stacked));
  }
  return std::nullopt;
}

// Whether scales are the same: where they lie at one place, or were read before.
Refusal compare_scales(const Parts& parts, const std::vector<const LogicalTensor*>& scales, std::string_view attribute,
                       const ScaleValues& values) {
  const auto first = values.find(scales[0]->name);
  for (std::size_t i = 1; i < scales.size(); ++i) {
    if (scales[i]->map == scales[0]->map) continue;
    const auto other = values.find(scales[i]->name);
    if (first == values.end() || other == values.end())
      return because<ReasonCode::ScalesUnread>(attribute, join_names(parts.names));
    if (first->second != other->second)
      return because<ReasonCode::ScalesDiffer>(parts.names[i], attribute, parts.names[0], attribute);
  }
  return std::nullopt;
}

// Engines look for one scale beside a fused tensor. gguf-run multiplies rows, whatever tensor they are in, but knows
// none of scales beside the parts of a stack.
Refusal refuse_scales(const ModelView& view, const Rule& rule, std::uint32_t layer, const Parts& parts,
                      const FuseOptions& options) {
  if (options.target == Target::GgufFuse && !rule.numbered()) return std::nullopt;
  for (const std::string_view attribute : kScales) {
    const std::vector<const LogicalTensor*> scales = find_scales(view, layer, parts, attribute);
    if (scales.empty()) continue;
    const auto is_one = [&](const LogicalTensor* scale) {
      return scale != nullptr && is_scalar(*scale) && scales[0] != nullptr &&
             scale->dimension_count == scales[0]->dimension_count;
    };
    const bool readable = rule.one_scale && parts.weights[0]->type->name == kScaledType &&
                          view.find(layer, rule.result, attribute) == nullptr;
    if (!readable || !std::all_of(scales.begin(), scales.end(), is_one)) {
      const auto there = std::find_if(scales.begin(), scales.end(), [](const auto* scale) { return scale != nullptr; });
      return because<ReasonCode::OwnScale>(parts.names[static_cast<std::size_t>(there - scales.begin())], attribute);
    }
    if (view.has_trait(kNoFusedBias)) return engine_reason<ReasonCode::EngineIgnoresScale>(options.target, rule.result);
    if (auto reason = compare_scales(parts, scales, attribute, options.scales)) return reason;
  }
  return std::nullopt;
}

// Tensors and flags beside the weights that a single fused tensor could not carry.
Refusal refuse_companions(const ModelView& view, const Rule& rule, std::uint32_t layer, const Parts& parts) {
  const bool precise = view.wants_precise_activations(parts.weights[0]->name);
  for (std::size_t i = 1; i < parts.names.size(); ++i) {
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

Refusal refuse_heads(const ModelView& view, std::uint32_t layer, const Parts& parts, Target target) {
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
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const std::uint64_t rows = parts.weights[i]->dims[1];
    if (rows % counts[i] != 0) return because<ReasonCode::RowsBetweenHeads>(parts.names[i], rows, counts[i]);
  }
  return std::nullopt;
}

}  // namespace

Parts find_parts(const ModelView& view, const Rule& rule, std::uint32_t layer) {
  Parts parts;
  if (rule.numbered()) {
    for (const std::uint32_t number : view.numbers(layer, rule.parts[0]))
      parts.names.push_back(fmt::format("{}.{}", rule.parts[0], number));
  } else {
    parts.names.assign(rule.part_names().begin(), rule.part_names().end());
  }
  for (const std::string& name : parts.names) {
    parts.weights.push_back(view.find(layer, name, "weight"));
    parts.biases.push_back(view.find(layer, name, "bias"));
    parts.weight_count += parts.weights.back() != nullptr;
    parts.bias_count += parts.biases.back() != nullptr;
  }
  return parts;
}

std::vector<const LogicalTensor*> find_scales(const ModelView& view, std::uint32_t layer, const Parts& parts,
                                              std::string_view attribute) {
  std::vector<const LogicalTensor*> scales;
  for (const std::string& part : parts.names) scales.push_back(view.find(layer, part, attribute));
  const bool any = std::any_of(scales.begin(), scales.end(), [](const auto* scale) { return scale != nullptr; });
  return any ? scales : std::vector<const LogicalTensor*>();
}

Refusal refusal(const ModelView& view, const Rule& rule, std::uint32_t layer, const Parts& parts,
                const FuseOptions& options) {
  const Target target = options.target;
  if (auto reason = refuse_target(view, rule, target)) return reason;
  if (auto reason = refuse_names(view, rule, layer, parts)) return reason;
  if (auto reason = refuse_type(rule, parts, target)) return reason;
  if (auto reason = refuse_shape(rule, parts)) return reason;
  if (auto reason = refuse_biases(view, rule, parts, target)) return reason;
  if (auto reason = refuse_scales(view, rule, layer, parts, options)) return reason;
  if (auto reason = refuse_stacks(parts)) return reason;
  if (auto reason = refuse_companions(view, rule, layer, parts)) return reason;
  return rule.rows == PartRows::OfHeads ? refuse_heads(view, layer, parts, target) : std::nullopt;
}

}  // namespace gguf_fuse::fuse::detail
