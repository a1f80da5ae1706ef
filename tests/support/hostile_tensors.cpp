// SPDX-License-Identifier: MIT
#include "support/hostile_rows.hpp"

namespace gguf_fuse::test_support {
namespace {

using namespace std::string_view_literals;

constexpr std::uint32_t kF32 = 0;
constexpr std::uint32_t kQ4_0 = 2;
constexpr std::uint32_t kQ4_K = 12;
constexpr std::uint32_t kI8 = 24;
constexpr std::string_view kName = "blk.0.a_tensor_name_that_is_long_enough";

void add_names(HostileRows& rows) {
  constexpr std::pair<std::string_view, std::uint64_t> kLengths[] = {{"0", 0},
                                                                     {"64", 64},
                                                                     {"65", 65},
                                                                     {"65536", 65536},
                                                                     {"2p32", std::uint64_t{1} << 32},
                                                                     {"2p63", kTwoTo63},
                                                                     {"max_minus_7", kMax64 - 7},
                                                                     {"max", kMax64}};
  for (const auto& [name, length] : kLengths) {
    rows.tensors("tensor_name_len_" + std::string(name), ErrorCode::BadTensorName, 1, 0,
                 [n = length](RawBytes& raw) { raw.u64(n).zeros(128); });
  }
  rows.file("tensor_name_len_past_end", ErrorCode::Truncated,
            [](RawBytes& raw) { raw.header(1, 0).u64(63).text(std::string(62, 'n')); });
  constexpr std::pair<std::string_view, std::string_view> kTexts[] = {
      {"nul_alone", "\0"sv},           {"nul_first", "\0a.weight"sv},  {"nul_inside", "a\0b.weight"sv},
      {"nul_last", "a.weight\0"sv},    {"byte_ff", "\xff"sv},          {"latin1", "t\xe4nsor"sv},
      {"surrogate", "\xed\xbf\xbf"sv}, {"cut_sequence", "\xe2\x82"sv}, {"overlong", "\xc1\xbf"sv}};
  for (const auto& [name, text] : kTexts) {
    rows.tensors("tensor_name_" + std::string(name), ErrorCode::BadTensorName, 1, 32,
                 [tensor = text](RawBytes& raw) { raw.row(tensor, {4}, kF32, 0); });
  }
  rows.tensors("tensor_name_dup", ErrorCode::DuplicateTensor, 2, 64,
               [](RawBytes& raw) { raw.row("a.weight", {4}, kF32, 0).row("a.weight", {4}, kF32, 32); });
  rows.tensors("tensor_name_dup_far_apart", ErrorCode::DuplicateTensor, 3, 96, [](RawBytes& raw) {
    raw.row("a.weight", {4}, kF32, 0).row("b.weight", {4}, kF32, 32).row("a.weight", {32}, kQ4_0, 64);
  });
  rows.tensors("tensor_name_dup_by_nul", ErrorCode::BadTensorName, 2, 64,
               [](RawBytes& raw) { raw.row("a.weight", {4}, kF32, 0).row("a.weight\0b"sv, {4}, kF32, 32); });
}

void add_shapes(HostileRows& rows) {
  for (const std::uint32_t count : {5U, 8U, 9U, 255U, 0x04000000U, 0x7fffffffU, 0xffffffffU}) {
    rows.tensors("tensor_n_dims_" + std::to_string(count), ErrorCode::BadDimensions, 1, 64, [count](RawBytes& raw) {
      raw.string("a.weight").u32(count);
      for (int i = 0; i < 9; ++i) raw.u64(1);
      raw.u32(kF32).u64(0);
    });
  }
  constexpr auto kOverflow = ErrorCode::SizeOverflow;
  constexpr std::uint64_t kTwoTo30 = std::uint64_t{1} << 30;
  constexpr std::uint64_t kTwoTo32 = std::uint64_t{1} << 32;
  rows.tensor("tensor_ne_2p63", kOverflow, {kTwoTo63}, kF32);
  rows.tensor("tensor_ne_max", kOverflow, {kMax64}, kF32);
  rows.tensor("tensor_ne_last_max", kOverflow, {1, 1, 1, kMax64}, kF32);
  rows.tensor("tensor_ne_zero_times_max", kOverflow, {0, kMax64}, kF32);
  rows.tensor("tensor_ne_zero_times_wrap", kOverflow, {0, kTwoTo32, kTwoTo32}, kF32);
  rows.tensor("tensor_ne_int64_max_by_2", kOverflow, {kTwoTo63 - 1, 2}, kI8);
  rows.tensor("tensor_ne_product_2p64", kOverflow, {kTwoTo32, kTwoTo32}, kI8);
  rows.tensor("tensor_ne_product_2p63", kOverflow, {kTwoTo32, kTwoTo32 / 2}, kI8);
  rows.tensor("tensor_ne_product_2p256", kOverflow, {kTwoTo63 - 1, kTwoTo63 - 1, kTwoTo63 - 1, kTwoTo63 - 1}, kI8);
  rows.tensor("tensor_ne_wraps_to_4", kOverflow, {4, (std::uint64_t{1} << 62) + 1}, kI8);
  rows.tensor("tensor_ne_wraps_in_the_middle", kOverflow, {1, kTwoTo32, kTwoTo32, 0}, kI8);
  rows.tensor("tensor_ne_zero_hides_overflow", kOverflow, {4294967297, 1610612736000, 2048, 0}, kF32);
  rows.tensor("tensor_ne_zero_third_hides_overflow", kOverflow, {kTwoTo32, kTwoTo32, 0}, kF32);
  rows.tensor("tensor_ne_zero_last_hides_overflow", kOverflow, {kTwoTo32, 1, kTwoTo32, 0}, kI8);
  rows.tensor("tensor_nbytes_zero_hides_overflow", kOverflow, {kTwoTo32, kTwoTo30, 0}, kF32);
  rows.tensor("tensor_nbytes_zero_last_hides_overflow", kOverflow, {kTwoTo32, 16, kTwoTo30 / 4, 0}, kF32);
  rows.tensor("tensor_ne_int32_max_squared_by_4", kOverflow, {4 * std::uint64_t{0x7fffffff}, std::uint64_t{0x7fffffff}},
              kF32);
  rows.tensor("tensor_nbytes_wrap_4096", kOverflow, {1024, (std::uint64_t{1} << 52) + 1}, kF32);
  rows.tensor("tensor_nbytes_wrap_in_rows", kOverflow, {4, (std::uint64_t{1} << 42) + 1, std::uint64_t{1} << 18}, kF32);
  rows.tensor("tensor_nbytes_pad_wrap", kOverflow, {4, kTwoTo30 - 1, kTwoTo30 + 1}, kF32);
  rows.tensor("tensor_nbytes_2p63", kOverflow, {kTwoTo63 / 8}, 27);
  rows.tensor("tensor_nbytes_q8_k", kOverflow, {kTwoTo63 - 256}, 15);
  rows.tensor("tensor_row_header_wraps", kOverflow, {0, kTwoTo63 / 2}, 144);
  rows.tensor("tensor_tail_wraps", kOverflow, {kTwoTo63 - 64}, kI8);
  rows.tensors("tensor_total_wraps", kOverflow, 2, 64, [](RawBytes& raw) {
    raw.row("a", {kTwoTo63 - 64}, kI8, 0).row("b", {kTwoTo63 - 64}, kI8, kTwoTo63 - 64);
  });
  // Small enough in theory, too large for the file.
  rows.tensor("tensor_ne_int32_wrap", ErrorCode::DataBeyondEnd, {65536, 65536}, kF32);
  rows.tensor("tensor_huge_1tib", ErrorCode::DataBeyondEnd, {std::uint64_t{1} << 40}, kI8);
  rows.tensor("tensor_huge_2p62", ErrorCode::DataBeyondEnd, {std::uint64_t{1} << 62}, kI8);
}

void add_types(HostileRows& rows) {
  for (const std::uint32_t type :
       {4U,   5U,   37U,  38U,  43U,  44U,  97U,  132U, 142U,        143U,        159U,        200U,
        203U, 231U, 334U, 336U, 341U, 396U, 400U, 511U, 1000000000U, 0x02000000U, 0x80000000U, 0xffffffffU}) {
    rows.tensor("tensor_type_" + std::to_string(type), ErrorCode::UnknownType, {256, 16}, type);
  }
  constexpr auto kBlock = ErrorCode::PartialBlock;
  rows.tensor("tensor_row_q4_0_31", kBlock, {31, 1}, kQ4_0);
  rows.tensor("tensor_row_q4_0_33", kBlock, {33, 1}, kQ4_0);
  rows.tensor("tensor_row_q4_0_16x2", kBlock, {16, 2}, kQ4_0);
  rows.tensor("tensor_row_q4_0_scalar", kBlock, {}, kQ4_0);
  rows.tensor("tensor_row_q4_k_32", kBlock, {32, 8}, kQ4_K);
  rows.tensor("tensor_row_q4_k_255", kBlock, {255, 1}, kQ4_K);
  rows.tensor("tensor_row_q4_k_2p62_plus_1", kBlock, {(std::uint64_t{1} << 62) + 1}, kQ4_K);
  rows.tensor("tensor_row_i2_s_2", kBlock, {2, 2}, 36);
  rows.tensor("tensor_row_mxfp4_16", kBlock, {16, 2}, 39);
  rows.tensor("tensor_row_nvfp4_32", kBlock, {32, 2}, 40);
  rows.tensor("tensor_row_q1_0_64", kBlock, {64, 2}, 41);
  rows.tensor("tensor_row_iq1_bn_32", kBlock, {32, 2}, 134);
  constexpr auto kGroup = ErrorCode::PartialGroup;
  rows.tensor("tensor_group_q4_0_r8_4", kGroup, {32, 4}, 202);
  rows.tensor("tensor_group_q4_0_r8_9", kGroup, {32, 9}, 202);
  rows.tensor("tensor_group_q4_0_r8_1d", kGroup, {256}, 202);
  rows.tensor("tensor_group_q4_k_r4_6", kGroup, {256, 6}, 212);
  rows.tensor("tensor_group_bf16_r16_8", kGroup, {1, 8}, 230);
  rows.tensor("tensor_group_iq4_ks_r4_2x2", kGroup, {256, 2, 2}, 344);
  rows.tensor("tensor_group_q4_0_8_8_4", kGroup, {32, 4}, 33);
}

void add_truncations(HostileRows& rows) {
  // The last row with its last bytes missing: offset, type, sizes, their number, the name.
  for (const std::size_t missing : {1U, 4U, 8U, 9U, 12U, 13U, 20U, 28U, 29U, 32U, 33U}) {
    rows.file("tensor_trunc_by_" + std::to_string(missing), ErrorCode::Truncated, [missing](RawBytes& raw) {
      raw.header(1, 0).row(kName, {32, 2}, kF32, 0).cut(missing);
    });
  }
}

void add_big_endian(HostileRows& rows) {
  const auto big_endian = [&rows](std::string name, ErrorCode code, Fill fill) {
    rows.file("big_endian_" + std::move(name), code, [fill = std::move(fill)](RawBytes& raw) {
      raw = RawBytes(true);
      fill(raw);
    });
  };
  big_endian("n_tensors_max", ErrorCode::TooManyTensors, [](RawBytes& raw) { raw.header(kMax64, 0).zeros(64); });
  big_endian("n_kv_max", ErrorCode::TooManyKeys, [](RawBytes& raw) { raw.header(0, kMax64).zeros(64); });
  big_endian("str_len_max", ErrorCode::StringTooLong,
             [](RawBytes& raw) { raw.header(0, 1).key("a", ValueType::String).u64(kMax64); });
  big_endian("arr_len_max", ErrorCode::ArrayTooLong,
             [](RawBytes& raw) { raw.header(0, 1).array("a", ValueType::U32, kMax64); });
  big_endian("bool_2", ErrorCode::BadBool, [](RawBytes& raw) { raw.header(0, 1).key("a", ValueType::Bool).u8(2); });
  big_endian("align_3", ErrorCode::BadAlignment,
             [](RawBytes& raw) { raw.header(0, 1).key("general.alignment", ValueType::U32).u32(3); });
  big_endian("n_dims_5", ErrorCode::BadDimensions, [](RawBytes& raw) {
    raw.header(1, 0).row("a", {1, 1, 1, 1, 1}, kF32, 0);
  });
  big_endian("ne_max", ErrorCode::SizeOverflow, [](RawBytes& raw) { raw.header(1, 0).row("a", {kMax64}, kF32, 0); });
  big_endian("type_43", ErrorCode::UnknownType, [](RawBytes& raw) { raw.header(1, 0).row("a", {1}, 43, 0); });
  big_endian("offset_max", ErrorCode::BadLayout,
             [](RawBytes& raw) { raw.header(1, 0).row("a", {1}, kF32, kMax64).pad().zeros(32); });
  big_endian("data_missing", ErrorCode::DataBeyondEnd,
             [](RawBytes& raw) { raw.header(1, 0).row("a", {1}, kF32, 0).pad(); });
  big_endian("little_endian_key", ErrorCode::BadKey,
             [](RawBytes& raw) { raw.header(0, 1).text("\1\0\0\0\0\0\0\0a"sv).zeros(64); });
}

}  // namespace

void add_tensor_rows(HostileRows& rows) {
  add_names(rows);
  add_shapes(rows);
  add_types(rows);
  add_truncations(rows);
}

void add_layout_rows(HostileRows& rows) {
  constexpr auto kLayout = ErrorCode::BadLayout;
  for (const std::uint64_t offset : {std::uint64_t{1}, std::uint64_t{31}, std::uint64_t{32}, std::uint64_t{1} << 40,
                                     kTwoTo63, kMax64 - 31, kMax64}) {
    rows.tensor("tensor_offset_" + std::to_string(offset), kLayout, {4}, kF32, offset);
  }
  const auto two = [&rows](std::string name, ErrorCode code, std::size_t data, std::uint64_t first,
                           std::uint64_t second) {
    rows.tensors(std::move(name), code, 2, data,
                 [=](RawBytes& raw) { raw.row("a", {12}, kF32, first).row("b", {12}, kF32, second); });
  };
  two("tensor_offset_overlap_whole", kLayout, 128, 0, 0);
  two("tensor_offset_overlap_part", kLayout, 128, 0, 32);
  two("tensor_offset_unaligned", kLayout, 128, 0, 48);
  two("tensor_offset_gap", kLayout, 256, 0, 96);
  two("tensor_offset_descending", kLayout, 128, 64, 0);
  two("tensor_offset_second_wraps", kLayout, 128, 0, kMax64 - 31);
  two("tensor_offset_second_negative", kLayout, 128, 0, kMax64 - 63);
  two("data_second_missing", ErrorCode::DataBeyondEnd, 64, 0, 64);
  two("data_second_one_byte_short", ErrorCode::DataBeyondEnd, 64 + 47, 0, 64);
  two("data_missing", ErrorCode::DataBeyondEnd, 0, 0, 64);
  const auto aligned = [&rows](std::string name, ErrorCode code, std::uint32_t alignment, std::uint64_t second,
                               std::size_t data) {
    rows.file(std::move(name), code, [=](RawBytes& raw) {
      raw.header(2, 1).key("general.alignment", ValueType::U32).u32(alignment);
      raw.row("a", {1}, kF32, 0).row("b", {1}, kF32, second).pad(alignment).zeros(data);
    });
  };
  aligned("align_64_laid_out_for_32", kLayout, 64, 32, 256);
  aligned("align_32_laid_out_for_64", kLayout, 32, 64, 256);
  aligned("align_32_laid_out_for_1", kLayout, 32, 4, 256);
  aligned("align_1_laid_out_for_32", kLayout, 1, 32, 256);
  aligned("align_65536_data_missing", ErrorCode::DataBeyondEnd, 65536, 65536, 8);
  rows.tensors("data_one_byte_short", ErrorCode::DataBeyondEnd, 1, 15,
               [](RawBytes& raw) { raw.row("a", {4}, kF32, 0); });
  rows.file("data_cut_in_padding", ErrorCode::DataBeyondEnd,
            [](RawBytes& raw) { raw.header(1, 0).row("a", {4}, kF32, 0).zeros(1); });
  rows.file("data_cut_at_table", ErrorCode::DataBeyondEnd,
            [](RawBytes& raw) { raw.header(1, 0).row("a", {4}, kF32, 0); });
  // One scale in the row header, or one for the tensor in its tail, that a naive size forgets.
  rows.tensors("data_iq4_ks_without_row_header", ErrorCode::DataBeyondEnd, 1, 136, [](RawBytes& raw) {
    raw.row("a", {256, 1}, 144, 0);
  });
  rows.tensors("data_iq4_kss_rows_2048", ErrorCode::DataBeyondEnd, 1, 2 * 2048, [](RawBytes& raw) {
    raw.row("a", {4096, 2}, 146, 0);
  });
  rows.tensors("data_i2_s_without_tail", ErrorCode::DataBeyondEnd, 1, 1024, [](RawBytes& raw) {
    raw.row("a", {64, 64}, 36, 0);
  });
  add_big_endian(rows);
}

}  // namespace gguf_fuse::test_support
