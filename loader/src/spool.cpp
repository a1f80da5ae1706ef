// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "file_source.hpp"
#include "gguf_fuse/loader/sink.hpp"
#include "output_file.hpp"

namespace gguf_fuse::loader {
namespace {

class TemporarySink final : public Sink {
 public:
  explicit TemporarySink(OutputFile file) : file_(std::move(file)) {}

  [[nodiscard]] Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    return file_.write_at(offset, bytes);
  }
  [[nodiscard]] bool sequential() const override { return false; }
  [[nodiscard]] int descriptor() const override { return file_.descriptor().get(); }
  [[nodiscard]] std::unique_ptr<Source> read_back() override { return file_.read_back(); }
  [[nodiscard]] Result<void> commit() override { return {}; }  // what nobody can find need not be durable
  [[nodiscard]] const std::string& path() const override { return file_.path(); }

 private:
  OutputFile file_;
};

Error open_error(const std::string& folder, int error_number) {
  Error error = system_error(ErrorCode::OpenFailed, folder, error_number);
  error.hint = "set TMPDIR to a folder for temporary files";
  return error;
}

Result<OutputFile> temporary_file() {
  GGUF_FUSE_ASSIGN(UnnamedFile file, unnamed_file());
  return OutputFile(std::move(file.descriptor), std::move(file.folder), kTemporarySpaceHint);
}

}  // namespace

Result<UnnamedFile> detail::unnamed_file() {
  const char* variable = std::getenv("TMPDIR");
  std::string folder = variable != nullptr && *variable != '\0' ? variable : "/tmp";
  FileDescriptor file(::open(folder.c_str(), O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600));
  if (file.valid()) return UnnamedFile{std::move(file), std::move(folder)};
  std::string name = folder + "/gguf-fuse.XXXXXX";
  file = FileDescriptor(::mkostemp(name.data(), O_CLOEXEC));
  if (!file.valid()) return fail(open_error(folder, errno));
  if (::unlink(name.c_str()) != 0) return fail(open_error(folder, errno));
  return UnnamedFile{std::move(file), std::move(folder)};
}

Result<std::unique_ptr<Source>> spool(std::unique_ptr<Source> stream) {
  constexpr std::size_t kChunk = std::size_t{1} << 20;
  if (stream == nullptr) {
    return fail({.code = ErrorCode::InvalidArgument, .path = "stream", .expected = "a source", .actual = "none"});
  }
  GGUF_FUSE_ASSIGN(const OutputFile file, temporary_file());
  GGUF_FUSE_ASSIGN(const Buffer buffer, allocate(kChunk));
  std::uint64_t position = 0;
  for (;;) {
    GGUF_FUSE_ASSIGN(const std::size_t got, stream->read_up_to(position, {buffer.get(), kChunk}));
    if (got == 0) break;
    GGUF_FUSE_CHECK(file.write_at(position, {buffer.get(), got}));
    position += got;
  }
  GGUF_FUSE_CHECK(stream->check_unchanged());
  FileDescriptor again = file.descriptor().duplicate();
  if (!again.valid()) return fail(system_error(ErrorCode::SystemFailed, file.path(), errno));
  return file_source(std::move(again), stream->path());
}

Result<std::unique_ptr<Sink>> temporary_sink(std::uint64_t bytes) {
  GGUF_FUSE_ASSIGN(OutputFile file, temporary_file());
  GGUF_FUSE_CHECK(file.check_limit(bytes));
  const auto available = free_space(file.descriptor().get());
  if (available && *available < bytes) return fail(no_space(file.path(), bytes, *available, kTemporarySpaceHint));
  return std::make_unique<TemporarySink>(std::move(file));
}

}  // namespace gguf_fuse::loader
