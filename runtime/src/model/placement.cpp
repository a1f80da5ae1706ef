// SPDX-License-Identifier: MIT
#include "model/placement.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "text/pattern.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

std::vector<std::size_t> place_layers(std::size_t layers, std::size_t devices, std::span<const double> shares) {
  std::vector<double> ends;
  double sum = 0;
  for (std::size_t i = 0; i < devices; ++i) {
    sum += shares.empty() ? 1.0 : std::max(0.0, i < shares.size() ? shares[i] : 0.0);
    ends.push_back(sum);
  }
  std::vector<std::size_t> result;
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const double position = (static_cast<double>(layer) + 0.5) / static_cast<double>(layers) * sum;
    const auto end = std::find_if(ends.begin(), ends.end(), [&](double e) { return position < e; });
    result.push_back(static_cast<std::size_t>(std::min(end, ends.end() - 1) - ends.begin()));
  }
  return result;
}

/// The place that a tensor's name belongs to; none for norms and the like, which follow their block.
std::size_t* place_of(BlockDevices& places, std::string_view name) {
  if (name.find("_norm.") != std::string_view::npos) return nullptr;
  if (name.starts_with("token_embd.")) return &places.embedding;
  if (name.starts_with("output.")) return &places.output;
  constexpr std::string_view kPrefix = "blk.";
  if (!name.starts_with(kPrefix)) return nullptr;
  std::size_t layer = 0;
  const auto number = std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), layer);
  if (number.ec != std::errc() || layer >= places.attention.size()) return nullptr;
  const std::string_view part(number.ptr, static_cast<std::size_t>(name.data() + name.size() - number.ptr));
  if (part.starts_with(".attn_")) return &places.attention[layer];
  return part.starts_with(".ffn_") || part.starts_with(".exp_") ? &places.feed_forward[layer] : nullptr;
}

}  // namespace

Result<BlockDevices> place_blocks(std::size_t layers, std::size_t devices, std::span<const double> shares,
                                  std::span<const PlacementOverride> overrides, std::span<const std::string> names) {
  BlockDevices places{.attention = place_layers(layers, devices, shares), .feed_forward = {}};
  places.feed_forward = places.attention;
  places.embedding = places.attention.front();
  places.output = places.attention.back();
  // The first override that fits counts, so the last one is applied first.
  for (auto override = overrides.rbegin(); override != overrides.rend(); ++override) {
    if (override->device >= devices) {
      return fail({.code = ErrorCode::InvalidArgument,
                   .subject = escape_text(override->pattern),
                   .expected = fmt::format("device 0 to {}", devices - 1),
                   .actual = std::to_string(override->device)});
    }
    GGUF_FUSE_ASSIGN(const Pattern pattern, Pattern::compile(override->pattern));
    bool found = false;
    for (const std::string& name : names) {
      std::size_t* const place = place_of(places, name);
      if (place == nullptr || !pattern.found_in(name)) continue;
      *place = override->device;
      found = true;
    }
    if (!found) places.idle.push_back(static_cast<std::size_t>(overrides.rend() - override) - 1);
  }
  return places;
}

}  // namespace gguf_fuse::runtime::detail
