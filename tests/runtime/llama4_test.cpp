// SPDX-License-Identifier: MIT
// What Llama 4's layers do beyond 8192 positions, farther than the logits of other implementations reach here.
#include <gtest/gtest.h>

#include "blocks/attention/attention.hpp"
#include "gguf_fuse/loader/container.hpp"
#include "model/network.hpp"
#include "support/file_util.hpp"
#include "support/runtime/run_model.hpp"
#include "support/temp_dir.hpp"
#include "support/tiny_model.hpp"

namespace gguf_fuse::runtime {
namespace {

using support::tiny_text;
using support::value_of;

constexpr std::uint32_t kChunk = 8192;

/// The tiny model with other keys, which replace its own.
support::Bytes llama4(const std::string& keys) {
  support::TinyModel model = support::tiny_model("llama4");
  const std::string all = std::string(model.keys) + " " + keys;
  model.keys = all;
  return support::build_tiny_model(model);
}

Result<Network> read(const std::string& keys) {
  const support::Bytes file = llama4(keys);
  const auto source = memory_source(file, "in.gguf");
  const Container container = value_of(read_container(*source));
  return read_network(container.metadata, "in.gguf");
}

const AttentionParameters& attention(const Network& network, std::size_t layer) {
  return dynamic_cast<const Attention&>(*network.layers[layer].mixer.block).parameters();
}

TEST(Llama4, EveryFourthLayerDoesNotTurnAndScalesItsQueries) {
  const Network network = value_of(read(""));
  for (std::size_t i = 0; i < 4; ++i) {
    const AttentionParameters& layer = attention(network, i);
    const bool still = i == 3;
    EXPECT_EQ(layer.rope, still ? Rope::None : Rope::Norm) << i;
    EXPECT_EQ(layer.turned_norm, !still) << i;
    EXPECT_EQ(layer.chunked, !still) << i;
    EXPECT_EQ(layer.window, still ? 0 : kChunk) << i;
    EXPECT_EQ(layer.query_scale.length, still ? kChunk : 0) << i;
    EXPECT_EQ(layer.query_scale.offset, still ? 1U : 0U) << i;
    EXPECT_FLOAT_EQ(layer.query_scale.factor, still ? 0.1F : 0) << i;
  }
}

TEST(Llama4, ChunksAreAsLongWhateverTheFileSays) {
  EXPECT_EQ(attention(value_of(read("attention.sliding_window=100")), 0).window, kChunk);
  const auto none = read("attention.sliding_window=0");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::UnsupportedHyperparameter);
}

TEST(Llama4, ModelsOf128ExpertsHaveNoNormOfWhatHasTurned) {
  EXPECT_FALSE(attention(value_of(read("expert_count=128")), 0).turned_norm);
  EXPECT_TRUE(attention(value_of(read("expert_count=16")), 0).turned_norm);
}

/// The logits of a text behind so many other tokens.
std::vector<float> logits_behind(const std::string& path, std::uint32_t others) {
  const auto session = support::open_session(path, {.context = kChunk + 64, .all_logits = true});
  if (others > 0) {
    std::vector<std::int32_t> tokens(others);
    for (std::uint32_t i = 0; i < others; ++i) tokens[i] = static_cast<std::int32_t>(i * i % 47);
    value_of(session->evaluate(tokens));
  }
  value_of(session->evaluate(tiny_text()));
  const auto logits = value_of(session->logits());
  return {logits.begin(), logits.end()};
}

/// Without layers that see everything, a text that begins a chunk is as if it stood alone, but for the rounding of the
/// angles of its positions.
TEST(Llama4, AChunkForgetsWhatLiesBeforeIt) {
  const support::TempDir dir;
  const std::string path = dir.file("model.gguf");
  support::write_file(path, llama4("block_count=3"));
  const std::vector<float> alone = logits_behind(path, 0);
  EXPECT_LT(support::logit_difference(logits_behind(path, kChunk), alone).max, 0.02);
  EXPECT_GT(support::logit_difference(logits_behind(path, kChunk / 2), alone).max, 0.2);
}

}  // namespace
}  // namespace gguf_fuse::runtime
