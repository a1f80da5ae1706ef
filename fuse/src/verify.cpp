// SPDX-License-Identifier: MIT
#include <algorithm>
#include <chrono>
#include <map>
#include <set>

#include "gather.hpp"
#include "gguf_fuse/fuse/convert.hpp"
#include "plan_check.hpp"
#include "workers.hpp"
#include "xxhash_state.hpp"

namespace gguf_fuse::fuse {
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

Error different_models(Error error) {
  error.code = ErrorCode::DifferentModels;
  return error;
}

Result<void> check_architectures(const ModelInfo& derived, const ModelInfo& original) {
  const auto left = derived.metadata().get_string("general.architecture");
  const auto right = original.metadata().get_string("general.architecture");
  if (!left || !right || *left == *right) return {};
  return fail({.code = ErrorCode::DifferentModels,
               .path = derived.shards.front().path,
               .subject = "general.architecture",
               .expected = std::string(*right),
               .actual = std::string(*left)});
}

// Whether a look at the begin of some tensors, all over the model, finds most of them changed: no damage does that.
bool most_differ(const Plan& plan, Model& original, Model& derived) {
  constexpr std::size_t kLooks = 64, kBytes = 4096;
  if (original.sequential() || derived.sequential()) return false;
  std::size_t all = 0, looked = 0, different = 0;
  for (const PlannedFile& file : plan.files) all += file.tensors.size();
  const std::size_t step = std::max<std::size_t>(all / kLooks, 1);
  std::size_t number = 0;
  for (std::size_t i = 0; i < plan.files.size(); ++i) {
    for (const PlannedTensor& tensor : plan.files[i].tensors) {
      if (number++ % step != 0 || tensor.bytes == 0) continue;
      std::vector<std::byte> actual(std::min<std::uint64_t>(kBytes, tensor.bytes));
      if (!derived.sources[i]->read_at(tensor.offset, actual)) return false;
      std::vector<std::byte> expected = actual;
      if (!gather_tensors(plan.files[i], original, tensor.offset, expected)) return false;
      ++looked;
      different += actual != expected;
    }
  }
  return different > 1 && 2 * different > looked;
}

// Numbers of the tensors of `original` that a run reads from. Its pieces lie in one of them each, or all in the first
// and the next ones.
void add_read(const Run& run, const ModelInfo& original, std::set<std::pair<std::uint32_t, std::size_t>>& read) {
  const Container& container = original.shards[run.source];
  const auto add = [&](std::uint64_t begin) {
    const auto first = std::partition_point(
        container.tensors.begin(), container.tensors.end(),
        [&](const TensorInfo& tensor) { return container.data_offset + tensor.offset + tensor.bytes <= begin; });
    for (auto tensor = first; tensor != container.tensors.end(); ++tensor) {
      if (container.data_offset + tensor->offset >= begin + run.bytes) break;
      if (tensor->bytes != 0) read.emplace(run.source, tensor - container.tensors.begin());
    }
  };
  add(run.source_offset);
  if (run.count > 1) add(run.source_offset + (run.count - 1) * run.source_stride);
}

void count_fused(const Plan& plan, const ModelInfo& original, VerifyReport& report) {
  std::map<std::pair<std::uint32_t, std::size_t>, std::size_t> readers;
  for (const PlannedFile& file : plan.files) {
    for (const PlannedTensor& tensor : file.tensors) {
      std::set<std::pair<std::uint32_t, std::size_t>> read;
      for (const Run& run : tensor.map.runs()) add_read(run, original, read);
      report.fused_tensors += read.size() > 1;
      for (const auto& key : read) ++readers[key];
    }
  }
  for (const auto& [key, count] : readers) report.fused_in_original += count > 1;
}

Result<VerifyReport> verify_files(const std::string& derived, const std::string& original, LoadMode mode,
                                  const PipelineOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  GGUF_FUSE_ASSIGN(Model right, open_model(original, {.mode = mode}));
  GGUF_FUSE_ASSIGN(Model left,
                   right.sequential() ? open_for_random_access(derived, mode) : open_model(derived, {.mode = mode}));
  GGUF_FUSE_CHECK(check_architectures(left.info, right.info));
  GGUF_FUSE_ASSIGN(const Plan plan, plan_compare(left.info, right.info));
  if (auto same = compare(plan, right, left.sources, options); !same) {
    return fail(most_differ(plan, right, left) ? different_models(std::move(same).error()) : std::move(same).error());
  }
  VerifyReport report;
  count_fused(plan, right.info, report);
  report.tensors = right.info.tensor_count();
  for (const PlannedFile& file : plan.files) {
    for (const PlannedTensor& tensor : file.tensors) {
      report.bytes += tensor.bytes;
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

}  // namespace gguf_fuse::fuse
