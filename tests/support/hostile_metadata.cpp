// SPDX-License-Identifier: MIT
#include "support/hostile_rows.hpp"

namespace gguf_fuse::test_support {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kName = "general.some_key_of_a_usual_length";
constexpr std::string_view kAlignment = "general.alignment";

void add_keys(HostileRows& rows) {
  constexpr std::pair<std::string_view, std::uint64_t> kLengths[] = {{"0", 0},
                                                                     {"65536", 65536},
                                                                     {"2p31", std::uint64_t{1} << 31},
                                                                     {"2p32", std::uint64_t{1} << 32},
                                                                     {"2p63", kTwoTo63},
                                                                     {"max_minus_7", kMax64 - 7},
                                                                     {"max", kMax64}};
  for (const auto& [name, length] : kLengths) {
    rows.key("kv_key_len_" + std::string(name), ErrorCode::BadKey,
             [n = length](RawBytes& raw) { raw.u64(n).text(kName).zeros(64); });
  }
  rows.key("kv_key_65536_bytes_there", ErrorCode::BadKey,
           [](RawBytes& raw) { raw.key(std::string(65536, 'k'), ValueType::U8).u8(0); });
  rows.key("kv_key_len_past_end", ErrorCode::Truncated, [](RawBytes& raw) { raw.u64(kName.size() + 1).text(kName); });
  rows.key("kv_key_len_65535_past_end", ErrorCode::Truncated, [](RawBytes& raw) { raw.u64(65535).text(kName); });
  constexpr std::pair<std::string_view, std::string_view> kTexts[] = {{"nul_alone", "\0"sv},
                                                                      {"nul_first", "\0key"sv},
                                                                      {"nul_inside", "general\0name"sv},
                                                                      {"nul_last", "key\0"sv},
                                                                      {"latin1", "schl\xfcssel"sv},
                                                                      {"byte_ff", "\xff\xfe"sv},
                                                                      {"overlong_nul", "a\xc0\x80"sv},
                                                                      {"overlong_slash", "\xe0\x80\xaf"sv},
                                                                      {"surrogate", "\xed\xa0\x80"sv},
                                                                      {"beyond_unicode", "\xf4\x90\x80\x80"sv},
                                                                      {"cut_sequence", "caf\xc3"sv},
                                                                      {"lone_continuation", "\x80key"sv},
                                                                      {"five_bytes", "\xf8\x88\x80\x80\x80"sv}};
  for (const auto& [name, text] : kTexts) {
    rows.key("kv_key_" + std::string(name), ErrorCode::BadKey,
             [key = text](RawBytes& raw) { raw.key(key, ValueType::U32).u32(1); });
  }
}

void add_duplicates(HostileRows& rows) {
  rows.file("kv_key_dup", ErrorCode::DuplicateKey, [](RawBytes& raw) {
    raw.header(0, 2).key(kName, ValueType::U32).u32(1).key(kName, ValueType::U32).u32(1);
  });
  rows.file("kv_key_dup_other_type", ErrorCode::DuplicateKey, [](RawBytes& raw) {
    raw.header(0, 2).key(kName, ValueType::U32).u32(1).key(kName, ValueType::String).string("x");
  });
  rows.file("kv_key_dup_far_apart", ErrorCode::DuplicateKey, [](RawBytes& raw) {
    raw.header(0, 102).key(kName, ValueType::Bool).u8(0);
    for (int i = 0; i < 100; ++i) raw.key("key." + std::to_string(i), ValueType::U8).u8(0);
    raw.key(kName, ValueType::Bool).u8(1);
  });
  rows.file("kv_alignment_dup", ErrorCode::DuplicateKey, [](RawBytes& raw) {
    raw.header(0, 2).key("general.alignment", ValueType::U32).u32(32).key("general.alignment", ValueType::U32).u32(64);
  });
}

void add_types(HostileRows& rows) {
  for (const std::uint32_t type : {13U, 14U, 255U, 0x08000000U, 0x80000000U, 0xffffffffU}) {
    rows.key("kv_type_" + std::to_string(type), ErrorCode::BadValueType,
             [type](RawBytes& raw) { raw.string(kName).u32(type).zeros(64); });
  }
  for (const std::uint8_t value : {std::uint8_t{2}, std::uint8_t{128}, std::uint8_t{255}}) {
    rows.key("kv_bool_" + std::to_string(value), ErrorCode::BadBool,
             [value](RawBytes& raw) { raw.key(kName, ValueType::Bool).u8(value); });
  }
}

void add_strings(HostileRows& rows) {
  constexpr std::pair<std::string_view, std::uint64_t> kLengths[] = {{"past_end", 11},
                                                                     {"2p24_plus_1", (std::uint64_t{1} << 24) + 1},
                                                                     {"2p31", std::uint64_t{1} << 31},
                                                                     {"2p32", std::uint64_t{1} << 32},
                                                                     {"2p32_plus_10", (std::uint64_t{1} << 32) + 10},
                                                                     {"2p63_minus_1", kTwoTo63 - 1},
                                                                     {"2p63", kTwoTo63},
                                                                     {"max_minus_8", kMax64 - 8},
                                                                     {"max", kMax64}};
  for (const auto& [name, length] : kLengths) {
    rows.key("kv_str_len_" + std::string(name), ErrorCode::StringTooLong,
             [n = length](RawBytes& raw) { raw.key(kName, ValueType::String).u64(n).text("0123456789"); });
  }
  rows.key("kv_str_17_mib_there", ErrorCode::StringTooLong, [](RawBytes& raw) {
    raw.key(kName, ValueType::String).u64(std::uint64_t{17} << 20).zeros(std::size_t{17} << 20);
  });
}

// Every scalar with its last byte missing, and the places inside a record where a download may end.
void add_truncations(HostileRows& rows) {
  for (std::uint32_t number = 0; number <= static_cast<std::uint32_t>(ValueType::F64); ++number) {
    const auto type = static_cast<ValueType>(number);
    const std::size_t bytes = value_type_bytes(type);
    if (bytes == 0) continue;
    rows.key("kv_trunc_" + std::string(value_type_name(type)), ErrorCode::Truncated,
             [type, bytes](RawBytes& raw) { raw.key(kName, type).zeros(bytes - 1); });
  }
  rows.key("kv_trunc_in_key_length", ErrorCode::Truncated, [](RawBytes& raw) {
    // Room for two keys by count, so that only reading the second one finds out.
    raw.cut(8).u64(2).key(kName, ValueType::U8).u8(0).zeros(7);
  });
  rows.key("kv_trunc_in_type", ErrorCode::Truncated, [](RawBytes& raw) { raw.string(kName).u16(8); });
  rows.key("kv_trunc_before_type", ErrorCode::Truncated, [](RawBytes& raw) { raw.string(kName); });
  rows.key("kv_trunc_in_string_length", ErrorCode::Truncated,
           [](RawBytes& raw) { raw.key(kName, ValueType::String).u32(1); });
  rows.key("kv_trunc_in_array_type", ErrorCode::Truncated,
           [](RawBytes& raw) { raw.key(kName, ValueType::Array).u16(4); });
  rows.key("kv_trunc_in_array_count", ErrorCode::Truncated,
           [](RawBytes& raw) { raw.key(kName, ValueType::Array).u32(4).u32(1); });
}

void add_alignments(HostileRows& rows) {
  for (const std::uint32_t value :
       {0U, 3U, 6U, 13U, 31U, 33U, 48U, 65535U, 131072U, 1U << 20, 1U << 30, 1U << 31, 0xffffffffU}) {
    rows.key("align_" + std::to_string(value), ErrorCode::BadAlignment,
             [value](RawBytes& raw) { raw.key(kAlignment, ValueType::U32).u32(value).pad(); });
  }
  const auto wrong = [&rows](std::string_view type, Fill fill) {
    rows.key("align_" + std::string(type), ErrorCode::BadAlignment, std::move(fill));
  };
  wrong("u8", [](RawBytes& raw) { raw.key(kAlignment, ValueType::U8).u8(32); });
  wrong("u16", [](RawBytes& raw) { raw.key(kAlignment, ValueType::U16).u16(32); });
  wrong("i32", [](RawBytes& raw) { raw.key(kAlignment, ValueType::I32).u32(32); });
  wrong("u64", [](RawBytes& raw) { raw.key(kAlignment, ValueType::U64).u64(32); });
  wrong("i64", [](RawBytes& raw) { raw.key(kAlignment, ValueType::I64).u64(32); });
  wrong("f32", [](RawBytes& raw) { raw.key(kAlignment, ValueType::F32).u32(0x42000000U); });
  wrong("bool", [](RawBytes& raw) { raw.key(kAlignment, ValueType::Bool).u8(1); });
  wrong("string", [](RawBytes& raw) { raw.key(kAlignment, ValueType::String).string("32"); });
  wrong("array", [](RawBytes& raw) { raw.array(kAlignment, ValueType::U32, 1).u32(32); });
}

}  // namespace

