// SPDX-License-Identifier: MIT
#include "bandwidth.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>

#include "gguf_fuse/kernels/launch.hpp"

namespace gguf_fuse::cli {
namespace {

using Clock = std::chrono::steady_clock;

// Vectors of 64 bytes. The weights of a layer are small buffers: a launch reads eight, or it would measure launches.
// A core reads a range from front to back; lanes of a GPU read side by side.
constexpr const char* kSource = R"(
uint16 sum_of(global const uint16 *data, uint vectors, uint ranges) {
  ulong items = get_global_size(0), item = get_global_id(0);
  uint first = ranges ? vectors * item / items : item;
  uint end = ranges ? vectors * (item + 1) / items : vectors;
  uint step = ranges ? 1 : items;
  uint16 sum = 0;
  for (uint i = first; i < end; i += step) sum += data[i];
  return sum;
}

kernel void read_bandwidth(global const uint16 *data0, uint vectors0, global const uint16 *data1, uint vectors1,
                           global const uint16 *data2, uint vectors2, global const uint16 *data3, uint vectors3,
                           global const uint16 *data4, uint vectors4, global const uint16 *data5, uint vectors5,
                           global const uint16 *data6, uint vectors6, global const uint16 *data7, uint vectors7,
                           global uint *sums, uint ranges) {
  uint16 sum = sum_of(data0, vectors0, ranges) + sum_of(data1, vectors1, ranges) + sum_of(data2, vectors2, ranges) +
               sum_of(data3, vectors3, ranges) + sum_of(data4, vectors4, ranges) + sum_of(data5, vectors5, ranges) +
               sum_of(data6, vectors6, ranges) + sum_of(data7, vectors7, ranges);
  uint8 half_sum = sum.lo + sum.hi;
  uint4 quarter = half_sum.lo + half_sum.hi;
  sums[get_global_id(0)] = quarter.x + quarter.y + quarter.z + quarter.w;
}
)";

constexpr std::uint64_t kVector = 64;  // bytes
constexpr std::size_t kBuffers = 8;    // of a launch
constexpr std::array<std::pair<std::string_view, std::string_view>, kBuffers> kArguments{{{"data0", "vectors0"},
                                                                                          {"data1", "vectors1"},
                                                                                          {"data2", "vectors2"},
                                                                                          {"data3", "vectors3"},
                                                                                          {"data4", "vectors4"},
                                                                                          {"data5", "vectors5"},
                                                                                          {"data6", "vectors6"},
                                                                                          {"data7", "vectors7"}}};

/// A buffer and how many of its vectors are read.
struct Part {
  Buffer buffer;
  std::uint32_t vectors;
};

/// Enough to be no matter of caches, where there is so much.
std::vector<Part> choose_parts(std::span<const Buffer> buffers) {
  constexpr std::uint64_t kEnough = (std::uint64_t{256} << 20) / kVector;
  std::vector<Part> parts;
  std::uint64_t left = kEnough;
  for (const Buffer& buffer : buffers) {
    const std::uint64_t vectors = std::min(buffer.bytes() / kVector, left);
    if (vectors == 0) continue;
    parts.push_back({buffer, static_cast<std::uint32_t>(vectors)});
    left -= vectors;
  }
  return parts;
}

Grid grid_of(const DeviceProfile& profile) {
  const std::size_t units = std::max(profile.compute_units, 1U);
  if (profile.style == Style::Vector) return {{units * 8, 1, 1}, {1, 1, 1}};
  constexpr std::size_t kLocal = 64, kGroupsPerUnit = 32;
  return {{units * kLocal * kGroupsPerUnit, 1, 1}, {kLocal, 1, 1}};
}

Result<std::vector<Launch>> record(Device& device, std::span<const Part> parts) {
  const Grid grid = grid_of(device.profile());
  GGUF_FUSE_ASSIGN(const Buffer sums, device.allocate(grid.global[0] * sizeof(std::uint32_t), Access::WriteOnly));
  GGUF_FUSE_ASSIGN(const auto program, device.program({.file = "read_bandwidth.cl", .source = kSource}));
  std::vector<Launch> launches;
  for (; !parts.empty(); parts = parts.subspan(std::min(kBuffers, parts.size()))) {
    GGUF_FUSE_ASSIGN(Launch launch, Launch::make(program, "read_bandwidth"));
    for (std::size_t i = 0; i < kBuffers; ++i) {
      const Part& part = parts[std::min(i, parts.size() - 1)];
      launch.set(kArguments[i].first, part.buffer);
      launch.set(kArguments[i].second, i < parts.size() ? part.vectors : 0U);
    }
    launch.set("sums", sums).set("ranges", device.profile().style == Style::Vector ? 1U : 0U).set_grid(grid);
    GGUF_FUSE_CHECK(launch.check());
    launches.push_back(std::move(launch));
  }
  return launches;
}

/// Seconds of reading everything once.
Result<double> read_once(const Device& device, std::span<const Launch> launches) {
  const auto begin = Clock::now();
  for (const Launch& launch : launches) GGUF_FUSE_CHECK(launch.enqueue());
  GGUF_FUSE_CHECK(device.finish());
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

}  // namespace

Result<double> read_bandwidth(Device& device, std::span<const Buffer> buffers) {
  const std::vector<Part> parts = choose_parts(buffers);
  if (parts.empty()) return 0;
  GGUF_FUSE_ASSIGN(const std::vector<Launch> launches, record(device, parts));
  GGUF_FUSE_CHECK(read_once(device, launches));  // drivers finish their machine code at the first launch
  constexpr double kPatience = 0.05;             // seconds
  double best = std::numeric_limits<double>::infinity();
  for (double spent = 0; spent < kPatience;) {
    GGUF_FUSE_ASSIGN(const double seconds, read_once(device, launches));
    best = std::min(best, seconds);
    spent += seconds;
  }
  double bytes = 0;
  for (const Part& part : parts) bytes += static_cast<double>(part.vectors * kVector);
  return bytes / best;
}

}  // namespace gguf_fuse::cli
