// SPDX-License-Identifier: MIT
#include "layout.hpp"

#include <algorithm>

#include "key_changes.hpp"

namespace gguf_fuse::fuse::detail {
namespace {

/// One file before its header is written: which tensors, which original shard's keys.
struct Draft {
  std::vector<LogicalTensor*> tensors;
  const LogicalShard* shard = nullptr;  ///< whose keys it gets; null: only those of a split
  std::uint64_t alignment = kDefaultAlignment;
};

std::vector<Draft> keep_shards(const LogicalModel& original, std::vector<LogicalTensor>& tensors) {
  std::vector<Draft> drafts;
  std::size_t next = 0;
  std::uint32_t end = 0;
  for (const LogicalShard& shard : original.shards) {
    Draft draft{.tensors = {}, .shard = &shard, .alignment = shard.alignment};
    end += shard.tensor_count;
    while (next < tensors.size() && tensors[next].index < end) draft.tensors.push_back(&tensors[next++]);
    drafts.push_back(std::move(draft));
  }
  return drafts;
}

std::vector<Draft> cut_shards(const LogicalModel& original, std::vector<LogicalTensor>& tensors,
                              const SplitOptions& split) {
  const std::uint64_t most_bytes = split.max_bytes == 0 ? ~std::uint64_t{0} : split.max_bytes;
  const std::uint64_t most_tensors = split.max_tensors == 0 ? ~std::uint64_t{0} : split.max_tensors;
  std::vector<Draft> drafts = {
      {.tensors = {}, .shard = &original.shards.front(), .alignment = original.shards.front().alignment}};
  std::uint64_t bytes = 0;
  for (LogicalTensor& tensor : tensors) {
    const std::uint64_t padded = align_up(tensor.bytes, original.shards.front().alignment);
    const bool full = drafts.back().tensors.size() >= most_tensors || bytes + padded > most_bytes;
    if (full && !drafts.back().tensors.empty()) {
      drafts.push_back({});
      bytes = 0;
    }
    drafts.back().tensors.push_back(&tensor);
    bytes += padded;
  }
  return drafts;
}

const ChangedKey* find_change(const std::vector<ChangedKey>& changes, std::string_view key) {
  const auto found =
      std::find_if(changes.begin(), changes.end(), [key](const ChangedKey& change) { return change.key == key; });
  return found != changes.end() ? &*found : nullptr;
}

void write_keys(HeaderWriter& header, const Draft& draft, const std::vector<ChangedKey>& changes) {
  if (draft.shard != nullptr) {
    for (const KeyItem& item : draft.shard->keys) {
      const ChangedKey* change = find_change(changes, item.key);
      header.add_value(item.key, change != nullptr ? change->type : item.type,
                       change != nullptr ? change->value : item.value);
    }
  }
  for (const ChangedKey& change : changes) {
    if (!change.original) header.add_value(change.key, change.type, change.value);
  }
}

// Parts of a tensor that is fused lie between each other, and are looked at together.
void join_overlapping(FileTracks& file) {
  std::sort(file.begin(), file.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
  FileTracks joined;
  for (TrackedTensor& next : file) {
    if (joined.empty() || next.begin >= joined.back().end) {
      joined.push_back(std::move(next));
      continue;
    }
    joined.back().end = std::max(joined.back().end, next.end);
    joined.back().tracks.push_back(next.tracks.front());
  }
  file = std::move(joined);
}

TrackedTensor whole_track(std::uint32_t tensor, std::uint64_t begin, std::uint64_t bytes) {
  return {.begin = begin, .end = begin + bytes, .tracks = {{.tensor = tensor, .position = begin, .bytes = bytes}}};
}

// Parts of a stack lie one behind the other, and there may be thousands: each is looked up as a tensor is.
void track_stack(const LogicalTensor& tensor, std::uint64_t position, FileTracks& tracks) {
  std::uint64_t rows = 0;
  for (const FusedPart& part : tensor.parts) rows += part.rows;
  for (const FusedPart& part : tensor.parts) {
    const std::uint64_t bytes = rows == 0 ? 0 : tensor.bytes / rows * part.rows;
    tracks.push_back(whole_track(part.index, position, bytes));
    position += bytes;
  }
}

// Where the parts of an output tensor lie in it.
TrackedTensor track_parts(const LogicalTensor& tensor, std::uint64_t position) {
  TrackedTensor tracked{.begin = position, .end = position + tensor.bytes, .tracks = {}};
  std::uint64_t rows = 0;
  for (const FusedPart& part : tensor.parts) rows += part.rows;
  const std::uint64_t whole = slice_bytes(tensor);
  if (rows == 0 || whole == 0) return tracked;
  std::uint64_t begin = position;
  for (const FusedPart& part : tensor.parts) {
    const std::uint64_t bytes = whole / rows * part.rows;
    if (bytes != 0) {
      tracked.tracks.push_back({.tensor = part.index,
                                .position = begin,
                                .position_stride = whole,
                                .offset = 0,
                                .offset_stride = bytes,
                                .bytes = bytes,
                                .count = tensor.bytes / whole});
    }
    begin += bytes;
  }
  return tracked;
}

void track(const LogicalTensor& tensor, std::uint64_t position, FileTracks& tracks) {
  if (tensor.parts.empty() || tensor.common) {
    tracks.push_back(whole_track(tensor.index, position, tensor.bytes));
  } else if (tensor.stacked) {
    track_stack(tensor, position, tracks);
  } else {
    tracks.push_back(track_parts(tensor, position));
  }
}

void move_by(TrackedTensor& tracked, std::uint64_t position) {
  tracked.begin += position;
  tracked.end += position;
  for (Track& part : tracked.tracks) part.position += position;
}

// What the files of the model hold of the original's tensors.
std::vector<FileTracks> source_tracks(const LogicalModel& original) {
  std::vector<FileTracks> files;
  for (std::size_t i = 0; i < original.tensors.size(); ++i) {
    if (original.tensors[i].copy_of) continue;
    for (const Run& run : original.tensors[i].map.runs()) {
      if (run.source >= files.size()) files.resize(run.source + 1);
      files[run.source].push_back({.begin = run.source_offset,
                                   .end = run.source_offset + (run.count - 1) * run.source_stride + run.bytes,
                                   .tracks = {{.tensor = static_cast<std::uint32_t>(i),
                                               .position = run.source_offset,
                                               .position_stride = run.source_stride,
                                               .offset = run.offset,
                                               .offset_stride = run.stride,
                                               .bytes = run.bytes,
                                               .count = run.count}}});
    }
  }
  for (FileTracks& file : files) join_overlapping(file);
  return files;
}

// Tensors for which one stands that is no part of them: in the file, as its record says, and in the output.
std::vector<std::pair<std::uint32_t, std::uint32_t>> copies(const LogicalModel& original,
                                                            std::span<const LogicalTensor* const> fused) {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> pairs;
  for (const LogicalTensor& tensor : original.tensors) {
    if (tensor.copy_of) pairs.emplace_back(tensor.index, *tensor.copy_of);
  }
  for (const LogicalTensor* tensor : fused) {
    if (!tensor->common) continue;
    for (const FusedPart& part : tensor->parts) pairs.emplace_back(part.index, tensor->index);
  }
  return pairs;
}

std::vector<OriginalTensor> original_tensors(const LogicalModel& original) {
  std::vector<OriginalTensor> tensors;
  tensors.reserve(original.tensors.size());
  for (const LogicalTensor& tensor : original.tensors)
    tensors.push_back({.name = tensor.name, .bytes = tensor.bytes, .slice_bytes = slice_bytes(tensor)});
  return tensors;
}

Result<PlannedFile> finish_file(const Draft& draft, HeaderWriter& header, bool as_original, FileTracks& tracks) {
  PlannedFile file;
  for (LogicalTensor* tensor : draft.tensors) {
    PlannedTensor planned;
    GGUF_FUSE_ASSIGN(planned.offset,
                     header.add_tensor(tensor->name, *tensor->type, tensor->dimension_count, tensor->dims));
    track(*tensor, planned.offset, tracks);
    planned.name = std::move(tensor->name);
    planned.type = tensor->type;
    planned.dimension_count = tensor->dimension_count;
    planned.dims = tensor->dims;
    planned.bytes = tensor->bytes;
    planned.map = std::move(tensor->map);
    planned.joined = std::move(tensor->joined);
    file.tensors.push_back(std::move(planned));
  }
  file.header = header.finish();
  const std::uint64_t data = file.header.size();
  for (PlannedTensor& tensor : file.tensors) tensor.offset += data;
  for (TrackedTensor& tracked : tracks) move_by(tracked, data);
  const std::uint64_t end = header.data_bytes();
  file.total_bytes = data + (as_original ? end + draft.shard->tail_bytes : align_up(end, draft.alignment));
  if (as_original && file.tensors.empty() && draft.shard->file_bytes) {
    // A header alone needs no padding, and some writers end the file there.
    file.total_bytes = *draft.shard->file_bytes;
    file.header.resize(std::min<std::uint64_t>(file.header.size(), file.total_bytes));
  }
  return file;
}

}  // namespace

Result<Layout> lay_out(const LogicalModel& original, std::vector<LogicalTensor> tensors, const SplitOptions& split) {
  const bool cut = split.max_bytes != 0 || split.max_tensors != 0;
  const bool keep = !cut && (split.keep || original.shards.size() == 1);
  std::vector<Draft> drafts =
      keep ? keep_shards(original, tensors) : cut_shards(original, tensors, cut ? split : SplitOptions{});
  const bool shards_change = !keep && (drafts.size() != 1 || original.shards.size() != 1);
  std::vector<const LogicalTensor*> fused;
  for (const LogicalTensor& tensor : tensors) {
    if (!tensor.parts.empty()) fused.push_back(&tensor);
  }
  const bool as_original = fused.empty() && !shards_change;
  // Taken apart by the rules: these are other tensors than the original's, and no record leads back from them.
  const bool taken_apart = tensors.size() > original.tensors.size();

  const std::vector<ChangedKey> extra = tensor_extra_changes(original, tensors);
  Layout layout;
  OriginalProof proof{
      .tensors = original_tensors(original), .copies = copies(original, fused), .big_endian = original.big_endian};
  if (original.hashes) proof.expected = original.hashes->tensors;
  for (std::size_t i = 0; i < drafts.size(); ++i) {
    const ShardPlace place{.number = i, .count = drafts.size() > 1 ? drafts.size() : 0, .tensor_count = tensors.size()};
    static const std::vector<KeyItem> kNoKeys;
    const auto& keys = drafts[i].shard != nullptr ? drafts[i].shard->keys : kNoKeys;
    std::vector<ChangedKey> changes;
    if (!as_original || taken_apart) changes = split_changes(keys, place, shards_change, original.big_endian);
    if (i == 0) changes.insert(changes.end(), extra.begin(), extra.end());

    HeaderWriter header(original.version, original.big_endian);
    GGUF_FUSE_CHECK(header.set_alignment(drafts[i].alignment));
    write_keys(header, drafts[i], changes);
    if (i == 0 && !as_original && !taken_apart) {
      const RecordSlots slots = write_record(header, original, fused, changes);
      proof.hashed_at = slots.hashed;
      proof.zero_padding_at = slots.zero_padding;
      proof.hashes_at = slots.hashes;
    }
    proof.outputs.emplace_back();
    auto file = finish_file(drafts[i], header, as_original, proof.outputs.back());
    if (!file) {
      Error error = std::move(file).error();
      error.path = original.path;
      return fail(std::move(error));
    }
    layout.files.push_back(std::move(*file));
  }
  if (!proof.expected.empty() || proof.hashed_at != 0) {
    proof.sources = source_tracks(original);
    layout.proof = std::move(proof);
  }
  return layout;
}

}  // namespace gguf_fuse::fuse::detail
