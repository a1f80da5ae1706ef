// SPDX-License-Identifier: MIT
#include "prelude.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <string>

#include "gguf_fuse/kernels/attention.hpp"
#include "gguf_fuse/kernels/experts.hpp"
#include "gguf_fuse/kernels/operation.hpp"
#include "gguf_fuse/kernels/prepare.hpp"
#include "gguf_fuse/kernels/step.hpp"

namespace gguf_fuse::kernels::detail {
namespace {

struct PreludeRow {
  std::string_view name;
  std::uint32_t number;

  /// A number, or one of an enumeration's.
  template <typename T>
  constexpr PreludeRow(std::string_view kernel_name, T value)
      : name(kernel_name), number(static_cast<std::uint32_t>(value)) {}
};

constexpr std::size_t kWord = sizeof(std::uint32_t);

/// Of enumerations only what a kernel asks for.
constexpr PreludeRow kRows[] = {
    // the step table, in words
    {"STEP_TOKENS", offsetof(StepTable::Header, tokens) / kWord},
    {"STEP_RUNS", offsetof(StepTable::Header, runs) / kWord},
    {"STEP_LONG_RUNS", offsetof(StepTable::Header, long_runs) / kWord},
    {"STEP_TILES", offsetof(StepTable::Header, tiles) / kWord},
    {"STEP_TOKENS_AT", offsetof(StepTable::Header, tokens_at) / kWord},
    {"STEP_RUNS_AT", offsetof(StepTable::Header, runs_at) / kWord},
    {"STEP_TILES_AT", offsetof(StepTable::Header, tiles_at) / kWord},
    {"STEP_OUTPUTS_AT", offsetof(StepTable::Header, outputs_at) / kWord},
    {"STEP_WORDS", sizeof(StepTable::Header) / kWord},
    {"STEP_TOKEN_WORDS", sizeof(StepTable::Token) / kWord},
    {"TOKEN_POSITION", offsetof(StepTable::Token, position) / kWord},
    {"TOKEN_SEQUENCE", offsetof(StepTable::Token, sequence) / kWord},
    {"STEP_RUN_WORDS", sizeof(StepRun) / kWord},
    {"RUN_FIRST", offsetof(StepRun, first) / kWord},
    {"RUN_TOKENS", offsetof(StepRun, tokens) / kWord},
    {"RUN_POSITION", offsetof(StepRun, position) / kWord},
    {"RUN_SEQUENCE", offsetof(StepRun, sequence) / kWord},
    {"GROUP_LANES", kGroupLanes},
    // matrix products
    {"TILE_ROWS", kTileRows},
    {"GROUP_COLUMNS", kGroupElements},
    {"GROUP_ROW_TILES", kGroupRowTiles},
    {"GROUP_SLICES", kGroupSlices},
    {"FLAG_BIAS", kFlagBias},
    {"FLAG_ADD", kFlagAdd},
    {"FLAG_UP_BIAS", kFlagUpBias},
    {"FLAG_WEIGH_INPUT", kFlagWeighInput},
    {"ACTIVATION_GELU", Activation::Gelu},
    {"ACTIVATION_RELU", Activation::Relu},
    {"ACTIVATION_RELU_SQUARED", Activation::ReluSquared},
    {"ACTIVATION_SILU_OAI", Activation::SiluOai},
    // activations
    {"ACTIVATIONS_Q8", Activations::Q8},
    {"BATCH_TILE", kBatchTile},
    {"Q8_GROUP_BYTES", token_group_bytes(Activations::Q8)},
    {"F32_GROUP_BYTES", token_group_bytes(Activations::F32)},
    {"NORM_NONE", Norm::None},
    {"NORM_LAYER", Norm::Layer},
    {"NORM_WEIGHT", kNormWeight},
    {"NORM_BIAS", kNormBias},
    {"PREPARE_BRANCH", kPrepareBranch},
    {"PREPARE_BRANCH_NORM", kPrepareBranchNorm},
    {"PREPARE_SCALED", kPrepareScaled},
    {"POINTWISE_CHUNK", kPointwiseChunk},
    // experts
    {"MOST_EXPERTS", kMostExperts},
    {"MOST_USED", kMostUsed},
    {"GATING_SOFTMAX", Gating::Softmax},
    {"GATING_SIGMOID", Gating::Sigmoid},
    {"GATING_SELECTED_SOFTMAX", Gating::SelectedSoftmax},
    {"GATING_SELECTED_SIGMOID", Gating::SelectedSigmoid},
    {"ROUTE_NORMALISE", kRouteNormalise},
    {"ROUTE_SELECTION_BIAS", kRouteSelectionBias},
    {"ROUTE_EXPERT_FACTOR", kRouteExpertFactor},
    {"ROUTE_ONE_TOKEN", kRouteOneToken},
    // attention
    {"ROPE_NONE", Rope::None},
    {"ROPE_NEOX", Rope::Neox},
    {"CACHE_TILE", kCacheTile},
    {"PAGE_TILES", kPageTokens / kCacheTile},
    {"CACHE_BLOCK", kCacheBlock},
    {"CACHE_F32", CacheType::F32},
    {"CACHE_F16", CacheType::F16},
    {"CACHE_BF16", CacheType::BF16},
    {"CACHE_Q8_0", CacheType::Q8_0},
    {"CACHE_Q5_0", CacheType::Q5_0},
    {"CACHE_Q5_1", CacheType::Q5_1},
    {"CACHE_IQ4_NL", CacheType::IQ4_NL},
    {"PARTIAL_HEADER", kPartialHeader},
    {"PARTIAL_SUMS", kPartialSums},
    // delta rule
    {"CONV_CHANNELS", kConvChannels},
    {"DELTA_HEAD_FLOATS", kDeltaHeadFloats},
    {"DELTA_SINGLE_BLOCKS", kDeltaSingleBlocks},
    // logits
    {"SOFTCAP_CHUNK", kSoftcapChunk},
    {"TOP_K_SORTED", kTopKGroupChunk},
    {"TOP_K_MOST", kMostCandidates},
};

/// A bit for each type of the cache that `has` it.
template <typename Has>
PreludeRow cache_mask(std::string_view name, Has has) {
  std::uint32_t mask = 0;
  for (const CacheTypeRow& row : cache_types()) {
    if (has(row)) mask |= 1U << static_cast<unsigned>(row.type);
  }
  return {name, mask};
}

std::string make_prelude() {
  std::string text;
  const auto add = [&](const PreludeRow& row) { text += fmt::format("#define {} {}u\n", row.name, row.number); };
  for (const PreludeRow& row : kRows) add(row);
  add(cache_mask("CACHES_OF_BLOCKS", [](const CacheTypeRow& row) { return row.blocks; }));
  add(cache_mask("CACHES_OF_NIBBLES", [](const CacheTypeRow& row) { return row.bits < 8; }));
  add(cache_mask("CACHES_OF_FIVE_BITS", [](const CacheTypeRow& row) { return row.bits == 5; }));
  add(cache_mask("CACHES_WITH_MINIMUMS", [](const CacheTypeRow& row) { return row.minimums; }));
  return text;
}

}  // namespace

std::string_view prelude() {
  static const std::string kText = make_prelude();
  return kText;
}

}  // namespace gguf_fuse::kernels::detail
