// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <vector>

#include "gguf_fuse/loader/header_writer.hpp"
#include "logical_model.hpp"

namespace gguf_fuse::fuse::detail {

/// Keys of the record (docs/format.md): what was fused, so that unfuse restores the original byte for byte.
namespace record_keys {
inline constexpr std::string_view kPrefix = "gguf_fuse.";
inline constexpr std::string_view kVersion = "gguf_fuse.version";
inline constexpr std::string_view kFused = "gguf_fuse.fused";
inline constexpr std::string_view kPartCounts = "gguf_fuse.part.counts";
inline constexpr std::string_view kPartNames = "gguf_fuse.part.names";
inline constexpr std::string_view kPartIndices = "gguf_fuse.part.indices";
inline constexpr std::string_view kPartRows = "gguf_fuse.part.rows";
/// Those of kFused whose parts lie one behind the other, matrix by matrix; of version 3.
inline constexpr std::string_view kStacked = "gguf_fuse.stacked";
inline constexpr std::string_view kShardTensors = "gguf_fuse.shard.tensors";
inline constexpr std::string_view kShardAlignments = "gguf_fuse.shard.alignments";
inline constexpr std::string_view kShardTails = "gguf_fuse.shard.tails";
inline constexpr std::string_view kShardKeyCounts = "gguf_fuse.shard.keys";
/// + N: the keys of shard N (from 1) as stored.
inline constexpr std::string_view kShardSection = "gguf_fuse.shard.section.";
/// + key: the original value of a key that was changed.
inline constexpr std::string_view kWas = "gguf_fuse.was.";
/// Whether the hashes below were filled in (they are known only when all bytes went by), and whether nothing but zeros
/// lay between and behind the original's tensors.
inline constexpr std::string_view kHashed = "gguf_fuse.original.hashed";
inline constexpr std::string_view kZeroPadding = "gguf_fuse.original.zero_padding";
/// Two numbers a hash, the low half first: of each original file's header, of each original tensor.
inline constexpr std::string_view kHeaderHashes = "gguf_fuse.original.headers";
inline constexpr std::string_view kTensorHashes = "gguf_fuse.original.tensors";
/// Keys that the output has and the original has not.
inline constexpr std::string_view kAdded = "gguf_fuse.added";
}  // namespace record_keys

/// A key whose value differs between original and output.
struct ChangedKey {
  std::string_view key;
  std::optional<KeyItem> original;  ///< nothing when the output adds the key
  ValueType type = ValueType::U8;
  std::vector<std::byte> value;  ///< as stored in the output
};

/// The newest record that is read. Without stacks and common tensors it is written as version 2, which older programs
/// read.
inline constexpr std::uint32_t kRecordVersion = 3;
inline constexpr std::uint32_t kPlainVersion = 2;

/// Places in the header where hashes are filled in later; 0 where there is nothing to fill in.
struct RecordSlots {
  std::uint64_t hashed = 0;        ///< the byte of kHashed
  std::uint64_t zero_padding = 0;  ///< the byte of kZeroPadding
  std::uint64_t hashes = 0;        ///< the first number of kTensorHashes
};

/// Appends the record of `fused` (those tensors that have parts) to the header. The hashes of an original that came
/// without a record are left to be filled in; those of an earlier record are handed on, for the original is the same.
RecordSlots write_record(HeaderWriter& header, const LogicalModel& original,
                         std::span<const LogicalTensor* const> fused, std::span<const ChangedKey> changes);

}  // namespace gguf_fuse::fuse::detail
