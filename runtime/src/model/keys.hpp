// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gguf_fuse/loader/metadata.hpp"
#include "gguf_fuse/runtime/namespace.hpp"

namespace gguf_fuse::runtime::detail {

/// The largest size that a model may state: small enough that sums and products stay far from overflow.
inline constexpr std::uint64_t kLargestSize = std::uint64_t{1} << 24;

/// Keys below the architecture's name, checked; which ones there are, and what they mean where the file has none, says
/// architectures/keys/table.inc. A number that the architecture does not read is 0, which means none everywhere.
/// Errors: MissingKey, WrongValueType, BadHyperparameter.
class Keys {
 public:
  Keys(const Metadata& metadata, std::string_view architecture, const std::string& path)
      : metadata_(metadata), architecture_(architecture), path_(path) {}

  [[nodiscard]] bool reads(std::string_view key) const;
  /// What the file says, where the architecture reads it.
  [[nodiscard]] std::optional<Value> find(std::string_view key) const;
  /// As files have it: below the architecture's name, unless it begins with a dot.
  [[nodiscard]] std::string name(std::string_view key) const;

  [[nodiscard]] Error bad(ErrorCode code, std::string_view key, std::string expected, std::string actual) const;
  [[nodiscard]] Error missing(std::string_view key) const { return bad(ErrorCode::MissingKey, key, "", ""); }

  /// What a file without the key means: the table's number, or `derived` where it says so; 0 where the architecture
  /// does not read it. Further errors: MissingKey where it is required.
  [[nodiscard]] Result<double> fallback(std::string_view key, std::optional<double> derived = {}) const;

  /// A size between 1 and kLargestSize.
  [[nodiscard]] Result<std::uint32_t> size(std::string_view key, std::optional<double> derived = {}) const;
  /// A number that may be 0, up to kLargestSize.
  [[nodiscard]] Result<std::uint32_t> count(std::string_view key, std::optional<double> derived = {}) const;
  /// As count; what is larger is kLargestSize.
  [[nodiscard]] Result<std::uint32_t> limit(std::string_view key) const;
  /// As size, or an array with one value a layer.
  [[nodiscard]] Result<std::vector<std::uint32_t>> per_layer(std::string_view key, std::size_t layers) const;
  /// An array of booleans or numbers, at least one a layer; nothing when the key is none.
  [[nodiscard]] Result<std::optional<std::vector<bool>>> flags(std::string_view key, std::size_t layers) const;
  [[nodiscard]] Result<std::vector<std::uint64_t>> numbers(std::string_view key) const {
    return metadata_.get_unsigned_array(name(key));
  }
  [[nodiscard]] Result<std::string_view> text_or(std::string_view key, std::string_view derived) const;

  [[nodiscard]] Result<double> real(std::string_view key, std::optional<double> derived = {}) const;
  /// As real, or an array with one number a layer.
  [[nodiscard]] Result<std::vector<double>> reals(std::string_view key, std::size_t layers) const;
  /// As real, but not below 0.
  [[nodiscard]] Result<float> amount(std::string_view key, std::optional<double> derived = {}) const;
  /// As amount; 1 where that is 0, or the architecture does not read it.
  [[nodiscard]] Result<float> factor_or_one(std::string_view key, std::optional<double> derived = {}) const;
  [[nodiscard]] Result<bool> flag(std::string_view key, std::optional<bool> derived = {}) const;

 private:
  [[nodiscard]] Result<std::uint32_t> checked(std::string_view key, std::uint64_t value) const;
  [[nodiscard]] Result<std::uint64_t> whole(std::string_view key, std::optional<double> derived) const;

  const Metadata& metadata_;
  std::string architecture_;
  const std::string& path_;
};

}  // namespace gguf_fuse::runtime::detail
