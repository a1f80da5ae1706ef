// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gguf_fuse/runtime/session.hpp"
#include "support/namespace.hpp"
#include "support/value_of.hpp"

namespace gguf_fuse::test_support {

/// The devices that $GGUF_FUSE_TEST_DEVICE names (default: the first one), with $GGUF_FUSE_TEST_STYLE's kernels. Opened
/// once a process.
[[nodiscard]] const std::vector<std::shared_ptr<Device>>& test_devices();

/// A model of tests/data/models, or any other path, on the first test device.
struct ModelSetup {
  Activations activations = Activations::F32;
  CacheType cache = CacheType::F32;
  std::uint32_t micro_batch = 512;
  std::uint32_t context = 0;
  std::uint32_t candidates = 40;
  bool all_logits = false;
  std::vector<std::shared_ptr<Device>> devices{};  ///< the first test device by default
  PlacementOptions placement{};
  // As in ModelOptions.
  unsigned threads = 0;
  bool fuse_gate_up = true;
  bool fuse_qkv = true;
  Control* control = nullptr;
};
[[nodiscard]] std::string reference_path(const std::string& name);
[[nodiscard]] std::shared_ptr<RunnableModel> open_runnable(const std::string& path, const ModelSetup& options = {});
[[nodiscard]] std::unique_ptr<Session> open_session(const std::string& path, const ModelSetup& options = {});

/// A sequence of tests/data/models/NAME.json; names as there, `_f32` are the floats' results.
struct ReferenceSequence {
  std::vector<std::int32_t> tokens;
  std::vector<float> logits;  ///< of the last position
  std::vector<std::int32_t> argmax;
  std::vector<float> gap;  ///< between the two largest logits
  std::vector<float> logsumexp;
  double mean_nll = 0;
  std::vector<std::int32_t> greedy;
  std::vector<float> greedy_gap;
  double quantised_max = 0;  ///< how far llama.cpp with 8-bit activations is from the floats
  double quantised_rms = 0;
};
struct Reference {
  std::vector<ReferenceSequence> sequences;
  double spread = 0;  ///< standard deviation of the logits
};
[[nodiscard]] Reference read_reference(const std::string& name);

/// Mean of -log p(next token) over a sequence, from statistics and logits of all its positions.
[[nodiscard]] double mean_nll(const std::vector<std::int32_t>& tokens, const std::vector<float>& logits,
                              const std::vector<RowStatistics>& statistics);

struct Difference {
  double max = 0;
  double rms = 0;
};
[[nodiscard]] Difference logit_difference(const std::vector<float>& a, const std::vector<float>& b);

}  // namespace gguf_fuse::test_support
