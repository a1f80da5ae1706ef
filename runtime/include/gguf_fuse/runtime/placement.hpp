// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gguf_fuse/loader/error.hpp"
#include "gguf_fuse/loader/export.hpp"
#include "gguf_fuse/runtime/namespace.hpp"

namespace gguf_fuse::runtime {

/// What tensors are for, which decides where they have to be.
enum class TensorRole : std::uint8_t {
  Input,        ///< embeddings of tokens: lookups
  FirstLayer,   ///< between the lookups and the first layer: norms of embeddings, their types, convolution stems
  Mixer,        ///< of a layer: attention, or what it has instead
  FeedForward,  ///< of a layer
  Output,       ///< the last norm and the head, which may be the embeddings of tokens, too
};

/// "input", "first layer", "mixer", "feed-forward", "output".
[[nodiscard]] GGUF_FUSE_EXPORT std::string_view role_name(TensorRole role);

/// Tensors that are on one device, as what computes with them is one block.
struct TensorGroup {
  TensorRole role = TensorRole::Input;
  std::uint32_t layer = 0;             ///< of Mixer and FeedForward
  std::uint64_t bytes = 0;             ///< as the kernels read them
  std::vector<std::string> tensors{};  ///< by all names: of the file, of what is merged, of an unfused file
  bool ahead = false;                  ///< a FeedForward that also looks at what its layer's Mixer reads
};

/// All groups of a model in the order in which they are computed first: Input, FirstLayer, then Mixer and FeedForward
/// of each layer, Output. These are their indices.
struct GroupIndex {
  static constexpr std::size_t kInput = 0, kFirstLayer = 1;
  static constexpr std::size_t mixer(std::size_t layer) { return 2 + 2 * layer; }
  static constexpr std::size_t feed_forward(std::size_t layer) { return 3 + 2 * layer; }
  static constexpr std::size_t output(std::size_t layers) { return 2 + 2 * layers; }
};

/// Where the tensors that a pattern finds are computed, with all of their group.
struct PlacementOverride {
  std::string pattern{};   ///< a regular expression (PCRE2) that is searched in tensor names
  std::size_t device = 0;  ///< index of the device
};

/// In which order layers go to devices that some of them are offloaded to.
enum class OutputPlacement : std::uint8_t {
  First,  ///< the output, then layers from the last one towards the first
  Last,   ///< layers from the last one towards the first, then the output
};

struct PlacementOptions {
  /// Shares of the layers, one a device (-ts); empty: equal shares.
  std::vector<double> split{};
  std::vector<PlacementOverride> overrides{};  ///< the first that fits counts
  /// So many layers, the output counted as one, are shared by all devices but one, which keeps the rest (-ngl); as many
  /// as there are with the output, or more, are everything.
  struct Offload {
    std::uint32_t layers = 0;
    /// Index of the device that keeps what is not offloaded. None: all devices are offloaded to, and that is all
    /// layers.
    std::optional<std::size_t> rest{};
  };
  std::optional<Offload> offload{};  ///< none: all devices share the layers
  OutputPlacement output = OutputPlacement::First;
};

/// Why a group is where it is.
enum class PlacementRule : std::uint8_t {
  OnlyDevice,      ///< there is one
  Share,           ///< the layers are shared by all devices
  Offloaded,       ///< among the layers that are offloaded
  Rest,            ///< not among them
  WithHead,        ///< lookups in a matrix that serves as the head
  WithFirstLayer,  ///< next to what reads it
  WithLastLayer,   ///< next to what it reads
  Override,        ///< a pattern found it
};

/// A clause for people: "offloaded", "next to the first layer".
[[nodiscard]] GGUF_FUSE_EXPORT std::string_view rule_text(PlacementRule rule);

/// Where everything is.
struct PlacementPlan {
  struct Place {
    std::size_t device = 0;
    PlacementRule rule = PlacementRule::OnlyDevice;
    std::optional<std::size_t> override{};  ///< index of the one that found it
  };
  /// Neighbours in the order of computation that are on one device. A group that looks ahead is in it twice, unless
  /// that is the same split.
  struct Split {
    std::size_t device = 0;
    std::vector<std::size_t> groups{};
  };
  std::vector<Place> places{};                ///< a group each
  std::vector<Split> splits{};                ///< in the order of computation
  std::vector<std::uint64_t> bytes{};         ///< of weights, a device each
  std::vector<std::size_t> idle_overrides{};  ///< indices of those that found nothing, in ascending order
};

/// What a model has, and where it is.
struct ModelPlacement {
  std::vector<TensorGroup> groups{};  ///< as GroupIndex has them
  PlacementPlan plan{};
  std::uint64_t bytes_per_token = 0;  ///< of the residual stream, which goes from split to split
};

/// Decides where each group is: by the options alone, without a look at any device, so that the answer does not depend
/// on where a model comes from. Groups are in the order of GroupIndex. Errors: InvalidArgument (a pattern that is none,
/// a device that is not there, no device to offload to).
[[nodiscard]] GGUF_FUSE_EXPORT Result<PlacementPlan> plan_placement(std::span<const TensorGroup> groups,
                                                                    std::size_t devices,
                                                                    const PlacementOptions& options);

}  // namespace gguf_fuse::runtime
