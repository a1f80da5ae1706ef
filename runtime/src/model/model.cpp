// SPDX-License-Identifier: MIT
#include "gguf_fuse/runtime/model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "clock.hpp"
#include "gguf_fuse/loader/page_cache.hpp"
#include "load/load.hpp"
#include "load/matrix_scales.hpp"
#include "model/architecture.hpp"
#include "model/description.hpp"
#include "model/model_state.hpp"
#include "model/old_layouts.hpp"
#include "model/tensor_places.hpp"
#include "model/unneeded.hpp"

namespace gguf_fuse::runtime {
namespace {

Result<LoadReport> load_weights(RunnableModel::State& state) {
  GGUF_FUSE_ASSIGN(LoadReport report, load({.file = state.plan.files.front(),
                                            .model = state.file,
                                            .placements = state.map->placements,
                                            .devices = state.options.devices,
                                            .mode = state.report.mode,
                                            .upload = state.options.upload,
                                            .threads = state.options.threads,
                                            .control = &state.control(),
                                            .abandoned = &state.abandoned}));
  GGUF_FUSE_CHECK(apply_scales(*state.map, state.options.devices, state.description.path));
  report.header = state.report.header;
  return report;
}

FuseOptions fused_by(const ModelOptions& options) {
  return {.target = Target::GgufFuse, .gate_up = options.fuse_gate_up, .qkv = options.fuse_qkv};
}

/// A header that was understood: its tensors are asked for, and have no places yet.
struct Header {
  Header(const PlannedFile& file, const std::string& path) : views(views_of(file)), tensors(file, views, path) {}

  std::vector<TensorView> views;
  TensorPlaces tensors;
  ModelPlacement placement;
};

/// Opens the file and decides where everything goes.
Result<std::unique_ptr<Header>> read_header(RunnableModel::State& state, const std::string& path,
                                            const FuseOptions& asked, std::size_t devices) {
  const std::optional<LoadMode>& mode = state.options.load_mode;
  state.report.mode = mode ? *mode : fastest_load_mode(path);
  GGUF_FUSE_ASSIGN(state.file, open_model(path, {.mode = state.report.mode}));
  const ModelInfo& info = state.file.info;
  if (info.shards.front().big_endian) {
    return fail(Error{.code = ErrorCode::UnsupportedHyperparameter,
                      .path = path,
                      .expected = "a little-endian file",
                      .actual = "a big-endian one",
                      .hint = "convert it with gguf-py's gguf_convert_endian.py MODEL little"});
  }
  const std::set<std::string_view> names = stored_names(info);
  GGUF_FUSE_CHECK(check_kind_and_layout(info, names, path));
  GGUF_FUSE_ASSIGN(state.network, read_network(info.metadata(), path));
  GGUF_FUSE_ASSIGN(state.plan, plan_fuse(info, with_stored(names, asked)));
  GGUF_FUSE_CHECK(check_stacks(state.plan, path));
  auto header = std::make_unique<Header>(state.plan.files.front(), path);
  GGUF_FUSE_CHECK(map_network(header->tensors, header->views, path, state.network));
  ModelPlacement& placement = header->placement;
  placement.groups = groups_of(header->tensors, state.network, state.plan);
  placement.bytes_per_token = std::uint64_t{state.network.sizes.embedding} * sizeof(float);
  GGUF_FUSE_ASSIGN(placement.plan, plan_placement(placement.groups, devices, state.options.placement));
  return header;
}

}  // namespace

RunnableModel::RunnableModel(std::unique_ptr<State> state) : state_(std::move(state)) {}

RunnableModel::~RunnableModel() {
  using namespace std::chrono_literals;
  if (!state_->loading.valid() || state_->loading.wait_for(0s) == std::future_status::ready) return;
  state_->abandoned = true;  // and not the caller's Control, which may serve other models
  for (auto& source : state_->file.sources) source->cancel();
  state_->loading.wait();
}

Result<std::shared_ptr<RunnableModel>> RunnableModel::open(const std::string& path, ModelOptions options) {
  const auto start = Clock::now();
  if (options.devices.empty()) {
    return fail({.code = ErrorCode::InvalidArgument, .path = path, .expected = "at least one device"});
  }
  if (std::find(options.devices.begin(), options.devices.end(), nullptr) != options.devices.end()) {
    return fail({.code = ErrorCode::InvalidArgument, .path = path, .expected = "devices", .actual = "a null pointer"});
  }
  auto state = std::make_unique<State>();
  state->options = std::move(options);
  const FuseOptions asked = fused_by(state->options);
  const auto& devices = state->options.devices;
  GGUF_FUSE_ASSIGN(const auto header, read_header(*state, path, asked, devices.size()));
  Network& network = state->network;
  GGUF_FUSE_ASSIGN(state->map, header->tensors.finish(devices, header->placement.plan, network.architecture->name));
  // Only now it is told where the matrix is.
  if (network.output.matrix.shape.type == nullptr) network.output.matrix = network.embedding.table;
  const ModelInfo& info = state->file.info;
  state->description = describe(state->plan.files.front(), header->views, info, network, *state->map, path);
  state->description.placement = std::move(header->placement);
  state->description.not_fused = not_fused(state->plan, asked);
  state->description.notes = left_out_lines(state->map->left_out);
  if (const auto text = info.metadata().find("tokenizer.chat_template")) {
    state->chat_template = std::string(text->as_string().value_or(""));
  }
  state->report.header = seconds_since(start);

  State& loading = *state;
  std::shared_ptr<RunnableModel> model(new RunnableModel(std::move(state)));
  // Where no thread can be started, wait() loads.
  constexpr auto kThreadOrLater = std::launch::async | std::launch::deferred;
  loading.loading = std::async(kThreadOrLater, [&loading] { return load_weights(loading); }).share();
  return model;
}

Result<ModelPlacement> RunnableModel::plan(const std::string& path, const ModelOptions& options, std::size_t devices) {
  State state;
  state.options = options;
  GGUF_FUSE_ASSIGN(const auto header, read_header(state, path, fused_by(options), devices));
  return std::move(header->placement);
}

Result<LoadReport> RunnableModel::wait() { return state_->loading.get(); }

const ModelDescription& RunnableModel::description() const { return state_->description; }

const std::vector<std::shared_ptr<Device>>& RunnableModel::devices() const { return state_->options.devices; }

std::vector<Buffer> RunnableModel::weight_buffers(const Device& device) const {
  std::vector<Buffer> buffers;
  std::set<const void*> seen;
  for (const Placement& placement : state_->map->placements) {
    const Buffer& buffer = placement.matrix.buffer;
    if (buffer && device.owns(buffer) && seen.insert(buffer.identity()).second) buffers.push_back(buffer);
  }
  return buffers;
}

Result<const Tokenizer*> RunnableModel::tokenizer() {
  const std::lock_guard lock(state_->tokenizer_mutex);
  if (!state_->tokenizer) {
    state_->tokenizer = Tokenizer::load(state_->file.info.metadata(), state_->description.path);
    if (*state_->tokenizer && state_->options.log) {
      for (const std::string& note : (*state_->tokenizer)->notes()) state_->options.log(LogLevel::Warning, note);
    }
  }
  if (!*state_->tokenizer) return fail(state_->tokenizer->error());
  return &**state_->tokenizer;
}

const std::string& RunnableModel::chat_template() const { return state_->chat_template; }

}  // namespace gguf_fuse::runtime
