// SPDX-License-Identifier: MIT
#pragma once

#include <future>
#include <mutex>
#include <optional>

#include "gguf_fuse/loader/model.hpp"
#include "gguf_fuse/runtime/model.hpp"
#include "model/network.hpp"
#include "model/weight_map.hpp"

namespace gguf_fuse::runtime {

struct RunnableModel::State {
  ModelOptions options;
  Control own_control;                 // when the caller gave none
  std::atomic<bool> abandoned{false};  // the model goes away while it loads
  Model file;
  Plan plan;
  Network network;
  ModelDescription description;
  std::string chat_template;
  std::unique_ptr<WeightMap> map;
  LoadReport report;
  std::mutex tokenizer_mutex;
  std::optional<Result<Tokenizer>> tokenizer;
  std::shared_future<Result<LoadReport>> loading;

  [[nodiscard]] Control& control() { return options.control != nullptr ? *options.control : own_control; }
  [[nodiscard]] const Control& control() const { return options.control != nullptr ? *options.control : own_control; }
};

}  // namespace gguf_fuse::runtime
