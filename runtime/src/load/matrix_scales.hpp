// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <span>
#include <string>

#include "model/weight_map.hpp"

namespace gguf_fuse::runtime::detail {

/// Brings the scales of loaded weights to their devices, as factors of packed rows. They come last because a stream
/// may bring a scale behind its matrix. Errors: UnsupportedHyperparameter where a scale is not 1 and kernels multiply
/// rows of the matrix's type by nothing; those of Uploader.
[[nodiscard]] Result<void> apply_scales(const WeightMap& map, std::span<const std::shared_ptr<Device>> devices,
                                        const std::string& path);

}  // namespace gguf_fuse::runtime::detail
