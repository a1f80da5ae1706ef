// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <initializer_list>
#include <span>
#include <utility>
#include <vector>

#include "blocks/block.hpp"
#include "blocks/workspace.hpp"
#include "gguf_fuse/kernels/prepare.hpp"
#include "model/network.hpp"

namespace gguf_fuse::runtime::detail {

/// Matrices of float types are multiplied with floats, whatever was asked for.
[[nodiscard]] Activations kind_for(std::span<const Matrix> matrices, Activations wanted);

/// Records the operations of blocks on one device. What surrounds a block, its norms and the residual stream, is here;
/// what it computes between is the block's. Errors of all: as Session::create.
class Recorder {
 public:
  struct Place {
    Device& device;
    const Workspace& workspace;
    const ModelSizes& sizes;
    Activations activations;  ///< that meet quantised weights
    std::uint32_t tile;       ///< of tokens; 1: they come one by one
    std::uint32_t max_tokens;
    std::uint32_t max_sequences;  ///< of a step
    std::uint32_t sequences;      ///< numbers of sequences are below it
    const std::atomic<bool>& stop;
    Error interrupted;  ///< what a stop gives
  };
  explicit Recorder(Place place) : place_(std::move(place)) {}

  /// What a block keeps of all sequences.
  struct Kept {
    const Cache& cache;                 ///< keys and values
    const std::vector<Buffer>& states;  ///< those that Block::states() speaks of
  };
  /// One half of a layer, behind what the one before left to do.
  [[nodiscard]] Result<void> record(const HalfLayer& half, const Ending& before, const Kept& kept);
  /// What the half looks at ahead of its layer's mixer.
  [[nodiscard]] Result<void> record_ahead(const HalfLayer& half, const Ending& before);
  /// Operations so far.
  [[nodiscard]] std::size_t size() const { return operations_.size(); }
  [[nodiscard]] std::vector<Operation> take() { return std::move(operations_); }

  [[nodiscard]] Device& device() const { return place_.device; }
  [[nodiscard]] std::uint32_t tile() const { return place_.tile; }
  [[nodiscard]] std::uint32_t max_tokens() const { return place_.max_tokens; }
  [[nodiscard]] std::uint32_t max_sequences() const { return place_.max_sequences; }
  [[nodiscard]] std::uint32_t sequences() const { return place_.sequences; }
  [[nodiscard]] const Buffer& step() const { return place_.workspace.step; }
  /// Activations of a step.
  [[nodiscard]] PreparedShape prepared(Activations kind, std::uint32_t columns) const {
    return {.kind = kind, .columns = columns, .tile = place_.tile, .max_tokens = place_.max_tokens};
  }
  /// What input() and pack() made.
  [[nodiscard]] const Buffer& activations() const { return place_.workspace.activations; }
  template <typename T>
  [[nodiscard]] const T& scratch() const {
    return place_.workspace.of<T>();
  }
  [[nodiscard]] const Cache& cache() const { return kept_->cache; }
  [[nodiscard]] const Buffer& state(std::size_t index) const { return kept_->states[index]; }
  [[nodiscard]] const Buffer& frequencies(const std::shared_ptr<const RopeParameters>& rope) const {
    return place_.workspace.frequencies().at(rope);
  }
  [[nodiscard]] Activations kind_for(std::span<const Matrix> matrices) const {
    return detail::kind_for(matrices, place_.activations);
  }
  [[nodiscard]] Activations kind_for(std::initializer_list<Matrix> matrices) const {
    return kind_for(std::span(matrices.begin(), matrices.size()));
  }

  Result<void> add(Result<Operation> operation);
  /// The normalised residual stream, packed. Where a block has a norm of its own, by that one. May be asked
  /// for several times until the block's first result is added.
  Result<void> input(Activations kind) { return input(kind, half_->norm); }
  Result<void> input(Activations kind, const StreamNorm& norm);
  Result<void> pack(Activations kind, const Buffer& from, std::uint32_t columns);
  /// RMS norm of rows, packed.
  Result<void> pack_norm(Activations kind, const Buffer& from, std::uint32_t columns, const Buffer& weight);
  /// A product of what is packed.
  Result<void> multiply(MatmulShape shape, const Buffer& out);

  /// Where a block's result goes: added to the residual stream, or stored in the branch when a norm comes between.
  struct Target {
    Epilogue epilogue;
    Buffer out;
  };
  [[nodiscard]] Target output() const;
  /// What is multiplied by residual factors.
  [[nodiscard]] float residual_factor() const { return place_.sizes.residual_factor; }
  /// The product that ends a block, of float rows of the matrix's columns.
  Result<void> project(const Matrix& matrix, const Buffer& bias, const Buffer& from, const Target& target);

 private:
  Place place_;
  const HalfLayer* half_ = nullptr;
  Ending before_;
  const Kept* kept_ = nullptr;
  std::vector<Operation> operations_;
};

}  // namespace gguf_fuse::runtime::detail
