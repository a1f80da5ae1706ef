// SPDX-License-Identifier: MIT
#include "gguf_fuse/fuse/convert.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "gguf_fuse/loader/file_kind.hpp"
#include "reasons.hpp"
#include "ticker.hpp"
#include "workers.hpp"

namespace gguf_fuse::fuse {
namespace {

using Sinks = std::vector<std::unique_ptr<Sink>>;

constexpr std::string_view kStream = "-";

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

bool is_gzip_name(const std::string& path) { return path.ends_with(".gz"); }

class Converter {
 public:
  explicit Converter(const ConvertRequest& request) : request_(request) {
    // Into a folder goes a file of the input's name, as cp has it.
    std::error_code ignored;
    if (request.input != kStream && std::filesystem::is_directory(request.output, ignored)) {
      const std::filesystem::path name = std::filesystem::path(request.input).filename();
      request_.output = (std::filesystem::path(request.output) / name).string();
    }
    // An output that is named like a shard asks for shards.
    if (parse_shard_name(request_.output)) request_.fuse.split.keep = true;
  }

  Result<ConvertReport> run() {
    GGUF_FUSE_CHECK(check_output(request_.output));
    GGUF_FUSE_ASSIGN(std::unique_ptr<Source> source, open_source(request_.input, request_.mode));
    if (!source->sequential()) {
      GGUF_FUSE_ASSIGN(model_, open_model(request_.input, {.mode = request_.mode}));
      return convert_model();
    }
    // A signal handler can only set a flag, and a read that waits for a pipe does not look at it.
    Source* stream = source.get();
    const Ticker watch(std::chrono::milliseconds(50), [stream, control = request_.pipeline.control] {
      if (cancelled(control)) stream->cancel();
    });
    GGUF_FUSE_ASSIGN(model_, open_model(std::move(source)));
    return convert_model();
  }

 private:
  Result<ConvertReport> convert_model() {
    if (!unfuses()) {
      GGUF_FUSE_ASSIGN(request_.fuse.scales, read_scales(model_));
    }
    GGUF_FUSE_ASSIGN(report_.plan, make_plan());
    const auto architecture = model_.info.metadata().get_string("general.architecture");
    if (architecture) report_.architecture = *architecture;
    report_.restored = report_.plan.restores;
    report_.unproven = report_.plan.unproven;
    if (request_.strict) GGUF_FUSE_CHECK(check_strictly());
    GGUF_FUSE_ASSIGN(report_.outputs, output_names());
    GGUF_FUSE_CHECK(check_aliases());
    if (!request_.dry_run) GGUF_FUSE_CHECK(produce());
    report_.input_bytes = model_.info.total_bytes();
    if (request_.dry_run) report_.output_bytes = report_.plan.total_bytes();
    report_.warnings.insert(report_.warnings.end(), report_.plan.warnings.begin(), report_.plan.warnings.end());
    return std::move(report_);
  }

  [[nodiscard]] bool unfuses() const { return request_.direction == Direction::Unfuse; }

  [[nodiscard]] Result<void> check_strictly() const {
    if (unfuses() && report_.restored != Restores::Original) {
      return fail({.code = ErrorCode::NotOriginal,
                   .path = request_.input,
                   .actual = report_.restored == Restores::Weights ? because<ReasonCode::NoRecord>().text()
                                                                   : texts_of(report_.unproven)});
    }
    if (unfuses() || report_.plan.fused_count() != report_.plan.fused_before) return {};
    if (const auto kind = other_than_model(model_.info)) return fail(not_a_model(*kind, request_.input));
    Error error{.code = ErrorCode::NothingToFuse, .path = request_.input};
    if (report_.plan.fused_before != 0) {
      error.actual = "it is fused already";
      error.hint = "without --strict it is copied as it is";
    }
    return fail(std::move(error));
  }

  [[nodiscard]] Result<Plan> make_plan() const {
    if (unfuses()) return plan_unfuse(model_.info, request_.fuse.split);
    return plan_fuse(model_.info, request_.fuse);
  }

