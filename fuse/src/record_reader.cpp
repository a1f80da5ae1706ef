// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <numeric>
#include <set>

#include "plan_check.hpp"
#include "record.hpp"

namespace gguf_fuse::fuse::detail {
namespace {

// Zeros behind the last tensor that a record may ask for: far above any writer's padding, far below a full disk.
constexpr std::uint64_t kMostTailBytes = std::uint64_t{1} << 30;
constexpr std::size_t kMostShards = 99999;
// Only keys of a split are ever added.
constexpr std::size_t kMostAdded = 16;

struct Record {
  std::vector<std::string_view> fused;
  std::vector<std::uint64_t> part_counts;
  std::vector<std::string_view> part_names;
  std::vector<std::uint64_t> part_indices;
  std::vector<std::uint64_t> part_rows;
  std::vector<std::string_view> stacked;
  std::vector<std::uint64_t> shard_tensors;
  std::vector<std::uint64_t> shard_alignments;
  std::vector<std::uint64_t> shard_tails;
  std::vector<std::uint64_t> shard_keys;
};

class RecordReader {
 public:
  explicit RecordReader(const ModelInfo& model) : model_(model), metadata_(model.metadata()) {}

  Result<LogicalModel> read() {
    LogicalModel logical = stored_model(model_);
    if (!has_keys()) return logical;
    if (const std::string_view key = lost_key(); !key.empty()) {
      logical.lost_key = key;
      for (LogicalShard& shard : logical.shards) forget_record(shard);
      return logical;
    }
    logical.has_record = true;
    GGUF_FUSE_CHECK(check_version());
    GGUF_FUSE_ASSIGN(const Record record, read_arrays(logical.tensors));
    GGUF_FUSE_CHECK(check_sizes(record, logical.tensors.size()));
    logical.stored_fused = stored_fusions(record);
    GGUF_FUSE_ASSIGN(logical.tensors, restore_tensors(record, std::move(logical.tensors)));
    GGUF_FUSE_ASSIGN(std::vector<KeyItem> keys, restore_keys());
    GGUF_FUSE_CHECK(check_alignment(keys, record.shard_alignments.front()));
    GGUF_FUSE_ASSIGN(logical.shards, restore_shards(record, std::move(keys)));
    GGUF_FUSE_ASSIGN(logical.hashes, read_hashes(logical));
    return logical;
  }

 private:
  [[nodiscard]] Error bad(std::string_view key, std::string expected, std::string actual = {}) const {
    return {.code = ErrorCode::BadRecord,
            .path = model_.shards.front().path,
            .subject = std::string(key),
            .expected = std::move(expected),
            .actual = std::move(actual)};
  }

  [[nodiscard]] bool has_keys() const {
    for (std::size_t i = 0; i < metadata_.size(); ++i) {
      if (metadata_[i].key.starts_with(record_keys::kPrefix)) return true;
    }
    return false;
  }

  // Programs that rewrite metadata drop keys that they do not know, or some kinds of them. What is left of a record
  // then is no lie, but nothing to go by.
  [[nodiscard]] std::string_view lost_key() const {
    constexpr std::string_view kAll[] = {record_keys::kVersion,      record_keys::kFused,
                                         record_keys::kPartCounts,   record_keys::kPartNames,
                                         record_keys::kPartIndices,  record_keys::kPartRows,
                                         record_keys::kShardTensors, record_keys::kShardAlignments,
                                         record_keys::kShardTails,   record_keys::kShardKeyCounts};
    const auto* lost =
        std::find_if(std::begin(kAll), std::end(kAll), [this](auto key) { return !metadata_.find(key); });
    if (lost != std::end(kAll)) return *lost;
    const bool has_stacks = metadata_.find(record_keys::kVersion)->as_unsigned() == std::uint64_t{kRecordVersion};
    return has_stacks && !metadata_.find(record_keys::kStacked) ? record_keys::kStacked : std::string_view();
  }

