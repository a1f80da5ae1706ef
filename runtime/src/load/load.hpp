// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "gguf_fuse/fuse/pipeline.hpp"
#include "gguf_fuse/runtime/model.hpp"
#include "model/weight_map.hpp"

namespace gguf_fuse::runtime::detail {

/// What is to be loaded, and how. All of it must outlive the call.
struct LoadInput {
  const PlannedFile& file;
  Model& model;
  std::span<const Placement> placements;
  std::span<const std::shared_ptr<Device>> devices;
  LoadMode mode = LoadMode::Read;          ///< the one that `model` was opened with
  std::optional<UploadStrategy> upload{};  ///< as ModelOptions::upload
  unsigned threads = 0;                    ///< as ModelOptions::threads
  Control* control = nullptr;
  const std::atomic<bool>* abandoned = nullptr;  ///< another stop, beside the Control's; may be null
  std::uint64_t job_bytes = 0;                   ///< how much is read at once; 0: what suits the mode
  std::uint64_t slot_bytes = 0;  ///< how much is uploaded at once; 0: 4 MiB. At least one tile in any case

  [[nodiscard]] bool stopped() const {
    return control->cancelled.load(std::memory_order_relaxed) ||
           (abandoned != nullptr && abandoned->load(std::memory_order_relaxed));
  }
};

/// Reads all placements from the model's sources, packs them and brings them to their places (docs/loading.md):
/// read || repack || upload, in the order of the sources. Returns when the devices have everything; after an error or
/// an abort nothing is on its way any more. The report lacks `header`. Errors, with the tensor as subject: those of the
/// sources, Buffer, Uploader; Interrupted; InputChanged.
[[nodiscard]] Result<LoadReport> load(const LoadInput& input);

}  // namespace gguf_fuse::runtime::detail