  [[nodiscard]] Result<void> check_output(const std::string& output) const {
    std::error_code ignored;
    if (output == kStream) {
      if (isatty(STDOUT_FILENO) != 0 && !request_.dry_run)
        return fail({.code = ErrorCode::OutputIsTerminal, .path = "standard output"});
      return {};
    }
    if (same_file(request_.input, output)) return fail({.code = ErrorCode::SameFile, .path = output});
    const auto there = std::filesystem::status(output, ignored);
    if (std::filesystem::is_directory(there)) {
      return fail({.code = ErrorCode::NotAFile,
                   .path = output,
                   .actual = "a directory",
                   .hint = "give the name of a file in it"});
    }
    if (!request_.replace && !request_.dry_run && std::filesystem::is_regular_file(there))
      return fail({.code = ErrorCode::OutputExists, .path = output});
    return {};
  }

  [[nodiscard]] Result<std::vector<std::string>> output_names() const {
    const std::size_t count = report_.plan.files.size();
    if (count == 1) return std::vector<std::string>{request_.output};
    if (request_.output == kStream || is_gzip_name(request_.output)) {
      return fail({.code = ErrorCode::InvalidArgument,
                   .path = request_.output,
                   .expected = "a file name for the shards",
                   .actual = fmt::format("{} shards", count),
                   .hint = "give NAME.gguf, from which the shards get their names"});
    }
    std::string prefix = request_.output;
    if (const auto name = parse_shard_name(prefix)) {
      prefix = name->prefix;
    } else if (prefix.ends_with(".gguf")) {
      prefix.resize(prefix.size() - 5);
    }
    std::vector<std::string> names;
    for (std::size_t i = 0; i < count; ++i) names.push_back(shard_path(prefix, i, count));
    return names;
  }

  // Shards have names of their own, which may be the input's.
  [[nodiscard]] Result<void> check_aliases() const {
    for (const std::string& output : report_.outputs) {
      GGUF_FUSE_CHECK(check_output(output));
      for (const Container& shard : model_.info.shards) {
        if (same_file(shard.path, output)) return fail({.code = ErrorCode::SameFile, .path = output});
      }
    }
    return {};
  }

  Result<void> produce() {
    GGUF_FUSE_ASSIGN(Sinks sinks, open_sinks());
    const bool streamed_out =
        std::any_of(sinks.begin(), sinks.end(), [](const auto& sink) { return sink->sequential(); });
    if (model_.sequential() && streamed_out) {
      // What comes in order leaves in another, so a stream into a stream needs a file between them.
      Sinks files;
      GGUF_FUSE_ASSIGN(std::unique_ptr<Sink> file, temporary_sink(report_.plan.total_bytes()));
      files.push_back(std::move(file));
      GGUF_FUSE_CHECK(fill(files));
      GGUF_FUSE_CHECK(pour(*files.front(), *sinks.front()));
    } else {
      GGUF_FUSE_CHECK(fill(sinks));
    }
    const auto start = std::chrono::steady_clock::now();
    for (const auto& sink : sinks) {
      GGUF_FUSE_CHECK(sink->commit());
      for (const std::string& note : sink->notes()) report_.warnings.push_back(because<ReasonCode::SinkNote>(note));
    }
    report_.commit_seconds = seconds_since(start);
    report_.output_bytes = written_bytes();
    return {};
  }

  // What lies on the disk; compressed files are smaller than what was planned.
  [[nodiscard]] std::uint64_t written_bytes() const {
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < report_.outputs.size(); ++i) {
      std::error_code failed;
      const std::string& name = report_.outputs[i];
      const std::uint64_t there = is_gzip_name(name) ? std::filesystem::file_size(name, failed) : 0;
      bytes += there != 0 && !failed ? there : report_.plan.files[i].total_bytes;
    }
    return bytes;
  }

  Result<Sinks> open_sinks() {
    Sinks sinks;
    for (std::size_t i = 0; i < report_.outputs.size(); ++i) {
      const std::string& path = report_.outputs[i];
      if (path == kStream) {
        GGUF_FUSE_ASSIGN(std::unique_ptr<Sink> sink, descriptor_sink(STDOUT_FILENO, "standard output"));
        sinks.push_back(std::move(sink));
        continue;
      }
      for (std::string& name : remove_stale_temporaries(path)) report_.removed_temporaries.push_back(std::move(name));
      const bool zip = is_gzip_name(path);
      GGUF_FUSE_ASSIGN(
          std::unique_ptr<Sink> sink,
          file_sink(path, {.replace = request_.replace, .bytes = zip ? 0 : report_.plan.files[i].total_bytes}));
      sinks.push_back(zip ? gzip_sink(std::move(sink)) : std::move(sink));
    }
    return sinks;
  }

