// SPDX-License-Identifier: MIT
#include "model/keys.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "model/key_table.hpp"

namespace gguf_fuse::runtime::detail {

std::string Keys::name(std::string_view key) const {
  return key.starts_with('.') ? std::string(key.substr(1)) : architecture_ + "." + std::string(key);
}

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

bool Keys::reads(std::string_view key) const { return find_key(architecture_, key) != nullptr; }

std::optional<Value> Keys::find(std::string_view key) const {
  return reads(key) ? metadata_.find(name(key)) : std::nullopt;
}

Result<double> Keys::fallback(std::string_view key, std::optional<double> derived) const {
  const KeyRow* const row = find_key(architecture_, key);
  if (row == nullptr) return derived.value_or(0);
  if (row->absent == Absent::Default) return row->fallback;
  if (row->absent == Absent::Derived && derived) return *derived;
  return fail(missing(key));
}

Result<std::uint64_t> Keys::whole(std::string_view key, std::optional<double> derived) const {
  if (find(key)) return metadata_.get_unsigned(name(key));
  GGUF_FUSE_ASSIGN(const double number, fallback(key, derived));
  return static_cast<std::uint64_t>(number);
}

Result<std::uint32_t> Keys::size(std::string_view key, std::optional<double> derived) const {
  GGUF_FUSE_ASSIGN(const std::uint64_t value, whole(key, derived));
  return checked(key, value);
}

Result<std::uint32_t> Keys::count(std::string_view key, std::optional<double> derived) const {
  GGUF_FUSE_ASSIGN(const std::uint64_t value, whole(key, derived));
  if (value == 0) return 0;
  return checked(key, value);
}

Result<std::uint32_t> Keys::limit(std::string_view key) const {
  GGUF_FUSE_ASSIGN(const std::uint64_t value, whole(key, {}));
  return static_cast<std::uint32_t>(std::min(value, kLargestSize));
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

Result<std::string_view> Keys::text_or(std::string_view key, std::string_view derived) const {
  if (!find(key)) return derived;
  return metadata_.get_string(name(key));
}

Result<double> Keys::real(std::string_view key, std::optional<double> derived) const {
  const auto value = find(key);
  if (!value) return fallback(key, derived);
  const auto number = value->as_double();
  if (!number) return fail(bad(ErrorCode::WrongValueType, key, "a float", std::string(value_type_name(value->type()))));
  if (!std::isfinite(*number)) {
    return fail(bad(ErrorCode::BadHyperparameter, key, "a finite number", value->display()));
  }
  return *number;
}

Result<std::vector<double>> Keys::reals(std::string_view key, std::size_t layers) const {
  const auto value = find(key);
  if (!value || value->type() != ValueType::Array) {
    GGUF_FUSE_ASSIGN(const double one, real(key));
    return std::vector<double>(layers, one);
  }
  std::vector<double> result;
  bool good = value->count() == layers;
  for (auto element = value->elements(); good && !element.done(); ++element) {
    const auto number = (*element).as_double();
    if (!number) return fail(bad(ErrorCode::WrongValueType, key, "an array of floats", value->display()));
    result.push_back(*number);
    good = std::isfinite(*number);
  }
  if (good) return result;
  return fail(
      bad(ErrorCode::BadHyperparameter, key, fmt::format("{} finite numbers, one a layer", layers), value->display()));
}

Result<float> Keys::amount(std::string_view key, std::optional<double> derived) const {
  GGUF_FUSE_ASSIGN(const double number, real(key, derived));
  if (number >= 0) return static_cast<float>(number);
  return fail(bad(ErrorCode::BadHyperparameter, key, "a number of at least 0", fmt::format("{}", number)));
}

Result<float> Keys::factor_or_one(std::string_view key, std::optional<double> derived) const {
  if (!reads(key)) return 1.0F;
  GGUF_FUSE_ASSIGN(const float factor, amount(key, derived));
  return factor == 0 ? 1 : factor;
}

Result<bool> Keys::flag(std::string_view key, std::optional<bool> derived) const {
  const auto value = find(key);
  if (!value) {
    GGUF_FUSE_ASSIGN(const double number,
                     fallback(key, derived ? std::optional<double>(*derived ? 1 : 0) : std::nullopt));
    return number != 0;
  }
  const auto flag = value->as_bool();
  if (flag) return *flag;
  return fail(bad(ErrorCode::WrongValueType, key, "a boolean", std::string(value_type_name(value->type()))));
}

}  // namespace gguf_fuse::runtime::detail
