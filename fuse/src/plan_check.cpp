// SPDX-License-Identifier: MIT
#include "plan_check.hpp"

namespace gguf_fuse::fuse::detail {
namespace {

Error misfit(std::string_view subject, std::string expected, std::string actual) {
  return {.code = ErrorCode::InvalidArgument,
          .path = "plan",
          .subject = std::string(subject),
          .expected = std::move(expected),
          .actual = std::move(actual),
          .hint = "execute a plan with the model that it was made of"};
}

// Whether pieces of a run, a stride apart, end at or before `most`; nothing here may wrap.
bool ends_within(std::uint64_t start, std::uint64_t stride, const Run& run, std::uint64_t most) {
  if (start > most || run.bytes > most - start) return false;
  const std::uint64_t room = most - start - run.bytes;
  return run.count == 1 || (stride >= run.bytes && stride != 0 && run.count - 1 <= room / stride);
}

std::uint64_t source_bytes(const Container& container) {
  return container.file_bytes.value_or(container.data_offset + container.data_bytes);
}

Result<void> check_tensor(const PlannedTensor& tensor, const Model& model) {
  for (const Run& run : tensor.map.runs()) {
    if (run.source >= model.sources.size()) {
      return fail(misfit(tensor.name, fmt::format("one of {} files", model.sources.size()),
                         fmt::format("file {}", run.source)));
    }
    const std::uint64_t there = source_bytes(model.info.shards[run.source]);
    if (run.count == 0 || !ends_within(run.offset, run.stride, run, tensor.bytes) ||
        !ends_within(run.source_offset, run.source_stride, run, there)) {
      return fail(misfit(tensor.name, fmt::format("runs within {} bytes of a file of {}", tensor.bytes, there),
                         fmt::format("{} bytes from {}", run.bytes, run.source_offset)));
    }
  }
  return {};
}

Result<void> check_proof(const OriginalProof& proof, std::size_t files) {
  if (proof.outputs.size() != files) {
    return fail(misfit("proof", fmt::format("{} files", files), fmt::format("{}", proof.outputs.size())));
  }
  for (const auto& [copy, of] : proof.copies) {
    if (std::max(copy, of) >= proof.tensors.size()) return fail(misfit("proof", "copies of its tensors", "others"));
  }
  for (const std::vector<FileTracks>* side : {&proof.outputs, &proof.sources}) {
    for (const FileTracks& file : *side) {
      for (const TrackedTensor& tensor : file) {
        for (const Track& track : tensor.tracks) {
          const bool known = track.tensor < proof.tensors.size() && tensor.begin <= track.position;
          const bool steps = track.count == 1 || (track.count != 0 && track.position_stride != 0);
          if (!known || !steps) return fail(misfit("proof", "tracks of its tensors", "others"));
        }
      }
    }
  }
  return {};
}

}  // namespace

Result<void> check_model(const ModelInfo& model) {
  if (!model.shards.empty()) return {};
  return fail({.code = ErrorCode::InvalidArgument,
               .path = "model",
               .expected = "a model that was opened",
               .actual = "one without files",
               .hint = "open it (again): a model that was moved from has none"});
}

Result<void> check_model(const Model& model) {
  GGUF_FUSE_CHECK(check_model(model.info));
  const auto& sources = model.sources;
  const bool all = std::all_of(sources.begin(), sources.end(), [](const auto& source) { return source != nullptr; });
  if (all && sources.size() == model.info.shards.size()) return {};
  return fail({.code = ErrorCode::InvalidArgument,
               .path = model.info.shards.front().path,
               .expected = fmt::format("{} sources", model.info.shards.size()),
               .actual = all ? fmt::format("{}", sources.size()) : "one that is null",
               .hint = "open the model with open_model"});
}

Result<void> check_plan(const Plan& plan, const Model& model) {
  GGUF_FUSE_CHECK(check_model(model));
  if (plan.proof) GGUF_FUSE_CHECK(check_proof(*plan.proof, plan.files.size()));
  for (const PlannedFile& file : plan.files) {
    std::uint64_t end = 0;
    const PlannedTensor* before = nullptr;
    for (const PlannedTensor& tensor : file.tensors) {
      const bool same = file.header.empty() && before != nullptr && before->offset == tensor.offset;
      // Nothing is written by a plan without headers: it may say of a tensor that it is more than one of the model's.
      if (same && before->bytes == tensor.bytes) end = tensor.offset;
      before = &tensor;
      if (tensor.offset < std::max<std::uint64_t>(end, file.header.size()) || tensor.offset > file.total_bytes ||
          tensor.bytes > file.total_bytes - tensor.offset) {
        return fail(misfit(tensor.name, "tensors one behind the other", fmt::format("byte {}", tensor.offset)));
      }
      end = tensor.offset + tensor.bytes;
      GGUF_FUSE_CHECK(check_tensor(tensor, model));
    }
    if (file.header.size() > file.total_bytes) {
      return fail(
          misfit("header", fmt::format("at most {} bytes", file.total_bytes), fmt::format("{}", file.header.size())));
    }
  }
  return {};
}

}  // namespace gguf_fuse::fuse::detail
