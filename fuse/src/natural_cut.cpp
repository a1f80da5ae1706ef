// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <set>

#include "legality.hpp"

namespace gguf_fuse::fuse::detail {
namespace {

template <ReasonCode Code, typename... Arguments>
tl::unexpected<Reason> unknown(const Arguments&... arguments) {
  return tl::unexpected(because<Code>(arguments...));
}

UnfuseCut halves(const Rule& rule, const LogicalTensor& fused) {
  const std::uint64_t half = fused.dims[1] / 2;
  if (fused.dims[1] % 2 != 0) return unknown<ReasonCode::OddRows>(rule.result);
  return Cut{.rows = {half, half}};
}

// ffn_up holds gate and up only where it has twice the rows of a feed-forward network.
UnfuseCut stated_halves(const ModelView& view, const Rule& rule, std::uint32_t layer, const LogicalTensor& fused) {
  const std::uint64_t length = stated_length(view, rule, layer);
  if (length == 0 || fused.dims[1] / 2 != length || fused.dims[1] % 2 != 0)
    return unknown<ReasonCode::NotFused>(rule.result);
  return halves(rule, fused);
}

struct HeadSizes {
  std::uint64_t key = 0;
  std::uint64_t value = 0;
};

// Head sizes this model may use: the usual ones, and those of sliding-window layers where they differ.
std::vector<HeadSizes> head_sizes(const ModelView& view, std::uint32_t layer, std::uint64_t heads) {
  // 0 is what llama.cpp's own writer gives for a size that the model does not state.
  const auto stated = [&](std::string_view key) {
    const auto number = view.hyperparameter(key, layer).value_or(std::nullopt);
    return number != std::uint64_t{0} ? number : std::nullopt;
  };
  const std::uint64_t usual = stated("embedding_length").value_or(0) / heads;
  std::vector<HeadSizes> sizes;
  for (const std::string_view suffix : {"", "_swa"}) {
    const auto key = stated(fmt::format("attention.key_length{}", suffix));
    const auto value = stated(fmt::format("attention.value_length{}", suffix));
    if (suffix.empty() || key || value) sizes.push_back({.key = key.value_or(usual), .value = value.value_or(usual)});
  }
  return sizes;
}

bool product_fits(std::uint64_t a, std::uint64_t b) { return b == 0 || a <= (std::uint64_t{1} << 40) / b; }

UnfuseCut heads(const ModelView& view, const Rule& rule, std::uint32_t layer, const LogicalTensor& fused) {
  if (view.row() == nullptr) return unknown<ReasonCode::OrderUnknown>(rule.result);
  if (rule.own_in_recurrent && view.recurrent(layer)) return unknown<ReasonCode::OrderOfRecurrent>(rule.result);
  if (view.has_trait(kOtherQkvLayout) && !view.has_recurrent_layers())
    return unknown<ReasonCode::OrderPerHead>(rule.result);
  const Stated query = view.hyperparameter("attention.head_count", layer);
  const Stated stated = view.hyperparameter("attention.head_count_kv", layer);
  if (!query) return tl::unexpected(query.error());
  if (!stated) return tl::unexpected(stated.error());
  const std::uint64_t query_heads = query->value_or(0);
  const std::uint64_t key_heads = stated->value_or(query_heads);
  if (query_heads == 0 || key_heads == 0) return unknown<ReasonCode::HeadsNotStated>();
  const std::vector<HeadSizes> sizes = head_sizes(view, layer, query_heads);

  std::set<std::vector<std::uint64_t>> fitting;
  for (const HeadSizes& size : sizes) {
    for (const std::uint64_t factor : {std::uint64_t{1}, std::uint64_t{2}}) {
      if (factor == 2 && !view.has_trait(kGatedQueries)) continue;
      if (!product_fits(query_heads, size.key) || !product_fits(key_heads, size.key) ||
          !product_fits(key_heads, size.value))
        continue;
      const std::vector<std::uint64_t> rows = {factor * query_heads * size.key, key_heads * size.key,
                                               key_heads * size.value};
      if (rows[0] + rows[1] + rows[2] == fused.dims[1]) fitting.insert(rows);
    }
  }
  if (fitting.size() != 1) return unknown<ReasonCode::RowsUnexplained>(fused.dims[1], rule.result);
  return Cut{.rows = *fitting.begin()};
}

}  // namespace

std::uint64_t stated_length(const ModelView& view, const Rule& rule, std::uint32_t layer) {
  const auto stated = [&](std::string_view key) {
    return key.empty() ? 0 : view.hyperparameter(key, layer).value_or(std::nullopt).value_or(0);
  };
  const std::uint64_t length = stated(rule.length_key);
  if (length != 0) return length;
  const std::uint64_t a = stated(rule.length_factors[0]), b = stated(rule.length_factors[1]);
  return product_fits(a, b) ? a * b : 0;
}

UnfuseCut natural_cut(const ModelView& view, const Rule& rule, std::uint32_t layer, const LogicalTensor& fused) {
  if (rule.axis == Axis::Matrices) return unknown<ReasonCode::NotFused>(rule.result);
  switch (rule.rows) {
    case PartRows::Equal:
      return halves(rule, fused);
    case PartRows::EqualStated:
      return stated_halves(view, rule, layer, fused);
    case PartRows::OfHeads:
      break;
  }
  return heads(view, rule, layer, fused);
}

}  // namespace gguf_fuse::fuse::detail
