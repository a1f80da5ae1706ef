// SPDX-License-Identifier: MIT
#include "support/hostile.hpp"

#include "support/file_util.hpp"
#include "support/hostile_rows.hpp"

namespace gguf_fuse::test_support {

RawBytes& RawBytes::text(std::string_view bytes) {
  const auto raw = bytes_of(bytes);
  bytes_.insert(bytes_.end(), raw.begin(), raw.end());
  return *this;
}

RawBytes& RawBytes::number(std::uint64_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) {
    const std::size_t shift = 8 * (big_endian_ ? bytes - 1 - i : i);
    bytes_.push_back(static_cast<std::byte>((value >> shift) & 0xffU));
  }
  return *this;
}

RawBytes& RawBytes::zeros(std::size_t count) {
  bytes_.resize(bytes_.size() + count);
  return *this;
}

RawBytes& RawBytes::pad(std::size_t alignment) {
  bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment);
  return *this;
}

RawBytes& RawBytes::cut(std::size_t bytes) {
  bytes_.resize(bytes_.size() - bytes);
  return *this;
}

RawBytes& RawBytes::header(std::uint64_t tensors, std::uint64_t keys, std::uint32_t version) {
  return text("GGUF").u32(version).u64(tensors).u64(keys);
}

RawBytes& RawBytes::array(std::string_view name, ValueType element, std::uint64_t count) {
  return key(name, ValueType::Array).u32(static_cast<std::uint32_t>(element)).u64(count);
}

RawBytes& RawBytes::row(std::string_view name, std::initializer_list<std::uint64_t> dims, std::uint32_t type,
                        std::uint64_t offset) {
  string(name).u32(static_cast<std::uint32_t>(dims.size()));
  for (const std::uint64_t size : dims) u64(size);
  return u32(type).u64(offset);
}

void HostileRows::file(std::string name, ErrorCode code, Fill fill) {
  const auto build = [fill = std::move(fill)] {
    RawBytes raw;
    fill(raw);
    return raw.bytes();
  };
  rows_.push_back({std::move(name), build, code});
}

void HostileRows::key(std::string name, ErrorCode code, Fill fill) {
  file(std::move(name), code, [fill = std::move(fill)](RawBytes& raw) { fill(raw.header(0, 1)); });
}

void HostileRows::tensors(std::string name, ErrorCode code, std::uint64_t count, std::size_t data, Fill fill) {
  file(std::move(name), code, [fill = std::move(fill), count, data](RawBytes& raw) {
    fill(raw.header(count, 0));
    raw.pad().zeros(data);
  });
}

void HostileRows::tensor(std::string name, ErrorCode code, std::initializer_list<std::uint64_t> dims,
                         std::uint32_t type, std::uint64_t offset) {
  // An initializer_list does not own its elements, so the row is written now.
  RawBytes row;
  row.row("blk.0.attn_q.weight", dims, type, offset);
  tensors(std::move(name), code, 1, 0, [bytes = row.bytes()](RawBytes& raw) {
    raw.text({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  });
}

std::vector<HostileFile> hostile_files() {
  HostileRows rows;
  add_header_rows(rows);
  add_metadata_rows(rows);
  add_array_rows(rows);
  add_tensor_rows(rows);
  add_layout_rows(rows);
  return rows.take();
}

}  // namespace gguf_fuse::test_support