  // Moves, completes and verifies what goes into `sinks`.
  Result<void> fill(const Sinks& sinks) {
    const auto start = std::chrono::steady_clock::now();
    const bool in_order = std::any_of(sinks.begin(), sinks.end(), [](const auto& sink) { return sink->sequential(); });
    if (in_order && report_.plan.proof && report_.plan.proof->hashed_at != 0) {
      // The header goes out first, and its hashes are those of all that follows.
      GGUF_FUSE_ASSIGN(const Execution seen, survey(report_.plan, model_, request_.pipeline));
      GGUF_FUSE_CHECK(complete_record(report_.plan, seen, nullptr));
    }
    GGUF_FUSE_ASSIGN(const Execution execution, execute(report_.plan, model_, sinks, request_.pipeline));
    if (model_.sequential()) {
      // Now the stream's length is known, and with it the record's last number.
      GGUF_FUSE_ASSIGN(report_.plan, make_plan());
      GGUF_FUSE_CHECK(complete_record(report_.plan, execution, nullptr));
      GGUF_FUSE_CHECK(write_headers(report_.plan, sinks));
    } else if (!in_order) {
      GGUF_FUSE_CHECK(complete_record(report_.plan, execution, sinks.front().get()));
    }
    report_.copy_seconds = seconds_since(start);
    GGUF_FUSE_CHECK(compare_with_record(execution));
    if (!execution.padding_was_zero) {
      report_.warnings.push_back(because<ReasonCode::PaddingLost>());
    }
    return request_.verify ? verify_sinks(sinks, execution) : Result<void>();
  }

  // Holds what went by against the hashes of an earlier record.
  Result<void> compare_with_record(const Execution& execution) {
    report_.changed_tensors = changed_tensors(report_.plan, execution);
    const std::size_t count = report_.changed_tensors.size();
    if (count == 0) return {};
    const std::size_t all = report_.plan.proof->tensors.size();
    if (!unfuses()) {
      report_.warnings.push_back(because<ReasonCode::ChangedSince>(count, all));
      return {};
    }
    report_.restored = Restores::Recorded;
    report_.unproven.push_back(because<ReasonCode::TensorsChanged>(count, all));
    return request_.strict ? check_strictly() : Result<void>();
  }

  Result<void> verify_sinks(const Sinks& sinks, const Execution& execution) {
    const auto start = std::chrono::steady_clock::now();
    Sources outputs;
    for (const auto& sink : sinks) {
      outputs.push_back(sink->read_back());
      if (outputs.back() != nullptr) continue;
      report_.warnings.push_back(sinks.front()->sequential() ? because<ReasonCode::StreamNotVerified>()
                                                             : because<ReasonCode::OutputNotVerified>());
      return {};
    }
    if (model_.sequential()) {
      GGUF_FUSE_CHECK(compare(report_.plan, execution.extents, outputs, request_.pipeline));
    } else {
      GGUF_FUSE_CHECK(compare(report_.plan, model_, outputs, request_.pipeline));
    }
    report_.verify_seconds = seconds_since(start);
    report_.verified = true;
    return {};
  }

  Result<void> pour(Sink& from, Sink& to) {
    const std::unique_ptr<Source> source = from.read_back();
    const std::uint64_t total = report_.plan.total_bytes();
    start_count(request_.pipeline.control, total);
    GGUF_FUSE_ASSIGN(const WorkSize size, work_size(request_.pipeline, 1));
    std::vector<std::byte> buffer;
    for (std::uint64_t at = 0; at < total; at += buffer.size()) {
      if (cancelled(request_.pipeline.control)) return fail(interrupted());
      buffer.resize(std::min(size.chunk_bytes, total - at));
      GGUF_FUSE_CHECK(source->read_at(at, buffer));
      GGUF_FUSE_CHECK(to.write_at(at, buffer));
      count_bytes(request_.pipeline.control, buffer.size());
    }
    return {};
  }

  ConvertRequest request_;
  ConvertReport report_;
  Model model_;
};

}  // namespace

Result<ConvertReport> convert(const ConvertRequest& request) {
  return without_exceptions([&] { return Converter(request).run(); });
}

}  // namespace gguf_fuse::fuse
