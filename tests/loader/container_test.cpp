// SPDX-License-Identifier: MIT
#include "gguf_fuse/loader/container.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "gguf_fuse/loader/header_writer.hpp"
#include "support/file_util.hpp"
#include "support/gguf_builder.hpp"
#include "support/paths.hpp"
#include "support/random.hpp"
#include "support/value_of.hpp"

namespace gguf_fuse::loader {
namespace {

using support::GgufBuilder;
using support::Random;
using support::value_of;
using testing::ElementsAre;
using testing::HasSubstr;
using Bytes = std::vector<std::byte>;

Container read(const Bytes& file) {
  auto container = read_container(*memory_source(file, "test.gguf"));
  EXPECT_TRUE(container) << container.error().message();
  return container ? std::move(*container) : Container{};
}

TEST(Container, HeaderFacts) {
  const Bytes file = GgufBuilder()
                         .string("general.architecture", "llama")
                         .tensor({"a", "Q4_0", {64, 3}})
                         .tensor({"b", "F32", {5}})
                         .build();
  const Container container = read(file);
  EXPECT_EQ(container.path, "test.gguf");
  EXPECT_EQ(container.version, 3U);
  EXPECT_FALSE(container.big_endian);
  EXPECT_EQ(container.alignment, 32U);
  EXPECT_EQ(container.file_bytes, file.size());
  EXPECT_EQ(container.data_offset % 32, 0U);
  ASSERT_EQ(container.tensors.size(), 2U);
  EXPECT_EQ(container.tensors[0].name, "a");
  EXPECT_EQ(container.tensors[0].type->name, "Q4_0");
  EXPECT_EQ(container.tensors[0].dimension_count, 2U);
  EXPECT_EQ(container.tensors[0].dims, (Dimensions{64, 3, 1, 1}));
  EXPECT_EQ(container.tensors[0].offset, 0U);
  EXPECT_EQ(container.tensors[0].bytes, 3U * 36);
  EXPECT_EQ(container.tensors[1].offset, 128U);
  EXPECT_EQ(container.data_bytes, 128U + 20);
  EXPECT_EQ(file.size(), container.data_offset + 160);
  EXPECT_TRUE(std::equal(container.header->begin(), container.header->end(), file.begin()));
}

TEST(Container, OldVersionAndOtherByteOrder) {
  const auto build = [](std::uint32_t version, bool big_endian) {
    return GgufBuilder()
        .version(version)
        .big_endian(big_endian)
        .u32("n", 0x01020304U)
        .tensor({"a", "F32", {2, 2}})
        .build();
  };
  for (const std::uint32_t version : {2U, 3U}) {
    for (const bool big_endian : {false, true}) {
      const Container container = read(build(version, big_endian));
      EXPECT_EQ(container.version, version);
      EXPECT_EQ(container.big_endian, big_endian);
      EXPECT_EQ(container.metadata.big_endian(), big_endian);
      EXPECT_EQ(container.metadata.get_unsigned("n"), 0x01020304U);
      ASSERT_EQ(container.tensors.size(), 1U);
      EXPECT_EQ(container.tensors[0].dims, (Dimensions{2, 2, 1, 1}));
    }
  }
}

TEST(Container, BigEndianBytesAreThoseOfTheFormat) {
  const Bytes file = GgufBuilder().big_endian().u32("n", 0x01020304U).build();
  const Container container = read(file);
  const std::string_view head(reinterpret_cast<const char*>(file.data()), 8);
  EXPECT_EQ(head, std::string_view("GGUF\0\0\0\3", 8));
  EXPECT_THAT(container.metadata[0].value.bytes(), ElementsAre(std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}));
}

TEST(Container, LimitsHold) {
  const Bytes file = GgufBuilder().string("key", std::string(100, 's')).u32("general.alignment", 64).build();
  const auto code = [&file](const Limits& limits) {
    const auto container = read_container(*memory_source(file, "x"), limits);
    return container ? std::string_view("none") : error_name(container.error().code);
  };
  EXPECT_EQ(code({}), "none");
  EXPECT_EQ(code({.metadata_bytes = 60}), "StringTooLong");
  EXPECT_EQ(code({.metadata_bytes = 160}), "MetadataTooLarge");
  EXPECT_EQ(code({.string_bytes = 99}), "StringTooLong");
  EXPECT_EQ(code({.string_bytes = 100}), "none");
  EXPECT_EQ(code({.key_bytes = 3}), "BadKey");
  EXPECT_EQ(code({.alignment = 32}), "BadAlignment");
}

TEST(Metadata, ByteExactAndInOrder) {
  const Bytes file = GgufBuilder().u32("z", 1).string("a", "two").u32("m", 3).tensor({"t", "F32", {1}}).build();
  const Container container = read(file);
  const Metadata& metadata = container.metadata;
  ASSERT_EQ(metadata.size(), 3U);
  Bytes joined;
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < metadata.size(); ++i) {
    const Metadata::Entry entry = metadata[i];
    keys.emplace_back(entry.key);
    EXPECT_TRUE(
        std::equal(entry.record.begin(), entry.record.end(), file.begin() + static_cast<std::ptrdiff_t>(entry.offset)));
    joined.insert(joined.end(), entry.record.begin(), entry.record.end());
  }
  EXPECT_THAT(keys, ElementsAre("z", "a", "m"));
  EXPECT_TRUE(std::ranges::equal(joined, metadata.section()));
  HeaderWriter writer;
  writer.add_records(metadata.section(), metadata.size());
  value_of(writer.add_tensor("t", *find_tensor_type("F32"), 1, {1, 1, 1, 1}));
  EXPECT_TRUE(std::ranges::equal(writer.finish(), std::span(file).first(container.data_offset)));
}

