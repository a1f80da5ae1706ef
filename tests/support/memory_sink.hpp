// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gguf_fuse/fuse/pipeline.hpp"
#include "support/namespace.hpp"
#include "support/value_of.hpp"

namespace gguf_fuse::test_support {

/// A file in memory.
class MemorySink final : public Sink {
 public:
  explicit MemorySink(bool sequential = false) : sequential_(sequential) {}

  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override;
  [[nodiscard]] bool sequential() const override { return sequential_; }
  std::unique_ptr<Source> read_back() override { return memory_source(bytes_, path_); }
  Result<void> commit() override { return {}; }
  [[nodiscard]] const std::string& path() const override { return path_; }
  [[nodiscard]] const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  bool sequential_;
  std::mutex mutex_;
  std::vector<std::byte> bytes_;
  std::string path_ = "memory";
};

/// Bytes in memory that can only be read from front to back, as from a pipe.
class MemoryStream final : public Source {
 public:
  explicit MemoryStream(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}

  Result<void> read_at(std::uint64_t offset, std::span<std::byte> out) override;
  [[nodiscard]] std::optional<std::uint64_t> size() const override { return std::nullopt; }
  [[nodiscard]] bool sequential() const override { return true; }
  Result<Tail> read_tail(std::uint64_t offset) override;
  [[nodiscard]] const std::string& path() const override { return path_; }

 private:
  std::vector<std::byte> bytes_;
  std::uint64_t position_ = 0;
  std::string path_ = "stream";
};

/// A model over files in memory, which must outlive it.
[[nodiscard]] Model model_of(std::span<const std::vector<std::byte>> files);
[[nodiscard]] Model model_of(const std::vector<std::byte>& file);

/// What a plan makes of a model, file by file. Throws std::runtime_error with the error's message.
[[nodiscard]] std::vector<std::vector<std::byte>> run_plan(const Plan& plan, Model& model,
                                                           const PipelineOptions& options = {});

/// What plan_fuse makes of a file, and plan_unfuse; the first file, where there are more.
[[nodiscard]] std::vector<std::byte> fuse(const std::vector<std::byte>& file, const FuseOptions& options = {});
[[nodiscard]] std::vector<std::byte> unfuse(const std::vector<std::byte>& file);

}  // namespace gguf_fuse::test_support
