// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "gguf_fuse/fuse/part_names.hpp"
#include "legality.hpp"

namespace gguf_fuse::fuse::detail {
namespace {

constexpr std::string_view kLayerPrefix = "blk.";

Error key_error(const LogicalModel& logical, ErrorCode code, std::string key, std::string expected,
                std::string actual = {}) {
  return {.code = code,
          .path = logical.path,
          .subject = std::move(key),
          .expected = std::move(expected),
          .actual = std::move(actual)};
}

// Names in general.tensor_extra.name whose prec_a4 is false: llama.cpp gives them 8-bit activations.
Result<std::set<std::string_view>> read_precise_names(const LogicalModel& logical) {
  constexpr std::string_view kNames = "general.tensor_extra.name";
  constexpr std::string_view kFlags = "general.tensor_extra.prec_a4";
  std::set<std::string_view> precise;
  const auto names = logical.find_key(kNames);
  if (!names) return precise;
  const auto flags = logical.find_key(kFlags);
  if (names->type() != ValueType::Array || names->element_type() != ValueType::String) {
    return fail(key_error(logical, ErrorCode::WrongValueType, std::string(kNames), "an array of strings"));
  }
  if (!flags || flags->element_type() != ValueType::Bool || flags->count() != names->count()) {
    return fail(key_error(logical, ErrorCode::WrongValueType, std::string(kFlags),
                          fmt::format("an array of {} bools", names->count())));
  }
  auto flag = flags->elements();
  for (auto name = names->elements(); !name.done(); ++name, ++flag) {
    if (!*(*flag).as_bool()) precise.insert(*(*name).as_string());
  }
  return precise;
}

void sort_unique(std::vector<std::uint32_t>& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

}  // namespace

std::optional<std::uint32_t> layer_of(std::string_view name) {
  if (!name.starts_with(kLayerPrefix)) return std::nullopt;
  std::uint32_t layer = 0;
  const char* begin = name.data() + kLayerPrefix.size();
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(begin, end, layer);
  const bool canonical = error == std::errc() && stop != end && *stop == '.' && (*begin != '0' || stop == begin + 1);
  return canonical ? std::optional(layer) : std::nullopt;
}

std::string tensor_name(std::uint32_t layer, std::string_view base, std::string_view attribute) {
  return fmt::format("blk.{}.{}.{}", layer, base, attribute);
}

void note_lost_record(const LogicalModel& logical, Plan& plan) {
  if (logical.lost_key.empty()) return;
  plan.warnings.push_back(because<ReasonCode::RecordLost>(logical.lost_key));
}

Result<ModelView> ModelView::make(const LogicalModel& logical) {
  ModelView view;
  view.logical_ = &logical;
  const auto architecture = logical.find_key("general.architecture");
  if (architecture && architecture->type() != ValueType::String) {
    return fail(
        key_error(logical, ErrorCode::WrongValueType, "general.architecture", "a string", architecture->display()));
  }
  if (architecture) view.architecture_ = *architecture->as_string();
  for (const KeyItem& item : logical.keys()) view.keys_.emplace(item.key, &item);
  for (const LogicalTensor& tensor : logical.tensors) {
    view.index_.emplace(tensor.name, &tensor);
    const auto layer = layer_of(tensor.name);
    if (!layer) continue;
    view.layers_.push_back(*layer);
    view.note_number(tensor.name);
    if (tensor.name.find(".ssm_") != std::string::npos) view.recurrent_.push_back(*layer);
  }
  sort_unique(view.layers_);
  sort_unique(view.recurrent_);
  for (auto& [base, numbers] : view.numbers_) sort_unique(numbers);
  GGUF_FUSE_ASSIGN(view.precise_, read_precise_names(logical));
  return view;
}

// Asked for every layer, so that looking through all keys would take the square of the file's size.
std::optional<Value> ModelView::find_key(std::string_view key) const {
  const auto found = keys_.find(key);
  if (found == keys_.end()) return std::nullopt;
  return Value(found->second->type, found->second->value, logical_->big_endian);
}

const LogicalTensor* ModelView::find(std::uint32_t layer, std::string_view base, std::string_view attribute) const {
  const auto found = index_.find(tensor_name(layer, base, attribute));
  return found != index_.end() ? found->second : nullptr;
}

void ModelView::note_number(std::string_view name) {
  constexpr std::string_view kWeight = ".weight";
  if (!name.ends_with(kWeight)) return;
  name.remove_suffix(kWeight.size());
  if (const auto part = split_number(name)) numbers_[part->base].push_back(part->number);
}

std::span<const std::uint32_t> ModelView::numbers(std::uint32_t layer, std::string_view base) const {
  const auto found = numbers_.find(fmt::format("blk.{}.{}", layer, base));
  return found != numbers_.end() ? std::span<const std::uint32_t>(found->second) : std::span<const std::uint32_t>();
}

void ModelView::replace(std::span<const LogicalTensor* const> parts, const LogicalTensor& fused) {
  if (wants_precise_activations(parts.front()->name)) precise_.insert(fused.name);
  for (const LogicalTensor* part : parts) index_.erase(part->name);
  index_[fused.name] = &fused;
}

bool ModelView::recurrent(std::uint32_t layer) const {
  return std::binary_search(recurrent_.begin(), recurrent_.end(), layer);
}

bool ModelView::borrows_keys(std::uint32_t layer) const {
  const auto shared = find_key(fmt::format("{}.attention.shared_kv_layers", architecture_));
  const auto blocks = find_key(fmt::format("{}.block_count", architecture_));
  if (!shared || !blocks) return false;
  const std::uint64_t count = shared->as_unsigned().value_or(0);
  const std::uint64_t all = blocks->as_unsigned().value_or(0);
  return count != 0 && (layer >= all || count >= all - layer);
}

Stated ModelView::hyperparameter(std::string_view key, std::uint32_t layer) const {
  const auto value = find_key(fmt::format("{}.{}", architecture_, key));
  if (!value) return std::nullopt;
  auto number = value->as_unsigned();
  if (value->type() == ValueType::Array) {
    if (value->count() <= layer) {
      return tl::unexpected(because<ReasonCode::ShortArray>(key, value->count()));
    }
    const std::size_t bytes = value_type_bytes(value->element_type());
    if (bytes != 0) {
      const auto entry = value->bytes().subspan(12 + layer * bytes, bytes);
      number = Value(value->element_type(), entry, logical_->big_endian).as_unsigned();
    }
  }
  if (!number) return tl::unexpected(because<ReasonCode::NoInteger>(key));
  return number;
}

bool ModelView::wants_precise_activations(std::string_view tensor) const { return precise_.contains(tensor); }

}  // namespace gguf_fuse::fuse::detail
