// SPDX-License-Identifier: MIT
#include "kernel_copy.hpp"

#include <linux/magic.h>
#include <sys/statfs.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace gguf_fuse::fuse::detail {
namespace {

struct FilesystemRow {
  unsigned long magic;
  std::string_view reason;
};

// statfs(2) numbers of filesystems that copy without moving bytes through this machine.
constexpr std::array kServerSide = {
    FilesystemRow{0x6969UL, "NFS 4.2 copies on the server"},
    FilesystemRow{0xff534d42UL, "CIFS copies on the server"},
    FilesystemRow{0xfe534d42UL, "SMB2 copies on the server"},
    FilesystemRow{0x00c36400UL, "Ceph copies on the server"},
};

bool copies_on_its_own(int descriptor) {
  struct statfs information {};
  if (descriptor < 0 || fstatfs(descriptor, &information) != 0) return false;
  const auto magic = static_cast<unsigned long>(information.f_type) & 0xffffffffUL;
  return std::any_of(kServerSide.begin(), kServerSide.end(),
                     [magic](const FilesystemRow& row) { return row.magic == magic; });
}

// False when the kernel did not copy all of it, whatever it says about that: filesystems have many words for not being
// able to (EXDEV, ETXTBSY, EOVERFLOW, EIO, 0 bytes), and an error that is true comes again where bytes are read and
// written.
bool copy_piece(Source& source, Sink& sink, const Piece& piece) {
  auto from = static_cast<off_t>(piece.source_offset);
  auto to = static_cast<off_t>(piece.offset);
  std::uint64_t left = piece.bytes;
  while (left != 0) {
    const ssize_t copied = copy_file_range(source.descriptor(), &from, sink.descriptor(), &to, left, 0);
    if (copied <= 0 || static_cast<std::uint64_t>(copied) > left) return false;
    left -= static_cast<std::uint64_t>(copied);
  }
  return true;
}

// Header and padding within [begin, end): what no piece covers.
Result<void> write_rest(const PlannedFile& file, Sink& sink, std::uint64_t begin, std::uint64_t end) {
  std::vector<std::byte> zeros;
  std::uint64_t at = begin;
  const auto fill_to = [&](std::uint64_t stop) -> Result<void> {
    if (at < std::min<std::uint64_t>(stop, file.header.size())) {
      const std::uint64_t header_end = std::min<std::uint64_t>(stop, file.header.size());
      GGUF_FUSE_CHECK(sink.write_at(at, std::span(file.header).subspan(at, header_end - at)));
      at = header_end;
    }
    if (at >= stop) return {};
    zeros.assign(stop - at, std::byte{0});
    return sink.write_at(at, zeros);
  };
  for (const PlannedTensor& tensor : file.tensors) {
    if (tensor.offset >= end) break;
    if (tensor.offset + tensor.bytes <= at) continue;
    GGUF_FUSE_CHECK(fill_to(std::max(at, tensor.offset)));
    at = std::max(at, tensor.offset + tensor.bytes);
  }
  if (at < end) GGUF_FUSE_CHECK(fill_to(end));
  return {};
}

}  // namespace

bool kernel_copy_wins(const Source& source, const Sink& sink) {
  return copies_on_its_own(source.descriptor()) && copies_on_its_own(sink.descriptor());
}

Result<bool> kernel_copy(const PlannedFile& file, Model& model, Sink& sink, std::uint64_t begin, std::uint64_t end) {
  bool supported = true;
  GGUF_FUSE_CHECK(for_each_piece(file, begin, end, [&](const PlannedTensor&, const Piece& piece) -> Result<void> {
    supported = supported && copy_piece(*model.sources[piece.source], sink, piece);
    return {};
  }));
  if (supported) GGUF_FUSE_CHECK(write_rest(file, sink, begin, end));
  return supported;
}

}  // namespace gguf_fuse::fuse::detail
