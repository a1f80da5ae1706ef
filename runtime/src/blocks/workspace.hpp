// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <typeindex>

#include "blocks/rope.hpp"
#include "gguf_fuse/kernels/device.hpp"

namespace gguf_fuse::runtime::detail {

/// Buffers that the blocks of a kind share on a device. Sizes are collected first.
struct BlockScratch {
  virtual ~BlockScratch() = default;
  /// For the most tokens of a micro-batch. Errors: OutOfDeviceMemory, BufferTooLarge.
  [[nodiscard]] virtual Result<void> allocate(const Device& device, std::uint32_t tokens) = 0;
};

/// float[tokens][columns]; nothing when there are no columns. Errors: OutOfDeviceMemory, BufferTooLarge.
[[nodiscard]] Result<void> float_rows(const Device& device, std::uint64_t tokens, std::uint64_t columns, Buffer& out);
/// Bytes of prepared activations, whichever kind a matrix wants.
[[nodiscard]] std::uint64_t prepared_bytes(std::uint64_t columns, std::uint32_t tokens);

/// What the blocks on one device work in.
class Workspace {
 public:
  explicit Workspace(std::uint32_t sequences = 1) : sequences_(sequences) {}

  /// Numbers of sequences are below it.
  [[nodiscard]] std::uint32_t sequences() const { return sequences_; }
  /// Room for activations of so many columns.
  void widen(std::uint64_t columns) { columns_ = std::max(columns_, columns); }
  void add_rope(const std::shared_ptr<const RopeParameters>& rope) { frequencies_[rope]; }
  /// The scratch of a kind of block, made on first use.
  template <typename T>
  [[nodiscard]] T& of() {
    auto& scratch = kinds_[typeid(T)];
    if (!scratch) scratch = std::make_unique<T>();
    return static_cast<T&>(*scratch);
  }
  template <typename T>
  [[nodiscard]] const T& of() const {
    return static_cast<const T&>(*kinds_.at(typeid(T)));
  }

  /// Of the largest step.
  struct Most {
    std::uint32_t tokens = 0;
    std::uint32_t embedding = 0;
    bool branch = false;  ///< results of blocks may wait to be added
  };
  /// Errors: OutOfDeviceMemory, BufferTooLarge.
  [[nodiscard]] Result<void> allocate(const Device& device, const Most& most);

  Buffer step;         ///< a StepTable
  Buffer x;            ///< float[tokens][embedding]: the residual stream
  Buffer branch;       ///< float[tokens][embedding]: what a norm behind a block waits for
  Buffer activations;  ///< prepared, of the widest matrix

  using Frequencies = std::map<std::shared_ptr<const RopeParameters>, Buffer>;
  [[nodiscard]] const Frequencies& frequencies() const { return frequencies_; }

 private:
  std::uint32_t sequences_;
  std::uint64_t columns_ = 0;
  Frequencies frequencies_;
  std::map<std::type_index, std::unique_ptr<BlockScratch>> kinds_;
};

}  // namespace gguf_fuse::runtime::detail
