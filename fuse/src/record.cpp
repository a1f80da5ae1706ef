// SPDX-License-Identifier: MIT
#include "record.hpp"

namespace gguf_fuse::fuse::detail {

namespace {

std::vector<std::uint64_t> numbers_of(std::span<const ContentHash> hashes) {
  std::vector<std::uint64_t> numbers;
  for (const ContentHash& hash : hashes) {
    numbers.push_back(hash.low);
    numbers.push_back(hash.high);
  }
  return numbers;
}

RecordSlots write_hashes(HeaderWriter& header, const LogicalModel& original) {
  RecordSlots slots;
  // A record of version 1 did not say what its original was, and now nobody can.
  if (original.has_record && !original.hashes) return slots;
  const bool known = original.hashes.has_value();
  std::vector<ContentHash> headers;
  for (const LogicalShard& shard : original.shards) headers.push_back(shard.header_hash);
  header.add_bool(record_keys::kHashed, known);
  slots.hashed = header.keys_end() - 1;
  header.add_bool(record_keys::kZeroPadding, known && original.hashes->zero_padding);
  slots.zero_padding = header.keys_end() - 1;
  header.add_u64_array(record_keys::kHeaderHashes, numbers_of(known ? original.hashes->headers : headers));
  const std::vector<ContentHash> empty(known ? 0 : original.tensors.size());
  header.add_u64_array(record_keys::kTensorHashes, numbers_of(known ? original.hashes->tensors : empty));
  slots.hashes = header.keys_end() - 2 * sizeof(std::uint64_t) * original.tensors.size();
  return known ? RecordSlots{} : slots;
}

}  // namespace

RecordSlots write_record(HeaderWriter& header, const LogicalModel& original,
                         std::span<const LogicalTensor* const> fused, std::span<const ChangedKey> changes) {
  std::vector<std::string_view> names;
  std::vector<std::string_view> stacked;
  bool newest = false;
  std::vector<std::string_view> part_names;
  std::vector<std::string_view> added;
  std::vector<std::uint32_t> counts;
  std::vector<std::uint32_t> indices;
  std::vector<std::uint64_t> rows;
  for (const LogicalTensor* tensor : fused) {
    names.push_back(tensor->name);
    if (tensor->stacked) stacked.push_back(tensor->name);
    newest = newest || tensor->stacked || tensor->common;
    counts.push_back(static_cast<std::uint32_t>(tensor->parts.size()));
    for (const FusedPart& part : tensor->parts) {
      part_names.push_back(part.name);
      indices.push_back(part.index);
      rows.push_back(part.rows);
    }
  }
  header.add_u32(record_keys::kVersion, newest ? kRecordVersion : kPlainVersion);
  header.add_string_array(record_keys::kFused, names);
  header.add_u32_array(record_keys::kPartCounts, counts);
  header.add_string_array(record_keys::kPartNames, part_names);
  header.add_u32_array(record_keys::kPartIndices, indices);
  header.add_u64_array(record_keys::kPartRows, rows);
  if (newest) header.add_string_array(record_keys::kStacked, stacked);

  std::vector<std::uint32_t> shard_tensors;
  std::vector<std::uint64_t> alignments;
  std::vector<std::uint64_t> tails;
  std::vector<std::uint64_t> key_counts;
  for (const LogicalShard& shard : original.shards) {
    shard_tensors.push_back(shard.tensor_count);
    alignments.push_back(shard.alignment);
    tails.push_back(shard.tail_bytes);
    key_counts.push_back(shard.keys.size());
  }
  header.add_u32_array(record_keys::kShardTensors, shard_tensors);
  header.add_u64_array(record_keys::kShardAlignments, alignments);
  header.add_u64_array(record_keys::kShardTails, tails);
  header.add_u64_array(record_keys::kShardKeyCounts, key_counts);
  for (std::size_t i = 1; i < original.shards.size(); ++i) {
    header.add_u8_array(std::string(record_keys::kShardSection) + std::to_string(i), original.shards[i].section);
  }
  for (const ChangedKey& change : changes) {
    if (change.original) {
      header.add_value(std::string(record_keys::kWas) + std::string(change.key), change.original->type,
                       change.original->value);
    } else {
      added.push_back(change.key);
    }
  }
  if (!added.empty()) header.add_string_array(record_keys::kAdded, added);
  return write_hashes(header, original);
}

}  // namespace gguf_fuse::fuse::detail
