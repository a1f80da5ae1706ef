// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/namespace.hpp"

namespace gguf_fuse::test_support {

// Small files whole, large ones in pieces. A failure throws std::runtime_error: it is the test's set-up that broke.

[[nodiscard]] std::vector<std::byte> read_file(const std::filesystem::path& path);
[[nodiscard]] std::string read_text(const std::filesystem::path& path);
void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes);
void write_text(const std::filesystem::path& path, std::string_view text);

/// XXH64 (seed 0) of a file of any size.
[[nodiscard]] std::uint64_t hash_file(const std::filesystem::path& path);
[[nodiscard]] std::uint64_t hash_bytes(std::span<const std::byte> bytes);

/// Compares files of any size. Empty when equal, otherwise how they differ, so that a test can say
/// EXPECT_EQ(difference(a, b), "").
[[nodiscard]] std::string difference(const std::filesystem::path& a, const std::filesystem::path& b);

/// Names of everything in a folder, sorted: what a test expects to be left there.
[[nodiscard]] std::vector<std::string> list_folder(const std::filesystem::path& folder);

/// The bytes of a string literal or other text.
[[nodiscard]] inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace gguf_fuse::test_support
