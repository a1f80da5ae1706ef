// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "blocks/mixture/mixture.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

Result<Gating> read_gating(const Keys& keys, Gating fallback) {
  // llama.cpp's numbers (src/llama-hparams.h); 4 is a function of an architecture that is none of ours.
  constexpr std::string_view kKey = "expert_gating_func";
  GGUF_FUSE_ASSIGN(const std::uint32_t number, keys.count(kKey));
  constexpr std::array kGatings = {Gating::Softmax, Gating::Sigmoid, Gating::SelectedSoftmax};
  if (number == 0) return fallback;
  if (number <= kGatings.size()) return kGatings[number - 1];
  return fail(keys.bad(ErrorCode::UnsupportedHyperparameter, kKey, "1 to 3", std::to_string(number)));
}

Result<RouterShape> read_router(const Keys& keys, const MixtureTraits& traits, std::uint32_t experts) {
  RouterShape router{.experts = experts};
  GGUF_FUSE_ASSIGN(router.used, keys.size("expert_used_count"));
  if (experts > kMostExperts || router.used > std::min(experts, kMostUsed)) {
    const bool too_many = experts > kMostExperts;
    return fail(keys.bad(ErrorCode::UnsupportedHyperparameter, too_many ? "expert_count" : "expert_used_count",
                         fmt::format("at most {}", too_many ? kMostExperts : std::min(experts, kMostUsed)),
                         std::to_string(too_many ? experts : router.used)));
  }
  GGUF_FUSE_ASSIGN(router.gating, read_gating(keys, traits.gating));
  GGUF_FUSE_ASSIGN(router.normalise, keys.flag("expert_weights_norm", traits.normalised));
  GGUF_FUSE_ASSIGN(router.scale, keys.factor_or_one("expert_weights_scale"));
  GGUF_FUSE_ASSIGN(router.groups, keys.count("expert_group_count"));
  if (router.groups <= 1) {
    router.groups = router.groups_used = 1;
  } else {
    GGUF_FUSE_ASSIGN(router.groups_used, keys.size("expert_group_used_count"));
  }
  const std::uint32_t in_groups = router.groups_used * (experts / router.groups);
  if (experts % router.groups != 0 || router.groups_used > router.groups || in_groups < router.used) {
    return fail(
        keys.bad(ErrorCode::BadHyperparameter, "expert_group_count",
                 fmt::format("groups of {} experts, {} of which hold {}", experts, router.groups_used, router.used),
                 std::to_string(router.groups)));
  }
  return router;
}

/// Of an expert. In this key and the next one's 0 means none given.
Result<std::uint32_t> read_size(const Keys& keys, std::uint32_t dense, std::uint32_t used) {
  constexpr std::string_view kSize = "expert_feed_forward_length";
  GGUF_FUSE_ASSIGN(std::uint32_t size, keys.count(kSize, 0));
  if (size == 0) size = keys.reads(kSize) ? dense / used : dense;
  if (size == 0) return fail(keys.missing(dense == 0 ? "feed_forward_length" : kSize));
  return size;
}

/// Of what every token sees beside the experts, which are `size` wide.
Result<std::uint32_t> read_shared_size(const Keys& keys, const MixtureTraits& traits, std::uint32_t dense,
                                       std::uint32_t size) {
  constexpr std::string_view kShared = "expert_shared_feed_forward_length";
  constexpr std::string_view kCount = "expert_shared_count";
  if (traits.shared_like_experts && !keys.reads(kShared) && !keys.reads(kCount)) return size;
  std::uint32_t one = size;
  if (keys.reads(kShared)) {
    GGUF_FUSE_ASSIGN(one, keys.count(kShared, 0));
    if (one == 0) {
      GGUF_FUSE_ASSIGN(const double fallback, keys.fallback(kShared, traits.shared_like_experts ? size : dense));
      one = static_cast<std::uint32_t>(fallback);
    }
    if (!keys.reads(kCount)) return one;
  }
  GGUF_FUSE_ASSIGN(const std::uint32_t count, keys.count(kCount));
  const std::uint64_t together = std::uint64_t{count} * one;
  if (together <= kLargestSize) return static_cast<std::uint32_t>(together);
  return fail(keys.bad(ErrorCode::BadHyperparameter, kCount, fmt::format("at most {}", kLargestSize / one),
                       std::to_string(count)));
}

}  // namespace

Result<std::optional<MixtureParameters>> MixtureParameters::read(const Keys& keys, const ModelSizes& sizes,
                                                                 const MixtureTraits& traits, std::uint32_t dense) {
  GGUF_FUSE_ASSIGN(const std::uint32_t experts, keys.count("expert_count"));
  if (experts == 0) return std::nullopt;
  MixtureParameters result{.embedding = sizes.embedding, .weighs_input = traits.weighs_input, .epsilon = sizes.epsilon};
  GGUF_FUSE_ASSIGN(result.router, read_router(keys, traits, experts));
  GGUF_FUSE_ASSIGN(result.size, read_size(keys, dense, result.router.used));
  GGUF_FUSE_ASSIGN(result.shared, read_shared_size(keys, traits, dense, result.size));
  GGUF_FUSE_ASSIGN(result.leading, keys.count("leading_dense_block_count"));
  constexpr std::string_view kEvery = "interleave_moe_layer_step";
  if (keys.reads(kEvery)) {
    GGUF_FUSE_ASSIGN(result.every, keys.size(kEvery));
  }
  return result;
}

}  // namespace gguf_fuse::runtime::detail
