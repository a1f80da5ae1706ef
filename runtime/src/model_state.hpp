// SPDX-License-Identifier: MIT
#pragma once

#include <future>
#include <mutex>
#include <optional>

#include "gguf_fuse/loader/model.hpp"
#include "gguf_fuse/runtime/model.hpp"
#include "placement.hpp"
#include "weights.hpp"

namespace gguf_fuse::runtime {

struct RunnableModel::State {
  ModelOptions options;
  Control own_control;                 // when the caller gave none
  std::atomic<bool> abandoned{false};  // the model goes away while it loads
  Model file;
  Plan plan;
  Hyperparameters hyperparameters;
  BlockDevices places;
  ModelDescription description;
  std::string chat_template;
  std::unique_ptr<WeightMap> map;
  LoadReport report;
  std::mutex tokenizer_mutex;
  std::optional<Result<Tokenizer>> tokenizer;
  std::shared_future<Result<LoadReport>> loading;

  [[nodiscard]] Control& control() { return options.control != nullptr ? *options.control : own_control; }
  [[nodiscard]] const Control& control() const { return options.control != nullptr ? *options.control : own_control; }
  [[nodiscard]] const Weights& weights() const { return map->weights; }
};

}  // namespace gguf_fuse::runtime
