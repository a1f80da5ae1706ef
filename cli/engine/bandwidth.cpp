// SPDX-License-Identifier: MIT
#include "bandwidth.hpp"

#include <algorithm>
#include <chrono>

#include "gguf_fuse/kernels/launch.hpp"

namespace gguf_fuse::cli {
namespace {

using Clock = std::chrono::steady_clock;

// Vectors of 64 bytes: a work-item reads `count` of them, `stride` apart.
constexpr const char* kSource = R"(
kernel void read_bandwidth(global const uint16 *data, global uint *sums, uint first_step, uint stride, uint count) {
  uint item = get_global_id(0);
  global const uint16 *next = data + (ulong)item * first_step;
  uint16 sum = 0;
  for (uint i = 0; i < count; ++i) sum += next[(ulong)i * stride];
  uint8 half_sum = sum.lo + sum.hi;
  uint4 quarter = half_sum.lo + half_sum.hi;
  sums[item] = quarter.x + quarter.y + quarter.z + quarter.w;
}
)";

constexpr std::uint64_t kVector = 64;  // bytes

struct ReadShape {
  std::uint32_t items;       // work-items
  std::uint32_t first_step;  // vectors between the first ones of neighbours
  std::uint32_t stride;
  std::uint32_t count;
  std::size_t local;
};

/// A core reads a range from front to back; lanes of a GPU read side by side.
ReadShape shape_of(const DeviceProfile& profile, std::uint64_t bytes) {
  const auto vectors = static_cast<std::uint32_t>(bytes / kVector);
  if (profile.style == Style::Vector) {
    const std::uint32_t items = std::max(profile.compute_units, 1U) * 8;
    return {items, vectors / items, 1, vectors / items, 1};
  }
  constexpr std::uint32_t kLocal = 64, kGroupsPerUnit = 32;
  const std::uint32_t items = std::max(profile.compute_units, 1U) * kLocal * kGroupsPerUnit;
  return {items, 1, items, vectors / items, kLocal};
}

}  // namespace

Result<double> read_bandwidth(Device& device) {
  const std::uint64_t bytes = std::min<std::uint64_t>(std::uint64_t{256} << 20, device.info().max_buffer_bytes / 2);
  const ReadShape shape = shape_of(device.profile(), bytes);
  GGUF_FUSE_ASSIGN(const Buffer data, device.allocate(bytes, Access::ReadOnly));
  GGUF_FUSE_ASSIGN(const Buffer sums, device.allocate(shape.items * sizeof(std::uint32_t), Access::WriteOnly));
  GGUF_FUSE_ASSIGN(auto program, device.program({.file = "read_bandwidth.cl", .source = kSource}));
  GGUF_FUSE_ASSIGN(const Launch launch, Launch::make(std::move(program), "read_bandwidth",
                                                     {{"data", data},
                                                      {"sums", sums},
                                                      {"first_step", shape.first_step},
                                                      {"stride", shape.stride},
                                                      {"count", shape.count}},
                                                     {.global = {shape.items, 1, 1}, .local = {shape.local, 1, 1}}));
  GGUF_FUSE_CHECK(data.fill(std::byte{1}));  // memory that was never written is no memory yet
  GGUF_FUSE_CHECK(launch.enqueue());
  GGUF_FUSE_CHECK(device.finish());
  constexpr double kPatience = 0.15;  // seconds
  const auto begin = Clock::now();
  double best = 0;
  const auto read = static_cast<double>(std::uint64_t{shape.items} * shape.count * kVector);
  for (auto now = begin; std::chrono::duration<double>(now - begin).count() < kPatience;) {
    GGUF_FUSE_CHECK(launch.enqueue());
    GGUF_FUSE_CHECK(device.finish());
    const auto end = Clock::now();
    best = std::max(best, read / std::chrono::duration<double>(end - now).count());
    now = end;
  }
  return best;
}

}  // namespace gguf_fuse::cli
