// SPDX-License-Identifier: MIT
// The loader's functions given what no caller should give them: each answers with an error value.
#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <vector>

#include "gguf_fuse/loader/header_writer.hpp"
#include "gguf_fuse/loader/model.hpp"
#include "gguf_fuse/loader/sink.hpp"

namespace gguf_fuse::loader {
namespace {

const TensorType& f32() { return *find_tensor_type("F32"); }

TEST(Misuse, ErrorNumbersThatAreNoCodes) {
  for (std::size_t number = error_code_count(); number < 256; ++number) {
    EXPECT_EQ(error_name(static_cast<ErrorCode>(number)), "Unknown");
  }
  EXPECT_EQ(error_hint(static_cast<ErrorCode>(255)), "");
  const Error error{.code = static_cast<ErrorCode>(255), .path = "x"};
  EXPECT_EQ(error.kind(), ErrorKind::Environment);
  EXPECT_EQ(error.message(), "x: an error that this version does not know");
}

TEST(Misuse, MoreThanFourDimensions) {
  HeaderWriter writer;
  for (const std::uint32_t count : {5U, 8U, 0xffffffffU}) {
    const auto added = writer.add_tensor("t", f32(), count, {1, 1, 1, 1});
    ASSERT_FALSE(added);
    EXPECT_EQ(added.error().code, ErrorCode::BadDimensions);
  }
  EXPECT_EQ(writer.finish(), HeaderWriter().finish());
  EXPECT_EQ(writer.add_tensor("t", f32(), 4, {1, 1, 1, 1}).value_or(9), 0U);
}

TEST(Misuse, TensorsThatAreTooLargeTogether) {
  HeaderWriter writer;
  constexpr std::uint64_t kTwoTo60 = std::uint64_t{1} << 60;
  EXPECT_EQ(writer.add_tensor("huge", f32(), 1, {~std::uint64_t{0}, 1, 1, 1}).error().code, ErrorCode::SizeOverflow);
  EXPECT_TRUE(writer.add_tensor("a", f32(), 1, {kTwoTo60, 1, 1, 1}));
  EXPECT_EQ(writer.add_tensor("b", f32(), 1, {kTwoTo60, 1, 1, 1}).error().code, ErrorCode::SizeOverflow);
  EXPECT_EQ(writer.data_bytes(), 4 * kTwoTo60);
}

TEST(Misuse, AlignmentsThatAreNone) {
  HeaderWriter writer;
  for (const std::uint64_t alignment : {std::uint64_t{0}, std::uint64_t{3}, std::uint64_t{1} << 40}) {
    EXPECT_EQ(writer.set_alignment(alignment).error().code, ErrorCode::BadAlignment);
  }
  EXPECT_EQ(writer.finish().size(), 32U);
}

TEST(Misuse, NothingWhereASourceOrSinkBelongs) {
  EXPECT_EQ(open_model(std::unique_ptr<Source>()).error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(spool(nullptr).error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(gzip_sink(nullptr), nullptr);
  EXPECT_FALSE(descriptor_sink(-1, "none").value()->write_at(0, std::vector<std::byte>(1)));
  const auto nothing = memory_source({}, "empty");
  EXPECT_EQ(nothing->size(), 0U);
  EXPECT_TRUE(nothing->read_at(0, {}));
  std::byte one{};
  EXPECT_EQ(nothing->read_at(std::numeric_limits<std::uint64_t>::max(), {&one, 1}).error().code, ErrorCode::Truncated);
  EXPECT_EQ(read_container(*nothing).error().code, ErrorCode::Truncated);
}

TEST(Misuse, ValuesOfTooFewBytes) {
  for (std::uint32_t type = 0; type < 20; ++type) {
    const Value value(static_cast<ValueType>(type), {}, type % 2 == 0);
    static_cast<void>(value.as_unsigned());
    static_cast<void>(value.as_signed());
    static_cast<void>(value.as_double());
    static_cast<void>(value.as_bool());
    EXPECT_EQ(value.as_string().value_or(""), "");
    EXPECT_EQ(value.count(), 0U);
    EXPECT_TRUE(value.elements().done());
    static_cast<void>(value.display());
  }
  EXPECT_EQ(value_type_name(static_cast<ValueType>(99)), "unknown");
  EXPECT_EQ(value_type_bytes(static_cast<ValueType>(99)), 0U);
}

TEST(Misuse, AnIteratorBehindItsEnd) {
  HeaderWriter writer;
  writer.add_string_array("words", std::array<std::string_view, 1>{"one"});
  const auto file = writer.finish();
  const auto container = read_container(*memory_source(file, "in.gguf"));
  ASSERT_TRUE(container);
  auto word = container->metadata.find("words")->elements();
  for (int i = 0; i < 5; ++i) ++word;
  EXPECT_TRUE(word.done());
  EXPECT_EQ((*word).as_string(), "");
}

TEST(Misuse, KeysThatAreNotThere) {
  const Metadata none;
  EXPECT_EQ(none[0].key, "");
  EXPECT_EQ(none[7].value.bytes().size(), 0U);
  EXPECT_EQ(none.find("a"), std::nullopt);
  EXPECT_TRUE(none.section().empty());
  const ModelInfo no_files;
  EXPECT_EQ(no_files.metadata().size(), 0U);
  EXPECT_EQ(no_files.metadata().get_string("general.architecture").error().code, ErrorCode::MissingKey);
}

}  // namespace
}  // namespace gguf_fuse::loader