  // Keys of a record without a record would appear twice in what is written next.
  static void forget_record(LogicalShard& shard) {
    std::erase_if(shard.keys, [](const KeyItem& item) { return item.key.starts_with(record_keys::kPrefix); });
    shard.section = {};
  }

  Result<std::vector<ContentHash>> hashes(std::string_view key, std::size_t count) const {
    GGUF_FUSE_ASSIGN(const std::vector<std::uint64_t> halves, numbers(key, 2 * count));
    if (halves.size() != 2 * count) {
      return fail(bad(key, fmt::format("{} numbers", 2 * count), fmt::format("{}", halves.size())));
    }
    std::vector<ContentHash> all;
    for (std::size_t i = 0; i < halves.size(); i += 2) all.push_back({.low = halves[i], .high = halves[i + 1]});
    return all;
  }

  // A record whose hashes were never filled in, or lost one of their keys, promises as little as one of version 1.
  Result<std::optional<OriginalHashes>> read_hashes(const LogicalModel& logical) const {
    const auto flag = [this](std::string_view key) {
      const auto value = metadata_.find(key);
      return value ? value->as_bool() : std::nullopt;
    };
    const auto zero_padding = flag(record_keys::kZeroPadding);
    if (!flag(record_keys::kHashed).value_or(false) || !zero_padding || !metadata_.find(record_keys::kHeaderHashes) ||
        !metadata_.find(record_keys::kTensorHashes)) {
      return std::nullopt;
    }
    OriginalHashes known{.zero_padding = *zero_padding, .headers = {}, .tensors = {}};
    GGUF_FUSE_ASSIGN(known.headers, hashes(record_keys::kHeaderHashes, logical.shards.size()));
    GGUF_FUSE_ASSIGN(known.tensors, hashes(record_keys::kTensorHashes, logical.tensors.size()));
    return known;
  }

  Result<void> check_version() const {
    GGUF_FUSE_ASSIGN(const std::uint64_t version, metadata_.get_unsigned(record_keys::kVersion));
    if (version >= 1 && version <= kRecordVersion) return {};
    Error error = bad(record_keys::kVersion, fmt::format("1 to {}", kRecordVersion), fmt::format("{}", version));
    error.hint = "a newer gguf-fuse made this file; use that one";
    return fail(std::move(error));
  }

  // Arrays are decoded only as far as they can be right: a byte of the file may become a tensor in memory.
  Result<std::vector<std::uint64_t>> numbers(std::string_view key, std::size_t most) const {
    GGUF_FUSE_CHECK(check_count(key, most));
    return metadata_.get_unsigned_array(key);
  }
  Result<std::vector<std::string_view>> strings(std::string_view key, std::size_t most) const {
    GGUF_FUSE_CHECK(check_count(key, most));
    return metadata_.get_string_array(key);
  }
  Result<void> check_count(std::string_view key, std::size_t most) const {
    const auto value = metadata_.find(key);
    if (!value || value->count() <= most) return {};
    return fail(bad(key, fmt::format("at most {} entries", most), fmt::format("{}", value->count())));
  }

  // Parts of a stack are as many as its matrices, a few times over.
  static std::size_t most_parts(const Record& record, const std::vector<LogicalTensor>& stored) {
    std::size_t most = kMostParts * stored.size();
    const TensorIndex by_name = index_by_name(stored);
    for (const std::string_view name : std::set(record.stacked.begin(), record.stacked.end())) {
      const auto found = by_name.find(name);
      if (found != by_name.end()) most += kMostParts * std::min(matrix_count(stored[found->second]), kMostMatrices);
    }
    return most;
  }

