// SPDX-License-Identifier: MIT
// Headers that are legal GGUF and still must not lead a plan astray: records that lie, keys of the wrong kind, absurd
// shapes.
#include <gtest/gtest.h>

#include <ctime>
#include <functional>

#include "gguf_fuse/fuse/pipeline.hpp"
#include "support/memory_sink.hpp"
#include "support/random_model.hpp"
#include "support/rewrite.hpp"

namespace gguf_fuse::fuse {
namespace {

using support::GgufBuilder;
using support::model_of;
using support::RandomModel;
using support::run_plan;
using support::value_of;
using support::with_key;
using Bytes = std::vector<std::byte>;
using Write = std::function<void(HeaderWriter&)>;

RandomModel llama() {
  return RandomModel("llama").layers(1).embedding(32).heads(2, 1, 16).feed_forward(32).vocabulary(4);
}

struct Lie {
  std::string key;
  Write write;
};

template <typename T>
Write array(std::string key, std::vector<T> values) {
  return [key = std::move(key), values = std::move(values)](HeaderWriter& writer) {
    if constexpr (std::is_same_v<T, std::uint32_t>) writer.add_u32_array(key, values);
    if constexpr (std::is_same_v<T, std::uint64_t>) writer.add_u64_array(key, values);
    if constexpr (std::is_same_v<T, std::string_view>) writer.add_string_array(key, values);
  };
}

template <typename T>
Lie lie(const std::string& key, std::vector<T> values) {
  return {key, array<T>(key, std::move(values))};
}

using Numbers = std::vector<std::uint32_t>;
using Sizes = std::vector<std::uint64_t>;
using Names = std::vector<std::string_view>;
using namespace std::string_view_literals;

std::vector<Lie> lies() {
  const std::string evil(64, 'n');
  static const std::string kLong = evil;
  const std::string names = "gguf_fuse.part.names";
  std::vector<Lie> all = {
      {"gguf_fuse.version", [](HeaderWriter& w) { w.add_u32("gguf_fuse.version", 4); }},
      {"gguf_fuse.version", [](HeaderWriter& w) { w.add_u64("gguf_fuse.version", ~std::uint64_t{0}); }},
      lie<std::string_view>("gguf_fuse.fused", {"no.such.tensor"}),
      lie<std::string_view>("gguf_fuse.fused", {}),
      lie<std::string_view>("gguf_fuse.fused", {"blk.0.attn_qkv.weight", "blk.0.attn_qkv.weight"}),
      lie<std::string_view>("gguf_fuse.fused", Names(1000, "blk.0.attn_qkv.weight")),
      lie<std::uint32_t>("gguf_fuse.part.counts", {2}),
      lie<std::uint32_t>("gguf_fuse.part.counts", {4}),
      lie<std::uint32_t>("gguf_fuse.part.counts", {0xffffffffU}),
      lie<std::uint32_t>("gguf_fuse.part.counts", {1, 2}),
      lie<std::uint32_t>("gguf_fuse.part.counts", Numbers(1000, 0)),
      lie<std::string_view>(names, {"a", "b"}),
      lie<std::string_view>(names, {"a", "a", "b"}),
      lie<std::string_view>(names, {"a", "", "b"}),
      lie<std::string_view>(names, {"a", "nul\0"sv, "b"}),
      lie<std::string_view>(names, {"a", "\xff", "b"}),
      lie<std::string_view>(names, {"a", "esc\x1b[2J", "b"}),
      lie<std::string_view>(names, {"a", kLong, "b"}),
      lie<std::string_view>(names, {"a", "output_norm.weight", "b"}),
      lie<std::string_view>(names, Names(1000, "a")),
      lie<std::uint32_t>("gguf_fuse.part.indices", {2, 2, 3}),
      lie<std::uint32_t>("gguf_fuse.part.indices", {2, 3, 99}),
      lie<std::uint32_t>("gguf_fuse.part.indices", {2, 3, 0xffffffffU}),
      lie<std::uint64_t>("gguf_fuse.part.rows", {32, 16, 17}),
      lie<std::uint64_t>("gguf_fuse.part.rows", {0, 0, 0}),
      lie<std::uint64_t>("gguf_fuse.part.rows", {32, 32, ~std::uint64_t{0} - 15}),
      lie<std::uint64_t>("gguf_fuse.part.rows", {~std::uint64_t{0}, 64, 1}),
      lie<std::uint32_t>("gguf_fuse.shard.tensors", {}),
      lie<std::uint32_t>("gguf_fuse.shard.tensors", {1}),
      lie<std::uint32_t>("gguf_fuse.shard.tensors", Numbers(200'000, 0)),
      lie<std::uint64_t>("gguf_fuse.shard.alignments", {0}),
      lie<std::uint64_t>("gguf_fuse.shard.alignments", {48}),
      lie<std::uint64_t>("gguf_fuse.shard.alignments", {64}),
      lie<std::uint64_t>("gguf_fuse.shard.alignments", {std::uint64_t{1} << 40}),
      lie<std::uint64_t>("gguf_fuse.shard.tails", {std::uint64_t{1} << 40}),
      lie<std::uint64_t>("gguf_fuse.shard.tails", {~std::uint64_t{0}}),
      lie<std::uint64_t>("gguf_fuse.shard.tails", {1, 1}),
      lie<std::uint64_t>("gguf_fuse.shard.keys", {1, 2}),
      {"gguf_fuse.was.general.alignment", [](HeaderWriter& w) { w.add_u32("gguf_fuse.was.general.alignment", 64); }},
      lie<std::string_view>("gguf_fuse.added", Names(1000, "general.architecture")),
  };
  // Eight times as large in memory as in the file.
  const auto bytes = [](const std::string& key) {
    return Lie{key, [key](HeaderWriter& writer) { writer.add_u8_array(key, Bytes(std::size_t{1} << 20)); }};
  };
  for (const char* key : {"counts", "indices", "rows"}) all.push_back(bytes("gguf_fuse.part." + std::string(key)));
  for (const char* key : {"tensors", "alignments", "tails", "keys"})
    all.push_back(bytes("gguf_fuse.shard." + std::string(key)));
  return all;
}

TEST(HostileRecord, LiesAreRefused) {
  // With an alignment of its own, so that a record can lie about it.
  const Bytes honest =
      support::fuse(llama().keys([](HeaderWriter& writer) { writer.add_u32("general.alignment", 32); }).build());
  ASSERT_TRUE(plan_unfuse(model_of(honest).info));
  std::size_t number = 0;
  for (const Lie& one : lies()) {
    SCOPED_TRACE(std::to_string(number++) + " " + one.key);
    const Bytes file = with_key(honest, one.key, one.write);
    const Model model = model_of(file);
    for (const auto& plan : {plan_unfuse(model.info), plan_fuse(model.info), plan_compare(model.info, model.info)}) {
      ASSERT_FALSE(plan);
      EXPECT_EQ(error_name(plan.error().code), "BadRecord") << plan.error().message();
      EXPECT_EQ(plan.error().subject.substr(0, 10), "gguf_fuse.");
      EXPECT_EQ(escape_text(plan.error().message()), plan.error().message());
    }
  }
}

TEST(HostileRecord, MistypedKeysAreNamed) {
  const Bytes honest = support::fuse(llama().build());
  for (const char* key : {"fused", "part.counts", "part.names", "part.indices", "part.rows", "shard.tensors",
                          "shard.alignments", "shard.tails", "shard.keys"}) {
    const std::string name = "gguf_fuse." + std::string(key);
    SCOPED_TRACE(name);
    const Bytes mistyped = with_key(honest, name, [&name](HeaderWriter& writer) { writer.add_f32(name, 1); });
    EXPECT_EQ(plan_unfuse(model_of(mistyped).info).error().code, ErrorCode::WrongValueType);
  }
}

TEST(HostileRecord, ShardSectionsAreReadBeforeTheyAreBelieved) {
  const std::vector<Bytes> shards = llama().build_shards(4);
  Model model = model_of(shards);
  const Bytes merged = run_plan(value_of(plan_fuse(model.info)), model).front();
  ASSERT_TRUE(plan_unfuse(model_of(merged).info));
  const std::string key = "gguf_fuse.shard.section.1";
  const auto refused = [&](const Write& write) {
    const auto plan = plan_unfuse(model_of(with_key(merged, key, write)).info);
    return !plan && plan.error().code == ErrorCode::BadRecord;
  };
  EXPECT_TRUE(refused(nullptr));
  EXPECT_TRUE(refused([&](HeaderWriter& writer) { writer.add_string(key, "text"); }));
  EXPECT_TRUE(refused([&](HeaderWriter& writer) { writer.add_u8_array(key, {}); }));
  EXPECT_TRUE(refused([&](HeaderWriter& writer) { writer.add_u8_array(key, Bytes(100, std::byte{0xff})); }));
}

// One dimension cannot be cut into rows, whatever a record or a rule says.
TEST(HostileRecord, RowsOfAVector) {
  const Bytes honest = support::fuse(llama().build());
  Bytes file = GgufBuilder()
                   .string("general.architecture", "llama")
                   .keys([&](HeaderWriter& writer) {
                     const Model model = model_of(honest);
                     for (std::size_t i = 0; i < model.info.metadata().size(); ++i) {
                       const auto entry = model.info.metadata()[i];
                       if (entry.key.starts_with("gguf_fuse.")) writer.add_record(entry.record);
                     }
                   })
                   .tensor({"vector.weight", "F32", {8}})
                   .build();
  file = with_key(file, "gguf_fuse.fused", array<std::string_view>("gguf_fuse.fused", {"vector.weight"}));
  file = with_key(file, "gguf_fuse.part.rows", array<std::uint64_t>("gguf_fuse.part.rows", {1, 0, 0}));
  file = with_key(file, "gguf_fuse.part.indices", array<std::uint32_t>("gguf_fuse.part.indices", {0, 1, 2}));
  file = with_key(file, "gguf_fuse.shard.tensors", array<std::uint32_t>("gguf_fuse.shard.tensors", {3}));
  const auto plan = plan_unfuse(model_of(file).info);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, ErrorCode::BadRecord);
  EXPECT_EQ(plan.error().subject, "gguf_fuse.part.rows");
  const Bytes no_heads = GgufBuilder()
                             .string("general.architecture", "llama")
                             .u32("llama.attention.head_count", 1)
                             .u32("llama.attention.key_length", 0)
                             .u32("llama.attention.value_length", 1)
                             .tensor({"blk.0.attn_qkv.weight", "F32", {8}})
                             .build();
  EXPECT_EQ(plan_unfuse(model_of(no_heads).info).error().code, ErrorCode::NothingToUnfuse);
}

TEST(HostileKeys, ActivationFlagsOfTheWrongKind) {
  const Bytes honest = support::fuse(llama().prec_a4({{"blk.0.attn_norm.weight", true}}).build());
  constexpr std::string_view kNames = "general.tensor_extra.name";
  constexpr std::string_view kFlags = "general.tensor_extra.prec_a4";
  const std::vector<std::pair<std::string_view, Write>> changes = {
      {kNames,
       [=](HeaderWriter& w) {
         w.add_u32_array(kNames, Numbers{1, 2});
       }},
      {kNames, [=](HeaderWriter& w) { w.add_string(kNames, "text"); }},
      {kNames,
       [=](HeaderWriter& w) {
         w.add_string_array(kNames, Names{"a", "b", "c"});
       }},
      {kFlags, [=](HeaderWriter& w) { w.add_u32_array(kFlags, Numbers{1}); }},
      {kFlags, [=](HeaderWriter& w) { w.add_bool(kFlags, true); }},
      {kFlags, nullptr}};
  for (const auto& [key, write] : changes) {
    const Bytes file = with_key(honest, key, write);
    Model model = model_of(file);
    EXPECT_EQ(plan_fuse(model.info).error().code, ErrorCode::WrongValueType);
    // The way back asks nothing of these keys, so it is open.
    const auto plan = plan_unfuse(model.info);
    ASSERT_TRUE(plan) << plan.error().message();
    EXPECT_EQ(run_plan(*plan, model).size(), 1U);
  }
}

// The count of tensors is corrected in whatever type it has room for.
TEST(HostileKeys, SplitCountsOfAnyType) {
  const std::vector<Write> writes = {[](HeaderWriter& w) { w.add_bool("split.tensors.count", true); },
                                     [](HeaderWriter& w) { w.add_f32("split.tensors.count", 1); },
                                     [](HeaderWriter& w) { w.add_string("split.tensors.count", "12"); },
                                     [](HeaderWriter& w) { w.add_u8("split.tensors.count", 7); },
                                     [](HeaderWriter& w) { w.add_u64("split.tensors.count", ~std::uint64_t{0}); },
                                     [](HeaderWriter& w) { w.add_i32("split.tensors.count", -1); }};
  for (const Write& write : writes) {
    RandomModel large = llama().keys(write);
    for (int i = 0; i < 300; ++i) large.tensor({"more." + std::to_string(i), "F32", {1}});
    const Bytes file = large.build();
    const Bytes out = support::fuse(file);
    Model model = model_of(out);
    EXPECT_EQ(value_of(model.info.metadata().get_unsigned("split.tensors.count")), model.info.tensor_count());
    EXPECT_EQ(run_plan(value_of(plan_unfuse(model.info)), model).front(), file);
  }
}

TEST(HostileShapes, RowsWithoutElementsDoNotAddUp) {
  constexpr std::uint64_t kRows = (std::uint64_t{1} << 62) + 2;
  const Bytes file = GgufBuilder()
                         .string("general.architecture", "llama")
                         .u32("llama.attention.head_count", 1)
                         .tensor({"blk.0.attn_q.weight", "F32", {0, kRows}})
                         .tensor({"blk.0.attn_k.weight", "F32", {0, kRows}})
                         .tensor({"blk.0.attn_v.weight", "F32", {0, kRows}})
                         .build();
  Model model = model_of(file);
  const Plan plan = value_of(plan_fuse(model.info));
  EXPECT_EQ(plan.fused_count(), 0U);
  EXPECT_EQ(run_plan(plan, model).front(), file);
}

TEST(HostileShapes, FusedAndSeparateInOneFile) {
  const Bytes file = RandomModel(llama()).tensor({"blk.0.attn_qkv.weight", "Q8_0", {32, 64}}).build();
  Model model = model_of(file);
  const Plan same = value_of(plan_compare(model.info, model.info));
  Sources outputs;
  outputs.push_back(memory_source(file, "same"));
  const auto compared = compare(same, model, outputs);
  EXPECT_TRUE(compared) << compared.error().message();
}

// Fused by others: there is no record, and none may be made up.
TEST(UnfuseByRule, ShardsSayHowManyTensorsThereAre) {
  const std::vector<Bytes> shards = llama().fused(RuleId::Qkv).build_shards(4);
  Model model = model_of(shards);
  const std::vector<Bytes> apart = run_plan(value_of(plan_unfuse(model.info)), model);
  ASSERT_EQ(apart.size(), shards.size());
  const Model again = model_of(apart);
  EXPECT_EQ(again.info.tensor_count(), model.info.tensor_count() + 2);
  EXPECT_EQ(value_of(again.info.metadata().get_unsigned("split.tensors.count")), again.info.tensor_count());
  EXPECT_FALSE(again.info.metadata().find("gguf_fuse.version"));
}

TEST(UnfuseByRule, NewShardsHaveNoRecord) {
  const Bytes file = llama().fused(RuleId::Qkv).build();
  Model model = model_of(file);
  const std::vector<Bytes> apart = run_plan(value_of(plan_unfuse(model.info, {.max_tensors = 5})), model);
  EXPECT_GT(apart.size(), 1U);
  const Model again = model_of(apart);
  EXPECT_FALSE(again.info.metadata().find("gguf_fuse.version"));
  EXPECT_EQ(value_of(again.info.metadata().get_unsigned("split.tensors.count")), again.info.tensor_count());
  EXPECT_TRUE(plan_fuse(again.info));
}

// Time grows with the file, not with its square.
TEST(HostileShapes, ManyLayersAndManyKeys) {
  GgufBuilder builder;
  builder.string("general.architecture", "llama").u32("llama.attention.head_count", 1);
  builder.keys([](HeaderWriter& writer) {
    for (int i = 0; i < 100'000; ++i) writer.add_u8("key." + std::to_string(i), 0);
    const Names names(100'000, "some.tensor");
    writer.add_string_array("general.tensor_extra.name", names);
    const std::vector<char> flags(names.size());
    writer.add_bool_array("general.tensor_extra.prec_a4", {reinterpret_cast<const bool*>(flags.data()), flags.size()});
  });
  for (int i = 0; i < 10'000; ++i) {
    for (const char* part : {"q", "k", "v"})
      builder.tensor({"blk." + std::to_string(i) + ".attn_" + part + ".weight", "F32", {1, 1}});
  }
  const Bytes file = builder.build();
  const Model model = model_of(file);
  const std::clock_t start = std::clock();
  const Plan plan = value_of(plan_fuse(model.info));
  // A fraction of a second where nothing is instrumented.
  EXPECT_LT(std::clock() - start, 5 * CLOCKS_PER_SEC);
  EXPECT_EQ(plan.fused_count(), 10'000U);
}

}  // namespace
}  // namespace gguf_fuse::fuse
