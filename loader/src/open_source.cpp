// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <vector>

#include "byte_stream.hpp"
#include "file_source.hpp"
#include "gguf_fuse/loader/model.hpp"

namespace gguf_fuse::loader {
namespace {

class MemorySource final : public Source {
 public:
  MemorySource(std::span<const std::byte> bytes, std::string path) : bytes_(bytes), path_(std::move(path)) {}

  [[nodiscard]] Result<void> read_at(std::uint64_t offset, std::span<std::byte> out) override {
    const std::uint64_t left = offset < bytes_.size() ? bytes_.size() - offset : 0;
    if (out.size() > left) return fail(truncated(path_, offset, out.size(), left));
    if (!out.empty()) std::ranges::copy(bytes_.subspan(static_cast<std::size_t>(offset), out.size()), out.begin());
    return {};
  }
  [[nodiscard]] std::optional<std::uint64_t> size() const override { return bytes_.size(); }
  [[nodiscard]] bool sequential() const override { return false; }
  [[nodiscard]] const std::string& path() const override { return path_; }

 private:
  std::span<const std::byte> bytes_;
  std::string path_;
};

// For a folder in a model's place: which of its files may be meant.
std::string folder_hint(const std::string& path) {
  constexpr std::size_t kShown = 4;
  std::vector<std::string> names;
  bool original = false;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    original = original || name.ends_with(".safetensors") || name == "pytorch_model.bin";
    const auto shard = parse_shard_name(name);
    if (name.ends_with(".gguf") && (!shard || shard->index == 0)) names.push_back(entry->path().string());
  }
  std::sort(names.begin(), names.end());
  if (names.size() == 1) return "give the file in it: " + names.front();
  if (!names.empty()) {
    const bool more = names.size() > kShown;
    names.resize(std::min(names.size(), kShown));
    return fmt::format("give one of the files in it: {}{}", fmt::join(names, ", "), more ? ", ..." : "");
  }
  if (original) {
    return "it holds a model as PyTorch or safetensors: make a GGUF file of it with llama.cpp's convert_hf_to_gguf.py";
  }
  return "give a GGUF file; there is none in it";
}

Result<std::unique_ptr<Source>> unzipped(std::unique_ptr<ByteStream> compressed) {
  GGUF_FUSE_ASSIGN(std::unique_ptr<ByteStream> stream, gzip_stream(std::move(compressed)));
  return stream_source(std::move(stream));
}

Result<std::unique_ptr<Source>> open_stream(FileDescriptor descriptor, const std::string& path) {
  auto stream = std::make_unique<DescriptorStream>(std::move(descriptor), path);
  GGUF_FUSE_ASSIGN(const std::span<const std::byte> head, stream->peek());
  if (is_gzip(head)) return unzipped(std::move(stream));
  return stream_source(std::move(stream));
}

// Files that a program makes up while they are read (on FUSE filesystems, in /proc) have bytes, but may say that they
// have none.
Result<bool> is_unsized(int descriptor, const std::string& path) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) return fail(system_error(ErrorCode::OpenFailed, path, errno));
  if (!S_ISREG(status.st_mode) || status.st_size != 0) return false;
  std::byte first{};
  return ::pread(descriptor, &first, 1, 0) == 1;
}

Result<std::unique_ptr<Source>> open_file(FileDescriptor descriptor, const std::string& path, LoadMode mode) {
  GGUF_FUSE_ASSIGN(const bool unsized_file, is_unsized(descriptor.get(), path));
  if (unsized_file) return open_stream(std::move(descriptor), path);
  GGUF_FUSE_ASSIGN(std::unique_ptr<Source> file, file_source(std::move(descriptor), path, mode));
  std::array<std::byte, 2> head{};
  GGUF_FUSE_ASSIGN(const std::size_t count, file->read_up_to(0, head));
  if (!is_gzip({head.data(), count})) return file;
  return unzipped(sized_stream(std::move(file)));
}

Result<std::unique_ptr<Source>> open_standard_input(LoadMode mode) {
  const std::string path = "-";
  FileDescriptor descriptor(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3));
  struct stat status {};
  if (!descriptor.valid() || ::fstat(descriptor.get(), &status) != 0) {
    return fail(system_error(ErrorCode::OpenFailed, path, errno));
  }
  if (S_ISREG(status.st_mode) && ::lseek(descriptor.get(), 0, SEEK_CUR) == 0) {
    return open_file(std::move(descriptor), path, mode);
  }
  if (S_ISREG(status.st_mode) || S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)) {
    return open_stream(std::move(descriptor), path);
  }
  return fail(not_a_file(path, status.st_mode, "redirect a file or a pipe to standard input"));
}

}  // namespace

Result<std::unique_ptr<Source>> open_source(const std::string& path, LoadMode mode) {
  if (path == "-") return open_standard_input(mode);
  struct stat status {};
  // Looked at by name first: opening is not harmless for every device. O_NONBLOCK is for a pipe that takes the name's
  // place in between, on which open would wait for a writer; what is open is looked at again.
  if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    return fail(not_a_file(path, status.st_mode, S_ISDIR(status.st_mode) ? folder_hint(path) : std::string()));
  }
  FileDescriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!descriptor.valid()) return fail(system_error(ErrorCode::OpenFailed, path, errno));
  return open_file(std::move(descriptor), path, mode);
}

std::unique_ptr<Source> memory_source(std::span<const std::byte> bytes, std::string path) {
  return std::make_unique<MemorySource>(bytes, std::move(path));
}

}  // namespace gguf_fuse::loader
