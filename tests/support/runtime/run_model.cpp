// SPDX-License-Identifier: MIT
#include "support/runtime/run_model.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>

#include "support/paths.hpp"

namespace gguf_fuse::test_support {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

const std::vector<std::shared_ptr<Device>>& test_devices() {
  // Never destroyed: drivers take themselves apart before the statics of a program do.
  static const auto& devices = *new auto([] {
    const auto all = value_of(list_devices());
    const std::string wanted = environment("GGUF_FUSE_TEST_DEVICE");
    const auto chosen = wanted.empty() ? all : value_of(select_devices(all, wanted));
    DeviceOptions options;
    options.style = style_by_name(environment("GGUF_FUSE_TEST_STYLE"));
    std::vector<std::shared_ptr<Device>> opened;
    for (const DeviceInfo& info : chosen) opened.push_back(value_of(Device::open(info, options)));
    return opened;
  }());
  return devices;
}

std::string reference_path(const std::string& name) { return test_data("models/" + name + ".gguf"); }

std::shared_ptr<RunnableModel> open_runnable(const std::string& path, const ModelSetup& options) {
  ModelOptions model;
  model.devices = options.devices.empty() ? std::vector{test_devices().front()} : options.devices;
  model.placement = options.placement;
  model.threads = options.threads;
  model.fuse_gate_up = options.fuse_gate_up;
  model.fuse_qkv = options.fuse_qkv;
  model.control = options.control;
  model.activations = options.activations;
  return value_of(RunnableModel::open(path, model));
}

std::unique_ptr<Session> open_session(const std::string& path, const ModelSetup& options) {
  SessionOptions session;
  session.context = options.context;
  session.micro_batch = options.micro_batch;
  session.cache_k = options.cache;
  session.cache_v = options.cache;
  session.candidates = options.candidates;
  session.all_logits = options.all_logits;
  return value_of(Session::create(open_runnable(path, options), session));
}

Reference read_reference(const std::string& name) {
  std::ifstream file(test_data("models/" + name + ".json"));
  const auto json = nlohmann::json::parse(file);
  Reference reference{.sequences = {}, .spread = json.at("logit_std")};
  for (const auto& sequence : json.at("sequences")) {
    reference.sequences.push_back({.tokens = sequence.at("tokens"),
                                   .logits = sequence.at("logits_f32"),
                                   .argmax = sequence.at("argmax_f32"),
                                   .gap = sequence.at("gap_f32"),
                                   .logsumexp = sequence.at("logsumexp_f32"),
                                   .mean_nll = sequence.at("mean_nll_f32"),
                                   .greedy = sequence.at("greedy_f32"),
                                   .greedy_gap = sequence.at("greedy_gap_f32"),
                                   .quantised_max = sequence.at("max_abs_diff"),
                                   .quantised_rms = sequence.at("rms_diff")});
  }
  return reference;
}

double mean_nll(const std::vector<std::int32_t>& tokens, const std::vector<float>& logits,
                const std::vector<RowStatistics>& statistics) {
  const std::size_t vocabulary = logits.size() / tokens.size();
  double sum = 0;
  for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
    sum += static_cast<double>(statistics[i].logsumexp) -
           static_cast<double>(logits[i * vocabulary + static_cast<std::size_t>(tokens[i + 1])]);
  }
  return sum / static_cast<double>(tokens.size() - 1);
}

Difference logit_difference(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size() || a.empty()) throw std::runtime_error("rows of different lengths");
  Difference result;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    result.max = std::max(result.max, std::isnan(d) ? HUGE_VAL : d);
    result.rms += d * d;
  }
  result.rms = std::sqrt(result.rms / static_cast<double>(a.size()));
  return result;
}

}  // namespace gguf_fuse::test_support