  Result<Record> read_arrays(const std::vector<LogicalTensor>& tensors) const {
    const std::size_t stored = tensors.size();
    Record record;
    if (metadata_.find(record_keys::kStacked)) {
      GGUF_FUSE_ASSIGN(record.stacked, strings(record_keys::kStacked, stored));
    }
    const std::size_t parts = most_parts(record, tensors);
    GGUF_FUSE_ASSIGN(record.fused, strings(record_keys::kFused, stored));
    GGUF_FUSE_ASSIGN(record.part_counts, numbers(record_keys::kPartCounts, stored));
    GGUF_FUSE_ASSIGN(record.part_names, strings(record_keys::kPartNames, parts));
    GGUF_FUSE_ASSIGN(record.part_indices, numbers(record_keys::kPartIndices, parts));
    GGUF_FUSE_ASSIGN(record.part_rows, numbers(record_keys::kPartRows, parts));
    GGUF_FUSE_ASSIGN(record.shard_tensors, numbers(record_keys::kShardTensors, kMostShards));
    GGUF_FUSE_ASSIGN(record.shard_alignments, numbers(record_keys::kShardAlignments, kMostShards));
    GGUF_FUSE_ASSIGN(record.shard_tails, numbers(record_keys::kShardTails, kMostShards));
    GGUF_FUSE_ASSIGN(record.shard_keys, numbers(record_keys::kShardKeyCounts, kMostShards));
    return record;
  }

  // Sums that stay small: every term is bounded before it is added.
  static std::optional<std::uint64_t> sum(const std::vector<std::uint64_t>& values, std::uint64_t most) {
    std::uint64_t total = 0;
    for (const std::uint64_t value : values) {
      if (value > most || total + value > most) return std::nullopt;
      total += value;
    }
    return total;
  }

  Result<void> check_sizes(const Record& record, std::size_t stored) const {
    const std::size_t parts = record.part_names.size();
    if (record.part_counts.size() != record.fused.size() || sum(record.part_counts, parts) != parts ||
        record.part_indices.size() != parts || record.part_rows.size() != parts) {
      return fail(bad(record_keys::kPartCounts, "arrays of parts that agree in length"));
    }
    const std::size_t shards = record.shard_tensors.size();
    if (shards == 0 || record.shard_alignments.size() != shards || record.shard_tails.size() != shards ||
        record.shard_keys.size() != shards) {
      return fail(bad(record_keys::kShardTensors, "arrays of shards that agree in length"));
    }
    const std::uint64_t total = stored - record.fused.size() + parts;
    if (sum(record.shard_tensors, total) != total) {
      return fail(bad(record_keys::kShardTensors, fmt::format("{} tensors in all shards", total)));
    }
    for (std::size_t i = 0; i < shards; ++i) {
      if (!std::has_single_bit(record.shard_alignments[i]) || record.shard_alignments[i] > Limits{}.alignment) {
        return fail(bad(record_keys::kShardAlignments, "powers of two", fmt::format("{}", record.shard_alignments[i])));
      }
      if (record.shard_tails[i] > kMostTailBytes) {
        return fail(bad(record_keys::kShardTails, fmt::format("at most {}", kMostTailBytes),
                        fmt::format("{}", record.shard_tails[i])));
      }
    }
    return {};
  }

  static std::vector<StoredFusion> stored_fusions(const Record& record) {
    std::vector<StoredFusion> fusions;
    auto part = record.part_names.begin();
    for (std::size_t i = 0; i < record.fused.size(); ++i) {
      const auto end = part + static_cast<std::ptrdiff_t>(record.part_counts[i]);
      fusions.push_back({.name = std::string(record.fused[i]), .parts = {part, end}});
      part = end;
    }
    return fusions;
  }

