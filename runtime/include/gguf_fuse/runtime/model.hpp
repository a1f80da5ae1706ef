// SPDX-License-Identifier: MIT
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gguf_fuse/fuse/pipeline.hpp"
#include "gguf_fuse/kernels/device.hpp"
#include "gguf_fuse/kernels/matmul.hpp"
#include "gguf_fuse/kernels/upload.hpp"
#include "gguf_fuse/loader/source.hpp"
#include "gguf_fuse/runtime/placement.hpp"
#include "gguf_fuse/runtime/tokenizer.hpp"

namespace gguf_fuse::runtime {

struct ModelOptions {
  /// Layers are placed on them in this order; at least one. May name the same device twice.
  std::vector<std::shared_ptr<Device>> devices{};
  PlacementOptions placement{};
  Activations activations = Activations::Q8;  ///< what meets quantised weights
  bool fuse_gate_up = true;                   ///< merge gate and up of each expert (and of dense layers) while loading
  bool fuse_qkv = true;                       ///< merge Q, K and V while loading
  std::optional<LoadMode> load_mode{};        ///< none: by whether the file is in the page cache
  std::optional<UploadStrategy> upload{};     ///< none: as measured; devices that share the host's memory need none
  unsigned threads = 0;                       ///< that read and pack; 0: as many as there are processors, at most 8
  /// Progress of loading; and what stops it, and whatever the model's sessions compute, within some launches. Must
  /// outlive the model. Not cancelled any more, sessions go on computing; a loading that was stopped stays so.
  Control* control = nullptr;
  Log log{};
};

/// What loading took, in seconds. Stages overlap: reading, repacking and uploading are each the time that its threads
/// were busy with it, all of them together, divided by their number; what is nearest to `seconds` is the bottleneck.
struct LoadReport {
  double header = 0;        ///< opening the file and reading its header
  double seconds = 0;       ///< from the first look at the weights to the last one on its device
  double read = 0;          ///< from the source into memory; where the file is mapped: bringing its pages in
  double repack = 0;        ///< into the order of the kernels, and where memory is shared straight into its place
  double upload = 0;        ///< that the devices' transfers took, a device each; 0 where memory is shared
  std::uint64_t bytes = 0;  ///< of weights read; twice those that two devices hold
  std::uint64_t device_bytes = 0;
  std::uint64_t staging_bytes = 0;           ///< of host memory while loading, besides the header and shared memory
  LoadMode mode = LoadMode::Read;            ///< the one used
  std::optional<UploadStrategy> strategy{};  ///< of the first device with a staging ring
};

/// A short description for people and reports.
struct ModelDescription {
  std::string path{};
  std::string architecture{};
  std::string name{};
  /// Q4_K_M where general.file_type says so and the tensors agree; else "mostly Q5_0", the type that holds most
  /// weights.
  std::string quantisation{};
  std::uint64_t parameters = 0;
  std::uint64_t bytes = 0;            ///< of all weights in the file
  std::uint64_t bytes_per_token = 0;  ///< of weights read to make one token
  std::uint32_t layers = 0;
  std::uint32_t embedding = 0;
  std::uint32_t vocabulary = 0;
  std::uint32_t train_context = 0;
  std::uint32_t experts = 0;       ///< of a layer
  std::uint32_t experts_used = 0;  ///< of a layer, for one token
  /// What is one tensor on the devices, by loading or because the file had it so: layers of each kind.
  struct Fused {
    std::map<std::string_view, std::uint32_t> layers{};  ///< by Rule::kind
    std::uint32_t while_loading = 0;                     ///< of all of them, those that the file holds apart

    [[nodiscard]] std::uint32_t of(std::string_view kind) const {
      const auto found = layers.find(kind);
      return found != layers.end() ? found->second : 0;
    }
  };
  Fused fused{};
  /// What was to be merged and stays apart, with the first reason: a line a kind of tensors.
  std::vector<std::string> not_fused{};
  /// What was found in the file and is not used (tensors that text is computed without, with the reason), or was read
  /// in another way than it says: a line a kind.
  std::vector<std::string> notes{};
  ModelPlacement placement{};
};

/// A model whose weights live on devices, in the order the kernels read. Any number of sessions may use it.
class GGUF_FUSE_EXPORT RunnableModel {
 public:
  /// Opens the file (or shards, .gz, "-"), decides where everything goes and starts loading in the background, so that
  /// a session can build its programs meanwhile. Errors: those of open_model and plan_fuse, NotAModel, OldLayout,
  /// UnsupportedArchitecture, UnsupportedType, UnsupportedHyperparameter, MissingTensor, BadTensorShape, MissingKey,
  /// OutOfDeviceMemory, BufferTooLarge.
  [[nodiscard]] static Result<std::shared_ptr<RunnableModel>> open(const std::string& path, ModelOptions options);

  /// Where open() would place what the file has, on `devices` devices instead of options.devices: by the header alone.
  /// Errors: those of open(), without OutOfDeviceMemory and BufferTooLarge.
  [[nodiscard]] static Result<ModelPlacement> plan(const std::string& path, const ModelOptions& options,
                                                   std::size_t devices);

  RunnableModel(const RunnableModel&) = delete;
  RunnableModel& operator=(const RunnableModel&) = delete;
  ~RunnableModel();  ///< stops loading that is still going on

  /// Waits until the weights are there. The same answer every time. Errors: those of the sources, Interrupted,
  /// UnsupportedHyperparameter (a scale beside a matrix that is not 1).
  [[nodiscard]] Result<LoadReport> wait();

  [[nodiscard]] const ModelDescription& description() const;
  [[nodiscard]] const std::vector<std::shared_ptr<Device>>& devices() const;
  /// What holds the packed weights on one of devices(), each buffer once: for measurements, which must not write.
  /// Their content is defined once wait() succeeded.
  [[nodiscard]] std::vector<Buffer> weight_buffers(const Device& device) const;
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

}  // namespace gguf_fuse::runtime
