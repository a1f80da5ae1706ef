// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/buffer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "device_core.hpp"

namespace gguf_fuse::kernels {
namespace {

constexpr cl_mem_flags kAccessFlags[] = {CL_MEM_READ_WRITE, CL_MEM_READ_ONLY, CL_MEM_WRITE_ONLY};
constexpr cl_map_flags kMapFlags[] = {CL_MAP_READ, CL_MAP_WRITE_INVALIDATE_REGION, CL_MAP_READ | CL_MAP_WRITE};

/// BadLaunch unless [offset, offset + bytes) lies in the buffer.
Result<void> check_range(const BufferState* state, std::uint64_t offset, std::uint64_t bytes) {
  const std::uint64_t size = state != nullptr ? state->bytes : 0;
  if (state != nullptr && offset <= size && bytes <= size - offset) return {};
  return fail(Error{.code = ErrorCode::BadLaunch,
                    .path = state != nullptr ? state->device->info.name : std::string(),
                    .expected = fmt::format("a range in a buffer of {} bytes", size),
                    .actual = fmt::format("{} bytes at byte {}", bytes, offset)});
}

/// kToEnd made a number.
std::uint64_t length(const BufferState* state, std::uint64_t offset, std::uint64_t bytes) {
  if (bytes != Buffer::kToEnd || state == nullptr || offset > state->bytes) return bytes;
  return state->bytes - offset;
}

Result<void> transfer(const BufferState* state, std::uint64_t offset, std::span<const std::byte> data, cl_bool wait) {
  GGUF_FUSE_CHECK(check_range(state, offset, data.size()));
  if (data.empty()) return {};
  const DeviceCore& device = *state->device;
  return device.checked("clEnqueueWriteBuffer",
                        device.cl.clEnqueueWriteBuffer(device.queue.get(), state->memory.get(), wait, offset,
                                                       data.size(), data.data(), 0, nullptr, nullptr));
}

Result<void> transfer(const BufferState* state, std::uint64_t offset, std::span<std::byte> out, cl_bool wait) {
  GGUF_FUSE_CHECK(check_range(state, offset, out.size()));
  if (out.empty()) return {};
  const DeviceCore& device = *state->device;
  return device.checked("clEnqueueReadBuffer",
                        device.cl.clEnqueueReadBuffer(device.queue.get(), state->memory.get(), wait, offset, out.size(),
                                                      out.data(), 0, nullptr, nullptr));
}

Error out_of_memory(const DeviceCore& device, std::uint64_t bytes, std::uint64_t used, std::string_view detail) {
  const std::uint64_t total = device.info.global_bytes;
  return Error{.code = ErrorCode::OutOfDeviceMemory,
               .path = device.info.name,
               .expected = fmt::format("{} bytes", bytes),
               .actual = fmt::format("{} bytes free of {}{}", total > used ? total - used : 0, total, detail)};
}

}  // namespace

Result<Buffer> Device::allocate(std::uint64_t bytes, Access access) const {
  const DeviceCore& device = *core_;
  if (bytes > device.info.max_buffer_bytes) {
    return fail(Error{.code = ErrorCode::BufferTooLarge,
                      .path = device.info.name,
                      .expected = fmt::format("at most {} bytes", device.info.max_buffer_bytes),
                      .actual = fmt::format("{}", bytes)});
  }
  // Counted before the driver is asked, so that two threads cannot both have the last bytes.
  const std::uint64_t before = device.allocated->fetch_add(bytes);
  const auto give_up = [&](Error error) {
    device.allocated->fetch_sub(bytes);
    return fail(std::move(error));
  };
  if (before > device.info.global_bytes || bytes > device.info.global_bytes - before) {
    return give_up(out_of_memory(device, bytes, before, {}));
  }
  // On CPUs this memory is the host's: what map() gives is the buffer itself.
  const cl_mem_flags place = device.profile.host_memory ? CL_MEM_ALLOC_HOST_PTR : 0;
  HostPages pages;
  if (device.profile.host_memory && bytes >= kLargePageBytes) pages = allocate_pages(bytes);
  cl_int code = CL_SUCCESS;
  const auto create = [&](cl_mem_flags where) {
    return ClOwned<cl_mem>(
        device.cl, device.cl.clCreateBuffer(device.context.get(), kAccessFlags[static_cast<int>(access)] | where,
                                            std::max<std::uint64_t>(bytes, 1), pages.get(), &code));
  };
  ClOwned<cl_mem> memory = create(pages ? CL_MEM_USE_HOST_PTR : place);
  if (code != CL_SUCCESS && pages) {
    // Memory of ours is a way to be faster, which a driver may refuse.
    pages.reset();
    memory = create(place);
  }
  if (code == CL_SUCCESS) {
    return Buffer(std::make_shared<BufferState>(core_, bytes, std::move(pages), std::move(memory)));
  }
  const bool memory_is_short =
      code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_RESOURCES || code == CL_OUT_OF_HOST_MEMORY;
  if (!memory_is_short) return give_up(opencl_error("clCreateBuffer", code, device.info.name));
  return give_up(out_of_memory(device, bytes, before, fmt::format(", and clCreateBuffer: {}", opencl_code(code))));
}

bool Device::owns(const Buffer& buffer) const { return buffer.state_ && buffer.state_->device == core_; }

std::uint64_t Buffer::bytes() const { return state_ ? state_->bytes : 0; }

Result<void> Buffer::write(std::span<const std::byte> data, std::uint64_t offset) const {
  return transfer(state_.get(), offset, data, CL_TRUE);
}

Result<void> Buffer::write_later(std::span<const std::byte> data, std::uint64_t offset) const {
  return transfer(state_.get(), offset, data, CL_FALSE);
}

Result<void> Buffer::read(std::span<std::byte> out, std::uint64_t offset) const {
  return transfer(state_.get(), offset, out, CL_TRUE);
}

Result<void> Buffer::read_later(std::span<std::byte> out, std::uint64_t offset) const {
  return transfer(state_.get(), offset, out, CL_FALSE);
}

Result<void> Buffer::fill(std::byte value, std::uint64_t offset, std::uint64_t bytes) const {
  bytes = length(state_.get(), offset, bytes);
  GGUF_FUSE_CHECK(check_range(state_.get(), offset, bytes));
  if (bytes == 0) return {};
  const DeviceCore& device = *state_->device;
  return device.checked("clEnqueueFillBuffer",
                        device.cl.clEnqueueFillBuffer(device.queue.get(), state_->memory.get(), &value, 1, offset,
                                                      bytes, 0, nullptr, nullptr));
}

Result<void> Buffer::copy(const Buffer& from, std::uint64_t from_offset, std::uint64_t offset,
                          std::uint64_t bytes) const {
  GGUF_FUSE_CHECK(check_range(from.state_.get(), from_offset, bytes));
  GGUF_FUSE_CHECK(check_range(state_.get(), offset, bytes));
  if (bytes == 0) return {};
  const DeviceCore& device = *state_->device;
  return device.checked("clEnqueueCopyBuffer", device.cl.clEnqueueCopyBuffer(
                                                   device.queue.get(), from.state_->memory.get(), state_->memory.get(),
                                                   from_offset, offset, bytes, 0, nullptr, nullptr));
}

Result<Mapping> Buffer::map(MapAccess access, std::uint64_t offset, std::uint64_t bytes) const {
  bytes = length(state_.get(), offset, bytes);
  GGUF_FUSE_CHECK(check_range(state_.get(), offset, bytes));
  if (bytes == 0) return Mapping(nullptr, {});
  const DeviceCore& device = *state_->device;
  cl_int code = CL_SUCCESS;
  void* start =
      device.cl.clEnqueueMapBuffer(device.queue.get(), state_->memory.get(), CL_TRUE,
                                   kMapFlags[static_cast<int>(access)], offset, bytes, 0, nullptr, nullptr, &code);
  GGUF_FUSE_CHECK(device.checked("clEnqueueMapBuffer", code));
  return Mapping(state_, {static_cast<std::byte*>(start), bytes});
}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(state_, other.state_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Mapping::~Mapping() { static_cast<void>(unmap()); }

Result<void> Mapping::unmap() {
  const std::shared_ptr<BufferState> state = std::exchange(state_, nullptr);
  const std::span<std::byte> bytes = std::exchange(bytes_, {});
  if (!state) return {};
  const DeviceCore& device = *state->device;
  return device.checked(
      "clEnqueueUnmapMemObject",
      device.cl.clEnqueueUnmapMemObject(device.queue.get(), state->memory.get(), bytes.data(), 0, nullptr, nullptr));
}

}  // namespace gguf_fuse::kernels
