// SPDX-License-Identifier: MIT
#include "tracks.hpp"

#include <xxhash.h>

#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h>  // XXH3 with the widest vectors that the processor has
#endif

#include <algorithm>
#include <limits>
#include <memory>

namespace gguf_fuse::fuse::detail {
namespace {

constexpr std::uint64_t kNoEnd = std::numeric_limits<std::uint64_t>::max();

// The block that begins `within` piece `piece` of a track.
Stretch block_in(const Track& track, const OriginalTensor& tensor, std::uint64_t piece, std::uint64_t within) {
  const std::uint64_t offset = track.offset + piece * track.offset_stride + within;
  const std::uint64_t slice_bytes = std::max<std::uint64_t>(tensor.slice_bytes, 1);
  const std::uint64_t slice = offset / slice_bytes;
  const std::uint64_t in_slice = offset % slice_bytes;
  const std::uint64_t blocks = (slice_bytes + kHashBlock - 1) / kHashBlock;
  const std::uint64_t left = std::min(kHashBlock - in_slice % kHashBlock, slice_bytes - in_slice);
  return {.end = track.position + piece * track.position_stride + within + std::min(left, track.bytes - within),
          .is_block = true,
          .tensor = track.tensor,
          .number = slice * blocks + in_slice / kHashBlock};
}

Stretch stretch_in(const TrackedTensor& file_tensor, const std::vector<OriginalTensor>& tensors,
                   std::uint64_t position) {
  for (const Track& track : file_tensor.tracks) {
    if (position < track.position) continue;
    const std::uint64_t behind = position - track.position;
    const std::uint64_t piece = track.count == 1 ? 0 : std::min(behind / track.position_stride, track.count - 1);
    const std::uint64_t within = behind - piece * track.position_stride;
    if (within < track.bytes) return block_in(track, tensors[track.tensor], piece, within);
  }
  return {.end = file_tensor.end};
}

}  // namespace

Stretch stretch_at(const FileTracks& tracks, const std::vector<OriginalTensor>& tensors, std::uint64_t position) {
  const auto next = std::partition_point(tracks.begin(), tracks.end(),
                                         [position](const TrackedTensor& tensor) { return tensor.end <= position; });
  if (next == tracks.end()) return {.end = kNoEnd};
  return position < next->begin ? Stretch{.end = next->begin} : stretch_in(*next, tensors, position);
}

std::uint64_t whole_stretches(const FileTracks& tracks, const std::vector<OriginalTensor>& tensors,
                              std::uint64_t position, std::uint64_t most) {
  const std::uint64_t limit = position + most;
  std::uint64_t end = position;
  while (end < limit) {
    const Stretch stretch = stretch_at(tracks, tensors, end);
    if (stretch.end > limit) return stretch.is_block ? end : limit;
    end = stretch.end;
  }
  return end;
}

OriginalHasher::OriginalHasher(const OriginalProof* proof)
    : proof_(proof), sums_(proof != nullptr ? 2 * proof->tensors.size() : 0) {}

void OriginalHasher::add(const FileTracks& tracks, std::uint64_t begin, std::span<const std::byte> bytes) {
  const std::uint64_t end = begin + bytes.size();
  for (std::uint64_t at = begin; at < end;) {
    const Stretch stretch = stretch_at(tracks, proof_->tensors, at);
    const std::uint64_t stop = std::min(stretch.end, end);
    if (stretch.is_block) {
      const auto block = bytes.subspan(at - begin, stop - at);
      const XXH128_hash_t hash = XXH3_128bits_withSeed(block.data(), block.size(), stretch.number);
      const std::size_t low = std::size_t{2} * stretch.tensor;
      sums_[low].fetch_add(hash.low64, std::memory_order_relaxed);
      sums_[low + 1].fetch_add(hash.high64, std::memory_order_relaxed);
    }
    at = stop;
  }
}

std::vector<ContentHash> OriginalHasher::take() const {
  std::vector<ContentHash> hashes;
  for (std::size_t i = 0; i < sums_.size(); i += 2) hashes.push_back({.low = sums_[i], .high = sums_[i + 1]});
  if (proof_ != nullptr) {
    for (const auto& [copy, of] : proof_->copies) hashes[copy] = hashes[of];
  }
  return hashes;
}

ContentHash hash_header(std::span<const std::byte> header, std::uint64_t padding, std::uint64_t file_bytes) {
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(), &XXH3_freeState);
  XXH3_128bits_reset_withSeed(state.get(), file_bytes);
  XXH3_128bits_update(state.get(), header.data(), header.size());
  const std::vector<std::byte> zeros(padding, std::byte{0});
  XXH3_128bits_update(state.get(), zeros.data(), zeros.size());
  const XXH128_hash_t hash = XXH3_128bits_digest(state.get());
  return {.low = hash.low64, .high = hash.high64};
}

}  // namespace gguf_fuse::fuse::detail
