// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <mutex>
#include <vector>

#include "disk_cache.hpp"
#include "gguf_fuse/kernels/upload.hpp"

namespace gguf_fuse::kernels {
namespace {

// Slices of the size that experts have, every other one of a buffer: a gate without its up.
constexpr std::uint64_t kSliceBytes = std::uint64_t{512} << 10;
constexpr std::uint64_t kSlices = 8;
constexpr int kAttempts = 4;
/// Jumping about in the source is worth a tenth.
constexpr double kClearly = 1.1;

constexpr std::array kStrategies{UploadStrategy::Rectangle, UploadStrategy::Slices, UploadStrategy::Gather};

std::vector<UploadWrite> writes_of(UploadStrategy strategy, const Buffer& buffer) {
  constexpr std::uint64_t kStride = 2 * kSliceBytes;
  if (strategy == UploadStrategy::Gather) return {{.buffer = buffer, .bytes = kSlices * kSliceBytes}};
  if (strategy == UploadStrategy::Rectangle) {
    return {{.buffer = buffer, .bytes = kSliceBytes, .count = kSlices, .stride = kStride}};
  }
  std::vector<UploadWrite> writes;
  for (std::uint64_t i = 0; i < kSlices; ++i) {
    writes.push_back({.buffer = buffer, .offset = i * kStride, .slot_offset = i * kSliceBytes, .bytes = kSliceBytes});
  }
  return writes;
}

Result<UploadStrategy> measure(const Device& device) {
  using Clock = std::chrono::steady_clock;
  GGUF_FUSE_ASSIGN(const Buffer buffer, device.allocate(2 * kSlices * kSliceBytes));
  GGUF_FUSE_ASSIGN(const auto uploader, Uploader::make(device, 1, kSlices * kSliceBytes));
  std::array<double, kStrategies.size()> best{};
  best.fill(1e9);
  // The first attempt touches the memory, and is not the best.
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    for (std::size_t i = 0; i < kStrategies.size(); ++i) {
      const std::vector<UploadWrite> writes = writes_of(kStrategies[i], buffer);
      const auto begin = Clock::now();
      GGUF_FUSE_ASSIGN(Uploader::Slot slot, uploader->take());
      GGUF_FUSE_CHECK(uploader->send(std::move(slot), writes, {}));
      GGUF_FUSE_CHECK(uploader->finish());
      best[i] = std::min(best[i], std::chrono::duration<double>(Clock::now() - begin).count());
    }
  }
  const double limit = kClearly * *std::min_element(best.begin(), best.end());
  const auto chosen = std::find_if(best.begin(), best.end(), [&](double seconds) { return seconds <= limit; });
  return kStrategies[static_cast<std::size_t>(chosen - best.begin())];
}

}  // namespace

Result<UploadStrategy> fastest_upload(const Device& device) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);  // two measurements at a time would disturb each other
  const DeviceInfo& info = device.info();
  const DiskCache cache(device.cache_folder(), "uploads");
  const std::string key =
      DiskCache::key(fmt::format("{}\n{}\n{}\n{}", info.platform, info.name, info.driver, info.version));
  if (const auto stored = cache.load(key)) {
    for (const UploadStrategy strategy : kStrategies) {
      if (*stored == upload_strategy_name(strategy)) return strategy;
    }
  }
  GGUF_FUSE_ASSIGN(const UploadStrategy strategy, measure(device));
  // A cache that cannot be written costs another measurement, no more.
  static_cast<void>(cache.store(key, upload_strategy_name(strategy)));
  return strategy;
}

}  // namespace gguf_fuse::kernels
