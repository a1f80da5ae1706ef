// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gguf_fuse/fuse/pipeline.hpp"
#include "gguf_fuse/kernels/device.hpp"
#include "gguf_fuse/kernels/matmul.hpp"
#include "gguf_fuse/runtime/tokenizer.hpp"

namespace gguf_fuse {

struct ModelOptions {
  /// Layers are split over them in this order; at least one. May name the same device twice.
  std::vector<std::shared_ptr<Device>> devices{};
  /// Shares of the layers, one a device (-ts); empty: equal shares.
  std::vector<double> split{};
  Activations activations = Activations::Q8;  ///< what meets quantised weights
  unsigned threads = 0;                       ///< that read and pack; 0: as many as there are processors, at most 8
  Control* control = nullptr;                 ///< progress of loading, and its abort; must outlive the loading
  Log log{};
};

/// What loading took, in seconds.
struct LoadReport {
  double header = 0;        ///< opening the file and reading its header
  double read = 0;          ///< reading, packing and handing over the weights, together
  std::uint64_t bytes = 0;  ///< of weights read
  std::uint64_t device_bytes = 0;
};

/// A short description for people and reports.
struct ModelDescription {
  std::string path{};
  std::string architecture{};
  std::string name{};
  std::string quantisation{};  ///< the type that holds most weights
  std::uint64_t parameters = 0;
  std::uint64_t bytes = 0;            ///< of all weights in the file
  std::uint64_t bytes_per_token = 0;  ///< of weights read to make one token
  std::uint32_t layers = 0;
  std::uint32_t embedding = 0;
  std::uint32_t vocabulary = 0;
  std::uint32_t train_context = 0;
};

/// A model whose weights live on devices, in the order the kernels read. Any number of sessions may use it.
class GGUF_FUSE_EXPORT RunnableModel {
 public:
  /// Opens the file (or shards, .gz, "-"), decides where everything goes and starts loading in the background, so that
  /// a session can build its programs meanwhile. Errors: those of open_model and plan_fuse, UnsupportedArchitecture,
  /// UnsupportedType, UnsupportedHyperparameter, MissingTensor, BadTensorShape, MissingKey, OutOfDeviceMemory,
  /// BufferTooLarge.
  [[nodiscard]] static Result<std::shared_ptr<RunnableModel>> open(const std::string& path, ModelOptions options);

  RunnableModel(const RunnableModel&) = delete;
  RunnableModel& operator=(const RunnableModel&) = delete;
  ~RunnableModel();  ///< stops loading that is still going on

  /// Waits until the weights are there. The same answer every time. Errors: those of the sources, Interrupted.
  [[nodiscard]] Result<LoadReport> wait();

  [[nodiscard]] const ModelDescription& description() const;
  [[nodiscard]] const std::vector<std::shared_ptr<Device>>& devices() const;
  /// Loaded on first use, as some models are run by token ids alone. Errors: those of Tokenizer::load.
  [[nodiscard]] Result<const Tokenizer*> tokenizer();
  /// tokenizer.chat_template, or empty.
  [[nodiscard]] const std::string& chat_template() const;

  struct State;
  [[nodiscard]] const State& state() const { return *state_; }

 private:
  explicit RunnableModel(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace gguf_fuse
