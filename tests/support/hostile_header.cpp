// SPDX-License-Identifier: MIT
#include "support/hostile_rows.hpp"

namespace gguf_fuse::test_support {
namespace {

struct NamedText {
  std::string_view name;
  std::string_view text;
};

using namespace std::string_view_literals;

// What people and servers put where a GGUF file should be.
constexpr NamedText kOtherFormats[] = {
    {"magic_ggjt", "tjgg\3\0\0\0"sv},
    {"magic_ggml", "lmgg\0\0\0\0"sv},
    {"magic_ggmf", "fmgg\1\0\0\0"sv},
    {"magic_ggla", "algg\1\0\0\0"sv},
    {"magic_ggml_readable", "GGML\0\0\0\0"sv},
    {"magic_reversed", "FUGG\3\0\0\0"sv},
    {"magic_lower_case", "gguf\3\0\0\0"sv},
    {"magic_last_letter", "GGUE\3\0\0\0"sv},
    {"magic_html", "<!DOCTYPE html><html><title>404</title></html>"sv},
    {"magic_html_lower_case", "<!doctype html>"sv},
    {"magic_html_bare", "<html><body>Bad gateway</body></html>"sv},
    {"magic_lfs_pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"sv},
    {"magic_zip", "PK\3\4\24\0\0\0"sv},
    {"magic_gzip", "\x1f\x8b\10\0\0\0\0\0"sv},
    {"magic_safetensors", "\x40\0\0\0\0\0\0\0{\"__metadata__\":{}}"sv},
    {"magic_pickle", "\x80\2}q\0."sv},
    {"magic_json", "{\"error\":\"Entry not found\"}"sv},
    {"magic_plain_text", "Entry not found"sv},
    {"magic_byte_order_mark", "\xef\xbb\xbfGGUF\3\0\0\0"sv},
    {"magic_space_first", " GGUF\3\0\0\0"sv},
    {"magic_newline_first", "\nGGUF\3\0\0\0"sv},
    {"magic_escape_sequence", "\x1b[2J\x1b]0;owned\7"sv},
    {"magic_zeros", "\0\0\0\0\0\0\0\0"sv},
    {"magic_ones", "\xff\xff\xff\xff\xff\xff\xff\xff"sv},
    {"magic_elf", "\x7f\x45LF\2\1\1\0"sv},
};

constexpr std::pair<std::string_view, std::uint32_t> kVersions[] = {
    {"version_0", 0},
    {"version_1", 1},
    {"version_4", 4},
    {"version_5", 5},
    {"version_65535", 65535},
    {"version_65536", 65536},
    {"version_2p31", 0x80000000U},
    {"version_max", 0xffffffffU},
    {"version_big_endian_1", 0x01000000U},
    {"version_big_endian_4", 0x04000000U},
    {"version_big_endian_256", 0x00010000U},
    {"version_both_orders", 0x03000003U},
};

// Counts that wrap when they are multiplied with the size of a record, in this reader or in others.
constexpr std::pair<std::string_view, std::uint64_t> kCounts[] = {
    {"65536", 65536},
    {"2p31", std::uint64_t{1} << 31},
    {"2p32", std::uint64_t{1} << 32},
    {"2p32_plus_1", (std::uint64_t{1} << 32) + 1},
    {"2p59", std::uint64_t{1} << 59},
    {"2p60_plus_1", (std::uint64_t{1} << 60) + 1},
    {"wraps_24", kMax64 / 24 + 1},
    {"wraps_13", kMax64 / 13 + 1},
    {"wraps_48", kMax64 / 48 + 1},
    {"wraps_88", kMax64 / 88 + 1},
    {"2p63_minus_1", kTwoTo63 - 1},
    {"2p63", kTwoTo63},
    {"max", kMax64},
};

void add_counts(HostileRows& rows) {
  for (const auto& [name, count] : kCounts) {
    rows.file("header_n_tensors_" + std::string(name), ErrorCode::TooManyTensors,
              [n = count](RawBytes& raw) { raw.header(n, 0).zeros(64); });
    rows.file("header_n_kv_" + std::string(name), ErrorCode::TooManyKeys,
              [n = count](RawBytes& raw) { raw.header(0, n).zeros(64); });
  }
  rows.file("header_n_tensors_no_room", ErrorCode::TooManyTensors, [](RawBytes& raw) { raw.header(1, 0); });
  rows.file("header_n_kv_no_room", ErrorCode::TooManyKeys, [](RawBytes& raw) { raw.header(0, 1).zeros(12); });
  rows.file("header_n_tensors_one_too_many", ErrorCode::BadTensorName,
            [](RawBytes& raw) { raw.header(2, 0).row("a", {4}, 0, 0).zeros(64); });
  rows.file("header_n_kv_one_too_many", ErrorCode::BadKey,
            [](RawBytes& raw) { raw.header(0, 2).key("a", ValueType::U32).u32(1).zeros(64); });
  rows.file("header_counts_of_the_other_order", ErrorCode::TooManyTensors,
            [](RawBytes& raw) { raw.text("GGUF").u32(3).text("\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1"sv).zeros(64); });
  rows.file("header_big_endian_version_alone", ErrorCode::TooManyTensors,
            [](RawBytes& raw) { raw.text("GGUF\0\0\0\3"sv).u64(1).u64(1).zeros(64); });
  rows.file("header_negative_counts", ErrorCode::TooManyTensors,
            [](RawBytes& raw) { raw.header(kMax64, kMax64).zeros(64); });
}

}  // namespace

void add_header_rows(HostileRows& rows) {
  for (const auto& [name, text] : kOtherFormats) {
    rows.file(std::string(name), ErrorCode::BadMagic, [bytes = text](RawBytes& raw) { raw.text(bytes); });
  }
  for (const auto& [name, version] : kVersions) {
    rows.file(std::string(name), ErrorCode::BadVersion,
              [v = version](RawBytes& raw) { raw.header(0, 0, v).zeros(64); });
  }
  // A whole header of 24 bytes, less and less of it.
  for (const std::size_t left : {0U, 1U, 2U, 3U, 4U, 5U, 7U, 8U, 12U, 15U, 16U, 17U, 20U, 23U}) {
    rows.file("header_trunc_at_" + std::to_string(left), ErrorCode::Truncated,
              [left](RawBytes& raw) { raw.header(0, 0).cut(24 - left); });
  }
  add_counts(rows);
}

}  // namespace gguf_fuse::test_support
