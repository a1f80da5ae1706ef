// SPDX-License-Identifier: MIT
#include <algorithm>
#include <chrono>

#include "gguf_fuse/fuse/convert.hpp"
#include "plan_check.hpp"
#include "workers.hpp"
#include "xxhash_state.hpp"

namespace gguf_fuse {
namespace {

// Of two streams one must become a file; a stream whose header was read cannot start again, so it is opened anew.
Result<Model> open_for_random_access(const std::string& path, LoadMode mode) {
  GGUF_FUSE_ASSIGN(std::unique_ptr<Source> source, open_source(path, mode));
  if (!source->sequential()) return open_model(path, {.mode = mode});
  GGUF_FUSE_ASSIGN(std::unique_ptr<Source> file, spool(std::move(source)));
  return open_model(std::move(file));
}

Result<std::vector<std::uint64_t>> hash_one(Model& model,
                                            const std::vector<std::pair<std::size_t, const TensorInfo*>>& tensors,
                                            const PipelineOptions& options) {
  // A stream is read by one thread in order; tensors of files are hashed side by side.
  GGUF_FUSE_ASSIGN(const WorkSize size, work_size(options, 1));
  std::vector<std::uint64_t> hashes(tensors.size());
  std::atomic<std::size_t> next{0};
  GGUF_FUSE_CHECK(run_threads(model.sequential() ? 1 : size.threads, [&](FirstError& first) -> Result<void> {
    std::vector<std::byte> buffer;
    for (std::size_t i = next.fetch_add(1); i < tensors.size() && !first.is_set(); i = next.fetch_add(1)) {
      const auto& [shard, tensor] = tensors[i];
      const std::uint64_t begin = model.info.shards[shard].data_offset + tensor->offset;
      XxHash64 hash;
      for (std::uint64_t at = 0; at < tensor->bytes; at += buffer.size()) {
        if (cancelled(options.control)) return fail(interrupted());
        buffer.resize(std::min(size.chunk_bytes, tensor->bytes - at));
        GGUF_FUSE_CHECK(model.sources[shard]->read_at(begin + at, buffer));
        hash.update(buffer);
        count_bytes(options.control, buffer.size());
      }
      hashes[i] = hash.digest();
    }
    return {};
  }));
  return hashes;
}

Result<VerifyReport> verify_files(const std::string& derived, const std::string& original, LoadMode mode,
                                  const PipelineOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  GGUF_FUSE_ASSIGN(Model right, open_model(original, {.mode = mode}));
  GGUF_FUSE_ASSIGN(Model left,
                   right.sequential() ? open_for_random_access(derived, mode) : open_model(derived, {.mode = mode}));
  GGUF_FUSE_ASSIGN(const Plan plan, plan_compare(left.info, right.info));
  GGUF_FUSE_CHECK(compare(plan, right, left.sources, options));
  VerifyReport report;
  report.tensors = right.info.tensor_count();
  for (const PlannedFile& file : plan.files) {
    for (const PlannedTensor& tensor : file.tensors) {
      report.bytes += tensor.bytes;
      report.fused_tensors += tensor.runs.size() > 1;
    }
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace

Result<VerifyReport> verify(const std::string& derived, const std::string& original, LoadMode mode,
                            const PipelineOptions& options) {
  return without_exceptions([&] { return verify_files(derived, original, mode, options); });
}

Result<std::vector<TensorHash>> hash_tensors(Model& model, const PipelineOptions& options) {
  GGUF_FUSE_CHECK(check_model(model));
  std::vector<std::pair<std::size_t, const TensorInfo*>> tensors;
  std::vector<TensorHash> hashes;
  std::uint64_t total = 0;
  for (std::size_t shard = 0; shard < model.info.shards.size(); ++shard) {
    for (const TensorInfo& tensor : model.info.shards[shard].tensors) {
      tensors.emplace_back(shard, &tensor);
      hashes.push_back({.name = std::string(tensor.name), .bytes = tensor.bytes, .xxh64 = 0});
      total += tensor.bytes;
    }
  }
  start_count(options.control, total);
  GGUF_FUSE_ASSIGN(const std::vector<std::uint64_t> values, hash_one(model, tensors, options));
  for (std::size_t i = 0; i < hashes.size(); ++i) hashes[i].xxh64 = values[i];
  return hashes;
}

}  // namespace gguf_fuse
