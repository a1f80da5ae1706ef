// SPDX-License-Identifier: MIT
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "load/load.hpp"
#include "support/opencl_device.hpp"
#include "support/random_model.hpp"
#include "support/value_of.hpp"

namespace gguf_fuse::test_support {

using Bytes = std::vector<std::byte>;

/// A mixture whose sizes are at the edges: rows that are no whole tiles, matrices smaller than one, floats.
inline RandomModel edgy_model() {
  return RandomModel("llama")
      .layers(3)
      .experts(5, 2, 40)
      .embedding(64)
      .heads(4, 2, 16)
      .vocabulary(37)
      .type("Q8_0")
      .type("ffn_down_exps", "F16", 1);
}

/// Everything of a file and where it is to go: matrices of alternating layers on alternating devices, one behind the
/// other with gaps, the embeddings on the first device and again on the last one, vectors of floats in one buffer a
/// device, the last norm on the host. What is expected there is made from the file's bytes without a plan.
class LoadScene {
 public:
  /// `model` is what will be loaded; `whole` is the same model as one file. `fused`: through a plan that fuses all.
  LoadScene(const Bytes& whole, Model& model, bool fused, std::vector<std::shared_ptr<Device>> devices)
      : devices_(std::move(devices)), model_(model), places_(devices_.size()) {
    const Model original = value_of(open_model(memory_source(whole, "whole.gguf")));
    const Container& container = original.info.shards.front();
    for (const TensorInfo& tensor : container.tensors) {
      const auto first = whole.begin() + static_cast<std::ptrdiff_t>(container.data_offset + tensor.offset);
      originals_[std::string(tensor.name)] = Bytes(first, first + static_cast<std::ptrdiff_t>(tensor.bytes));
    }
    plan_ = value_of(plan_fuse(model.info, {.target = Target::GgufFuse, .gate_up = fused, .qkv = fused}));
    for (std::size_t i = 0; i < file().tensors.size(); ++i) place(i);
    place(index_of("token_embd.weight"), devices_.size() - 1);
    allocate();
  }

  [[nodiscard]] const PlannedFile& file() const { return plan_.files.front(); }
  [[nodiscard]] const std::vector<Placement>& placements() const { return placements_; }
  [[nodiscard]] const std::vector<std::shared_ptr<Device>>& devices() const { return devices_; }
  Control control{};

  [[nodiscard]] LoadInput input() {
    return {.file = file(), .model = model_, .placements = placements_, .devices = devices_, .control = &control};
  }

  /// What is wrong with what the devices hold now; empty when nothing is.
  [[nodiscard]] std::string faults() const {
    std::string wrong;
    for (std::size_t i = 0; i < devices_.size(); ++i) {
      if (content_of<std::byte>(places_[i].matrices) != places_[i].expected_matrices) wrong += "matrices ";
      if (content_of<std::byte>(places_[i].floats) != places_[i].expected_floats) wrong += "floats ";
    }
    if (std::memcmp(host_.data(), expected_host_.data(), expected_host_.size()) != 0) wrong += "host";
    return wrong;
  }

 private:
  /// Rows of an original tensor.
  struct Part {
    const Bytes* bytes;
    std::uint64_t first_row, rows;
  };
  struct Place {
    Bytes expected_matrices, expected_floats;
    Buffer matrices, floats;
  };
  static constexpr std::byte kUntouched{0xa5};

