// SPDX-License-Identifier: MIT
#include "key_changes.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace gguf_fuse::fuse::detail {
namespace {

constexpr std::string_view kExtraNames = "general.tensor_extra.name";
constexpr std::string_view kExtraFlags = "general.tensor_extra.prec_a4";

std::optional<KeyItem> find_item(const std::vector<KeyItem>& keys, std::string_view key) {
  const auto found = std::find_if(keys.begin(), keys.end(), [key](const KeyItem& item) { return item.key == key; });
  return found != keys.end() ? std::optional(*found) : std::nullopt;
}

// The header writer knows how values are stored, so a value is what it writes behind the key and its type.
std::vector<std::byte> stored_value(const HeaderWriter& written, std::string_view key) {
  const std::vector<std::byte> header = written.finish();
  const auto source = memory_source(header, {});
  const auto container = read_container(*source);
  const auto bytes = container->metadata.find(key)->bytes();
  return {bytes.begin(), bytes.end()};
}

std::vector<std::byte> stored_integer(ValueType type, std::uint64_t value, bool big_endian) {
  std::vector<std::byte> bytes(std::max<std::size_t>(value_type_bytes(type), 1));
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[big_endian ? bytes.size() - 1 - i : i] = static_cast<std::byte>((value >> (8 * i)) & 0xffU);
  }
  return bytes;
}

// Whether an integer type holds the value; whoever wrote the key may have had fewer shards or tensors.
bool holds(ValueType type, std::uint64_t value) {
  switch (type) {
    case ValueType::U8:
    case ValueType::U16:
    case ValueType::U32:
      return value >> (8 * value_type_bytes(type)) == 0;
    case ValueType::I8:
    case ValueType::I16:
    case ValueType::I32:
    case ValueType::I64:
      return value >> (8 * value_type_bytes(type) - 1) == 0;
    case ValueType::U64:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::vector<ChangedKey> split_changes(const std::vector<KeyItem>& keys, const ShardPlace& place, bool shards_change,
                                      bool big_endian) {
  struct Wanted {
    std::string_view key;
    ValueType type;
    std::uint64_t value;
    bool wanted;
  };
  // Names, types and order as llama-gguf-split writes them.
  const Wanted all[] = {{"split.no", ValueType::U16, place.number, shards_change},
                        {"split.count", ValueType::U16, place.count, shards_change},
                        {"split.tensors.count", ValueType::I32, place.tensor_count, true}};
  std::vector<ChangedKey> changes;
  for (const Wanted& wanted : all) {
    const auto item = find_item(keys, wanted.key);
    if (!wanted.wanted || (!item && (place.count == 0 || !shards_change))) continue;
    const ValueType type = item && holds(item->type, wanted.value) ? item->type : wanted.type;
    ChangedKey change{
        .key = wanted.key, .original = item, .type = type, .value = stored_integer(type, wanted.value, big_endian)};
    const bool same = item && item->type == type &&
                      std::equal(item->value.begin(), item->value.end(), change.value.begin(), change.value.end());
    if (!same) changes.push_back(std::move(change));
  }
  return changes;
}

std::vector<ChangedKey> tensor_extra_changes(const LogicalModel& original, std::span<const LogicalTensor> tensors) {
  const auto names = find_item(original.keys(), kExtraNames);
  const auto flags = find_item(original.keys(), kExtraFlags);
  if (!names || !flags) return {};
  std::unordered_map<std::string_view, std::vector<std::string_view>> renamed;
  for (const LogicalTensor& tensor : tensors) {
    for (const FusedPart& part : tensor.parts) renamed[part.name] = {tensor.name};
    if (!tensor.taken_from.empty()) renamed[tensor.taken_from].push_back(tensor.name);
  }
  // Nothing fused, nothing to rename; and only a model that is fused had its keys looked at (ModelView).
  if (renamed.empty()) return {};
  std::vector<std::string_view> new_names;
  std::vector<char> new_flags;
  std::unordered_set<std::string_view> listed;
  bool changed = false;
  auto flag = Value(flags->type, flags->value, original.big_endian).elements();
  for (auto name = Value(names->type, names->value, original.big_endian).elements(); !name.done(); ++name, ++flag) {
    const std::string_view old_name = *(*name).as_string();
    const auto found = renamed.find(old_name);
    const bool kept = found == renamed.end();
    changed = changed || !kept;
    for (const std::string_view new_name : kept ? std::vector{old_name} : found->second) {
      if (!kept && !listed.insert(new_name).second) continue;
      new_names.push_back(new_name);
      new_flags.push_back(*(*flag).as_bool() ? 1 : 0);
    }
  }
  if (!changed) return {};
  HeaderWriter writer(original.version, original.big_endian);
  writer.add_string_array(kExtraNames, new_names);
  writer.add_bool_array(kExtraFlags, std::span(reinterpret_cast<const bool*>(new_flags.data()), new_flags.size()));
  return {
      {.key = kExtraNames, .original = names, .type = ValueType::Array, .value = stored_value(writer, kExtraNames)},
      {.key = kExtraFlags, .original = flags, .type = ValueType::Array, .value = stored_value(writer, kExtraFlags)}};
}

}  // namespace gguf_fuse::fuse::detail
