// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gguf_fuse/fuse/plan.hpp"
#include "gguf_fuse/loader/sink.hpp"

namespace gguf_fuse::fuse {

/// Shared between the pipeline and whoever watches or stops it. All members may be used from any thread or signal
/// handler.
struct Control {
  std::atomic<bool> cancelled{false};
  std::atomic<std::uint64_t> bytes_done{0};
  std::atomic<std::uint64_t> bytes_total{0};
};

/// Kernel-side copies (copy_file_range) or copies through the ring.
enum class CopyMode : std::uint8_t { Auto, Kernel, Ring };

struct PipelineOptions {
  unsigned threads = 0;                                ///< 0: as many as there are processors, at most 8
  std::uint64_t max_memory = std::uint64_t{64} << 20;  ///< for the ring of buffers
  CopyMode copy = CopyMode::Auto;
  Control* control = nullptr;
};

/// A part of an output file and the XXH64 of what was written there.
struct Extent {
  std::uint32_t file = 0;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::uint64_t hash = 0;
};

struct Execution {
  bool padding_was_zero = true;          ///< what lies between and behind the source's tensors, which no plan copies
  std::vector<Extent> extents;           ///< streams only: the proof that a second look at the source would give
  std::vector<ContentHash> originals{};  ///< of plan.proof's tensors, as their bytes went by; nothing without a proof
};

/// Moves the tensors of every file of the plan into its sink; sinks[i] takes plan.files[i]. Does not commit.
/// With a random-access source the output, header first, is gathered chunk by chunk. A stream is scattered as it flows,
/// for which the sinks must be random-access, and the headers are left to write_headers: only the end of a stream tells
/// how long it is (model.info gets file_bytes then). The result is the same for any number of threads. Errors: those of
/// the sources and sinks, MemoryLimitTooSmall, Interrupted.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Execution> execute(const Plan& plan, Model& model,
                                                         const std::vector<std::unique_ptr<Sink>>& sinks,
                                                         const PipelineOptions& options = {});

/// Reads what execute() would move and returns what it would: for outputs whose header cannot wait for the hashes in
/// it. Only with a random-access source. Errors: those of the sources, MemoryLimitTooSmall, Interrupted,
/// InvalidArgument.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Execution> survey(const Plan& plan, Model& model,
                                                        const PipelineOptions& options = {});

/// Puts the original's hashes into the record of a fused file: into the plan's first header and, where `first_sink` is
/// not null (a random-access sink of the first file), into what was written. A record without them is read, and
/// promises nothing. Does nothing where the plan needs no hashes. Errors: the sink's; InvalidArgument for another
/// plan's hashes.
[[nodiscard]] GGUF_FUSE_EXPORT Result<void> complete_record(Plan& plan, const Execution& execution, Sink* first_sink);

/// Names of the original's tensors whose bytes, as they went by, were not those that the record's hashes speak of.
[[nodiscard]] GGUF_FUSE_EXPORT std::vector<std::string> changed_tensors(const Plan& plan, const Execution& execution);

/// Writes header and padding of every file, for sinks that execute() filled from a stream.
[[nodiscard]] GGUF_FUSE_EXPORT Result<void> write_headers(const Plan& plan,
                                                          const std::vector<std::unique_ptr<Sink>>& sinks);

using Sources = std::vector<std::unique_ptr<Source>>;

/// Reads both sides and compares every byte: files[i] of the plan, header and padding included unless the plan has
/// none, is expected in outputs[i]. At most one side may be sequential. Errors: TensorsDiffer naming the tensor and the
/// first differing byte, those of the sources, Interrupted.
[[nodiscard]] GGUF_FUSE_EXPORT Result<void> compare(const Plan& plan, Model& model, Sources& outputs,
                                                    const PipelineOptions& options = {});

/// Reads the extents back from the outputs. Errors: as compare.
[[nodiscard]] GGUF_FUSE_EXPORT Result<void> compare(const Plan& plan, const std::vector<Extent>& extents,
                                                    Sources& outputs, const PipelineOptions& options = {});

}  // namespace gguf_fuse::fuse
