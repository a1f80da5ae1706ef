// SPDX-License-Identifier: MIT
#include "gguf_fuse/loader/model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <utility>

namespace gguf_fuse::loader {
namespace {

constexpr std::string_view kSuffix = ".gguf";
constexpr std::size_t kDigits = 5;

std::optional<std::size_t> parse_digits(std::string_view text) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && text.size() == kDigits ? std::optional(value) : std::nullopt;
}

Error split_error(const Container& shard, std::string key, std::string expected, std::string actual) {
  return {.code = ErrorCode::BadSplit,
          .path = shard.path,
          .subject = std::move(key),
          .expected = std::move(expected),
          .actual = std::move(actual)};
}

// split.count of a container; 0 and 1 mean a file of its own (llama-gguf-split leaves 0 after a merge).
Result<std::uint64_t> split_count(const Container& container) {
  if (!container.metadata.find("split.count")) return 0;
  return container.metadata.get_unsigned("split.count");
}

Result<void> check_shard_keys(const ModelInfo& model) {
  const std::size_t count = model.shards.size();
  for (std::size_t i = 0; i < count; ++i) {
    const Container& shard = model.shards[i];
    GGUF_FUSE_ASSIGN(const std::uint64_t stated_count, shard.metadata.get_unsigned("split.count"));
    if (stated_count != count) {
      return fail(split_error(shard, "split.count", fmt::format("{}", count), fmt::format("{}", stated_count)));
    }
    GGUF_FUSE_ASSIGN(const std::uint64_t number, shard.metadata.get_unsigned("split.no"));
    if (number != i) return fail(split_error(shard, "split.no", fmt::format("{}", i), fmt::format("{}", number)));
    if (shard.big_endian != model.shards.front().big_endian) {
      return fail(split_error(shard, {}, "the byte order of the first shard", "the other"));
    }
  }
  if (model.metadata().find("split.tensors.count")) {
    GGUF_FUSE_ASSIGN(const std::uint64_t stated, model.metadata().get_unsigned("split.tensors.count"));
    if (stated != model.tensor_count()) {
      return fail(split_error(model.shards.front(), "split.tensors.count", fmt::format("{}", stated),
                              fmt::format("{} tensors in the shards", model.tensor_count())));
    }
  }
  return {};
}

Result<void> check_unique_names(const ModelInfo& model) {
  std::vector<std::pair<std::string_view, std::size_t>> names;
  for (std::size_t i = 0; i < model.shards.size(); ++i) {
    for (const TensorInfo& tensor : model.shards[i].tensors) names.emplace_back(tensor.name, i);
  }
  std::sort(names.begin(), names.end());
  for (std::size_t i = 1; i < names.size(); ++i) {
    if (names[i - 1].first != names[i].first) continue;
    const std::string& path = model.shards[names[i].second].path;
    return fail({.code = ErrorCode::DuplicateTensor, .path = path, .subject = std::string(names[i].first)});
  }
  return {};
}

Result<void> add_shard(Model& model, std::unique_ptr<Source> source, const Limits& limits) {
  GGUF_FUSE_ASSIGN(Container container, read_container(*source, limits));
  model.info.shards.push_back(std::move(container));
  model.sources.push_back(std::move(source));
  return {};
}

Result<Model> open_shards(const ShardName& name, const OpenOptions& options) {
  Model model;
  for (std::size_t i = 0; i < name.count; ++i) {
    const std::string path = shard_path(name.prefix, i, name.count);
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) {
      return fail({.code = ErrorCode::ShardMissing,
                   .path = path,
                   .expected = fmt::format("{} shards", name.count),
                   .actual = fmt::format("no shard {}", i + 1)});
    }
    GGUF_FUSE_ASSIGN(std::unique_ptr<Source> source, open_source(path, options.mode));
    if (source->sequential()) {
      // Shards are read together, which only random access allows.
      GGUF_FUSE_ASSIGN(source, spool(std::move(source)));
    }
    GGUF_FUSE_CHECK(add_shard(model, std::move(source), options.limits));
  }
  GGUF_FUSE_CHECK(check_shard_keys(model.info));
  GGUF_FUSE_CHECK(check_unique_names(model.info));
  return model;
}

}  // namespace

const Metadata& ModelInfo::metadata() const {
  static const Metadata kNone;
  return shards.empty() ? kNone : shards.front().metadata;
}

std::size_t ModelInfo::tensor_count() const {
  std::size_t count = 0;
  for (const Container& shard : shards) count += shard.tensors.size();
  return count;
}

std::uint64_t ModelInfo::total_bytes() const {
  std::uint64_t bytes = 0;
  for (const Container& shard : shards) bytes += shard.file_bytes.value_or(shard.data_offset + shard.data_bytes);
  return bytes;
}

bool Model::sequential() const {
  return std::any_of(sources.begin(), sources.end(),
                     [](const auto& source) { return source != nullptr && source->sequential(); });
}

Result<void> Model::check_unchanged() const {
  for (const auto& source : sources) {
    if (source != nullptr) GGUF_FUSE_CHECK(source->check_unchanged());
  }
  return {};
}

std::string shard_path(const std::string& prefix, std::size_t index, std::size_t count) {
  return fmt::format("{}-{:05}-of-{:05}{}", prefix, index + 1, count, kSuffix);
}

std::optional<ShardName> parse_shard_name(std::string_view path) {
  constexpr std::string_view kOf = "-of-";
  const std::size_t tail = 1 + kDigits + kOf.size() + kDigits + kSuffix.size();
  if (path.size() <= tail || !path.ends_with(kSuffix)) return std::nullopt;
  const std::string_view name = path.substr(path.size() - tail);
  if (name[0] != '-' || name.substr(1 + kDigits, kOf.size()) != kOf) return std::nullopt;
  const auto number = parse_digits(name.substr(1, kDigits));
  const auto count = parse_digits(name.substr(1 + kDigits + kOf.size(), kDigits));
  if (!number || !count || *number == 0 || *number > *count) return std::nullopt;
  return ShardName{.prefix = std::string(path.substr(0, path.size() - tail)), .index = *number - 1, .count = *count};
}

Result<Model> open_model(const std::string& path, const OpenOptions& options) {
  GGUF_FUSE_ASSIGN(std::unique_ptr<Source> source, open_source(path, options.mode));
  GGUF_FUSE_ASSIGN(Model model, open_model(std::move(source), options.limits));
  GGUF_FUSE_ASSIGN(const std::uint64_t count, split_count(model.info.shards.front()));
  if (count <= 1) return model;
  const auto name = parse_shard_name(path);
  if (name && name->count == count) return open_shards(*name, options);
  Error error =
      split_error(model.info.shards.front(), "split.count", fmt::format("a file named ...-00001-of-{:05}.gguf", count),
                  fmt::format("one of {} shards under another name", count));
  error.hint = path == "-" ? "give the first shard's name: from a pipe the others cannot be found"
                           : "give the shards the names they had, in one folder";
  return fail(std::move(error));
}

Result<Model> open_model(std::unique_ptr<Source> source, const Limits& limits) {
  if (source == nullptr) {
    return fail({.code = ErrorCode::InvalidArgument,
                 .path = "model",
                 .expected = "a source",
                 .actual = "none",
                 .hint = "open one with open_source"});
  }
  Model model;
  GGUF_FUSE_CHECK(add_shard(model, std::move(source), limits));
  return model;
}

}  // namespace gguf_fuse::loader