void add_metadata_rows(HostileRows& rows) {
  add_keys(rows);
  add_duplicates(rows);
  add_types(rows);
  add_strings(rows);
  add_truncations(rows);
  add_alignments(rows);
}

void add_array_rows(HostileRows& rows) {
  for (std::uint32_t number = 0; number <= static_cast<std::uint32_t>(ValueType::F64); ++number) {
    const auto element = static_cast<ValueType>(number);
    rows.key("kv_arr_len_max_" + std::string(value_type_name(element)), ErrorCode::ArrayTooLong,
             [element](RawBytes& raw) { raw.array(kName, element, kMax64).zeros(64); });
  }
  // The count times the size of an element is 2^64 and wraps to nothing.
  constexpr std::pair<ValueType, std::uint64_t> kWraps[] = {{ValueType::U16, kTwoTo63},
                                                            {ValueType::U32, kTwoTo63 / 2},
                                                            {ValueType::F64, kTwoTo63 / 4},
                                                            {ValueType::String, kTwoTo63 / 4},
                                                            {ValueType::Array, kTwoTo63 / 8}};
  for (const auto& [element, count] : kWraps) {
    rows.key("kv_arr_len_wraps_" + std::string(value_type_name(element)), ErrorCode::ArrayTooLong,
             [e = element, n = count](RawBytes& raw) { raw.array(kName, e, n).zeros(64); });
  }
  rows.key("kv_arr_len_past_end", ErrorCode::ArrayTooLong,
           [](RawBytes& raw) { raw.array(kName, ValueType::U8, 65).zeros(64); });
  rows.key("kv_arr_str_len_past_end", ErrorCode::ArrayTooLong,
           [](RawBytes& raw) { raw.array(kName, ValueType::String, 9).zeros(71); });
  rows.key("kv_arr_str_one_too_many", ErrorCode::Truncated,
           [](RawBytes& raw) { raw.array(kName, ValueType::String, 2).string("0123456789"); });
  rows.key("kv_arr_str_len_max", ErrorCode::StringTooLong,
           [](RawBytes& raw) { raw.array(kName, ValueType::String, 2).string("a").u64(kMax64); });
  for (const std::uint32_t type : {13U, 14U, 0xffffffffU}) {
    rows.key("kv_arr_type_" + std::to_string(type), ErrorCode::BadValueType,
             [type](RawBytes& raw) { raw.key(kName, ValueType::Array).u32(type).u64(1).zeros(64); });
  }
  rows.key("kv_arr_bool_2_first", ErrorCode::BadBool,
           [](RawBytes& raw) { raw.array(kName, ValueType::Bool, 3).u8(2).u8(1).u8(0); });
  rows.key("kv_arr_bool_2_last", ErrorCode::BadBool,
           [](RawBytes& raw) { raw.array(kName, ValueType::Bool, 3).u8(0).u8(1).u8(2); });
  rows.key("kv_arr_nested_5", ErrorCode::ArrayTooDeep, [](RawBytes& raw) {
    raw.key(kName, ValueType::Array);
    for (int depth = 0; depth < 4; ++depth) raw.u32(9).u64(1);
    raw.u32(4).u64(1).u32(7);
  });
  rows.key("kv_arr_nested_4000", ErrorCode::ArrayTooDeep, [](RawBytes& raw) {
    raw.key(kName, ValueType::Array);
    for (int depth = 0; depth < 4000; ++depth) raw.u32(9).u64(1);
  });
  rows.key("kv_arr_nested_len_max", ErrorCode::ArrayTooLong,
           [](RawBytes& raw) { raw.array(kName, ValueType::Array, 1).u32(4).u64(kMax64).zeros(64); });
  rows.key("kv_arr_nested_type_13", ErrorCode::BadValueType,
           [](RawBytes& raw) { raw.array(kName, ValueType::Array, 1).u32(13).u64(1).zeros(64); });
  rows.key("kv_arr_nested_bool_2", ErrorCode::BadBool,
           [](RawBytes& raw) { raw.array(kName, ValueType::Array, 1).u32(7).u64(2).u8(1).u8(2); });
  rows.key("kv_arr_nested_str_len_max", ErrorCode::StringTooLong,
           [](RawBytes& raw) { raw.array(kName, ValueType::Array, 1).u32(8).u64(1).u64(kMax64); });
}

}  // namespace gguf_fuse::test_support
