// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "logical_model.hpp"
#include "reasons.hpp"

namespace gguf_fuse::fuse::detail {

/// A number that the metadata may state, or why it cannot be told.
using Stated = tl::expected<std::optional<std::uint64_t>, Reason>;

/// A model's tensors with what legality needs to know around them.
class ModelView {
 public:
  /// `logical` must outlive the view. A file without general.architecture has an empty one.
  /// Errors: WrongValueType.
  [[nodiscard]] static Result<ModelView> make(const LogicalModel& logical);

  [[nodiscard]] const LogicalModel& logical() const { return *logical_; }
  [[nodiscard]] std::string_view architecture() const { return architecture_; }
  [[nodiscard]] const ArchitectureRow* row() const { return find_architecture(architecture_); }
  [[nodiscard]] bool has_trait(AttentionTraits trait) const { return row() != nullptr && (row()->traits & trait) != 0; }
  /// `blk.LAYER.base.attribute`, or null.
  [[nodiscard]] const LogicalTensor* find(std::uint32_t layer, std::string_view base, std::string_view attribute) const;
  /// The numbers E of all `blk.LAYER.base.E.weight`, ascending.
  [[nodiscard]] std::span<const std::uint32_t> numbers(std::uint32_t layer, std::string_view base) const;
  /// From now on there is `fused`, which must outlive the view, and no `parts`.
  void replace(std::span<const LogicalTensor* const> parts, const LogicalTensor& fused);
  /// Layers that have any tensor, ascending.
  [[nodiscard]] const std::vector<std::uint32_t>& layers() const { return layers_; }
  [[nodiscard]] bool has_recurrent_layers() const { return !recurrent_.empty(); }
  /// Whether the layer keeps a state instead of keys and values (it has ssm_ tensors).
  [[nodiscard]] bool recurrent(std::uint32_t layer) const;
  /// Whether the layer uses keys and values of an earlier one.
  [[nodiscard]] bool borrows_keys(std::uint32_t layer) const;
  /// ARCH.key, possibly an array with an entry a layer. Nothing when the key is missing; where it says nothing about
  /// this layer (a short array, another type), why: what a key means is the engines' business, so a
  /// value that is not understood is a reason to leave the layer alone, and no error.
  [[nodiscard]] Stated hyperparameter(std::string_view key, std::uint32_t layer) const;
  /// Whether general.tensor_extra asks for 8-bit activations with this tensor.
  [[nodiscard]] bool wants_precise_activations(std::string_view tensor) const;

 private:
  [[nodiscard]] std::optional<Value> find_key(std::string_view key) const;
  void note_number(std::string_view name);

  const LogicalModel* logical_ = nullptr;
  std::unordered_map<std::string_view, const KeyItem*> keys_;
  std::string_view architecture_;
  std::unordered_map<std::string_view, const LogicalTensor*> index_;
  std::unordered_map<std::string_view, std::vector<std::uint32_t>> numbers_;  ///< by `blk.LAYER.base`
  std::vector<std::uint32_t> layers_;
  std::vector<std::uint32_t> recurrent_;
  std::set<std::string_view> precise_;
};

/// `blk.LAYER.base.attribute`.
[[nodiscard]] std::string tensor_name(std::uint32_t layer, std::string_view base, std::string_view attribute);
/// The number in `blk.N.`, when the name starts so.
[[nodiscard]] std::optional<std::uint32_t> layer_of(std::string_view name);

/// Warns of a record that had to be ignored.
void note_lost_record(const LogicalModel& logical, Plan& plan);

/// A rule's tensors in one layer; null where there is none of that name.
struct Parts {
  std::vector<std::string> names;
  std::vector<const LogicalTensor*> weights;
  std::vector<const LogicalTensor*> biases;
  std::size_t weight_count = 0;
  std::size_t bias_count = 0;
};
[[nodiscard]] Parts find_parts(const ModelView& view, const Rule& rule, std::uint32_t layer);

/// The scales beside the parts' weights, one of kScales: null for a part without one, none where no part has one.
[[nodiscard]] std::vector<const LogicalTensor*> find_scales(const ModelView& view, std::uint32_t layer,
                                                            const Parts& parts, std::string_view attribute);

/// Why `rule` must not be applied to its `parts` in `layer` as the options want it; nothing when it may.
[[nodiscard]] std::optional<Reason> refusal(const ModelView& view, const Rule& rule, std::uint32_t layer,
                                            const Parts& parts, const FuseOptions& options);

/// PartRows::EqualStated: the rows of a part; 0 where the model does not say.
[[nodiscard]] std::uint64_t stated_length(const ModelView& view, const Rule& rule, std::uint32_t layer);

/// The rows of a rule's parts in a fused tensor that has no record; a reason when they cannot be told.
using UnfuseCut = tl::expected<Cut, Reason>;
[[nodiscard]] UnfuseCut natural_cut(const ModelView& view, const Rule& rule, std::uint32_t layer,
                                    const LogicalTensor& fused);

}  // namespace gguf_fuse::fuse::detail