  Result<std::vector<LogicalTensor>> restore_tensors(const Record& record, std::vector<LogicalTensor> stored) const {
    const std::size_t total = stored.size() - record.fused.size() + record.part_names.size();
    std::vector<std::optional<LogicalTensor>> placed(total);
    std::set<std::size_t> taken_apart;
    const TensorIndex by_name = index_by_name(stored);
    const std::set<std::string_view> stacked(record.stacked.begin(), record.stacked.end());
    std::size_t stacks = 0;
    std::size_t first_part = 0;
    for (std::size_t i = 0; i < record.fused.size(); ++i) {
      const auto found = by_name.find(record.fused[i]);
      if (found == by_name.end() || !taken_apart.insert(found->second).second) {
        return fail(bad(record_keys::kFused, "tensors of this file, once each", std::string(record.fused[i])));
      }
      const std::size_t count = record.part_counts[i];
      const bool stack = stacked.contains(record.fused[i]);
      const auto begin = record.part_rows.begin() + static_cast<std::ptrdiff_t>(first_part);
      const Cut cut{.rows = {begin, begin + static_cast<std::ptrdiff_t>(count)},
                    .along_elements = record.fused[i].ends_with(".bias"),
                    .stack = stack};
      GGUF_FUSE_CHECK(place_parts(record, first_part, cut, stored[found->second], placed));
      stacks += stack ? 1 : 0;
      first_part += count;
    }
    if (stacks != record.stacked.size())
      return fail(bad(record_keys::kStacked, "fused tensors of this file, once each"));
    std::size_t next = 0;
    for (std::size_t i = 0; i < stored.size(); ++i) {
      if (taken_apart.contains(i)) continue;
      while (placed[next]) ++next;  // there are as many free places as tensors left, by check_sizes
      placed[next] = std::move(stored[i]);
    }
    std::vector<LogicalTensor> tensors;
    tensors.reserve(total);
    for (std::size_t i = 0; i < total; ++i) {
      placed[i]->index = static_cast<std::uint32_t>(i);
      tensors.push_back(std::move(*placed[i]));
    }
    if (index_by_name(tensors).size() != total)
      return fail(bad(record_keys::kPartNames, "names that are not there yet"));
    return tensors;
  }

  Result<void> place_parts(const Record& record, std::size_t first, const Cut& cut, const LogicalTensor& fused,
                           std::vector<std::optional<LogicalTensor>>& placed) const {
    const auto names = record.part_names.begin() + static_cast<std::ptrdiff_t>(first);
    const std::vector<std::string> part_names(names, names + static_cast<std::ptrdiff_t>(cut.rows.size()));
    if (is_common(fused, cut)) return place_all(record, first, copies_of(fused, part_names), true, placed);
    const std::uint64_t whole = rows_to_cut(fused, cut);
    if (sum(cut.rows, whole) != whole || !can_cut(fused, cut)) {
      return fail(bad(record_keys::kPartRows, fmt::format("{} rows of \"{}\" in whole groups", whole, fused.name)));
    }
    return place_all(record, first, cut_apart(fused, cut, part_names), false, placed);
  }

  // One number, and it is all of each part.
  static bool is_common(const LogicalTensor& fused, const Cut& cut) {
    return is_scalar(fused) && !cut.stack && cut.rows.size() > 1 &&
           std::all_of(cut.rows.begin(), cut.rows.end(), [](std::uint64_t rows) { return rows == 1; });
  }

  Result<void> place_all(const Record& record, std::size_t first, std::vector<LogicalTensor> parts, bool common,
                         std::vector<std::optional<LogicalTensor>>& placed) const {
    const auto indices = std::span(record.part_indices).subspan(first, parts.size());
    const auto hashed = static_cast<std::uint32_t>(common ? *std::min_element(indices.begin(), indices.end()) : 0);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const std::uint64_t index = record.part_indices[first + i];
      const std::string& name = parts[i].name;
      if (index >= placed.size() || placed[index]) {
        return fail(bad(record_keys::kPartIndices, fmt::format("places below {}, once each", placed.size()),
                        fmt::format("{}", index)));
      }
      // The rules name parts plainly; the header would hold anything.
      if (name.empty() || name.size() > Limits{}.name_bytes || escape_text(name) != name) {
        return fail(bad(record_keys::kPartNames, "names of tensors", name));
      }
      if (common && index != hashed) parts[i].copy_of = hashed;
      placed[index] = std::move(parts[i]);
    }
    return {};
  }

