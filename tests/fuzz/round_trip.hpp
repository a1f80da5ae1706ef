// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <numeric>
#include <optional>

#include "fuzz_check.hpp"
#include "gguf_fuse/fuse/pipeline.hpp"
#include "gguf_fuse/fuse/plan.hpp"

namespace gguf_fuse::fuzz {

// A record may ask for shards and padding that are far larger than the input.
inline constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 20;
inline constexpr std::string_view kRecord = "gguf_fuse.version";
inline constexpr std::string_view kRecordKeys = "gguf_fuse.";

/// What a plan writes; `exact` says that the input held nothing that no plan copies.
struct Output {
  std::vector<Bytes> files;
  bool exact = true;
};

inline PipelineOptions one_thread() {
  PipelineOptions options;
  options.threads = 1;
  options.max_memory = std::uint64_t{256} << 10;
  return options;
}

/// Every byte of every tensor comes from somewhere, and lies inside the file.
inline void check_plan(const Plan& plan, const Model& model) {
  for (const PlannedFile& file : plan.files) {
    for (const PlannedTensor& tensor : file.tensors) {
      std::uint64_t bytes = 0;
      for (const Run& run : tensor.map.runs()) {
        bytes += run.bytes * run.count;
        const std::uint64_t last = run.source_offset + (run.count - 1) * run.source_stride + run.bytes;
        require(run.source < model.info.shards.size() && last <= *model.info.shards[run.source].file_bytes,
                "a run beyond its source");
        require(run.offset + (run.count - 1) * run.stride + run.bytes <= tensor.bytes, "a run beyond its tensor");
      }
      require(bytes == tensor.bytes, "a tensor that is not covered:", tensor.name);
      require(tensor.offset + tensor.bytes <= file.total_bytes, "a tensor beyond its file:", tensor.name);
    }
  }
}

/// Nothing when the output would be large.
inline std::optional<Output> run(const Plan& plan, Model& model) {
  check_plan(plan, model);
  if (plan.total_bytes() > kMostBytes) return std::nullopt;
  std::vector<std::unique_ptr<Sink>> sinks;
  for (std::size_t i = 0; i < plan.files.size(); ++i) sinks.push_back(std::make_unique<test_support::MemorySink>());
  const Execution done = must(execute(plan, model, sinks, one_thread()), "a plan that cannot be executed:");
  Output output{.files = {}, .exact = done.padding_was_zero};
  for (const auto& sink : sinks) output.files.push_back(static_cast<const test_support::MemorySink&>(*sink).bytes());
  return output;
}

inline Model open(const Bytes& file) {
  return must(open_model(memory_source(file, "fuzz")), "our own output is refused:");
}

/// `derived` holds exactly the weights of `original`.
inline void check_same_weights(Model& derived, const Bytes& derived_bytes, Model& original) {
  const Plan relation = must(plan_compare(derived.info, original.info), "weights that cannot be related:");
  Sources outputs;
  outputs.push_back(memory_source(derived_bytes, "derived"));
  const auto same = compare(relation, original, outputs, one_thread());
  if (!same) require(false, "weights that differ:", same.error().message());
}

/// The files that unfusing must give back: what the record describes, or the input itself.
inline std::optional<Output> original_files(Model& model, const Bytes& input) {
  const Metadata& keys = model.info.metadata();
  bool recorded = false;
  for (std::size_t i = 0; i < keys.size(); ++i) recorded = recorded || keys[i].key.starts_with(kRecordKeys);
  if (!recorded) return Output{.files = {input}, .exact = true};
  const auto plan = plan_unfuse(model.info);
  // What is left of a record that lost keys is not copied, and nothing leads back to the original.
  if (plan && plan->restores == Restores::Weights) return Output{.files = {input}, .exact = false};
  if (plan) return run(*plan, model);
  check_error(plan.error());
  return std::nullopt;
}

/// A pipe's bytes take another way through the pipeline and come out the same.
inline void check_streamed(const Bytes& input, const FuseOptions& options, const Output& expected) {
  Model model = must(open_model(std::make_unique<test_support::MemoryStream>(input)), "a stream is refused:");
  Plan plan = must(plan_fuse(model.info, options), "a stream that cannot be planned:");
  std::vector<std::unique_ptr<Sink>> sinks;
  sinks.push_back(std::make_unique<test_support::MemorySink>());
  must(execute(plan, model, sinks, one_thread()), "a stream that cannot be moved:");
  // Only its end told how long it is.
  plan = must(plan_fuse(model.info, options), "a stream that cannot be planned:");
  require(write_headers(plan, sinks).has_value(), "headers that cannot be written");
  const Bytes& bytes = static_cast<const test_support::MemorySink&>(*sinks.front()).bytes();
  require(bytes == expected.files.front(), "a stream gives another file");
}

inline void check_target(Model& model, const Bytes& input, const Output& original, Target target) {
  FuseOptions options;
  options.target = target;
  const auto plan = plan_fuse(model.info, options);
  if (!plan) return check_error(plan.error());
  const auto fused = run(*plan, model);
  if (!fused) return;
  require(fused->files.size() == 1, "more than one file without a split");
  if (target == Target::GgufFuse) check_streamed(input, options, *fused);
  Model derived = open(fused->files.front());
  check_same_weights(derived, fused->files.front(), model);
  // Padding that is not zero is not copied, nor made up for where the last byte of padding is missing.
  const bool padded = *model.info.shards.front().file_bytes >= model.info.shards.front().data_offset;
  const bool exact = fused->exact && original.exact && padded;
  if (!derived.info.metadata().find(kRecord)) {
    require(!exact || fused->files == original.files, "a copy that is not the input");
    return;
  }
  const Plan back = must(plan_unfuse(derived.info), "our own record is refused:");
  require(back.restores >= Restores::Recorded, "a way back without the record");
  if (const auto restored = run(back, derived))
    require(!exact || restored->files == original.files, "unfusing did not restore the input");
}

/// Fuses for every target, looks at the result, and takes it apart again.
inline void check_round_trips(const Bytes& input) {
  auto opened = open_model(memory_source(input, "fuzz"));
  if (!opened) return check_error(opened.error());
  Model& model = *opened;
  // A record that does not fit is refused by whoever asks first.
  if (const auto self = plan_compare(model.info, model.info); !self) {
    require(!plan_fuse(model.info) && !plan_unfuse(model.info),
            "a record that only some refuse:", self.error().message());
    return check_error(self.error());
  }
  const auto original = original_files(model, input);
  if (!original) return;
  check_same_weights(model, input, model);
  for (const TargetRow& row : targets()) check_target(model, input, *original, row.target);
  const auto plan = plan_unfuse(model.info);
  if (!plan) return check_error(plan.error());
  const auto unfused = run(*plan, model);
  for (std::size_t i = 0; unfused && i < unfused->files.size(); ++i) static_cast<void>(open(unfused->files[i]));
}

}  // namespace gguf_fuse::fuzz
