// SPDX-License-Identifier: MIT
#include "gguf_fuse/loader/model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "support/file_util.hpp"
#include "support/gguf_builder.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::loader {
namespace {

using support::GgufBuilder;
using support::TempDir;
using testing::HasSubstr;
using Bytes = std::vector<std::byte>;

GgufBuilder five_tensors() {
  GgufBuilder builder;
  builder.string("general.architecture", "llama");
  for (const char* name : {"a", "b", "c", "d", "e"}) builder.tensor({name, "F32", {7}});
  return builder;
}

// A shard with the split keys given; no key where a value is missing.
Bytes shard(std::optional<std::uint16_t> number, std::optional<std::uint16_t> count, const std::string& tensor,
            std::optional<std::int32_t> tensors = std::nullopt, bool big_endian = false) {
  return GgufBuilder()
      .big_endian(big_endian)
      .keys([=](HeaderWriter& writer) {
        if (number) writer.add_u16("split.no", *number);
        if (count) writer.add_u16("split.count", *count);
        if (tensors) writer.add_i32("split.tensors.count", *tensors);
      })
      .tensor({tensor, "F32", {1}})
      .build();
}

class Shards : public testing::Test {
 protected:
  std::string write(const std::vector<Bytes>& shards) {
    return support::write_shards(dir_.file("model"), shards).front();
  }
  Error error_of(const std::vector<Bytes>& shards) {
    const auto model = open_model(write(shards));
    EXPECT_FALSE(model);
    return model ? Error{.code = ErrorCode::BadMagic} : model.error();
  }
  std::string error_name_of(const std::vector<Bytes>& shards) { return std::string(error_name(error_of(shards).code)); }
  [[nodiscard]] std::string file(std::string_view name) const { return dir_.file(name); }

 private:
  TempDir dir_;
};

TEST_F(Shards, AnyOneOpensAll) {
  const std::vector<std::string> paths = support::write_shards(file("model"), five_tensors().build_shards(2));
  ASSERT_EQ(paths.size(), 3U);
  for (const std::string& path : paths) {
    for (const LoadMode mode : {LoadMode::Read, LoadMode::Mmap, LoadMode::Direct}) {
      const auto model = open_model(path, {.mode = mode, .limits = {}});
      ASSERT_TRUE(model) << model.error().message();
      ASSERT_EQ(model->info.shards.size(), 3U);
      EXPECT_EQ(model->sources.size(), 3U);
      EXPECT_EQ(model->info.tensor_count(), 5U);
      EXPECT_EQ(model->info.metadata().get_string("general.architecture"), "llama");
      EXPECT_FALSE(model->sequential());
      EXPECT_TRUE(model->check_unchanged());
      std::uint64_t bytes = 0;
      for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(model->info.shards[i].path, paths[i]);
        bytes += std::filesystem::file_size(paths[i]);
      }
      EXPECT_EQ(model->info.total_bytes(), bytes);
    }
  }
}

TEST_F(Shards, ChangesOfAnyShardAreNoticed) {
  const std::vector<std::string> paths = support::write_shards(file("model"), five_tensors().build_shards(2));
  const auto model = open_model(paths[0]);
  ASSERT_TRUE(model);
  std::filesystem::resize_file(paths[2], 10);
  const auto changed = model->check_unchanged();
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().code, ErrorCode::InputChanged);
  EXPECT_EQ(changed.error().path, paths[2]);
}

TEST_F(Shards, MissingOne) {
  const std::vector<std::string> paths = support::write_shards(file("model"), five_tensors().build_shards(2));
  std::filesystem::remove(paths[1]);
  for (const std::string& path : {paths[0], paths[2]}) {
    const auto model = open_model(path);
    ASSERT_FALSE(model);
    EXPECT_EQ(model.error().code, ErrorCode::ShardMissing);
    EXPECT_EQ(model.error().path, paths[1]);
    EXPECT_THAT(model.error().message(), HasSubstr("3 shards"));
  }
  EXPECT_EQ(open_model(paths[1]).error().code, ErrorCode::OpenFailed);
}

TEST_F(Shards, DamagedOneIsNamed) {
  const std::vector<std::string> paths = support::write_shards(file("model"), five_tensors().build_shards(2));
  std::filesystem::resize_file(paths[1], std::filesystem::file_size(paths[1]) - 40);
  const auto model = open_model(paths[0]);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::DataBeyondEnd);
  EXPECT_EQ(model.error().path, paths[1]);
}

TEST_F(Shards, NumbersMustFit) {
  EXPECT_TRUE(open_model(write({shard(0, 2, "a"), shard(1, 2, "b")})));
  EXPECT_EQ(error_name_of({shard(1, 2, "a"), shard(0, 2, "b")}), "BadSplit");
  EXPECT_EQ(error_name_of({shard(0, 2, "a"), shard(0, 2, "b")}), "BadSplit");
  EXPECT_EQ(error_name_of({shard(0, 2, "a"), shard(1, 3, "b")}), "BadSplit");
  EXPECT_EQ(error_name_of({shard(0, 3, "a"), shard(1, 3, "b")}), "BadSplit");
  EXPECT_EQ(error_name_of({shard(std::nullopt, 2, "a"), shard(1, 2, "b")}), "MissingKey");
  EXPECT_EQ(error_name_of({shard(0, 2, "a"), shard(1, std::nullopt, "b")}), "MissingKey");
  EXPECT_EQ(error_of({shard(0, 2, "a"), shard(7, 2, "b")}).subject, "split.no");
  EXPECT_EQ(error_of({shard(0, 2, "a"), shard(1, 9, "b")}).subject, "split.count");
}

