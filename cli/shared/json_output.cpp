// SPDX-License-Identifier: MIT
#include "json_output.hpp"

#include <algorithm>
#include <cmath>

#include "print.hpp"

namespace gguf_fuse::cli {

void put_json(std::FILE* stream, const Json& value) {
  put(stream, value.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n");
}

Json value_json(const Value& value, std::uint64_t max_elements) {
  if (const auto text = value.as_string()) return *text;
  if (const auto flag = value.as_bool()) return *flag;
  if (const auto number = value.as_double()) {
    // JSON knows no infinity; null would hide which it was
    if (!std::isfinite(*number)) return value.display();
    return *number;
  }
  if (const auto number = value.as_unsigned()) return *number;
  if (const auto number = value.as_signed()) return *number;
  Json array = Json::array();
  std::uint64_t left = std::min(value.count(), max_elements);
  for (auto element = value.elements(); left > 0 && !element.done(); ++element, --left) {
    array.push_back(value_json(*element, max_elements));
  }
  return array;
}

Json dimensions_json(const Dimensions& dims, std::uint32_t dimension_count) {
  Json array = Json::array();
  for (std::size_t i = 0; i < dimension_count && i < dims.size(); ++i) array.push_back(dims[i]);
  return array;
}

}  // namespace gguf_fuse::cli
