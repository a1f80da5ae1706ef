// SPDX-License-Identifier: MIT
#pragma once

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string_view>

#include "gguf_fuse/loader/metadata.hpp"
#include "gguf_fuse/loader/tensor_type.hpp"
#include "namespace.hpp"

namespace gguf_fuse::cli {

using Json = nlohmann::ordered_json;

/// One value on one line, in ASCII: nothing from a file can reach the terminal raw, broken UTF-8 cannot break the JSON,
/// and who reads lines needs no more than that.
void put_json(std::FILE* stream, const Json& value);

[[nodiscard]] Json value_json(const Value& value, std::uint64_t max_elements);
[[nodiscard]] Json dimensions_json(const Dimensions& dims, std::uint32_t dimension_count);

}  // namespace gguf_fuse::cli
