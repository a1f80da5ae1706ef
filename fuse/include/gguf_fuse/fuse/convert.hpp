// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gguf_fuse/fuse/pipeline.hpp"

namespace gguf_fuse::fuse {

enum class Direction : std::uint8_t { Fuse, Unfuse };

struct ConvertRequest {
  std::string input;  ///< file, any shard, .gguf.gz, or "-" for standard input
  /// File, NAME.gguf.gz, a folder (for a file of the input's name), or "-" for standard output; shards are named after
  /// it.
  std::string output;
  Direction direction = Direction::Fuse;
  FuseOptions fuse{};    ///< for Direction::Unfuse only .split is used
  bool replace = false;  ///< an existing output may be replaced
  bool verify = true;    ///< read the output back and compare it with the input before it gets its name
  bool dry_run = false;  ///< plan only
  /// Fuse: nothing (more) to fuse is an error and nothing is written. Unfuse: so is what is not proven to be the
  /// original.
  bool strict = false;
  LoadMode mode = LoadMode::Read;
  PipelineOptions pipeline{};
};

struct ConvertReport {
  Plan plan;
  std::string architecture;
  std::uint64_t input_bytes = 0;
  std::uint64_t output_bytes = 0;    ///< on the disk; compressed outputs after compression, unless it was a dry run
  std::vector<std::string> outputs;  ///< files written (or that would be)
  std::vector<std::string> removed_temporaries;  ///< left by killed runs
  std::vector<Reason> warnings;
  double copy_seconds = 0;
  double verify_seconds = 0;
  double commit_seconds = 0;  ///< fsync and rename
  bool verified = false;
  /// Unfuse: what was given back, after its tensors were compared with the record's hashes; and why it is not the
  /// original, one clause.
  Restores restored = Restores::Nothing;
  std::vector<Reason> unproven{};
  std::vector<std::string> changed_tensors{};  ///< of the original: not what they were when they were fused
};

/// The whole of `gguf-fuse convert` and `unfuse`: open, plan, move, verify, commit. On any error no output is left.
/// Errors: those of open_model, plan_fuse, plan_unfuse, execute, compare and the sinks; SameFile, OutputExists,
/// NothingToFuse, NotOriginal.
[[nodiscard]] GGUF_FUSE_EXPORT Result<ConvertReport> convert(const ConvertRequest& request);

struct VerifyReport {
  std::uint64_t tensors = 0;            ///< of the original, all found unchanged
  std::uint64_t fused_tensors = 0;      ///< of the derived file, made of more than one of the original's
  std::uint64_t fused_in_original = 0;  ///< the other way round: more than 0 says that the files were given swapped
  std::uint64_t bytes = 0;              ///< compared
  double seconds = 0;
};

/// Proves slice by slice that `derived` holds exactly the weights of `original`; either may be the fused one.
/// Errors: TensorsDiffer, DifferentModels (another architecture, other tensors, or most tensors differ at once) and
/// those of open_model.
[[nodiscard]] GGUF_FUSE_EXPORT Result<VerifyReport> verify(const std::string& derived, const std::string& original,
                                                           LoadMode mode = LoadMode::Read,
                                                           const PipelineOptions& options = {});

struct TensorHash {
  std::string name;
  std::uint64_t bytes = 0;
  std::uint64_t xxh64 = 0;
};

/// XXH64 (seed 0) of every tensor's bytes, in file order.
[[nodiscard]] GGUF_FUSE_EXPORT Result<std::vector<TensorHash>> hash_tensors(Model& model,
                                                                            const PipelineOptions& options = {});

}  // namespace gguf_fuse::fuse
