// SPDX-License-Identifier: MIT
#include "gguf_fuse/loader/container.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "foreign_format.hpp"
#include "metadata_reader.hpp"
#include "tensor_table_reader.hpp"

namespace gguf_fuse::loader {
namespace {

// A key takes at least 13 bytes (length, one character, type, a byte), a tensor 24 (length, dimension count, type,
// offset).
constexpr std::uint64_t kLeastKeyBytes = 13;
constexpr std::uint64_t kLeastTensorBytes = 24;

// Reads the version and from it the byte order: a version of the other order has its low half empty.
Result<std::uint32_t> read_version(HeaderReader& reader) {
  GGUF_FUSE_ASSIGN(std::uint32_t version, reader.read<std::uint32_t>());
  if ((version & 0xffffU) == 0 && version != 0) {
    version = __builtin_bswap32(version);
    reader.set_big_endian(true);
  }
  if (version != 2 && version != 3) {
    constexpr std::uint32_t kPlausible = 100;
    Error error = reader.error(ErrorCode::BadVersion, 4, "2 or 3", fmt::format("{}", version));
    if (version == 1) error.hint = "it is from August 2023; download a newer file, or convert the original again";
    if (version > 3 && version < kPlausible) error.hint = "a newer gguf-fuse may read it";
    return fail(std::move(error));
  }
  return version;
}

Result<std::uint64_t> read_alignment(const HeaderReader& reader, const Container& container) {
  const auto value = container.metadata.find("general.alignment");
  if (!value) return kDefaultAlignment;
  const auto alignment = value->type() == ValueType::U32 ? value->as_unsigned() : std::nullopt;
  if (alignment && std::has_single_bit(*alignment) && *alignment <= reader.limits().alignment) return *alignment;
  return fail(reader.error(
      ErrorCode::BadAlignment, static_cast<std::uint64_t>(value->bytes().data() - container.header->data()),
      fmt::format("a uint32 power of two up to {}", reader.limits().alignment),
      fmt::format("{} {}", value_type_name(value->type()), value->display()), "general.alignment"));
}

// Offsets must follow from the sizes, as every engine's own reader demands: no gaps, no overlaps, no surprises.
Result<void> check_layout(const HeaderReader& reader, Container& container, const std::vector<std::uint64_t>& records) {
  std::uint64_t end = 0;
  for (std::size_t i = 0; i < container.tensors.size(); ++i) {
    const TensorInfo& tensor = container.tensors[i];
    const std::uint64_t begin = align_up(end, container.alignment);
    if (tensor.offset != begin) {
      return fail(reader.error(ErrorCode::BadLayout, records[i], fmt::format("data offset {}", begin),
                               fmt::format("{}", tensor.offset), std::string(tensor.name)));
    }
    // Both are below 2^63, so the sum cannot wrap.
    end = begin + tensor.bytes;
    if (end >= (std::uint64_t{1} << 63) - container.data_offset - container.alignment) {
      return fail(reader.error(ErrorCode::SizeOverflow, records[i], "data that ends below 2^63", fmt::format("{}", end),
                               std::string(tensor.name)));
    }
    if (container.file_bytes && end > *container.file_bytes - std::min(container.data_offset, *container.file_bytes)) {
      return fail(reader.error(ErrorCode::DataBeyondEnd, container.data_offset + begin,
                               fmt::format("a file of at least {} bytes", container.data_offset + end),
                               fmt::format("{}", *container.file_bytes), std::string(tensor.name)));
    }
  }
  container.data_bytes = end;
  return {};
}

struct Counts {
  std::uint64_t tensors = 0;
  std::uint64_t keys = 0;
};

Result<Counts> read_counts(HeaderReader& reader) {
  GGUF_FUSE_ASSIGN(const std::uint64_t tensors, reader.read<std::uint64_t>());
  if (tensors > reader.left() / kLeastTensorBytes) {
    return fail(reader.error(ErrorCode::TooManyTensors, 8, fmt::format("at most {}", reader.left() / kLeastTensorBytes),
                             fmt::format("{}", tensors)));
  }
  GGUF_FUSE_ASSIGN(const std::uint64_t keys, reader.read<std::uint64_t>());
  if (keys > reader.left() / kLeastKeyBytes) {
    return fail(reader.error(ErrorCode::TooManyKeys, 16, fmt::format("at most {}", reader.left() / kLeastKeyBytes),
                             fmt::format("{}", keys)));
  }
  return Counts{.tensors = tensors, .keys = keys};
}

}  // namespace

std::string_view Container::tensor_at(std::uint64_t offset) const {
  const auto found = std::partition_point(tensors.begin(), tensors.end(), [&](const TensorInfo& tensor) {
    return data_offset + tensor.offset + tensor.bytes <= offset;
  });
  return found != tensors.end() ? found->name : std::string_view();
}

Error Container::with_tensor(Error error, std::uint64_t begin, std::uint64_t end) const {
  if (!error.subject.empty() || error.code == ErrorCode::Interrupted || begin >= end) return error;
  error.subject = tensor_at(std::clamp(error.offset.value_or(begin), begin, end - 1));
  return error;
}

Result<Container> read_container(Source& source, const Limits& limits) {
  HeaderReader reader(source, limits);
  Container container;
  container.path = source.path();
  container.file_bytes = source.size();

  if (source.size() == 0) {
    Error error = reader.error(ErrorCode::Truncated, 0, "a GGUF file", "no byte at all");
    error.hint = "the file is empty: download or copy it again";
    return fail(std::move(error));
  }
  GGUF_FUSE_CHECK(reader.skip(4));
  if (reader.text(0, 4) != "GGUF") {
    ForeignFormat format = recognise_foreign(source, reader.text(0, 4));
    Error error = reader.error(ErrorCode::BadMagic, 0, "\"GGUF\"", std::move(format.name));
    error.hint = std::move(format.hint);
    return fail(std::move(error));
  }
  GGUF_FUSE_ASSIGN(container.version, read_version(reader));
  container.big_endian = reader.big_endian();
  GGUF_FUSE_ASSIGN(const Counts counts, read_counts(reader));
  GGUF_FUSE_ASSIGN(std::vector<std::uint64_t> key_begins, read_metadata_records(reader, counts.keys));
  GGUF_FUSE_ASSIGN(TensorTable table, read_tensor_table(reader, counts.tensors));

  container.header = std::make_shared<const std::vector<std::byte>>(reader.take());
  container.metadata = Metadata(container.header, std::move(key_begins), container.big_endian, container.path);
  if (const auto index = container.metadata.duplicate()) {
    const auto entry = container.metadata[*index];
    return fail(reader.error(ErrorCode::DuplicateKey, entry.offset, {}, {}, std::string(entry.key)));
  }
  table.resolve_names(*container.header);
  if (const auto index = table.duplicate()) {
    return fail(reader.error(ErrorCode::DuplicateTensor, table.records[*index], {}, {},
                             std::string(table.tensors[*index].name)));
  }
  container.tensors = std::move(table.tensors);
  GGUF_FUSE_ASSIGN(container.alignment, read_alignment(reader, container));
  container.data_offset = align_up(container.header->size(), container.alignment);
  GGUF_FUSE_CHECK(check_layout(reader, container, table.records));
  return container;
}

}  // namespace gguf_fuse::loader