TEST(Metadata, CopiesOutliveTheirContainer) {
  Metadata copy;
  {
    const Container container = read(GgufBuilder().string("key", "value").build());
    copy = container.metadata;
  }
  EXPECT_EQ(copy.get_string("key"), "value");
}

TEST(Metadata, TypedAccess) {
  const Container container = read(GgufBuilder()
                                       .keys([](HeaderWriter& writer) {
                                         writer.add_u8("u8", 200);
                                         writer.add_i32("negative", -1);
                                         writer.add_u64("large", ~std::uint64_t{0});
                                         writer.add_f32("float", 1.5F);
                                         writer.add_bool("flag", true);
                                         writer.add_string("text", "words");
                                         writer.add_i32_array("signed", std::array{1, -1});
                                       })
                                       .build());
  const Metadata& metadata = container.metadata;
  EXPECT_EQ(metadata.get_unsigned("u8"), 200U);
  EXPECT_EQ(metadata.find("u8")->as_signed(), 200);
  EXPECT_EQ(metadata.find("large")->as_signed(), std::nullopt);
  EXPECT_EQ(metadata.find("large")->as_unsigned(), ~std::uint64_t{0});
  EXPECT_EQ(metadata.find("negative")->as_unsigned(), std::nullopt);
  EXPECT_EQ(metadata.find("negative")->as_signed(), -1);
  EXPECT_EQ(metadata.find("float")->as_double(), 1.5);
  EXPECT_EQ(metadata.find("float")->as_unsigned(), std::nullopt);
  EXPECT_EQ(metadata.find("flag")->as_bool(), true);
  EXPECT_EQ(metadata.find("flag")->as_unsigned(), std::nullopt);
  EXPECT_EQ(metadata.find("u8")->as_bool(), std::nullopt);
  EXPECT_EQ(metadata.find("text")->count(), 0U);
  EXPECT_TRUE(metadata.find("text")->elements().done());
  EXPECT_EQ(metadata.get_unsigned("missing").error().code, ErrorCode::MissingKey);
  EXPECT_EQ(metadata.get_string("missing").error().subject, "missing");
  for (const auto& error : {metadata.get_unsigned("negative").error(), metadata.get_unsigned("text").error(),
                            metadata.get_string("u8").error(), metadata.get_string_array("text").error(),
                            metadata.get_string_array("signed").error(), metadata.get_unsigned_array("signed").error(),
                            metadata.get_unsigned_array("u8").error()}) {
    EXPECT_EQ(error.code, ErrorCode::WrongValueType);
    EXPECT_EQ(error.path, "test.gguf");
    EXPECT_FALSE(error.expected.empty());
    EXPECT_FALSE(error.actual.empty());
    EXPECT_TRUE(error.offset);
  }
  EXPECT_THAT(metadata.get_string("signed").error().message(), HasSubstr("array of int32"));
}

