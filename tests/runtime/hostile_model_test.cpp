// SPDX-License-Identifier: MIT
// What a damaged download or an attacker's file does to whoever runs it: an error that names the file, or numbers.
#include <filesystem>
#include <set>

#include "gguf_fuse/loader/sink.hpp"
#include "hostile_fixture.hpp"
#include "support/hostile.hpp"

namespace gguf_fuse::runtime {
namespace {

using support::TempDir;
using support::value_of;
using testing::AnyOf;

class HostileModel : public HostileTest {};
INSTANTIATE_TEST_SUITE_P(Any, HostileModel, testing::ValuesIn(hostile_names()), test_name);

using TableEdit = std::function<void(TensorSpec&)>;

/// The model with tensor `index` of its table changed.
Bytes with_tensor(const RandomModel& model, std::size_t index, const TableEdit& change) {
  return RandomModel(model).edit([=](std::vector<TensorSpec>& table) { change(table.at(index)); }).build();
}

/// What models of an architecture may have or not: its absence says something.
bool may_be_absent(const Architecture& row, std::string_view name) {
  // Of two layers the second one sees everything, and is the only one with experts where the first is dense.
  if (name.ends_with("attn_v.weight")) {
    return row.attention() != nullptr && row.attention()->value_from_key && name.starts_with("blk.1.");
  }
  if (name.ends_with("exp_probs_b.bias")) return row.mixture && row.mixture->selection_bias_if_there;
  return name == "output.weight" && !row.own_output;  // the embeddings serve
}

TEST_P(HostileModel, EveryTensorIsNeededOrItsAbsenceMeansSomething) {
  const RandomModel model = model_of(GetParam());
  const auto table = model.table();
  for (std::size_t i = 0; i < table.size(); ++i) {
    const Bytes file =
        RandomModel(model).edit([i](auto& t) { t.erase(t.begin() + static_cast<std::ptrdiff_t>(i)); }).build();
    EXPECT_EQ(outcome(file), may_be_absent(row(), table[i].name) ? "works" : "MissingTensor") << table[i].name;
  }
}

TEST_P(HostileModel, ShapesAreChecked) {
  const std::vector<std::pair<const char*, TableEdit>> changes = {
      {"scalar",
       [](TensorSpec& t) {
         t.dims = {};
         t.type = "F32";
       }},
      {"no columns", [](TensorSpec& t) { t.dims[0] = 0; }},
      {"no rows",
       [](TensorSpec& t) {
         t.dims.resize(2, 1);
         t.dims[1] = 0;
       }},
      {"one more row",
       [](TensorSpec& t) {
         t.dims.resize(2, 1);
         ++t.dims[1];
       }},
      {"twice the columns", [](TensorSpec& t) { t.dims[0] *= 2; }},
      {"a stack of two",
       [](TensorSpec& t) {
         t.dims.resize(3, 1);
         t.dims[2] = 2;
       }},
      {"a million rows",
       [](TensorSpec& t) {
         t.dims = {32, 1U << 20};
         t.type = "Q4_0";
       }},
      {"transposed", [](TensorSpec& t) {
         t.dims.resize(2, 1);
         std::swap(t.dims[0], t.dims[1]);
         t.type = "F32";
         // What is its own transpose becomes a column.
         if (t.dims[0] == t.dims[1]) t.dims = {1, t.dims[0] * t.dims[1]};
       }}};
  const RandomModel model = model_of(GetParam());
  const auto table = model.table();
  for (std::size_t i = 0; i < table.size(); ++i) {
    for (const auto& [name, change] : changes) {
      // The number of embeddings is what says how large the vocabulary is.
      const bool vocabulary =
          i == 0 && std::set<std::string>{"one more row", "a stack of two", "a million rows"}.contains(name);
      TensorSpec changed = table[i];
      change(changed);
      if (vocabulary || changed.dims == table[i].dims) continue;
      // Gate and up in one, with the rows of up alone: then where is gate?
      const bool half = row().name == "phi3" && table[i].name.ends_with("ffn_up.weight") && changed.dims.size() == 2 &&
                        changed.dims[1] * 2 == table[i].dims[1];
      SCOPED_TRACE(table[i].name + ", " + name);
      EXPECT_EQ(outcome(with_tensor(model, i, change)), half ? "MissingTensor" : "BadTensorShape");
    }
  }
}

TEST_P(HostileModel, TypesAreChecked) {
  const RandomModel model = model_of(GetParam()).wide();
  const auto table = model.table();
  for (std::size_t i = 0; i < table.size(); ++i) {
    for (const std::string type : {"Q8_K", "Q8_1", "I8", "F64", "F16", "Q4_K"}) {
      const bool matrix = table[i].dims.size() > 1 || table[i].name.ends_with("ffn_gate_inp_shexp.weight");
      const bool computable = matrix && (type == "F16" || type == "Q4_K");
      if (computable || table[i].dims[0] % 256 != 0) continue;
      const Bytes file = with_tensor(model, i, [&](TensorSpec& t) { t.type = type; });
      EXPECT_EQ(outcome(file), "UnsupportedType") << table[i].name << " of " << type;
    }
  }
}

TEST_P(HostileModel, WhatNothingComputesWithIsRefused) {
  for (const std::string name :
       {"blk.2.attn_q.weight", "blk.0.attn_q.scale", "blk.0.ffn_gate_chexps.weight", "blk.x", "."}) {
    const auto error = attempt(model_of(GetParam()).tensor({name, "F32", {32}}).build());
    ASSERT_TRUE(error) << name;
    EXPECT_EQ(error->subject, name) << error->message();
  }
}

TEST_P(HostileModel, HeadsOfAnySize) {
  constexpr std::uint64_t kMost = 1024;
  std::uint64_t most = kMost;
  if (row().attention() == nullptr) most = kMost - 32;  // the compressed vector lies beside what turns
  if (GetParam() == "gemma4") most = kMost / 2;         // layers without a window have heads twice as large
  for (const std::uint64_t size : {std::uint64_t{2}, std::uint64_t{6}, std::uint64_t{50}, most, most + 2, 64 * kMost}) {
    SCOPED_TRACE(size);
    const std::string found = outcome(model_of(GetParam()).heads(2, 1, size).type("Q8_0").build());
    EXPECT_EQ(found, size <= most ? "works" : "UnsupportedHyperparameter");
  }
}

TEST_P(HostileModel, WeightsThatAreNoNumbers) {
  const RandomModel model = model_of(GetParam());
  const auto table = model.table();
  for (std::size_t i = 0; i < table.size(); ++i) {
    const Bytes file = with_tensor(model, i, [](TensorSpec& t) {
      t.data = support::random_tensor(1, t);
      std::fill(t.data.begin(), t.data.end(), std::byte{0xff});  // NaN in every type that has it
    });
    // A bias that only chooses is in no sum, and SwiGLU-OAI limits what comes from up.
    const bool harmless = table[i].name.ends_with("exp_probs_b.bias") ||
                          (row().activation == Activation::SiluOai && table[i].name.ends_with("ffn_up_exps.weight"));
    EXPECT_EQ(outcome(file), harmless ? "works" : "NotFinite") << table[i].name;
  }
}

TEST_P(HostileModel, AVocabularyOfOne) { EXPECT_EQ(outcome(model_of(GetParam()).vocabulary(1).build()), "works"); }

TEST_P(HostileModel, AFileThatEndsEarlyIsRefused) {
  const Bytes file = model_of(GetParam()).unpadded_end().build();
  for (std::size_t size = 0; size < file.size(); size += 1 + file.size() / 97) {
    const std::string found = outcome({file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size)});
    EXPECT_THAT(found,
                AnyOf("Truncated", "DataBeyondEnd", "TooManyTensors", "TooManyKeys", "ArrayTooLong", "StringTooLong"))
        << size;
  }
}

// The header is whole and the weights are not: known only while they load.
TEST_P(HostileModel, AHalfLoadedModelIsNotUsable) {
  const std::string path = dir_.file("in.gguf.gz");
  const auto sink = gzip_sink(value_of(file_sink(path, {})));
  value_of(sink->write_at(0, model_of(GetParam()).vocabulary(20000).build()));
  value_of(sink->commit());
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  const auto model = value_of(RunnableModel::open(path, {.devices = {device_}}));
  const auto session = value_of(Session::create(model, {.context = 8}));
  for (int i = 0; i < 2; ++i) {
    const auto step = session->evaluate(std::vector{1});
    ASSERT_FALSE(step);
    EXPECT_THAT(step.error().code, AnyOf(ErrorCode::Truncated, ErrorCode::BadGzip));
    EXPECT_EQ(step.error().path, path);
    EXPECT_TRUE(step.error().offset) << step.error().message();
    EXPECT_EQ(model->wait().error().message(), step.error().message());
    EXPECT_FALSE(session->warm_up());
  }
  EXPECT_EQ(session->size(), 0U);
  EXPECT_EQ(session->logits().error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(session->top(1).error().code, ErrorCode::InvalidArgument);
}

TEST(HostileFiles, EachIsRefusedByItsOwnError) {
  const TempDir dir;
  const std::vector devices = {support::test_devices().front()};
  for (const auto& file : support::hostile_files()) {
    support::write_file(dir.file("in.gguf"), file.build());
    const auto model = RunnableModel::open(dir.file("in.gguf"), {.devices = devices});
    ASSERT_FALSE(model) << file.name;
    // What begins like gzip is unpacked first.
    const ErrorCode wanted = file.name == "magic_gzip" ? ErrorCode::BadGzip : file.code;
    EXPECT_EQ(error_name(model.error().code), error_name(wanted)) << file.name;
    EXPECT_EQ(model.error().path, dir.file("in.gguf"));
  }
  for (const auto& file : support::valid_files()) {
    support::write_file(dir.file("in.gguf"), file.build());
    const auto model = RunnableModel::open(dir.file("in.gguf"), {.devices = devices});
    ASSERT_FALSE(model) << file.name;
    EXPECT_EQ(model.error().path, dir.file("in.gguf")) << file.name << ": " << model.error().message();
  }
}

// Row numbers of 32 bits would wrap around, and sixteen rows would be allocated for all of these.
TEST(HostileFiles, MoreRowsThanNumbersFor) {
  const TempDir dir;
  HeaderWriter writer;
  writer.add_string("general.architecture", "llama");
  for (const char* key :
       {"block_count", "context_length", "embedding_length", "feed_forward_length", "attention.head_count"}) {
    writer.add_u32(std::string("llama.") + key, 1);
  }
  writer.add_u32("llama.attention.key_length", 2);
  writer.add_u32("llama.attention.value_length", 2);
  writer.add_f32("llama.attention.layer_norm_rms_epsilon", 1e-5F);
  const std::uint64_t rows = (std::uint64_t{1} << 32) + 16;
  support::value_of(writer.add_tensor("token_embd.weight", *find_tensor_type("F16"), 2, {1, rows, 1, 1}));
  const std::string path = dir.file("in.gguf");
  const Bytes header = writer.finish();
  support::write_file(path, header);
  std::filesystem::resize_file(path, header.size() + rows * 2);  // a hole, no bytes on the disk
  const auto model = RunnableModel::open(path, {.devices = {support::test_devices().front()}});
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::BadTensorShape) << model.error().message();
}

}  // namespace
}  // namespace gguf_fuse::runtime
