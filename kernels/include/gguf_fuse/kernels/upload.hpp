// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "gguf_fuse/kernels/buffer.hpp"
#include "gguf_fuse/kernels/device.hpp"

namespace gguf_fuse::kernels {

/// How slices that lie apart on the device, but together on the host, get there.
enum class UploadStrategy : std::uint8_t {
  Rectangle,  ///< clEnqueueWriteBufferRect: many slices in one call
  Slices,     ///< a plain write each
  Gather,     ///< the host brings them into the device's order first: one plain write
};

/// "rectangle", "slices" or "gather".
[[nodiscard]] GGUF_FUSE_EXPORT std::string_view upload_strategy_name(UploadStrategy strategy);

/// `count` slices of `bytes` each, one behind the other in the slot from `slot_offset` on; slice i goes to
/// offset + i * stride of the buffer. Without overlap: stride >= bytes.
struct UploadWrite {
  Buffer buffer{};
  std::uint64_t offset = 0;
  std::uint64_t slot_offset = 0;
  std::uint64_t bytes = 0;
  std::uint64_t count = 1;
  std::uint64_t stride = 0;
};

/// A bounded ring of staging memory that the device reads directly, and a queue of its own beside that of the kernels:
/// what send() was given travels while other slots are filled. Used by any number of threads.
///
/// Before a buffer is written here, what was enqueued for it elsewhere must be finished, and finish() must have
/// returned before a kernel reads it.
class GGUF_FUSE_EXPORT Uploader {
 public:
  /// `slots` pieces of `slot_bytes` bytes each. Errors: OpenClFailed, OutOfDeviceMemory.
  [[nodiscard]] static Result<std::unique_ptr<Uploader>> make(const Device& device, std::size_t slots,
                                                              std::uint64_t slot_bytes);
  Uploader(const Uploader&) = delete;
  Uploader& operator=(const Uploader&) = delete;
  ~Uploader();  ///< waits for what is on its way

  /// A piece of staging memory; given back when it goes without having been sent.
  class Slot {
   public:
    Slot(Slot&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)), index_(other.index_) {}
    Slot& operator=(Slot&&) = delete;
    ~Slot();

    [[nodiscard]] GGUF_FUSE_EXPORT std::span<std::byte> bytes() const;

   private:
    friend class Uploader;
    Slot(Uploader* owner, std::size_t index) : owner_(owner), index_(index) {}
    Uploader* owner_;
    std::size_t index_;
  };

  /// Waits until a slot is free. Errors: the first one of an earlier upload, with the subject it was sent with.
  [[nodiscard]] Result<Slot> take();
  /// Starts the writes and returns; the slot is free again when they are done. `subject` names them in errors.
  /// Errors: OpenClFailed, OutOfDeviceMemory, BadLaunch (a range outside of the slot or the buffer).
  [[nodiscard]] Result<void> send(Slot slot, std::span<const UploadWrite> writes, std::string_view subject);
  /// Waits for all of them. Errors: as take.
  [[nodiscard]] Result<void> finish();

  /// Of host memory.
  [[nodiscard]] std::uint64_t staging_bytes() const;
  /// How long the device was transferring, until the last finish().
  [[nodiscard]] double busy_seconds() const;

 private:
  struct State;
  explicit Uploader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// The strategy for the device: that which keeps to the order of the source (Rectangle, then Slices) unless another one
/// is clearly faster. Measured within some milliseconds, and kept in the device's cache folder. Errors: those of
/// Uploader and Device::allocate.
[[nodiscard]] GGUF_FUSE_EXPORT Result<UploadStrategy> fastest_upload(const Device& device);

}  // namespace gguf_fuse::kernels
