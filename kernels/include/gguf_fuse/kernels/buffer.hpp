// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "gguf_fuse/kernels/namespace.hpp"
#include "gguf_fuse/loader/error.hpp"

namespace gguf_fuse::kernels {

namespace detail {
struct BufferState;
}

/// What kernels do with a buffer; the host may always read and write it.
enum class Access : std::uint8_t { ReadWrite, ReadOnly, WriteOnly };

/// What the host does with mapped memory. Write leaves the old content undefined.
enum class MapAccess : std::uint8_t { Read, Write, ReadWrite };

/// A part of a buffer in the host's address space, until unmapped. No kernel may use the buffer meanwhile.
class GGUF_FUSE_EXPORT Mapping {
 public:
  Mapping(Mapping&& other) noexcept
      : state_(std::move(other.state_)), bytes_(std::exchange(other.bytes_, std::span<std::byte>())) {}
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();

  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }
  /// Hands the bytes back to the device, in queue order. The destructor does the same and keeps its error for itself.
  [[nodiscard]] Result<void> unmap();

 private:
  friend class Buffer;
  Mapping(std::shared_ptr<BufferState> state, std::span<std::byte> bytes) : state_(std::move(state)), bytes_(bytes) {}

  std::shared_ptr<BufferState> state_;
  std::span<std::byte> bytes_;
};

/// Memory of a device: a shared handle, freed with its last copy. Made by Device::allocate.
///
/// Every operation goes through the device's in-order queue, so that what was enqueued before it is done before it.
/// Offsets and sizes are bytes. Errors: OpenClFailed; BadLaunch when a range does not lie in the buffer.
class GGUF_FUSE_EXPORT Buffer {
 public:
  Buffer() = default;

  [[nodiscard]] explicit operator bool() const { return state_ != nullptr; }
  [[nodiscard]] std::uint64_t bytes() const;
  /// Equal for handles of the same memory, and only for them.
  [[nodiscard]] const void* identity() const { return state_.get(); }

  /// Returns when `data` was copied.
  [[nodiscard]] Result<void> write(std::span<const std::byte> data, std::uint64_t offset = 0) const;
  /// Returns at once; `data` must stay as it is until Device::finish() or a blocking call on the same device.
  [[nodiscard]] Result<void> write_later(std::span<const std::byte> data, std::uint64_t offset = 0) const;
  /// Returns when `out` is filled.
  [[nodiscard]] Result<void> read(std::span<std::byte> out, std::uint64_t offset = 0) const;
  /// Returns at once; `out` is filled after Device::finish() or a blocking call on the same device.
  [[nodiscard]] Result<void> read_later(std::span<std::byte> out, std::uint64_t offset = 0) const;
  /// Sets `bytes` bytes (by default: to the end) to `value`; returns at once.
  [[nodiscard]] Result<void> fill(std::byte value, std::uint64_t offset = 0, std::uint64_t bytes = kToEnd) const;
  /// Copies bytes of `from`, which is of the same device and may be this buffer, if they do not overlap; returns at
  /// once.
  [[nodiscard]] Result<void> copy(const Buffer& from, std::uint64_t from_offset, std::uint64_t offset,
                                  std::uint64_t bytes) const;
  /// Waits until the bytes (by default: to the end) can be seen by the host. Copies nothing where memory is shared.
  [[nodiscard]] Result<Mapping> map(MapAccess access, std::uint64_t offset = 0, std::uint64_t bytes = kToEnd) const;

  static constexpr std::uint64_t kToEnd = ~std::uint64_t{0};

 private:
  friend class Device;
  friend class Launch;
  friend class Uploader;
  explicit Buffer(std::shared_ptr<BufferState> state) : state_(std::move(state)) {}

  std::shared_ptr<BufferState> state_;
};

}  // namespace gguf_fuse::kernels
