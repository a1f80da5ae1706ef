// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gguf_fuse/fuse/views.hpp"
#include "gguf_fuse/kernels/experts.hpp"
#include "gguf_fuse/runtime/placement.hpp"
#include "model/weight_map.hpp"

namespace gguf_fuse::runtime::detail {

/// Finds tensors of a plan's file by the names of an unfused one and checks them. Once all are asked for and their
/// groups have devices, gives each a place there. Errors of all: MissingTensor, BadTensorShape, UnsupportedType.
class TensorPlaces {
 public:
  /// `views` are those of the file.
  TensorPlaces(const PlannedFile& file, std::span<const TensorView> views, const std::string& path);

  /// What is asked for next belongs to it; the layer counts where a role has layers, and is the
  /// one behind the last of Output.
  void use_group(TensorRole role, std::size_t layer = 0);

  [[nodiscard]] bool has(std::string_view name) const { return index_.contains(name); }
  [[nodiscard]] Error missing(const std::string& name) const;
  /// Rows of a tensor, whatever their number.
  [[nodiscard]] Result<std::uint64_t> rows_of(const std::string& name) const;
  /// Tensors whose name begins so are not asked for, and that is no error.
  void leave_out(const std::string& prefix);

  [[nodiscard]] Result<void> matrix(const std::string& name, std::uint64_t rows, std::uint64_t columns, Matrix& out);

  /// `rows` of a matrix by its name, without ".weight".
  struct Part {
    std::string name;
    std::uint64_t rows;
  };
  /// Matrices of as many columns that are multiplied at once: one where the file has their rows, in whole tiles, one
  /// behind the other, else one each.
  [[nodiscard]] Result<void> matrices(const std::vector<Part>& wanted, std::uint64_t columns, std::vector<Matrix>& out);

  /// A tensor of `rows` x `columns` an expert.
  struct ExpertSizes {
    std::uint32_t experts;
    std::uint64_t rows;
    std::uint64_t columns;
  };
  struct ExpertPart {
    std::string name;  ///< without ".weight"
    ExpertMatrix* out;
  };
  /// Of each expert these, which have the same sizes and are cut into parts at the same experts. Where the file has
  /// them side by side, the device has, too.
  [[nodiscard]] Result<void> experts(const std::vector<ExpertPart>& wanted, const ExpertSizes& sizes);

  /// `count` floats in `rows` rows.
  [[nodiscard]] Result<void> floats(const std::string& name, std::uint64_t count, Buffer& out, std::uint64_t rows = 1);
  /// One row, `offset` elements behind the beginning of `out`, which is `size` elements long and 0 elsewhere.
  [[nodiscard]] Result<void> floats_at(const std::string& name, std::uint64_t count, std::uint64_t offset,
                                       std::uint64_t size, Buffer& out);
  [[nodiscard]] Result<void> host_floats(const std::string& name, std::uint64_t count, std::vector<float>& out);

  /// What was asked for, in groups as GroupIndex has them.
  [[nodiscard]] std::vector<TensorGroup> take_groups(std::size_t layers);
  /// Allocates it where the plan says. Further errors: OutOfDeviceMemory, BufferTooLarge, OpenClFailed,
  /// UnsupportedArchitecture when a tensor was not asked for, unless it is known to be unneeded.
  [[nodiscard]] Result<std::unique_ptr<WeightMap>> finish(const std::vector<std::shared_ptr<Device>>& devices,
                                                          const PlacementPlan& plan, std::string_view architecture);

 private:
  /// One buffer with many matrices: large pages serve it, and a driver has few buffers to look after.
  struct Chunk {
    Device* device;
    std::uint64_t bytes = 0;
  };
  struct Owner {
    Buffer* buffer;
    std::size_t chunk;
  };

  /// What is to be done on the device of a group.
  struct Request {
    std::size_t group;
    std::function<Result<void>()> place;
  };

  using ViewResult = Result<const TensorView*>;
  [[nodiscard]] ViewResult view_of(const std::string& name) const;
  [[nodiscard]] ViewResult take(const std::string& name, std::uint64_t rows, std::uint64_t columns);
  /// As take; all of it one behind the other.
  [[nodiscard]] ViewResult take_matrix(const std::string& name, std::uint64_t rows, std::uint64_t columns);
  [[nodiscard]] ViewResult take_floats(const std::string& name, std::uint64_t count, std::uint64_t rows);
  [[nodiscard]] Error unknown_rows(const TensorView& view) const;
  [[nodiscard]] Result<PackedShape> packed(const TensorView& view, std::uint64_t rows) const;
  void request(std::uint64_t bytes, std::function<Result<void>()> place);
  /// A matrix decides where its group is, so the group says its names.
  void add_names(const TensorView& view);
  /// `rows` from where the view begins.
  [[nodiscard]] Result<void> request_matrix(const TensorView& view, std::uint64_t rows, Matrix& out);
  [[nodiscard]] std::size_t chunk_for(std::uint64_t bytes);
  [[nodiscard]] std::uint64_t reserve(std::size_t chunk, std::uint64_t bytes);
  void add_placement(const TensorView& view, std::uint64_t matrix, const PackedShape& shape, std::uint64_t offset,
                     std::size_t chunk);
  /// An expert's matrix in each of the views.
  struct ExpertSource {
    const TensorView* view;
    ExpertMatrix* out;
  };
  /// As many as fit into the largest buffer of the device.
  [[nodiscard]] std::uint32_t most_experts(std::uint32_t experts, std::uint64_t stride) const;
  /// All sources of an expert side by side, in parts of as many experts as fit with `widest` bytes each.
  void request_experts(std::vector<ExpertSource> sources, std::uint32_t experts, std::uint64_t widest);
  void place_experts(std::span<const ExpertSource> sources, std::uint32_t experts, std::uint32_t most);
  void place_floats(const TensorView& view, std::uint64_t offset, const Buffer& out);
  /// What a tensor of this name multiplies, where it is a scale beside a matrix.
  [[nodiscard]] std::optional<TensorView> scaled_by(std::string_view name) const;
  [[nodiscard]] Result<void> place_scale(const TensorView& view, const TensorView& of);
  [[nodiscard]] Result<void> allocate_chunks();

  const PlannedFile& file_;
  const std::string& path_;
  std::span<const TensorView> views_;
  std::vector<bool> used_;  ///< of each view
  std::unordered_map<std::string_view, std::size_t> index_;
  std::unordered_map<std::string_view, std::size_t> stored_fused_;  ///< first view of each tensor that came fused
  std::unique_ptr<WeightMap> map_ = std::make_unique<WeightMap>();
  std::vector<Chunk> chunks_;
  std::vector<Owner> owners_;
  std::vector<std::size_t> placement_chunks_;  ///< of each placement; kNoChunk where it is no matrix
  std::vector<TensorGroup> groups_;            ///< by index; what has no tensor may be absent at the end
  std::vector<Request> requests_;
  std::size_t group_ = 0;
  Device* device_ = nullptr;  ///< of the request that is served
};

}  // namespace gguf_fuse::runtime::detail