  Result<std::vector<KeyItem>> restore_keys() const {
    std::vector<std::string_view> added;
    if (metadata_.find(record_keys::kAdded)) {
      GGUF_FUSE_ASSIGN(added, strings(record_keys::kAdded, kMostAdded));
    }
    std::vector<KeyItem> keys;
    for (std::size_t i = 0; i < metadata_.size(); ++i) {
      const Metadata::Entry entry = metadata_[i];
      if (entry.key.starts_with(record_keys::kPrefix) ||
          std::find(added.begin(), added.end(), entry.key) != added.end())
        continue;
      const Value value = metadata_.find(std::string(record_keys::kWas) + std::string(entry.key)).value_or(entry.value);
      keys.push_back({.key = entry.key, .type = value.type(), .value = value.bytes()});
    }
    return keys;
  }

  // The data of the first file is laid out as the record says, so its keys must say the same.
  Result<void> check_alignment(const std::vector<KeyItem>& keys, std::uint64_t alignment) const {
    const auto item =
        std::find_if(keys.begin(), keys.end(), [](const KeyItem& key) { return key.key == "general.alignment"; });
    const bool stored_as_number = item != keys.end() && item->type == ValueType::U32;
    const auto stated = item == keys.end() ? std::optional(kDefaultAlignment)
                        : stored_as_number ? Value(item->type, item->value, metadata_.big_endian()).as_unsigned()
                                           : std::nullopt;
    if (stated == alignment) return {};
    return fail(bad(record_keys::kShardAlignments, "the first file's general.alignment", fmt::format("{}", alignment)));
  }

  Result<std::vector<LogicalShard>> restore_shards(const Record& record, std::vector<KeyItem> keys) const {
    std::vector<LogicalShard> shards(record.shard_tensors.size());
    shards.front().keys = std::move(keys);
    for (std::size_t i = 0; i < shards.size(); ++i) {
      LogicalShard& shard = shards[i];
      shard.tensor_count = static_cast<std::uint32_t>(record.shard_tensors[i]);
      shard.alignment = record.shard_alignments[i];
      shard.tail_bytes = record.shard_tails[i];
      if (i != 0) {
        GGUF_FUSE_CHECK(restore_section(i, record.shard_keys[i], shard));
      }
    }
    return shards;
  }

  // The section becomes part of a header again, so it is read as one before it is believed.
  Result<void> restore_section(std::size_t number, std::uint64_t key_count, LogicalShard& shard) const {
    const std::string key = std::string(record_keys::kShardSection) + std::to_string(number);
    const auto value = metadata_.find(key);
    if (!value || value->type() != ValueType::Array || value->element_type() != ValueType::U8) {
      return fail(bad(key, "an array of bytes"));
    }
    shard.section = value->bytes().subspan(12);
    const Container& front = model_.shards.front();
    HeaderWriter probe(front.version, front.big_endian);
    probe.add_records(shard.section, key_count);
    const std::vector<std::byte> header = probe.finish();
    const auto source = memory_source(header, front.path);
    const auto parsed = read_container(*source);
    if (!parsed || parsed->metadata.section().size() != shard.section.size() || parsed->alignment != shard.alignment) {
      return fail(bad(key, "the metadata of a shard"));
    }
    std::size_t at = 0;
    for (std::size_t i = 0; i < parsed->metadata.size(); ++i) {
      const Metadata::Entry entry = parsed->metadata[i];
      const auto stored = shard.section.subspan(at, entry.record.size());
      const auto* text = reinterpret_cast<const char*>(stored.data()) + 8;
      shard.keys.push_back({.key = {text, entry.key.size()},
                            .type = entry.value.type(),
                            .value = stored.last(entry.value.bytes().size())});
      at += entry.record.size();
    }
    return {};
  }

  const ModelInfo& model_;
  const Metadata& metadata_;
};

}  // namespace

Result<LogicalModel> original_model(const ModelInfo& model) {
  GGUF_FUSE_CHECK(check_model(model));
  return RecordReader(model).read();
}

}  // namespace gguf_fuse::fuse::detail