TEST(Metadata, ArraysAreWalkedWithoutCopies) {
  const std::vector<std::string_view> words = {"", "a", "two words", "\xff"};
  for (const bool big_endian : {false, true}) {
    const Container container =
        read(GgufBuilder()
                 .big_endian(big_endian)
                 .keys([&](HeaderWriter& writer) {
                   writer.add_string_array("words", words);
                   writer.add_u64_array("numbers", std::array{std::uint64_t{1}, std::uint64_t{1} << 40});
                   writer.add_f32_array("floats", std::array{0.25F});
                 })
                 .build());
    EXPECT_EQ(container.metadata.get_string_array("words").value(), words);
    EXPECT_THAT(container.metadata.get_unsigned_array("numbers").value(), ElementsAre(1U, std::uint64_t{1} << 40));
    const Value array = *container.metadata.find("words");
    EXPECT_EQ(array.count(), 4U);
    EXPECT_EQ(array.element_type(), ValueType::String);
    const auto first = (*array.elements()).as_string();
    const auto* begin = reinterpret_cast<const char*>(container.header->data());
    EXPECT_TRUE(first->data() >= begin && first->data() < begin + container.header->size());
    EXPECT_EQ((*container.metadata.find("floats")->elements()).as_double(), 0.25);
  }
}

TEST(Metadata, DisplayIsShortAndWhole) {
  std::string long_text;
  for (int i = 0; i < 40; ++i) long_text += "\U0001F980";
  const Container container = read(GgufBuilder()
                                       .string("text", "a\nb")
                                       .string("long", long_text)
                                       .string("shifted", "x" + long_text)
                                       .keys([](HeaderWriter& writer) {
                                         writer.add_i32_array("array", std::array{1, -2, 3});
                                       })
                                       .build());
  EXPECT_EQ(container.metadata.find("text")->display(), "\"a\\x0ab\"");
  EXPECT_EQ(container.metadata.find("array")->display(), "[int32 x 3] 1 -2 3");
  for (const char* key : {"long", "shifted"}) {
    for (std::size_t length = 0; length < 70; ++length) {
      const std::string text = container.metadata.find(key)->display(length);
      EXPECT_LE(text.size(), std::max<std::size_t>(length, 3));
      EXPECT_EQ(escape_text(text), text) << "a character was cut in two at " << length;
    }
  }
}

void add_random_key(HeaderWriter& writer, Random& random, std::size_t number) {
  const std::string key = "key." + std::to_string(number) + std::string(random.below(20), '.');
  switch (random.below(9)) {
    case 0:
      return writer.add_u8(key, static_cast<std::uint8_t>(random.next()));
    case 1:
      return writer.add_u16(key, static_cast<std::uint16_t>(random.next()));
    case 2:
      return writer.add_u32(key, static_cast<std::uint32_t>(random.next()));
    case 3:
      return writer.add_u64(key, random.next());
    case 4:
      return writer.add_f32(key, random.uniform());
    case 5:
      return writer.add_bool(key, random.chance(0.5));
    case 6:
      return writer.add_string(key, std::string(random.below(50), 's'));
    case 7: {
      const std::vector<std::uint32_t> values(random.below(10), static_cast<std::uint32_t>(random.next()));
      return writer.add_u32_array(key, values);
    }
    default: {
      const std::vector<std::string_view> values(random.below(10), "token");
      return writer.add_string_array(key, values);
    }
  }
}

