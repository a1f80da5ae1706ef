// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gguf_fuse/loader/container.hpp"

namespace gguf_fuse::loader {

/// The headers of one model: a single file, or all shards of a split in order. Tensor names are unique across shards.
struct ModelInfo {
  std::vector<Container> shards;

  /// The first shard's metadata, where the model's keys are; no keys without a shard.
  [[nodiscard]] GGUF_FUSE_EXPORT const Metadata& metadata() const;
  [[nodiscard]] GGUF_FUSE_EXPORT std::size_t tensor_count() const;
  /// Bytes of all files (header, padding and data), as far as the headers tell.
  [[nodiscard]] GGUF_FUSE_EXPORT std::uint64_t total_bytes() const;
};

/// Headers together with the sources of their bytes; sources[i] belongs to info.shards[i].
struct Model {
  ModelInfo info;
  std::vector<std::unique_ptr<Source>> sources;

  [[nodiscard]] GGUF_FUSE_EXPORT bool sequential() const;
  /// InputChanged when any file is no longer what it was when opened.
  [[nodiscard]] GGUF_FUSE_EXPORT Result<void> check_unchanged() const;
};

struct OpenOptions {
  LoadMode mode = LoadMode::Read;
  Limits limits{};
};

/// Opens a GGUF file, a gzip-compressed one, "-" for standard input, or a split model by any one of its shards
/// (NAME-00001-of-000NN.gguf). Errors: those of open_source and read_container, ShardMissing, BadSplit,
/// DuplicateTensor.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Model> open_model(const std::string& path, const OpenOptions& options = {});

/// Reads the header of an already opened single source into a model.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Model> open_model(std::unique_ptr<Source> source, const Limits& limits = {});

/// The name of shard `index` (from 0) of `count`: PREFIX-00001-of-00003.gguf, llama.cpp's pattern.
[[nodiscard]] GGUF_FUSE_EXPORT std::string shard_path(const std::string& prefix, std::size_t index, std::size_t count);

/// Splits PREFIX-00001-of-00003.gguf into its parts; nothing for other names.
struct ShardName {
  std::string prefix;
  std::size_t index = 0;
  std::size_t count = 0;
};
[[nodiscard]] GGUF_FUSE_EXPORT std::optional<ShardName> parse_shard_name(std::string_view path);

}  // namespace gguf_fuse::loader
