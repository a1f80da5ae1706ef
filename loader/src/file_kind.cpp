// SPDX-License-Identifier: MIT
#include "gguf_fuse/loader/file_kind.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace gguf_fuse::loader {
namespace {

constexpr std::string_view kAdapter =
    "give the model it was made for; llama.cpp's llama-export-lora writes both into one model, which can be given here";
constexpr std::string_view kProjector =
    "it goes with a language model, which is a file of its own: give that one (pictures and sound are not read here)";
constexpr std::string_view kImportance = "it is for llama-quantize --imatrix; give the model itself";
constexpr std::string_view kPictures =
    "it makes pictures or films; stable-diffusion.cpp and ComfyUI-GGUF run such files";

struct Row {
  std::string_view key;
  std::string_view value;
  std::string_view name;
  std::string_view advice;
};

constexpr std::array kRows = {
    Row{"general.type", "adapter", "a LoRA adapter", kAdapter},
    Row{"general.type", "mmproj", "a projector of a multimodal model (mmproj)", kProjector},
    Row{"general.architecture", "clip", "a projector of a multimodal model (mmproj)", kProjector},
    Row{"general.type", "imatrix", "an importance matrix", kImportance},
    Row{"general.architecture", "controlvector", "a control vector",
        "it goes with a language model and llama.cpp's --control-vector; give the model itself"},
    Row{"general.architecture", "flux", "a diffusion model", kPictures},
    Row{"general.architecture", "sd1", "a diffusion model", kPictures},
    Row{"general.architecture", "sd3", "a diffusion model", kPictures},
    Row{"general.architecture", "sdxl", "a diffusion model", kPictures},
    Row{"general.architecture", "wan", "a diffusion model", kPictures},
    Row{"general.architecture", "ltxv", "a diffusion model", kPictures},
    Row{"general.architecture", "hyvid", "a diffusion model", kPictures},
    Row{"general.architecture", "qwen_image", "a diffusion model", kPictures},
};

std::string_view text_of(const Metadata& metadata, std::string_view key) {
  const auto value = metadata.find(key);
  return value ? value->as_string().value_or("") : std::string_view();
}

bool has_tensor(const ModelInfo& info, std::string_view ending) {
  return std::any_of(info.shards.begin(), info.shards.end(), [&](const Container& shard) {
    return std::any_of(shard.tensors.begin(), shard.tensors.end(),
                       [&](const TensorInfo& tensor) { return tensor.name.ends_with(ending); });
  });
}

}  // namespace

std::optional<FileKind> other_than_model(const ModelInfo& info) {
  const Metadata& metadata = info.metadata();
  for (const Row& row : kRows) {
    if (text_of(metadata, row.key) != row.value) continue;
    return FileKind{std::string(row.name), fmt::format("{} is {}", row.key, row.value), std::string(row.advice)};
  }
  // Files from before these keys.
  if (has_tensor(info, ".lora_a") || has_tensor(info, ".loraA")) {
    return FileKind{"a LoRA adapter", "it has tensors named .lora_a", std::string(kAdapter)};
  }
  if (has_tensor(info, ".in_sum2")) {
    return FileKind{"an importance matrix", "it has tensors named .in_sum2", std::string(kImportance)};
  }
  if (info.tensor_count() == 0 && metadata.find("tokenizer.ggml.tokens")) {
    return FileKind{"a vocabulary without a model", "it has a tokenizer and no tensor",
                    "give the model's whole file; `gguf-run tokenize` works with this one"};
  }
  return std::nullopt;
}

Error not_a_model(const FileKind& kind, const std::string& path) {
  return {.code = ErrorCode::NotAModel,
          .path = path,
          .actual = fmt::format("{} ({})", kind.name, kind.told),
          .hint = kind.advice};
}

}  // namespace gguf_fuse::loader