// What a HeaderWriter writes is read as it was written, whatever it was.
TEST(Container, RoundTripOfRandomHeaders) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const bool big_endian = random.chance(0.3);
    const std::uint32_t version = random.chance(0.2) ? 2 : 3;
    const std::uint64_t alignment = std::uint64_t{1} << random.below(10);
    HeaderWriter writer(version, big_endian);
    value_of(writer.set_alignment(alignment));
    writer.add_u32("general.alignment", static_cast<std::uint32_t>(alignment));
    for (std::size_t i = random.below(30); i > 0; --i) add_random_key(writer, random, i);
    std::vector<TensorInfo> rows(random.below(20));
    std::vector<std::string> names;
    for (TensorInfo& row : rows) {
      row.type = &tensor_types()[random.below(tensor_types().size())];
      row.dimension_count = static_cast<std::uint32_t>(2 + random.below(3));
      row.dims = {row.type->block_elements * random.below(4), row.type->rows_per_group * random.below(4), 1, 1};
      for (std::size_t i = 2; i < row.dimension_count; ++i) row.dims[i] = random.below(4);
      names.push_back("tensor." + std::to_string(names.size()));
      row.offset = value_of(writer.add_tensor(names.back(), *row.type, row.dimension_count, row.dims));
    }
    Bytes file = writer.finish();
    const std::size_t data_offset = file.size();
    file.resize(data_offset + writer.data_bytes());
    const Container container = read(file);
    EXPECT_EQ(container.metadata.size(), writer.key_count());
    EXPECT_EQ(container.alignment, alignment);
    EXPECT_EQ(container.data_offset, data_offset);
    EXPECT_EQ(container.data_bytes, writer.data_bytes());
    ASSERT_EQ(container.tensors.size(), rows.size());
    HeaderWriter again(version, big_endian);
    value_of(again.set_alignment(alignment));
    for (std::size_t i = 0; i < container.metadata.size(); ++i) again.add_record(container.metadata[i].record);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const TensorInfo& tensor = container.tensors[i];
      EXPECT_EQ(tensor.name, names[i]);
      EXPECT_EQ(tensor.type, rows[i].type);
      EXPECT_EQ(tensor.offset, rows[i].offset);
      EXPECT_EQ(tensor.dims, rows[i].dims);
      value_of(again.add_tensor(tensor.name, *tensor.type, tensor.dimension_count, tensor.dims));
    }
    EXPECT_EQ(again.finish(), Bytes(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(data_offset)));
  }
}

// Every tiny model that another program wrote is read, and its header written again is the same.
TEST(Container, HeadersOfOtherWriters) {
  const std::filesystem::path folder = test_support::test_data("models");
  std::size_t count = 0;
  if (std::filesystem::exists(folder)) {
    for (const auto& item : std::filesystem::directory_iterator(folder)) {
      if (item.path().extension() != ".gguf") continue;
      SCOPED_TRACE(item.path());
      const Bytes file = support::read_file(item.path());
      const Container container = read(file);
      EXPECT_TRUE(container.metadata.get_string("general.architecture"));
      EXPECT_GT(container.tensors.size(), 4U);
      HeaderWriter writer(container.version, container.big_endian);
      value_of(writer.set_alignment(container.alignment));
      writer.add_records(container.metadata.section(), container.metadata.size());
      for (const TensorInfo& tensor : container.tensors)
        value_of(writer.add_tensor(tensor.name, *tensor.type, tensor.dimension_count, tensor.dims));
      EXPECT_TRUE(std::ranges::equal(writer.finish(), std::span(file).first(container.data_offset)));
      ++count;
    }
  }
  if (count == 0) GTEST_SKIP() << "the tiny models are not here";
}

}  // namespace
}  // namespace gguf_fuse::loader
