// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gguf_fuse/fuse/plan.hpp"
#include "tracks.hpp"

namespace gguf_fuse::fuse::detail {

/// More experts in one tensor than any engine knows; keeps the map of a hostile file small.
inline constexpr std::uint64_t kMostMatrices = 65536;

/// Tensors beside a weight by which its product is multiplied, and the type whose weights have such.
inline constexpr std::string_view kScales[] = {"scale", "input_scale"};
inline constexpr std::string_view kScaledType = "NVFP4";

/// A part of a fused tensor, as the record remembers it.
struct FusedPart {
  std::string name;
  std::uint32_t index = 0;  ///< in the original tensor table
  std::uint64_t rows = 0;   ///< per matrix; of a stacked tensor's part, all of its rows
};

/// A tensor wherever its bytes lie: one of the file's own, a part of a fused one, or one about to be fused.
struct LogicalTensor {
  std::string name;
  const TensorType* type = nullptr;
  std::uint32_t dimension_count = 0;
  Dimensions dims{1, 1, 1, 1};
  std::uint64_t bytes = 0;
  ByteMap map;
  std::uint32_t index = 0;                 ///< in the original tensor table
  std::vector<FusedPart> parts;            ///< of a tensor that this plan fuses; empty otherwise
  bool stacked = false;                    ///< `parts` lie one behind the other, matrix by matrix
  bool common = false;                     ///< `parts` are equal, and this is each of them
  std::optional<std::uint32_t> copy_of{};  ///< of a part of a common tensor: the part that is hashed in its place
  std::optional<Joined> joined{};          ///< what a plan's views find in it
  std::string taken_from{};  ///< the fused tensor that a part was taken from by the rules; empty otherwise
};

/// A metadata value as stored; refers into the header's bytes.
struct KeyItem {
  std::string_view key;
  ValueType type = ValueType::U8;
  std::span<const std::byte> value;
};

/// One file of the original model.
struct LogicalShard {
  std::uint32_t tensor_count = 0;
  std::uint64_t alignment = kDefaultAlignment;
  std::uint64_t tail_bytes = 0;               ///< behind the last tensor
  std::optional<std::uint64_t> file_bytes{};  ///< of a file as stored
  ContentHash header_hash{};                  ///< of a file as stored
  std::vector<KeyItem> keys;
  std::span<const std::byte> section{};  ///< the keys as stored; empty for the first shard of a record
};

/// What a record knows of the original's bytes.
struct OriginalHashes {
  bool zero_padding = false;         ///< there is nothing but zeros between and behind the tensors
  std::vector<ContentHash> headers;  ///< of each shard
  std::vector<ContentHash> tensors;
};

/// A fused tensor that the record describes.
struct StoredFusion {
  std::string name;
  std::vector<std::string> parts;
};

/// The original model, seen through what was fused before.
struct LogicalModel {
  std::uint32_t version = 3;
  bool big_endian = false;
  std::string path;
  bool has_record = false;
  std::optional<OriginalHashes> hashes{};  ///< of the record; nothing in one of version 1
  std::string lost_key{};                  ///< of a record that is ignored because this key is not there
  std::vector<StoredFusion> stored_fused{};
  std::vector<LogicalShard> shards;
  std::vector<LogicalTensor> tensors;  ///< in original order

  [[nodiscard]] const std::vector<KeyItem>& keys() const { return shards.front().keys; }
  [[nodiscard]] std::optional<Value> find_key(std::string_view key) const;
};

/// Bytes of a matrix of `tensor`, or, of a bias for each expert, of an expert's: what fusing moves as a whole. All of
/// it where it is never taken apart.
[[nodiscard]] std::uint64_t slice_bytes(const LogicalTensor& tensor);

/// The matrices of `tensor`, or, of a bias for each expert, the experts.
[[nodiscard]] std::uint64_t matrix_count(const LogicalTensor& tensor);

/// Index of tensors by name.
using TensorIndex = std::unordered_map<std::string_view, std::size_t>;
[[nodiscard]] TensorIndex index_by_name(const std::vector<LogicalTensor>& tensors);

/// The file's own tensors and keys, record or not.
[[nodiscard]] LogicalModel stored_model(const ModelInfo& model);

/// As stored_model, with fused tensors that a record describes taken apart again. Errors: BadRecord, WrongValueType.
[[nodiscard]] Result<LogicalModel> original_model(const ModelInfo& model);

/// Where a tensor is cut into parts: how many rows of each matrix each of them has or, of a stack, of all matrices one
/// behind the other, which are cut between any two rows. Rows of 1-D tensors and of biases per expert are elements
/// along ne[0].
struct Cut {
  std::vector<std::uint64_t> rows;
  bool along_elements = false;
  bool stack = false;
};
/// What the rows of a cut of `tensor` have to add up to.
[[nodiscard]] std::uint64_t rows_to_cut(const LogicalTensor& tensor, const Cut& cut);
/// Whether `tensor` may be cut there: whole row groups, nothing that belongs to the tensor as a whole, a sane number of
/// matrices (each is a piece of the map).
[[nodiscard]] bool can_cut(const LogicalTensor& tensor, const Cut& cut);
/// The parts, named in their order.
[[nodiscard]] std::vector<LogicalTensor> cut_apart(const LogicalTensor& tensor, const Cut& cut,
                                                   std::span<const std::string> names);

/// Whether `tensor` is one number, which may stand for several equal ones.
[[nodiscard]] bool is_scalar(const LogicalTensor& tensor);
/// One of `parts`, which are equal scalars, for all of them.
[[nodiscard]] LogicalTensor share(std::span<const LogicalTensor* const> parts, std::string name);
/// `shared` under each of the names, the way back.
[[nodiscard]] std::vector<LogicalTensor> copies_of(const LogicalTensor& shared, std::span<const std::string> names);

/// How parts become one tensor.
struct Join {
  Axis axis = Axis::Rows;
  bool along_elements = false;  ///< they are biases

  /// The dimension that grows.
  [[nodiscard]] std::size_t dimension() const {
    return (along_elements ? 0U : 1U) + (axis == Axis::Matrices ? 1U : 0U);
  }
};
/// `parts`, of which all or none are stacked, as one tensor. Parts that are fused themselves are remembered by theirs.
[[nodiscard]] LogicalTensor join(std::span<const LogicalTensor* const> parts, const Join& how, std::string name);

}  // namespace gguf_fuse::fuse::detail
