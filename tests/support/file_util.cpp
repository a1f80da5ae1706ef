// SPDX-License-Identifier: MIT
#include "support/file_util.hpp"

#include <xxhash.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <stdexcept>

namespace gguf_fuse::test_support {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 20;

std::ifstream open_input(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot open " + path.string());
  return file;
}

std::span<const char> read_piece(std::ifstream& file, std::vector<char>& buffer) {
  file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
  if (file.bad()) throw std::runtime_error("cannot read");
  return std::span<const char>(buffer).first(static_cast<std::size_t>(file.gcount()));
}

}  // namespace

std::string read_text(const std::filesystem::path& path) {
  std::ifstream file = open_input(path);
  std::string text;
  std::vector<char> buffer(kPiece);
  for (auto piece = read_piece(file, buffer); !piece.empty(); piece = read_piece(file, buffer)) {
    text.append(piece.begin(), piece.end());
  }
  return text;
}

std::vector<std::byte> read_file(const std::filesystem::path& path) {
  const std::string text = read_text(path);
  const auto bytes = bytes_of(text);
  return {bytes.begin(), bytes.end()};
}

void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path.string());
}

void write_text(const std::filesystem::path& path, std::string_view text) { write_file(path, bytes_of(text)); }

std::uint64_t hash_bytes(std::span<const std::byte> bytes) { return XXH64(bytes.data(), bytes.size(), 0); }

std::uint64_t hash_file(const std::filesystem::path& path) {
  std::ifstream file = open_input(path);
  const std::unique_ptr<XXH64_state_t, XXH_errorcode (*)(XXH64_state_t*)> state(XXH64_createState(), XXH64_freeState);
  XXH64_reset(state.get(), 0);
  std::vector<char> buffer(kPiece);
  for (auto piece = read_piece(file, buffer); !piece.empty(); piece = read_piece(file, buffer)) {
    XXH64_update(state.get(), piece.data(), piece.size());
  }
  return XXH64_digest(state.get());
}

std::string difference(const std::filesystem::path& a, const std::filesystem::path& b) {
  std::ifstream file_a = open_input(a);
  std::ifstream file_b = open_input(b);
  std::vector<char> buffer_a(kPiece);
  std::vector<char> buffer_b(kPiece);
  for (std::uint64_t offset = 0;; offset += kPiece) {
    const auto piece_a = read_piece(file_a, buffer_a);
    const auto piece_b = read_piece(file_b, buffer_b);
    const auto [at_a, at_b] = std::mismatch(piece_a.begin(), piece_a.end(), piece_b.begin(), piece_b.end());
    if (at_a != piece_a.end() || at_b != piece_b.end()) {
      const auto at = offset + static_cast<std::uint64_t>(at_a - piece_a.begin());
      const bool shorter = at_a == piece_a.end() || at_b == piece_b.end();
      return (shorter ? "one file ends at byte " : "first difference at byte ") + std::to_string(at);
    }
    if (piece_a.empty()) return "";
  }
}

std::vector<std::string> list_folder(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace gguf_fuse::test_support
