// SPDX-License-Identifier: MIT
// Hyperparameters of every architecture that runs as a damaged or hostile file has them: an error that names the key,
// or a network. The tiny models (tiny_model.hpp) have the keys; no device is asked. A quarter of all values, from a
// seed that changes ($GGUF_FUSE_TEST_SEED repeats one); $GGUF_FUSE_WHOLE_GRID takes all of them.
#include "hostile_fixture.hpp"
#include "model/key_table.hpp"
#include "model/network.hpp"
#include "support/random.hpp"
#include "support/tiny_model.hpp"

namespace gguf_fuse::runtime {
namespace {

Result<Network> read(const Bytes& file) {
  const auto source = memory_source(file, "in.gguf");
  const Container container = support::value_of(read_container(*source));
  return read_network(container.metadata, "in.gguf");
}

/// As files have it.
std::string name_of(std::string_view architecture, std::string_view key) {
  return key.starts_with('.') ? std::string(key.substr(1)) : std::string(architecture) + "." + std::string(key);
}

TEST(HostileTinyModels, EachKeyMayHoldAnything) {
  const std::uint64_t seed = support::changing_seed();
  support::Random random(seed);
  for (const auto& tiny : support::tiny_models()) {
    const std::string_view architecture = tiny.architecture();
    if (find_architecture(architecture) == nullptr) continue;
    const Bytes file = support::build_tiny_model(tiny);
    for (const KeyRow& row : key_rows()) {
      if (find_key(architecture, row.key) != &row) continue;
      const std::string key = name_of(architecture, row.key);
      for (const BadValue& value : bad_values()) {
        if (!support::whole_grid() && random.below(4) != 0) continue;
        SCOPED_TRACE("GGUF_FUSE_TEST_SEED=" + std::to_string(seed) + ": " + std::string(tiny.name) + ": " + key +
                     " = " + value.name);
        const auto found =
            read(with_key(file, key, value.write ? [&](HeaderWriter& w) { value.write(w, key); } : Write()));
        if (found) {
          EXPECT_GT(found->layers.size(), 0U);
          continue;
        }
        EXPECT_THAT(found.error().code,
                    testing::AnyOf(ErrorCode::MissingKey, ErrorCode::WrongValueType, ErrorCode::BadHyperparameter,
                                   ErrorCode::UnsupportedHyperparameter))
            << found.error().message();
        EXPECT_FALSE(found.error().subject.empty());
        EXPECT_EQ(escape_text(found.error().message()), found.error().message());
      }
    }
  }
}

// What a reader has to say exactly, of keys that random models do not have.
TEST(HostileTinyModels, WrongValuesAreNamed) {
  const struct {
    std::string_view model, key, value, outcome;
  } rows[] = {{"orion", "attention.layer_norm_epsilon", "-1.0", "BadHyperparameter"},
              {"orion", "attention.layer_norm_rms_epsilon", "-1.0", "works"},  // it has none of these norms
              {"gptneox", "use_parallel_residual", "1", "WrongValueType"},
              {"gptneox", "use_parallel_residual", "missing", "MissingKey"},
              {"granite", "rope.scaling.finetuned", "text", "WrongValueType"},
              {"granite", "rope.scaling.finetuned", "missing", "works"},
              {"dbrx", "attention.clamp_kqv", "-1.0", "BadHyperparameter"},
              {"dbrx", "attention.clamp_kqv", "0.0", "works"},
              {"qwen", "feed_forward_length", "3", "BadHyperparameter"},
              {"baichuan", "block_count", "3", "UnsupportedHyperparameter"},
              {"mistral3+steady", "attention.temperature_scale", "2.5", "works"},
              {"mistral3+steady", "attention.temperature_scale", "NaN", "BadHyperparameter"},
              {"deepseek2+temperature", "attention.temperature_length", "missing", "MissingKey"},
              {"deepseek2+temperature", "attention.temperature_length", "0", "BadHyperparameter"},
              {"hunyuan-dense", "rope.scaling.alpha", "-1.0", "BadHyperparameter"},
              {"hunyuan-dense", "rope.scaling.alpha", "0.0", "works"},
              {"ernie4_5-moe", "interleave_moe_layer_step", "0", "BadHyperparameter"},
              {"ernie4_5-moe", "interleave_moe_layer_step", "3", "works"},  // the tensors will not do
              {"bailingmoe2", "expert_shared_count", "2^24", "BadHyperparameter"},
              {"bailingmoe2", "expert_shared_count", "0", "works"},
              {"minimax-m2", "expert_gating_func", "missing", "MissingKey"},
              {"apertus", ".xielu.alpha_n", "missing", "MissingKey"},
              {"apertus", ".xielu.alpha_n", "2.5", "works"},  // for all layers
              {"apertus", ".xielu.alpha_p", "[]", "BadHyperparameter"},
              {"apertus", ".xielu.beta", "[texts]", "BadHyperparameter"},  // and two of them
              {"apertus", ".xielu.eps", "text", "WrongValueType"},
              {"apertus", ".xielu.eps", "NaN", "BadHyperparameter"}};
  for (const auto& row : rows) {
    SCOPED_TRACE(std::string(row.model) + ": " + std::string(row.key) + " = " + std::string(row.value));
    const auto& tiny = support::tiny_model(row.model);
    const std::string key = name_of(tiny.architecture(), row.key);
    const auto value = std::find_if(bad_values().begin(), bad_values().end(),
                                    [&](const BadValue& candidate) { return candidate.name == row.value; });
    ASSERT_NE(value, bad_values().end());
    const Write write = value->write ? [&](HeaderWriter& w) { value->write(w, key); } : Write();
    const auto found = read(with_key(support::build_tiny_model(tiny), key, write));
    EXPECT_EQ(found ? "works" : error_name(found.error().code), row.outcome);
    if (!found) {
      EXPECT_EQ(found.error().subject, key);
    }
  }
}

}  // namespace
}  // namespace gguf_fuse::runtime
