// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "gguf_fuse/loader/tensor_type.hpp"
#include "support/hostile_rows.hpp"

namespace gguf_fuse::test_support {
namespace {

using namespace std::string_view_literals;

class ValidRows {
 public:
  /// A builder, so that equal calls give equal bytes.
  void add(std::string name, const GgufBuilder& builder) {
    rows_.push_back({std::move(name), [builder] { return builder.build(); }});
  }
  void raw(std::string name, Fill fill) {
    rows_.push_back({std::move(name), [fill = std::move(fill)] {
                       RawBytes raw;
                       fill(raw);
                       return raw.bytes();
                     }});
  }
  [[nodiscard]] std::vector<ValidFile> take() { return std::move(rows_); }

 private:
  std::vector<ValidFile> rows_;
};

// A key of every type, scalar and array.
void write_all_types(HeaderWriter& writer) {
  constexpr std::byte kBytes[8] = {};
  writer.add_u8("u8", 0xff);
  writer.add_value("i8", ValueType::I8, std::span(kBytes).first(1));
  writer.add_u16("u16", 0xffff);
  writer.add_value("i16", ValueType::I16, std::span(kBytes).first(2));
  writer.add_u32("u32", 0xffffffffU);
  writer.add_i32("i32", -1);
  writer.add_f32("f32", -0.5F);
  writer.add_bool("bool", true);
  writer.add_string("string", "text");
  writer.add_u64("u64", kMax64);
  writer.add_value("i64", ValueType::I64, kBytes);
  writer.add_value("f64", ValueType::F64, kBytes);
  writer.add_u32_array("arr.u32", std::array{1U, 2U, 3U});
  writer.add_i32_array("arr.i32", std::array{-1, 0, 1});
  writer.add_u64_array("arr.u64", std::array{std::uint64_t{0}, kMax64});
  writer.add_f32_array("arr.f32", std::array{0.0F, -1.5F});
  writer.add_bool_array("arr.bool", std::array{true, false});
  writer.add_string_array("arr.string", std::array{""sv, "a"sv, "b\nc"sv});
}

void add_containers(ValidRows& rows) {
  rows.raw("ok_header_alone", [](RawBytes& raw) { raw.header(0, 0); });
  rows.raw("ok_header_alone_v2", [](RawBytes& raw) { raw.header(0, 0, 2); });
  rows.raw("ok_header_and_rubbish",
           [](RawBytes& raw) { raw.header(0, 0).text("what follows no tensor is nobody's business"); });
  const TensorSpec small{"a.weight", "F32", {4, 2}};
  rows.add("ok_empty", GgufBuilder());
  rows.add("ok_one_tensor", GgufBuilder().tensor(small));
  rows.add("ok_v2", GgufBuilder().version(2).string("general.name", "old").tensor(small));
  rows.add("ok_big_endian", GgufBuilder().big_endian().keys(write_all_types).tensor(small));
  rows.add("ok_big_endian_v2", GgufBuilder().big_endian().version(2).string("general.name", "old").tensor(small));
  rows.add("ok_no_final_padding", GgufBuilder().unpadded_end().tensor({"a", "F32", {1}}).tensor({"b", "F32", {1}}));
  rows.raw("ok_long_tail", [](RawBytes& raw) { raw.header(1, 0).row("a", {4}, 0, 0).pad().zeros(16 + 1000); });
  for (const std::uint64_t alignment : {1U, 2U, 8U, 32U, 64U, 4096U, 65536U}) {
    const TensorSpec odd{"odd", "I8", {3}};
    rows.add(fmt::format("ok_alignment_{}", alignment), GgufBuilder().alignment(alignment).tensor(odd).tensor(small));
  }
  rows.add("ok_alignment_stated_default", GgufBuilder().u32("general.alignment", 32).tensor(small));
}

void add_metadata(ValidRows& rows) {
  rows.add("ok_all_value_types", GgufBuilder().keys(write_all_types));
  rows.add("ok_key_65535", GgufBuilder().u32(std::string(65535, 'k'), 1));
  rows.add("ok_key_one_byte", GgufBuilder().u32("k", 1));
  rows.add("ok_key_unicode", GgufBuilder().u32("g\u00e9n\u00e9ral.\u6a21\u578b.\U0001F980", 1));
  rows.add("ok_string_empty", GgufBuilder().string("s", ""));
  rows.add("ok_string_not_utf8", GgufBuilder().string("s", "\xff\xfe\x80"));
  rows.add("ok_string_with_nul", GgufBuilder().string("s", std::string("a\0b", 3)));
  rows.add("ok_hostile_text", GgufBuilder()
                                  .string("general.name", "\x1b[2J\x1b]0;owned\7\r\n\x9b\x7f \u202e")
                                  .string("tokenizer.chat_template", "{{ ''.__class__.__mro__[1].__subclasses__() }}")
                                  .u32("evil\x1b[31m\n.key", 1)
                                  .tensor({"evil\x1b[31m\r.weight", "F32", {1}}));
  rows.raw("ok_array_of_each_type_empty", [](RawBytes& raw) {
    raw.header(0, 13);
    for (std::uint32_t type = 0; type <= 12; ++type)
      raw.array("arr." + std::to_string(type), static_cast<ValueType>(type), 0);
  });
  rows.raw("ok_array_empty_ends_file", [](RawBytes& raw) { raw.header(0, 1).array("arr", ValueType::String, 0); });
  rows.raw("ok_arr_nested", [](RawBytes& raw) {
    raw.header(0, 1).array("arr", ValueType::Array, 2).u32(4).u64(2).u32(1).u32(2).u32(8).u64(1).string("x");
  });
  rows.raw("ok_arr_nested_4", [](RawBytes& raw) {
    raw.header(0, 1).key("arr", ValueType::Array);
    for (int depth = 0; depth < 3; ++depth) raw.u32(9).u64(1);
    raw.u32(7).u64(3).u8(0).u8(1).u8(0);
  });
  rows.add("ok_many_keys", GgufBuilder().keys([](HeaderWriter& writer) {
    for (int i = 0; i < 1000; ++i) writer.add_u8(fmt::format("key.{}", 1000 - i), 0);
  }));
  rows.add("ok_many_tokens", GgufBuilder().keys([](HeaderWriter& writer) {
    const std::vector<std::string_view> tokens(5000, "token");
    writer.add_string_array("tokenizer.ggml.tokens", tokens);
  }));
  rows.add("ok_keys_prefixes_of_each_other", GgufBuilder().u32("a", 1).u32("aa", 2).u32("a.", 3).u32("aaa", 4));
}

void add_tensors(ValidRows& rows) {
  rows.add("ok_scalar", GgufBuilder().tensor({"scalar", "F32", {}}));
  rows.add("ok_four_dimensions", GgufBuilder().tensor({"t", "F16", {2, 3, 4, 5}}));
  rows.add("ok_zero_dim", GgufBuilder().tensor({"t", "F32", {4, 0}}).tensor({"u", "F32", {4}}));
  rows.add("ok_zero_dim_first", GgufBuilder().tensor({"t", "Q4_0", {0, 7}}).tensor({"u", "F32", {4}}));
  rows.add("ok_all_zero_dims", GgufBuilder().tensor({"t", "F32", {0, 0, 0, 0}}));
  rows.add("ok_zero_rows_of_groups", GgufBuilder().tensor({"t", "Q4_0_R8", {32, 0}}));
  rows.raw("ok_zero_second", [](RawBytes& raw) { raw.header(1, 0).row("t", {1024, 0, 1024}, 0, 0); });
  rows.raw("ok_zero_times_2p62", [](RawBytes& raw) { raw.header(1, 0).row("t", {0, std::uint64_t{1} << 62}, 0, 0); });
  rows.add("ok_name_63", GgufBuilder().tensor({std::string(63, 'n'), "F32", {1}}));
  rows.add("ok_name_one_byte", GgufBuilder().tensor({"n", "F32", {1}}));
  rows.add("ok_name_unicode", GgufBuilder().tensor({"\u5c42.0.\u6ce8\u610f\u529b", "F32", {1}}));
  rows.add("ok_names_prefixes_of_each_other",
           GgufBuilder().tensor({"a", "F32", {1}}).tensor({"aa", "F32", {1}}).tensor({"a ", "F32", {1}}));
  GgufBuilder all;
  GgufBuilder empty;
  for (const TensorType& type : tensor_types()) {
    const std::string name(type.name);
    const TensorSpec spec{name, name, {type.block_elements, type.rows_per_group}};
    rows.add("ok_type_" + name, GgufBuilder().tensor(spec));
    all.tensor(spec);
    empty.tensor({name, name, {0, type.rows_per_group}});
  }
  rows.add("ok_all_tensor_types", all);
  rows.add("ok_all_tensor_types_without_elements", empty);
  rows.add("ok_all_tensor_types_big_endian", all.big_endian());
}

}  // namespace

std::vector<ValidFile> valid_files() {
  ValidRows rows;
  add_containers(rows);
  add_metadata(rows);
  add_tensors(rows);
  return rows.take();
}

}  // namespace gguf_fuse::test_support