TEST_F(Shards, TensorCountMustFit) {
  EXPECT_TRUE(open_model(write({shard(0, 2, "a", 2), shard(1, 2, "b", 2)})));
  EXPECT_EQ(error_of({shard(0, 2, "a", 3), shard(1, 2, "b", 3)}).subject, "split.tensors.count");
  EXPECT_EQ(error_name_of({shard(0, 2, "a", -1), shard(1, 2, "b", -1)}), "WrongValueType");
}

TEST_F(Shards, TensorsAreThereOnce) {
  const Error error = error_of({shard(0, 2, "same"), shard(1, 2, "same")});
  EXPECT_EQ(error.code, ErrorCode::DuplicateTensor);
  EXPECT_EQ(error.subject, "same");
  EXPECT_EQ(error.path, file("model-00002-of-00002.gguf"));
}

TEST_F(Shards, OneByteOrder) {
  EXPECT_EQ(error_name_of({shard(0, 2, "a"), shard(1, 2, "b", std::nullopt, true)}), "BadSplit");
  EXPECT_TRUE(open_model(write({shard(0, 2, "a", std::nullopt, true), shard(1, 2, "b", std::nullopt, true)})));
}

TEST_F(Shards, WrongTypesOfSplitKeys) {
  const auto with_count = [](auto add) { return GgufBuilder().keys(add).tensor({"a", "F32", {1}}).build(); };
  const std::string path = file("one.gguf");
  const auto name_of = [&path](const Bytes& bytes) {
    support::write_file(path, bytes);
    const auto model = open_model(path);
    return model ? std::string("none") : std::string(error_name(model.error().code));
  };
  EXPECT_EQ(name_of(with_count([](HeaderWriter& w) { w.add_string("split.count", "2"); })), "WrongValueType");
  EXPECT_EQ(name_of(with_count([](HeaderWriter& w) { w.add_i32("split.count", -2); })), "WrongValueType");
  EXPECT_EQ(name_of(with_count([](HeaderWriter& w) { w.add_u64("split.count", ~std::uint64_t{0}); })), "BadSplit");
  // Engines store these keys with any integer type.
  EXPECT_EQ(name_of(with_count([](HeaderWriter& w) { w.add_u64("split.count", 1); })), "none");
}

TEST_F(Shards, ARenamedOneIsNotAModel) {
  const std::vector<std::string> paths = support::write_shards(file("model"), five_tensors().build_shards(2));
  std::filesystem::copy(paths[0], file("renamed.gguf"));
  std::filesystem::copy(paths[0], file("model-00001-of-00004.gguf"));
  for (const char* name : {"renamed.gguf", "model-00001-of-00004.gguf"}) {
    const auto model = open_model(file(name));
    ASSERT_FALSE(model) << name;
    EXPECT_EQ(model.error().code, ErrorCode::BadSplit) << name;
  }
  // A whole model may be called anything.
  support::write_file(file("whole-00001-of-00009.gguf"), five_tensors().build());
  EXPECT_TRUE(open_model(file("whole-00001-of-00009.gguf")));
  support::write_file(file("merged.gguf"), shard(0, 0, "a", 1));
  EXPECT_TRUE(open_model(file("merged.gguf")));
  support::write_file(file("single-00001-of-00001.gguf"), shard(0, 1, "a", 1));
  EXPECT_TRUE(open_model(file("single-00001-of-00001.gguf")));
}

TEST(ShardNames, TakenApartAndPutTogether) {
  const auto name = parse_shard_name("dir/model-Q4-00002-of-00010.gguf");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->prefix, "dir/model-Q4");
  EXPECT_EQ(name->index, 1U);
  EXPECT_EQ(name->count, 10U);
  EXPECT_EQ(shard_path(name->prefix, name->index, name->count), "dir/model-Q4-00002-of-00010.gguf");
  for (const std::size_t count : {1U, 9U, 99999U}) {
    const auto last = parse_shard_name(shard_path("p", count - 1, count));
    ASSERT_TRUE(last);
    EXPECT_EQ(last->index + 1, count);
  }
  EXPECT_EQ(parse_shard_name("a-00001-of-00002-00001-of-00003.gguf")->prefix, "a-00001-of-00002");
}

TEST(ShardNames, OthersAreNone) {
  for (const char* name : {"",
                           ".gguf",
                           "model.gguf",
                           "model-00001-of-00002",
                           "model-00001-of-00002.gguf.gz",
                           "model-00001-of-00002.GGUF",
                           "model-0001-of-0002.gguf",
                           "model-000001-of-000002.gguf",
                           "model-00000-of-00002.gguf",
                           "model-00003-of-00002.gguf",
                           "model-00001-of-00000.gguf",
                           "model_00001-of-00002.gguf",
                           "model-00001-OF-00002.gguf",
                           "model-00001of-00002.gguf",
                           "model--0001-of-00002.gguf",
                           "model-+0001-of-00002.gguf",
                           "model- 0001-of-00002.gguf",
                           "model-0x001-of-00002.gguf",
                           "-00001-of-00002.gguf",
                           "model-00001-of-0000a.gguf"}) {
    EXPECT_FALSE(parse_shard_name(name)) << name;
  }
}

}  // namespace
}  // namespace gguf_fuse::loader
