// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gguf_fuse/fuse/byte_map.hpp"
#include "gguf_fuse/fuse/proof.hpp"
#include "gguf_fuse/fuse/reason.hpp"
#include "gguf_fuse/fuse/rules.hpp"
#include "gguf_fuse/fuse/scales.hpp"
#include "gguf_fuse/fuse/targets.hpp"
#include "gguf_fuse/loader/model.hpp"

namespace gguf_fuse::fuse {

/// What a fused tensor holds: tensors that an unfused file has by name, one behind the other in each of its matrices.
struct Joined {
  struct Part {
    std::string name;
    std::uint64_t rows = 0;  ///< of each matrix
  };
  RuleId rule{};
  bool stored = false;              ///< the input holds it fused already
  bool of_elements = false;         ///< of biases: a row is one element
  std::vector<Part> parts;          ///< in the order of their rows
  std::optional<Reason> unknown{};  ///< why it is not known how many rows each part has; all have 0 then

  [[nodiscard]] std::string_view attribute() const { return of_elements ? "bias" : "weight"; }
};

/// A tensor of the output: its row of the table and where its bytes come from.
struct PlannedTensor {
  std::string name;
  const TensorType* type = nullptr;
  std::uint32_t dimension_count = 0;
  Dimensions dims{1, 1, 1, 1};
  std::uint64_t offset = 0;  ///< absolute, in its output file
  std::uint64_t bytes = 0;
  ByteMap map;  ///< from the model's files to the tensor's first byte on; it covers the tensor exactly
  std::optional<Joined> joined{};  ///< of plan_fuse: what is in it, where that is more than one tensor
};

/// One file of the output. Bytes between header and tensors, and up to total_bytes, are zero padding.
struct PlannedFile {
  std::vector<std::byte> header;
  std::vector<PlannedTensor> tensors;
  std::uint64_t total_bytes = 0;
};

/// What was decided about one rule in one layer, and why.
struct Decision {
  RuleId rule;
  std::uint32_t layer = 0;
  Reason reason{};                 ///< why (not)
  std::vector<std::string> parts;  ///< without `blk.N.` and `.weight`; join_names() says them in short
  std::string result;
  std::uint64_t bytes = 0;  ///< of the fused tensors

  /// For unfuse plans: taken apart.
  [[nodiscard]] bool fused() const {
    return reason.outcome() == Outcome::Fused || reason.outcome() == Outcome::TakenApart;
  }
};

struct Plan {
  std::vector<PlannedFile> files;   ///< more than one: shards
  std::vector<Decision> decisions;  ///< by rule, then layer; rules with no tensors in this model have none
  std::vector<Reason> warnings;
  Restores restores = Restores::Nothing;  ///< what unfusing gives back
  std::vector<Reason> unproven{};         ///< why the original is not what Restores::Recorded gives
  std::size_t fused_before = 0;           ///< fuse: tensors of this plan that the input holds fused already
  std::optional<OriginalProof> proof{};   ///< what to hash while the bytes move; nothing where no record needs it

  [[nodiscard]] GGUF_FUSE_EXPORT std::uint64_t total_bytes() const;
  [[nodiscard]] GGUF_FUSE_EXPORT std::size_t fused_count() const;  ///< decisions that fuse
};

/// How the output is cut into shards.
struct SplitOptions {
  std::uint64_t max_bytes = 0;    ///< of tensor data per shard; 0: no limit
  std::uint64_t max_tensors = 0;  ///< per shard; 0: no limit
  bool keep = false;              ///< the input's own shards
};

struct FuseOptions {
  Target target = Target::LlamaCpp;
  bool stack = true;
  bool gate_up = true;
  bool qkv = true;
  std::optional<std::pair<std::uint32_t, std::uint32_t>> layers{};  ///< first and last layer, inclusive
  ScaleValues scales{};  ///< of read_scales(): without them scales are not known to be equal
  SplitOptions split{};
};

/// Plans a fused copy: a pure function of the headers and the options' scales. A file that was fused before is planned
/// from its original tensors, so fusing again for another target needs no unfuse in between. A layer whose metadata a
/// rule does not understand is kept as it is, with the reason in its decision. Errors: BadRecord, MissingKey and
/// WrongValueType (of keys that have to be rewritten), SizeOverflow, InvalidArgument (a model without files).
[[nodiscard]] GGUF_FUSE_EXPORT Result<Plan> plan_fuse(const ModelInfo& model, const FuseOptions& options = {});

/// Plans the way back: the original where a record says how, else by the rules and the model's head counts. A record
/// that lost keys to another program is ignored, with a warning, where the rules suffice.
/// Errors: NothingToUnfuse, BadRecord and those of plan_fuse.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Plan> plan_unfuse(const ModelInfo& model, const SplitOptions& split = {});

/// Relates the tensors of two models: how to make every tensor of `derived` from `original`, through the record, or by
/// the rules where there is none. Used to prove that no weight changed. Headers and padding are left empty. Errors:
/// TensorsDiffer (a tensor without counterpart, another type), DifferentModels (another shape, or many tensors without
/// counterpart) and those of plan_fuse.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Plan> plan_compare(const ModelInfo& derived, const ModelInfo& original);

}  // namespace gguf_fuse::fuse
