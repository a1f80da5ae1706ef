// SPDX-License-Identifier: MIT
#include "hyperparameter_keys.hpp"

#include <fmt/format.h>

#include <cmath>

namespace gguf_fuse {

Error Keys::bad(ErrorCode code, std::string_view key, std::string expected, std::string actual) const {
  return {
      .code = code, .path = path_, .subject = name(key), .expected = std::move(expected), .actual = std::move(actual)};
}

Result<std::uint32_t> Keys::checked(std::string_view key, std::uint64_t value) const {
  if (value == 0 || value > kLargestSize) {
    return fail(bad(ErrorCode::BadHyperparameter, key, fmt::format("1 to {}", kLargestSize), std::to_string(value)));
  }
  return static_cast<std::uint32_t>(value);
}

Result<std::uint32_t> Keys::size(std::string_view key) const {
  GGUF_FUSE_ASSIGN(const std::uint64_t value, metadata_.get_unsigned(name(key)));
  return checked(key, value);
}

Result<std::uint32_t> Keys::size_or(std::string_view key, std::uint64_t fallback) const {
  if (!find(key)) return checked(key, fallback);
  return size(key);
}

Result<std::uint32_t> Keys::count_or(std::string_view key, std::uint64_t fallback) const {
  std::uint64_t value = fallback;
  if (find(key)) {
    GGUF_FUSE_ASSIGN(value, metadata_.get_unsigned(name(key)));
  }
  if (value == 0) return 0;
  return checked(key, value);
}

Result<std::vector<std::uint32_t>> Keys::per_layer(std::string_view key, std::size_t layers) const {
  const auto value = find(key);
  if (!value || value->type() != ValueType::Array) {
    GGUF_FUSE_ASSIGN(const std::uint32_t one, size(key));
    return std::vector<std::uint32_t>(layers, one);
  }
  GGUF_FUSE_ASSIGN(const auto values, metadata_.get_unsigned_array(name(key)));
  if (values.size() != layers) {
    return fail(bad(ErrorCode::BadHyperparameter, key, fmt::format("{} values, one a layer", layers),
                    std::to_string(values.size())));
  }
  std::vector<std::uint32_t> result;
  for (const std::uint64_t one : values) {
    GGUF_FUSE_ASSIGN(const std::uint32_t fits, checked(key, one));
    result.push_back(fits);
  }
  return result;
}

Result<std::optional<std::vector<bool>>> Keys::flags(std::string_view key, std::size_t layers) const {
  const auto value = find(key);
  if (!value || value->type() != ValueType::Array) return std::nullopt;
  if (value->count() < layers) {
    return fail(
        bad(ErrorCode::BadHyperparameter, key, fmt::format("{} values", layers), std::to_string(value->count())));
  }
  std::vector<bool> result;
  auto element = value->elements();
  for (std::size_t i = 0; i < layers; ++i, ++element) {
    const Value one = *element;
    const std::optional<std::uint64_t> number = one.as_bool() ? std::uint64_t{*one.as_bool()} : one.as_unsigned();
    if (!number) return fail(bad(ErrorCode::WrongValueType, key, "an array of booleans", value->display()));
    result.push_back(*number != 0);
  }
  return result;
}

Result<double> Keys::real_or(std::string_view key, double fallback) const {
  const auto value = find(key);
  if (!value) return fallback;
  const auto number = value->as_double();
  if (!number) return fail(bad(ErrorCode::WrongValueType, key, "a float", std::string(value_type_name(value->type()))));
  if (!std::isfinite(*number)) {
    return fail(bad(ErrorCode::BadHyperparameter, key, "a finite number", value->display()));
  }
  return *number;
}

Result<float> Keys::amount_or(std::string_view key, double fallback) const {
  GGUF_FUSE_ASSIGN(const double number, real_or(key, fallback));
  if (number >= 0) return static_cast<float>(number);
  return fail(bad(ErrorCode::BadHyperparameter, key, "a number of at least 0", fmt::format("{}", number)));
}

Result<float> Keys::factor_or_one(std::string_view key) const {
  GGUF_FUSE_ASSIGN(const float factor, amount_or(key, 1));
  return factor == 0 ? 1 : factor;
}

Result<bool> Keys::flag_or(std::string_view key, bool fallback) const {
  const auto value = find(key);
  if (!value) return fallback;
  const auto flag = value->as_bool();
  if (flag) return *flag;
  return fail(bad(ErrorCode::WrongValueType, key, "a boolean", std::string(value_type_name(value->type()))));
}

}  // namespace gguf_fuse