  [[nodiscard]] std::size_t index_of(const std::string& name) const {
    const auto& tensors = file().tensors;
    const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const auto& one) { return one.name == name; });
    return static_cast<std::size_t>(found - tensors.begin());
  }

  /// The originals of a planned tensor, in its order of rows.
  [[nodiscard]] std::vector<Part> parts_of(const PlannedTensor& tensor) const {
    const std::uint64_t row = tensor.bytes / row_count(tensor.dims).value_or(1);
    const std::uint64_t experts = tensor.dimension_count == 3 ? tensor.dims[2] : 1;
    std::vector<const Bytes*> sources;
    if (!tensor.joined) {
      sources = {&originals_.at(tensor.name)};
    } else {
      const Rule& of = rule(tensor.joined->rule);
      const std::string layer = tensor.name.substr(0, tensor.name.find('.', 4) + 1);
      const auto names = tensor.joined->stored ? std::span(&of.result, 1) : of.part_names();
      for (const std::string_view name : names)
        sources.push_back(&originals_.at(fmt::format("{}{}.{}", layer, name, tensor.joined->attribute())));
    }
    std::vector<Part> parts;
    for (std::uint64_t expert = 0; expert < experts; ++expert) {
      for (const Bytes* bytes : sources) {
        const std::uint64_t rows = bytes->size() / row / experts;
        parts.push_back({bytes, expert * rows, rows});
      }
    }
    return parts;
  }

  void place(std::size_t index, std::size_t device = 0) {
    const PlannedTensor& tensor = file().tensors[index];
    const std::uint64_t row = tensor.bytes / row_count(tensor.dims).value_or(1);
    if (tensor.name.starts_with("blk.")) device = static_cast<std::size_t>(tensor.name[4] - '0') % devices_.size();
    std::uint64_t first_row = 0;
    Bytes& matrices = places_[device].expected_matrices;
    matrices.resize(matrices.size() + (index % 3) * 64, kUntouched);
    for (const Part& part : parts_of(tensor)) {
      Placement placement{.tensor = index, .first_row = first_row, .rows = part.rows, .matrix = {}, .floats = {}};
      const auto rows = std::span(*part.bytes).subspan(part.first_row * row, part.rows * row);
      if (tensor.name == "output_norm.weight") {
        host_.resize(rows.size() / sizeof(float));
        expected_host_.assign(rows.begin(), rows.end());
        placement.rows = host_.size();
        placement.host = &host_;
      } else if (tensor.dimension_count == 1) {
        Bytes& floats = places_[device].expected_floats;
        placement.rows = rows.size() / sizeof(float);
        placement.float_offset = floats.size();
        floats.insert(floats.end(), rows.begin(), rows.end());
      } else {
        placement.matrix.offset = matrices.size();
        placement.matrix.shape = {tensor.type, static_cast<std::uint32_t>(part.rows),
                                  static_cast<std::uint32_t>(tensor.dims[0])};
        append_packed(placement.matrix.shape, rows, row, matrices);
      }
      owners_.push_back(device);
      placements_.push_back(placement);
      first_row += part.rows;
    }
  }

  static void append_packed(const PackedShape& shape, std::span<const std::byte> rows, std::uint64_t row, Bytes& out) {
    for (std::uint64_t first = 0; first < shape.rows; first += kTileRows) {
      const std::uint64_t count = std::min<std::uint64_t>(kTileRows, shape.rows - first);
      out.resize(out.size() + shape.tile_bytes());
      const auto tile = std::span(out).last(shape.tile_bytes());
      if (!pack_tile(shape, rows.subspan(first * row, count * row), tile)) ADD_FAILURE() << "pack_tile";
    }
  }

  void allocate() {
    for (std::size_t i = 0; i < devices_.size(); ++i) {
      const auto make = [&](const Bytes& expected) {
        return buffer_of(*devices_[i], Bytes(expected.size(), kUntouched));
      };
      places_[i].matrices = make(places_[i].expected_matrices);
      places_[i].floats = make(places_[i].expected_floats);
    }
    for (std::size_t i = 0; i < placements_.size(); ++i) {
      Placement& placement = placements_[i];
      if (placement.host != nullptr) continue;
      (placement.matrix.shape.type != nullptr ? placement.matrix.buffer : placement.floats) =
          placement.matrix.shape.type != nullptr ? places_[owners_[i]].matrices : places_[owners_[i]].floats;
    }
  }

  std::vector<std::shared_ptr<Device>> devices_;
  Model& model_;
  std::map<std::string, Bytes> originals_;
  Plan plan_;
  std::vector<Placement> placements_;
  std::vector<std::size_t> owners_;
  std::vector<Place> places_;
  std::vector<float> host_;
  Bytes expected_host_;
};

/// Without a ring, and with one of each kind.
inline constexpr std::optional<UploadStrategy> kStrategies[] = {std::nullopt, UploadStrategy::Rectangle,
                                                                UploadStrategy::Slices, UploadStrategy::Gather};

/// A source that does something before every read, and remembers the reads. `sequential`: refuses to go back.
class WatchedSource final : public Source {
 public:
  struct Read {
    std::uint64_t offset;
    std::size_t bytes;
    friend bool operator==(const Read&, const Read&) = default;
  };
  using Before = std::function<Result<void>(std::uint64_t offset, std::size_t bytes)>;

  WatchedSource(std::unique_ptr<Source> source, bool sequential, Before before = {})
      : source_(std::move(source)), sequential_(sequential), before_(std::move(before)) {}

  Result<void> read_at(std::uint64_t offset, std::span<std::byte> out) override {
    GGUF_FUSE_CHECK(watch(offset, out.size()));
    return source_->read_at(offset, out);
  }
  Result<std::size_t> read_up_to(std::uint64_t offset, std::span<std::byte> out) override {
    GGUF_FUSE_CHECK(watch(offset, out.size()));
    return source_->read_up_to(offset, out);
  }
  Result<std::optional<std::span<const std::byte>>> view(std::uint64_t offset, std::size_t bytes) override {
    GGUF_FUSE_CHECK(watch(offset, bytes));
    return source_->view(offset, bytes);
  }
  void release(std::span<const std::byte> view) noexcept override { source_->release(view); }
  [[nodiscard]] std::optional<std::uint64_t> size() const override {
    return sequential_ ? std::nullopt : source_->size();
  }
  [[nodiscard]] bool sequential() const override { return sequential_; }
  [[nodiscard]] Result<void> check_unchanged() const override { return source_->check_unchanged(); }
  [[nodiscard]] const std::string& path() const override { return source_->path(); }

  [[nodiscard]] std::vector<Read> reads() {
    const std::lock_guard lock(mutex_);
    return reads_;
  }
  void watch_from_now(Before before) {
    const std::lock_guard lock(mutex_);
    reads_.clear();
    before_ = std::move(before);
  }

 private:
  Result<void> watch(std::uint64_t offset, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (sequential_ && offset < position_) {
      return fail({.code = ErrorCode::InvalidArgument, .path = path(), .offset = offset, .actual = "going back"});
    }
    position_ = offset + bytes;
    reads_.push_back({offset, bytes});
    return before_ ? before_(offset, bytes) : Result<void>{};
  }

  std::unique_ptr<Source> source_;
  bool sequential_;
  Before before_;
  std::mutex mutex_;
  std::uint64_t position_ = 0;
  std::vector<Read> reads_;
};

}  // namespace gguf_fuse::test_support
