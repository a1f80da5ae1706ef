// SPDX-License-Identifier: MIT
#include "support/memory_sink.hpp"

#include <algorithm>
#include <stdexcept>

namespace gguf_fuse::test_support {

Result<void> MemorySink::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  const std::lock_guard lock(mutex_);
  if (sequential_ && offset != bytes_.size())
    return fail({.code = ErrorCode::InvalidArgument, .path = path_, .offset = offset});
  bytes_.resize(std::max<std::size_t>(bytes_.size(), offset + bytes.size()));
  std::copy(bytes.begin(), bytes.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
  return {};
}

Result<void> MemoryStream::read_at(std::uint64_t offset, std::span<std::byte> out) {
  if (offset < position_) return fail({.code = ErrorCode::InvalidArgument, .path = path_, .offset = offset});
  if (offset + out.size() > bytes_.size())
    return fail({.code = ErrorCode::Truncated, .path = path_, .offset = bytes_.size()});
  const auto begin = bytes_.begin() + static_cast<std::ptrdiff_t>(offset);
  std::copy(begin, begin + static_cast<std::ptrdiff_t>(out.size()), out.begin());
  position_ = offset + out.size();
  return {};
}

Result<Source::Tail> MemoryStream::read_tail(std::uint64_t offset) {
  Tail tail{.bytes = bytes_.size() - std::min<std::uint64_t>(offset, bytes_.size()), .all_zero = true};
  for (std::uint64_t i = offset; i < bytes_.size(); ++i) tail.all_zero = tail.all_zero && bytes_[i] == std::byte{0};
  position_ = bytes_.size();
  return tail;
}

Model model_of(std::span<const std::vector<std::byte>> files) {
  Model model;
  for (const auto& file : files) {
    Model one = value_of(open_model(memory_source(file, "memory")));
    model.info.shards.push_back(std::move(one.info.shards.front()));
    model.sources.push_back(std::move(one.sources.front()));
  }
  return model;
}

Model model_of(const std::vector<std::byte>& file) { return model_of(std::span(&file, 1)); }

std::vector<std::vector<std::byte>> run_plan(const Plan& plan, Model& model, const PipelineOptions& options) {
  std::vector<std::unique_ptr<Sink>> sinks;
  for (std::size_t i = 0; i < plan.files.size(); ++i) sinks.push_back(std::make_unique<MemorySink>());
  const Execution execution = value_of(execute(plan, model, sinks, options));
  if (model.sequential()) value_of(write_headers(plan, sinks));
  Plan completed = plan;
  if (!sinks.empty()) value_of(complete_record(completed, execution, sinks.front().get()));
  std::vector<std::vector<std::byte>> files;
  for (const auto& sink : sinks) files.push_back(static_cast<const MemorySink&>(*sink).bytes());
  return files;
}

std::vector<std::byte> fuse(const std::vector<std::byte>& file, const FuseOptions& options) {
  Model model = model_of(file);
  return run_plan(value_of(plan_fuse(model.info, options)), model).at(0);
}

std::vector<std::byte> unfuse(const std::vector<std::byte>& file) {
  Model model = model_of(file);
  return run_plan(value_of(plan_unfuse(model.info)), model).at(0);
}

}  // namespace gguf_fuse::test_support
