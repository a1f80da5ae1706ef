// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "gguf_fuse/loader/sink.hpp"
#include "output_file.hpp"
#include "output_name.hpp"

namespace gguf_fuse::loader {
namespace {

class FileSink final : public Sink {
 public:
  FileSink(OutputFile file, FileDescriptor folder, std::string temporary, OutputName output, bool replace)
      : file_(std::move(file)),
        folder_(std::move(folder)),
        temporary_(std::move(temporary)),
        output_(std::move(output)),
        replace_(replace) {}
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;
  ~FileSink() override { discard(); }

  [[nodiscard]] Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    return file_.write_at(offset, bytes);
  }
  [[nodiscard]] bool sequential() const override { return false; }
  [[nodiscard]] int descriptor() const override { return file_.descriptor().get(); }
  void settle(std::uint64_t offset, std::uint64_t bytes) override { file_.settle(offset, bytes); }
  [[nodiscard]] std::unique_ptr<Source> read_back() override { return file_.read_back(); }
  [[nodiscard]] const std::string& path() const override { return file_.path(); }

  [[nodiscard]] Result<void> commit() override {
    auto published = publish();
    if (!published) discard();
    return published;
  }

  [[nodiscard]] std::vector<std::string> notes() const override { return notes_; }

  /// Of the file that is replaced; what the system does not allow is noted.
  void copy_attributes() {
    if (!output_.existing) return;
    const int descriptor = file_.descriptor().get();
    [[maybe_unused]] const int owned = ::fchown(descriptor, output_.existing->st_uid, output_.existing->st_gid);
    if (::fchmod(descriptor, output_.existing->st_mode & 07777) == 0) return;
    note("the permissions of the file that was replaced could not be kept", errno);
  }

  [[nodiscard]] Result<void> check_limit(std::uint64_t bytes) const { return file_.check_limit(bytes); }

 private:
  Result<void> publish() {
    GGUF_FUSE_CHECK(sync_file(file_.descriptor().get(), path()));
    GGUF_FUSE_CHECK(check_close());
    GGUF_FUSE_CHECK(replace_ ? rename_over() : rename_new());
    temporary_.clear();
    const auto synced = sync_file(folder_.get(), path());
    if (!synced) note("the file is complete, but its name may not outlast a power failure", synced.error().actual);
    return {};
  }

  // Network filesystems report late errors when a descriptor is closed. A second one is closed, for the first holds the
  // lock without which the temporary looks stale to others.
  Result<void> check_close() {
    const int again = ::fcntl(file_.descriptor().get(), F_DUPFD_CLOEXEC, 3);
    if (again < 0 || ::close(again) == 0 || errno == EINTR || is_unsupported(errno)) return {};
    return fail(system_error(ErrorCode::SyncFailed, path(), errno));
  }

  // Filesystems that pass a call on to another machine may do as asked and report a failure: what counts is where the
  // name leads.
  [[nodiscard]] bool is_there() const { return is_named(folder_.get(), output_.name, file_.descriptor().get()); }

  Result<void> rename_over() {
    if (::renameat(folder_.get(), temporary_.c_str(), folder_.get(), output_.name.c_str()) == 0) return {};
    const int why = errno;
    if (is_there()) return {};
    Error error = system_error(ErrorCode::RenameFailed, path(), why);
    if (why == EISDIR) error.hint = "a folder of that name appeared meanwhile; choose another name";
    return fail(std::move(error));
  }

  // A file that has appeared in the meantime stays. NFS and others cannot rename that way, but have links; what has
  // neither is left with looking first.
  Result<void> rename_new() {
    const int folder = folder_.get();
    const char* from = temporary_.c_str();
    const char* to = output_.name.c_str();
    const auto taken = [&] { return ::faccessat(folder, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0; };
    const auto exists = [&] { return fail(output_exists(path(), "a file that appeared meanwhile")); };
    if (::renameat2(folder, from, folder, to, RENAME_NOREPLACE) == 0 || is_there()) return {};
    if (taken()) return exists();
    if (::linkat(folder, from, folder, to, 0) == 0 || is_there()) {
      ::unlinkat(folder, from, 0);
      return {};
    }
    if (taken()) return exists();
    GGUF_FUSE_CHECK(rename_over());
    note("this filesystem cannot keep a file of the same name that appears at the last moment; none was seen");
    return {};
  }

  void note(std::string_view text, int error_number) {
    note(text, system_error(ErrorCode::SystemFailed, {}, error_number).actual);
  }
  void note(std::string_view text, std::string_view reason = {}) {
    notes_.push_back(fmt::format("{}: {}{}{}", path(), text, reason.empty() ? "" : ": ", reason));
  }

  void discard() {
    if (!temporary_.empty()) ::unlinkat(folder_.get(), temporary_.c_str(), 0);
    temporary_.clear();
  }

  OutputFile file_;
  FileDescriptor folder_;
  std::string temporary_;  // empty once there is none
  OutputName output_;
  bool replace_;
  std::vector<std::string> notes_;
};

}  // namespace

void Sink::settle(std::uint64_t, std::uint64_t) {}

Result<std::unique_ptr<Sink>> file_sink(const std::string& path, const FileSinkOptions& options) {
  GGUF_FUSE_ASSIGN(OutputName output, resolve_output(path, options.replace));
  GGUF_FUSE_ASSIGN(FileDescriptor folder, open_folder(output, path));
  const auto available = free_space(folder.get());
  if (available && *available < options.bytes) return fail(no_space(path, options.bytes, *available));
  GGUF_FUSE_ASSIGN(TemporaryFile temporary, create_temporary(folder.get(), output, path));
  auto sink = std::make_unique<FileSink>(OutputFile(std::move(temporary.descriptor), path), std::move(folder),
                                         std::move(temporary.name), std::move(output), options.replace);
  sink->copy_attributes();
  GGUF_FUSE_CHECK(sink->check_limit(options.bytes));
  return sink;
}

}  // namespace gguf_fuse::loader
