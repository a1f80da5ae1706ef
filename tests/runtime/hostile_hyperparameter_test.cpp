// SPDX-License-Identifier: MIT
// Hyperparameters as a damaged or hostile file has them: an error that names the key, or numbers.
#include <array>
#include <limits>

#include "hostile_fixture.hpp"

namespace gguf_fuse {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

class HostileHyperparameters : public HostileTest {};
INSTANTIATE_TEST_SUITE_P(Dense, HostileHyperparameters, testing::ValuesIn(runnable_names()),
                         [](const auto& architecture) { return architecture.param; });

TEST_P(HostileHyperparameters, UntouchedItWorks) { EXPECT_EQ(outcome(model_of(GetParam()).build()), "works"); }

// Values that a key may be given; nothing leaves the key out.
struct BadValue {
  const char* name;
  std::function<void(HeaderWriter&, std::string_view)> write;
};

const std::vector<BadValue>& bad_values() {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto f32 = [](float value) { return [=](HeaderWriter& w, std::string_view key) { w.add_f32(key, value); }; };
  const auto u64 = [](std::uint64_t value) {
    return [=](HeaderWriter& w, std::string_view key) { w.add_u64(key, value); };
  };
  static const std::vector<BadValue> values = {
      {"missing", nullptr},
      {"text", [](HeaderWriter& w, std::string_view key) { w.add_string(key, "m\x1b[any"); }},
      {"true", [](HeaderWriter& w, std::string_view key) { w.add_bool(key, true); }},
      {"2.5", f32(2.5F)},
      {"-1.0", f32(-1)},
      {"1e-45", f32(1e-45F)},
      {"3e38", f32(3e38F)},
      {"NaN", f32(std::nanf(""))},
      {"infinite", f32(kInfinity)},
      {"0.0", f32(0)},
      {"-1", [](HeaderWriter& w, std::string_view key) { w.add_i32(key, -1); }},
      {"0", u64(0)},
      {"1", u64(1)},
      {"3", u64(3)},
      {"2^24", u64(1U << 24)},
      {"2^31", u64(std::uint64_t{1} << 31)},
      {"2^64-1", u64(~std::uint64_t{0})},
      {"[]", [](HeaderWriter& w, std::string_view key) { w.add_u32_array(key, {}); }},
      {"[0, 0]",
       [](HeaderWriter& w, std::string_view key) {
         w.add_u32_array(key, std::array{0U, 0U});
       }},
      {"[texts]", [](HeaderWriter& w, std::string_view key) {
         w.add_string_array(key, std::array<std::string_view, 2>{"a", "b"});
       }}};
  return values;
}

constexpr std::string_view kSizes[] = {"block_count", "context_length", "embedding_length", "feed_forward_length",
                                       "attention.head_count"};
constexpr std::string_view kOtherKeys[] = {"attention.head_count_kv",
                                           "attention.key_length",
                                           "attention.value_length",
                                           "attention.layer_norm_rms_epsilon",
                                           "attention.scale",
                                           "attention.sliding_window",
                                           "attention.sliding_window_pattern",
                                           "attn_logit_softcapping",
                                           "final_logit_softcapping",
                                           "expert_count",
                                           "rope.dimension_count",
                                           "rope.freq_base",
                                           "rope.freq_base_swa",
                                           "rope.scale_linear",
                                           "rope.scaling.type",
                                           "rope.scaling.factor",
                                           "rope.scaling.original_context_length",
                                           "rope.scaling.yarn_beta_fast",
                                           "rope.scaling.yarn_beta_slow",
                                           "rope.scaling.attn_factor",
                                           "vocab_size"};

TEST_P(HostileHyperparameters, EveryKeyMayHoldAnything) {
  const Bytes file = model_of(GetParam()).build();
  const auto outcome_of = [&](std::string_view key, const BadValue& value) {
    const std::string name = GetParam() + "." + std::string(key);
    SCOPED_TRACE(name + " = " + value.name);
    return outcome(with_key(file, name, value.write ? [&](HeaderWriter& w) { value.write(w, name); } : Write()));
  };
  for (const std::string_view key : kSizes) {
    for (const BadValue& value : bad_values()) {
      const std::string found = outcome_of(key, value);
      if (std::string_view(value.name) == "missing") {
        EXPECT_EQ(found, "MissingKey") << key;
      } else if (key != "context_length" || (found != "works" && found != "BufferTooLarge")) {
        EXPECT_THAT(found, AnyOf("WrongValueType", "BadHyperparameter", "BadTensorShape", "MissingTensor",
                                 "UnsupportedArchitecture", "UnsupportedHyperparameter"))
            << key << " = " << value.name;
      }
    }
  }
  for (const std::string_view key : kOtherKeys) {
    for (const BadValue& value : bad_values()) static_cast<void>(outcome_of(key, value));
  }
}

struct KeyRow {
  std::string_view key;
  std::string_view value;  // a name of bad_values()
  std::string_view outcome;
};

// What a reader has to say exactly, of any architecture.
constexpr KeyRow kRows[] = {{"block_count", "0", "BadHyperparameter"},
                            {"block_count", "2^31", "BadHyperparameter"},
                            {"block_count", "3", "MissingTensor"},
                            {"block_count", "1", "UnsupportedArchitecture"},  // tensors that nothing computes with
                            {"block_count", "text", "WrongValueType"},
                            {"context_length", "0", "BadHyperparameter"},
                            {"context_length", "2^31", "BadHyperparameter"},
                            {"embedding_length", "2^64-1", "BadHyperparameter"},
                            {"embedding_length", "3", "BadTensorShape"},
                            {"attention.head_count", "3", "BadTensorShape"},
                            {"attention.head_count", "-1", "WrongValueType"},
                            {"attention.head_count_kv", "3", "BadHyperparameter"},
                            {"attention.head_count_kv", "0", "BadHyperparameter"},
                            {"attention.head_count_kv", "[]", "BadHyperparameter"},
                            {"attention.head_count_kv", "[0, 0]", "BadHyperparameter"},
                            {"attention.key_length", "0", "BadHyperparameter"},
                            {"attention.key_length", "2^24", "UnsupportedHyperparameter"},
                            {"attention.value_length", "3", "UnsupportedHyperparameter"},
                            {"rope.dimension_count", "3", "BadHyperparameter"},     // odd
                            {"rope.dimension_count", "2^24", "BadHyperparameter"},  // larger than a head
                            {"rope.freq_base", "NaN", "BadHyperparameter"},
                            {"rope.freq_base", "infinite", "BadHyperparameter"},
                            {"rope.freq_base", "0.0", "BadHyperparameter"},
                            {"rope.freq_base", "-1.0", "BadHyperparameter"},
                            {"rope.freq_base", "text", "WrongValueType"},
                            {"rope.scaling.factor", "-1.0", "BadHyperparameter"},
                            {"rope.scaling.type", "text", "UnsupportedHyperparameter"},
                            {"rope.scaling.type", "3", "WrongValueType"},
                            {"attention.layer_norm_rms_epsilon", "-1.0", "BadHyperparameter"},
                            {"attention.layer_norm_rms_epsilon", "NaN", "BadHyperparameter"},
                            {"attn_logit_softcapping", "-1.0", "BadHyperparameter"},
                            {"final_logit_softcapping", "-1.0", "BadHyperparameter"},
                            {"expert_count", "3", "UnsupportedHyperparameter"},
                            {"expert_count", "0", "works"},
                            {"vocab_size", "2^64-1", "works"}};  // the embeddings say it

TEST_P(HostileHyperparameters, WrongHyperparametersAreNamed) {
  const Bytes file = model_of(GetParam()).build();
  for (const KeyRow& row : kRows) {
    const std::string name = GetParam() + "." + std::string(row.key);
    const auto value = std::find_if(bad_values().begin(), bad_values().end(),
                                    [&](const BadValue& candidate) { return candidate.name == row.value; });
    ASSERT_NE(value, bad_values().end()) << row.value;
    const auto error = attempt(with_key(file, name, [&](HeaderWriter& w) { value->write(w, name); }));
    EXPECT_EQ(error ? error_name(error->code) : "works", row.outcome) << row.key << " = " << row.value;
    const bool of_the_key = error && error->code != ErrorCode::MissingTensor &&
                            error->code != ErrorCode::BadTensorShape &&
                            error->code != ErrorCode::UnsupportedArchitecture;
    if (of_the_key) {
      EXPECT_THAT(error->subject, HasSubstr(GetParam() + ".")) << error->message();
    }
  }
}

TEST_P(HostileHyperparameters, WindowsAndContextsOfAnySize) {
  const Bytes file = model_of(GetParam()).build();
  const std::string window = GetParam() + ".attention.sliding_window";
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 40}) {
    EXPECT_EQ(outcome(with_key(file, window, [&](HeaderWriter& w) { w.add_u64(window, size); })), "works") << size;
  }
  for (const std::uint32_t context : {3U, 17U, 1U << 16}) {
    EXPECT_FALSE(attempt(file, {.context = context, .micro_batch = 0, .candidates = 0})) << context;
    EXPECT_FALSE(attempt(file, {.context = context, .micro_batch = 1U << 31, .candidates = 1U << 31})) << context;
  }
}

TEST_P(HostileHyperparameters, ACacheLargerThanTheDeviceNamesTheOption) {
  const std::uint64_t before = device_->allocated_bytes();
  const std::string key = GetParam() + ".context_length";
  const Bytes longest = with_key(model_of(GetParam()).heads(64, 64, 256).build(), key,
                                 [&](HeaderWriter& w) { w.add_u32(key, 1U << 24); });
  const std::pair<Bytes, SessionOptions> wishes[] = {
      {longest, {}},  // the file's own context: 1 TiB a layer
      {model_of(GetParam()).build(), {.context = std::numeric_limits<std::uint32_t>::max()}}};
  for (const auto& [file, options] : wishes) {
    const auto error = attempt(file, options);
    ASSERT_TRUE(error);
    EXPECT_THAT(error->code, AnyOf(ErrorCode::OutOfDeviceMemory, ErrorCode::BufferTooLarge));
    EXPECT_THAT(error->message(), HasSubstr("shorter context (-c)"));
    EXPECT_EQ(device_->allocated_bytes(), before);
  }
}

}  // namespace
}  // namespace gguf_fuse
