// SPDX-License-Identifier: MIT
#include "gguf_fuse/runtime/model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "clock.hpp"
#include "model_state.hpp"
#include "placement.hpp"

namespace gguf_fuse {
namespace {

ModelDescription describe(const PlannedFile& file, const Metadata& metadata, const Hyperparameters& hp,
                          const Weights& weights, const std::string& path) {
  ModelDescription result{.path = path, .architecture = std::string(hp.architecture->name)};
  if (const auto name = metadata.find("general.name")) result.name = escape_text(name->as_string().value_or(""));
  std::map<std::string_view, std::uint64_t> by_type;
  for (const PlannedTensor& tensor : file.tensors) {
    result.parameters += row_count(tensor.dims).value_or(0) * tensor.dims[0];
    result.bytes += tensor.bytes;
    // Embeddings weigh much in small models and are often kept in a better type than the layers.
    if (tensor.name != "token_embd.weight") by_type[tensor.type->name] += tensor.bytes;
    const bool output = tensor.name == "output.weight" ||
                        (tensor.name == "token_embd.weight" && weights.output.shape.type == tensor.type);
    if (tensor.name != "token_embd.weight" || output) result.bytes_per_token += tensor.bytes;
  }
  const auto most = std::max_element(by_type.begin(), by_type.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most != by_type.end()) result.quantisation = std::string(most->first);
  result.layers = static_cast<std::uint32_t>(hp.layers.size());
  result.embedding = hp.embedding;
  result.vocabulary = weights.embedding.shape.rows;
  result.train_context = hp.train_context;
  return result;
}

Result<LoadReport> load_weights(RunnableModel::State& state) {
  const auto start = Clock::now();
  const PlannedFile& file = state.plan.files.front();
  std::vector<std::unique_ptr<Sink>> sinks(1);
  GGUF_FUSE_ASSIGN(sinks[0], packing_sink(file, *state.map, state.description.path));
  const auto moved = execute(state.plan, state.file, sinks,
                             {.threads = state.options.threads, .copy = CopyMode::Ring, .control = &state.control()});
  if (!moved) {
    Error error = moved.error();
    if (error.code == ErrorCode::Interrupted) error.hint = "the model was not loaded";
    return fail(std::move(error));
  }
  GGUF_FUSE_CHECK(sinks[0]->commit());
  for (const auto& device : state.options.devices) GGUF_FUSE_CHECK(device->finish());
  GGUF_FUSE_CHECK(state.file.check_unchanged());

  LoadReport report = state.report;
  report.read = seconds_since(start);
  report.bytes = state.description.bytes;
  for (const auto& device : state.options.devices) report.device_bytes += device->allocated_bytes();
  return report;
}

}  // namespace

RunnableModel::RunnableModel(std::unique_ptr<State> state) : state_(std::move(state)) {}

RunnableModel::~RunnableModel() {
  using namespace std::chrono_literals;
  if (!state_->loading.valid() || state_->loading.wait_for(0s) == std::future_status::ready) return;
  state_->control().cancelled = true;
  for (auto& source : state_->file.sources) source->cancel();
  state_->loading.wait();
}

Result<std::shared_ptr<RunnableModel>> RunnableModel::open(const std::string& path, ModelOptions options) {
  const auto start = Clock::now();
  if (options.devices.empty()) {
    return fail({.code = ErrorCode::InvalidArgument, .path = path, .expected = "at least one device"});
  }
  auto state = std::make_unique<State>();
  state->options = std::move(options);
  GGUF_FUSE_ASSIGN(state->file, open_model(path));
  const ModelInfo& info = state->file.info;
  if (info.shards.front().big_endian) {
    return fail({.code = ErrorCode::UnsupportedHyperparameter,
                 .path = path,
                 .expected = "a little-endian file",
                 .actual = "a big-endian one"});
  }
  GGUF_FUSE_ASSIGN(state->hyperparameters, read_hyperparameters(info.metadata(), path));
  // Nothing is to be fused: the plan gives the original tensors, whatever was fused before.
  GGUF_FUSE_ASSIGN(state->plan, plan_fuse(info, {.gate_up = false, .qkv = false}));

  const auto& devices = state->options.devices;
  const auto layers = place_layers(state->hyperparameters.layers.size(), devices.size(), state->options.split);
  const PlannedFile& file = state->plan.files.front();
  GGUF_FUSE_ASSIGN(state->map, map_weights(file, path, state->hyperparameters, devices, layers));
  state->description = describe(file, info.metadata(), state->hyperparameters, state->weights(), path);
  if (const auto text = info.metadata().find("tokenizer.chat_template")) {
    state->chat_template = std::string(text->as_string().value_or(""));
  }
  state->report.header = seconds_since(start);

  State& loading = *state;
  std::shared_ptr<RunnableModel> model(new RunnableModel(std::move(state)));
  loading.loading = std::async(std::launch::async, [&loading] { return load_weights(loading); }).share();
  return model;
}

Result<LoadReport> RunnableModel::wait() { return state_->loading.get(); }

const ModelDescription& RunnableModel::description() const { return state_->description; }

const std::vector<std::shared_ptr<Device>>& RunnableModel::devices() const { return state_->options.devices; }

Result<const Tokenizer*> RunnableModel::tokenizer() {
  const std::lock_guard lock(state_->tokenizer_mutex);
  if (!state_->tokenizer) {
    state_->tokenizer = Tokenizer::load(state_->file.info.metadata(), state_->description.path);
  }
  if (!*state_->tokenizer) return fail(state_->tokenizer->error());
  return &**state_->tokenizer;
}

const std::string& RunnableModel::chat_template() const { return state_->chat_template; }

}  // namespace gguf_fuse
