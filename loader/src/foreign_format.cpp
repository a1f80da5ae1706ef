// SPDX-License-Identifier: MIT
#include "foreign_format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace gguf_fuse::loader::detail {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kConvert =
    "make a GGUF file of the model's folder with llama.cpp's convert_hf_to_gguf.py, or download one that is made";
constexpr std::string_view kOld =
    "such files cannot be read any more: download a GGUF file of the model, or make one from the original with "
    "llama.cpp's "
    "convert_hf_to_gguf.py";
constexpr std::string_view kUnpack = "unpack it, and give the .gguf file in it";
constexpr std::string_view kDownload =
    "download the file itself; on Hugging Face its address has /resolve/ in it, not /blob/, and some models want a "
    "token";

struct Row {
  std::size_t offset;
  std::string_view bytes;
  std::string_view name;
  std::string_view hint;
};

// Formats as their own documents give them; the first four in the byte order of the files (llama.cpp, before August
// 2023, and whisper.cpp).
constexpr std::array kRows = {
    Row{0, "tjgg", "GGJT, llama.cpp's format before GGUF", kOld},
    Row{0, "fmgg", "GGMF, llama.cpp's format before GGJT", kOld},
    Row{0, "lmgg", "GGML, a format before GGUF that whisper.cpp still has", kOld},
    Row{0, "algg", "GGLA, a LoRA adapter from before GGUF", "make it again with llama.cpp's convert_lora_to_gguf.py"},
    Row{0, "FUGG", "GGUF with its magic reversed", {}},
    Row{0, "version https://git-lfs", "a Git LFS pointer, which stands for the file",
        "get the file itself: git lfs install, then git lfs pull in the repository"},
    Row{0, "\x1f\x8b", "gzip inside gzip", "unpack it once"},
    Row{0, "\x28\xb5\x2f\xfd", "a file compressed by zstd", "unpack it: zstd -d"},
    Row{0, "\xfd\x37zXZ", "a file compressed by xz", "unpack it: xz -d"},
    Row{0, "BZh", "a file compressed by bzip2", "unpack it: bzip2 -d"},
    Row{0, "7z\xbc\xaf\x27\x1c", "a 7-Zip archive", kUnpack},
    Row{0, "Rar!", "a RAR archive", kUnpack},
    Row{257, "ustar", "a tar archive", kUnpack},
    Row{0, "MZqFpD", "a llamafile, which has the model inside",
        "take the .gguf file out of it: unzip MODEL.llamafile '*.gguf'"},
    Row{0, "MZ", "a Windows program", {}},
    Row{0,
        "\x7f"
        "ELF",
        "a Linux program",
        {}},
    Row{0, "\x89HDF\r\n", "an HDF5 file (Keras)", kConvert},
    Row{0, "\x93NUMPY", "a NumPy array", kConvert},
    Row{4, "TFL3", "a TensorFlow Lite model", {}},
    Row{0, "\0\0\0\0"sv, "zeros at the beginning",
        "the download has not got to this part of the file: let it end, or download it again"},
};

bool starts_at(std::string_view head, std::size_t offset, std::string_view bytes) {
  return head.size() >= offset && head.substr(offset).starts_with(bytes);
}

std::uint64_t little_endian(std::string_view head, std::size_t offset, std::size_t count) {
  if (head.size() < offset + count) return 0;
  std::uint64_t value = 0;
  for (std::size_t i = count; i-- > 0;) value = value << 8 | static_cast<unsigned char>(head[offset + i]);
  return value;
}

// The length of its header, and the header: JSON.
bool is_safetensors(std::string_view head) {
  constexpr std::uint64_t kMostHeader = 100'000'000;  // what its reader allows
  const std::uint64_t header = little_endian(head, 0, 8);
  return header >= 2 && header <= kMostHeader && starts_at(head, 8, "{");
}

// PyTorch's archives begin with NAME/data.pkl.
bool is_torch_archive(std::string_view head) {
  constexpr std::size_t kNameLength = 26, kName = 30;
  if (!head.starts_with("PK\x03\x04") || head.size() < kName) return false;
  const std::string_view name = head.substr(kName).substr(0, little_endian(head, kNameLength, 2));
  return name.ends_with("/data.pkl") || name == "data.pkl";
}

// Protocols 2 to 5 say so first.
bool is_pickle(std::string_view head) { return head.size() > 1 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5; }

// llama.cpp's old imatrix.dat: the number of entries, the length of a tensor's name, the name.
bool is_importance_matrix(std::string_view head) {
  const std::uint64_t count = little_endian(head, 0, 4), length = little_endian(head, 4, 4);
  if (count == 0 || count > 100'000 || length < 8 || length > 256 || head.size() < 8 + length) return false;
  return head.substr(8, length).ends_with(".weight");
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool is_text(std::string_view head) {
  return std::all_of(head.begin(), head.end(),
                     [](char c) { return (c >= ' ' && c <= '~') || c == '\n' || c == '\r' || c == '\t'; });
}

// What servers send instead of a file: a page, JSON, or a line of text.
ForeignFormat recognise_text(std::string_view head) {
  head.remove_prefix(std::min(head.find_first_not_of(" \t\r\n\xef\xbb\xbf"), head.size()));
  std::string start(head.substr(0, 16));
  std::transform(start.begin(), start.end(), start.begin(), lower);
  if (start.starts_with("<!doctype html") || start.starts_with("<html")) {
    return {"an HTML page, as servers send it instead of a file", std::string(kDownload)};
  }
  if (start.starts_with("<?xml"))
    return {"an XML document, as servers send it instead of a file", std::string(kDownload)};
  if (!is_text(head)) return {};
  if (start.starts_with("{") || start.starts_with("[")) {
    return {"a JSON text (a model's configuration, or a server's error)", "give the model's .gguf file"};
  }
  if (start.starts_with("#!")) return {"a script", "give the model's .gguf file"};
  constexpr std::size_t kShown = 60;
  if (head.size() < kShown / 4) return {};
  const std::string_view line = head.substr(0, std::min(head.find_first_of("\r\n"), kShown));
  return {fmt::format("a text: \"{}\"", line), std::string(kDownload)};
}

}  // namespace

ForeignFormat recognise_foreign(std::string_view head) {
  for (const Row& row : kRows) {
    if (starts_at(head, row.offset, row.bytes)) return {std::string(row.name), std::string(row.hint)};
  }
  if (is_safetensors(head)) return {"a safetensors file", std::string(kConvert)};
  if (is_torch_archive(head)) return {"a PyTorch checkpoint", std::string(kConvert)};
  if (head.starts_with("PK\x03\x04")) return {"a zip archive", std::string(kUnpack)};
  if (is_pickle(head)) return {"a Python pickle, as PyTorch writes checkpoints", std::string(kConvert)};
  if (is_importance_matrix(head)) {
    return {"an importance matrix (imatrix.dat)", "it is for llama-quantize --imatrix; give the model's .gguf file"};
  }
  if (ForeignFormat text = recognise_text(head); !text.name.empty()) return text;
  return {fmt::format("\"{}\"", head.substr(0, 4)), {}};
}

ForeignFormat recognise_foreign(Source& source, std::string_view read) {
  std::array<std::byte, 512> buffer{};
  std::copy(read.begin(), read.end(), reinterpret_cast<char*>(buffer.data()));
  const auto more = source.read_up_to(read.size(), std::span(buffer).subspan(read.size()));
  return recognise_foreign({reinterpret_cast<const char*>(buffer.data()), read.size() + more.value_or(0)});
}

}  // namespace gguf_fuse::loader::detail
