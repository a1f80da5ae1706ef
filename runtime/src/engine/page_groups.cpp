// SPDX-License-Identifier: MIT
#include "engine/page_groups.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace gguf_fuse::runtime::detail {
Result<Buffer> allocate_cache(const Device& device, std::uint64_t bytes) {
  auto buffer = device.allocate(bytes);
  if (buffer) return buffer;
  Error error = std::move(buffer).error();
  error.subject = "KV cache";
  error.hint = error_hint(ErrorCode::OutOfDeviceMemory);
  return fail(std::move(error));
}

Result<void> PageGroup::add(const Device& device, Cache& cache) {
  auto& table = tables_[&device];
  if (!table) {
    GGUF_FUSE_ASSIGN(table, device.allocate(std::uint64_t{sequences_} * row_ * sizeof(std::uint32_t)));
    GGUF_FUSE_CHECK(table.fill(std::byte{0}));
  }
  cache.table = table;
  cache.table_row = row_;
  layers_.push_back({.device = &device, .cache = &cache});
  return {};
}

Result<std::uint64_t> PageGroup::most_bytes(const Device& device) const {
  std::uint64_t all = 0;
  for (const Layer& layer : layers_) {
    if (layer.device != &device) continue;
    CacheShape shape = layer.cache->shape;
    shape.pages = pool_.limit();
    const std::uint64_t most = device.info().max_buffer_bytes, bytes = std::max(shape.k_bytes(), shape.v_bytes());
    if (bytes > most) {
      return fail({.code = ErrorCode::BufferTooLarge,
                   .path = device.info().name,
                   .subject = "KV cache",
                   .expected = fmt::format("at most {} bytes a layer", most),
                   .actual = std::to_string(bytes),
                   .hint = std::string(error_hint(ErrorCode::OutOfDeviceMemory))});
    }
    all += shape.k_bytes() + shape.v_bytes();
  }
  return all;
}

Result<void> PageGroup::grow(std::uint32_t pages) {
  struct Pair {
    Buffer k, v;
  };
  std::vector<Pair> grown;
  for (const Layer& layer : layers_) {
    CacheShape shape = layer.cache->shape;
    const std::uint64_t k_bytes = shape.k_bytes(), v_bytes = shape.v_bytes();
    shape.pages = pages;
    Pair pair;
    GGUF_FUSE_ASSIGN(pair.k, allocate_cache(*layer.device, shape.k_bytes()));
    GGUF_FUSE_ASSIGN(pair.v, allocate_cache(*layer.device, shape.v_bytes()));
    if (k_bytes > 0) {
      GGUF_FUSE_CHECK(pair.k.copy(layer.cache->k, 0, 0, k_bytes));
      GGUF_FUSE_CHECK(pair.v.copy(layer.cache->v, 0, 0, v_bytes));
    }
    grown.push_back(std::move(pair));
  }
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    Cache& cache = *layers_[i].cache;
    cache.shape.pages = pages;
    cache.k = std::move(grown[i].k);
    cache.v = std::move(grown[i].v);
  }
  pool_.grow(pages);
  moved_ = true;
  return {};
}

std::uint64_t PageGroup::bytes() const {
  std::uint64_t bytes = 0;
  for (const Layer& layer : layers_) bytes += layer.cache->k.bytes() + layer.cache->v.bytes();
  return bytes;
}

std::uint32_t PageGroup::window_begin(std::uint32_t position) const {
  return window_ != 0 && position >= window_ ? position - window_ + 1 : 0;
}

bool PageGroup::is_shared(const HeldPages& held, std::uint32_t position) const {
  const std::size_t page = position / kPageTokens;
  return page < held.pages.size() && held.pages[page] != kNoPage && pool_.holders(held.pages[page]) > 1;
}

std::uint64_t PageGroup::needed(std::span<const Demand> demands) const {
  std::uint64_t needed = 0;
  std::map<std::uint32_t, std::uint32_t> writers;  // of shared pages
  for (const auto& [held, position, end] : demands) {
    const auto there = static_cast<std::uint32_t>(held->pages.size());
    needed += std::max(there, pages_of(end)) - there;
    if (is_shared(*held, position)) ++writers[held->pages[position / kPageTokens]];
  }
  // The last holder writes to the page itself.
  for (const auto& [page, count] : writers) needed += std::min(count, pool_.holders(page) - 1);
  return needed;
}

Result<void> PageGroup::hold(HeldPages& held, std::uint32_t sequence, std::uint32_t position, std::uint32_t end) {
  if (is_shared(held, position)) {
    const std::uint32_t first = position / kPageTokens, page = pool_.take().value_or(kNoPage);
    if (Result<void> copied = copy_page(held.pages[first], page); !copied) {
      pool_.release(page);
      return copied;
    }
    pool_.release(held.pages[first]);
    held.pages[first] = page;
    held.told = std::min(held.told, first);
  }
  while (held.pages.size() < pages_of(end)) held.pages.push_back(pool_.take().value_or(kNoPage));
  return tell(held, sequence);
}

Result<void> PageGroup::copy_page(std::uint32_t from, std::uint32_t to) const {
  for (const Layer& layer : layers_) {
    const CacheShape& shape = layer.cache->shape;
    const std::uint64_t k = shape.k_bytes() / shape.pages, v = shape.v_bytes() / shape.pages;
    GGUF_FUSE_CHECK(layer.cache->k.copy(layer.cache->k, from * k, to * k, k));
    GGUF_FUSE_CHECK(layer.cache->v.copy(layer.cache->v, from * v, to * v, v));
  }
  return {};
}

Result<void> PageGroup::tell(HeldPages& held, std::uint32_t sequence) const {
  const auto entries = std::as_bytes(std::span(held.pages).subspan(held.told));
  if (entries.empty()) return {};
  for (const auto& [device, table] : tables_) {
    GGUF_FUSE_CHECK(table.write(entries, (std::uint64_t{sequence} * row_ + held.told) * sizeof(std::uint32_t)));
  }
  held.told = static_cast<std::uint32_t>(held.pages.size());
  return {};
}

void PageGroup::release_behind(HeldPages& held, std::uint32_t count) {
  while (held.pages.size() > pages_of(count)) {
    if (held.pages.back() != kNoPage) pool_.release(held.pages.back());
    held.pages.pop_back();
  }
  const auto left = static_cast<std::uint32_t>(held.pages.size());
  held.first = std::min(held.first, left);
  held.told = std::min(held.told, left);
}

void PageGroup::release_before_window(HeldPages& held, std::uint32_t count) {
  const std::uint32_t begin = window_begin(count);
  const std::uint32_t first = std::max(begin / kPageTokens, kSlackPages) - kSlackPages;
  for (; held.first < std::min<std::size_t>(first, held.pages.size()); ++held.first) {
    pool_.release(held.pages[held.first]);
    held.pages[held.first] = kNoPage;
  }
}

bool PageGroup::sees_all(const HeldPages& held, std::uint32_t count) const {
  return window_begin(count) / kPageTokens >= held.first;
}

void PageGroup::share(const HeldPages& from, HeldPages& to, std::uint32_t count) {
  release_behind(to, 0);
  to.pages.assign(from.pages.begin(), from.pages.begin() + pages_of(count));
  to.first = std::min<std::uint32_t>(from.first, pages_of(count));
  for (const std::uint32_t page : to.pages) {
    if (page != kNoPage) pool_.share(page);
  }
}

}  // namespace gguf_fuse::runtime::detail
