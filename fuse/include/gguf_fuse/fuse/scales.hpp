// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "gguf_fuse/fuse/namespace.hpp"
#include "gguf_fuse/loader/model.hpp"

namespace gguf_fuse::fuse {

/// Scales of one element (F32) by the names of their tensors: the bits as stored.
using ScaleValues = std::unordered_map<std::string, std::uint32_t>;

/// Reads what plan_fuse compares: `.scale` and `.input_scale` beside weights of NVFP4. Of a stream, which can be read
/// once, it reads nothing. Errors: those of the sources; InvalidArgument (a model without files).
[[nodiscard]] GGUF_FUSE_EXPORT Result<ScaleValues> read_scales(Model& model);

}  // namespace gguf_fuse::fuse
