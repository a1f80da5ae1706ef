// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "weights.hpp"

namespace gguf_fuse::runtime::detail {

/// Finds tensors of a plan's file by name, checks them, and gives each a place on the present device. Errors of all:
/// MissingTensor, BadTensorShape, UnsupportedType, OutOfDeviceMemory, BufferTooLarge, OpenClFailed.
class TensorPlaces {
 public:
  TensorPlaces(const PlannedFile& file, const std::string& path, const std::vector<std::shared_ptr<Device>>& devices);

  /// Where the next places are.
  void use_device(std::size_t device) { device_ = devices_[device].get(); }
  [[nodiscard]] Weights& weights() { return map_->weights; }

  [[nodiscard]] bool has(const std::string& name) const { return index_.contains(name); }
  [[nodiscard]] Error missing(const std::string& name) const;
  /// Rows of a tensor, whatever their number.
  [[nodiscard]] Result<std::uint64_t> rows_of(const std::string& name) const;
  /// Tensors whose name begins so are not asked for, and that is no error.
  void leave_out(const std::string& prefix);

  [[nodiscard]] Result<void> matrix(const std::string& name, std::uint64_t rows, std::uint64_t columns, Matrix& out);

  /// Matrices that the file holds one by one, or one behind the other in the tensor `fused`, whose name may be the last
  /// part's. Names are without ".weight".
  struct Part {
    std::string name;
    std::uint64_t rows;
    Matrix* out;
  };
  [[nodiscard]] Result<void> parts(const std::vector<Part>& wanted, const std::string& fused, std::uint64_t columns);

  /// A tensor of `rows` x `columns` an expert.
  struct ExpertSizes {
    std::uint32_t experts;
    std::uint64_t rows;
    std::uint64_t columns;
  };
  [[nodiscard]] Result<void> experts(const std::string& name, const ExpertSizes& sizes, ExpertMatrix& out);
  /// ffn_gate_exps and ffn_up_exps, or ffn_gate_up_exps: each expert's gate, then its up. Sizes are those of one.
  [[nodiscard]] Result<void> gate_and_up(const std::string& prefix, const ExpertSizes& sizes, ExpertMatrix& gate,
                                         ExpertMatrix& up);
  /// Their biases.
  [[nodiscard]] Result<void> gate_and_up_biases(const std::string& prefix, const ExpertSizes& sizes, Buffer& gate,
                                                Buffer& up);

  /// `count` floats in `rows` rows.
  [[nodiscard]] Result<void> floats(const std::string& name, std::uint64_t count, Buffer& out, std::uint64_t rows = 1);
  /// One row, `offset` elements behind the beginning of `out`, which is `size` elements long and 0 elsewhere.
  [[nodiscard]] Result<void> floats_at(const std::string& name, std::uint64_t count, std::uint64_t offset,
                                       std::uint64_t size, Buffer& out);
  [[nodiscard]] Result<void> host_floats(const std::string& name, std::uint64_t count, std::vector<float>& out);

  /// Allocates what was placed. Further errors: UnsupportedArchitecture when a tensor was not asked for, unless it is
  /// known to be unneeded.
  [[nodiscard]] Result<std::unique_ptr<WeightMap>> finish(std::string_view architecture);

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

  [[nodiscard]] Result<std::size_t> index_of(const std::string& name) const;
  [[nodiscard]] Result<std::size_t> take(const std::string& name, std::uint64_t rows, std::uint64_t columns);
  [[nodiscard]] Result<std::size_t> take_floats(const std::string& name, std::uint64_t count, std::uint64_t rows);
  [[nodiscard]] Result<PackedShape> packed(std::size_t tensor, std::uint64_t rows) const;
  [[nodiscard]] Result<void> place(std::size_t tensor, std::uint64_t first_row, std::uint64_t rows, Matrix& out);
  [[nodiscard]] std::size_t chunk_for(std::uint64_t bytes);
  [[nodiscard]] std::uint64_t reserve(std::size_t chunk, std::uint64_t bytes);
  void add_placement(std::size_t tensor, std::uint64_t first_row, const PackedShape& shape, std::uint64_t offset,
                     std::size_t chunk);
  struct ExpertSource {
    std::size_t tensor;
    std::uint64_t first_row;
    std::uint64_t row_stride;  ///< from expert to expert
    ExpertMatrix* out;
  };
  /// As many as fit into the largest buffer of the device.
  [[nodiscard]] std::uint32_t most_experts(std::uint32_t experts, std::uint64_t stride) const;
  [[nodiscard]] Result<std::uint64_t> expert_bytes(std::size_t tensor, std::uint64_t rows) const;
  /// All sources of an expert side by side, in parts of at most `most` experts.
  [[nodiscard]] Result<void> place_experts(const std::vector<ExpertSource>& sources, const ExpertSizes& sizes,
                                           std::uint32_t most);
  void place_floats(std::size_t tensor, std::uint64_t first, std::uint64_t count, std::uint64_t offset,
                    const Buffer& out);
  /// Beside a matrix of the file.
  [[nodiscard]] bool is_scale(std::size_t tensor) const;
  [[nodiscard]] Result<void> place_unit_scale(std::size_t tensor);
  [[nodiscard]] Result<void> allocate_chunks();

  const PlannedFile& file_;
  const std::string& path_;
  const std::vector<std::shared_ptr<Device>>& devices_;
  std::vector<bool> used_;
  std::unordered_map<std::string_view, std::size_t> index_;
  std::unique_ptr<WeightMap> map_ = std::make_unique<WeightMap>();
  std::vector<Chunk> chunks_;
  std::vector<Owner> owners_;
  std::vector<std::size_t> placement_chunks_;  ///< of each placement; kNoChunk where it is no matrix
  Device* device_ = nullptr;
};

}  // namespace gguf_fuse::runtime::detail
