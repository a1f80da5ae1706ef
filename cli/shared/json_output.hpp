// SPDX-License-Identifier: MIT
#pragma once

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string_view>

#include "gguf_fuse/fuse/plan.hpp"

namespace gguf_fuse::cli {

using Json = nlohmann::ordered_json;

/// One object, in ASCII: nothing from a file can reach the terminal raw, and broken UTF-8 cannot break the JSON.
void put_json(std::FILE* stream, const Json& value);

[[nodiscard]] Json decisions_json(const Plan& plan);
[[nodiscard]] Json value_json(const Value& value, std::uint64_t max_elements);
[[nodiscard]] Json dimensions_json(const Dimensions& dims, std::uint32_t dimension_count);

}  // namespace gguf_fuse::cli
