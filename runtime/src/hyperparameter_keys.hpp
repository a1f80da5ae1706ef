// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gguf_fuse/loader/metadata.hpp"

namespace gguf_fuse {

/// The largest size that a model may state: small enough that sums and products stay far from overflow.
inline constexpr std::uint64_t kLargestSize = std::uint64_t{1} << 24;

/// Keys below the architecture's name, checked. Errors: MissingKey, WrongValueType, BadHyperparameter.
class Keys {
 public:
  Keys(const Metadata& metadata, std::string_view architecture, const std::string& path)
      : metadata_(metadata), prefix_(std::string(architecture) + "."), path_(path) {}

  [[nodiscard]] std::optional<Value> find(std::string_view key) const { return metadata_.find(name(key)); }
  [[nodiscard]] std::string name(std::string_view key) const { return prefix_ + std::string(key); }
  [[nodiscard]] const Metadata& metadata() const { return metadata_; }

  [[nodiscard]] Error bad(ErrorCode code, std::string_view key, std::string expected, std::string actual) const;

  /// A size between 1 and kLargestSize.
  [[nodiscard]] Result<std::uint32_t> size(std::string_view key) const;
  [[nodiscard]] Result<std::uint32_t> size_or(std::string_view key, std::uint64_t fallback) const;
  /// A number that may be 0, up to kLargestSize.
  [[nodiscard]] Result<std::uint32_t> count_or(std::string_view key, std::uint64_t fallback) const;
  /// As size, or an array with one value a layer.
  [[nodiscard]] Result<std::vector<std::uint32_t>> per_layer(std::string_view key, std::size_t layers) const;
  /// An array of booleans or numbers, at least one a layer; nothing when the key is none.
  [[nodiscard]] Result<std::optional<std::vector<bool>>> flags(std::string_view key, std::size_t layers) const;

  [[nodiscard]] Result<double> real_or(std::string_view key, double fallback) const;
  /// As real_or, but not below 0.
  [[nodiscard]] Result<float> amount_or(std::string_view key, double fallback) const;
  /// As amount_or; 1 also where the file says 0, as some do when they mean none.
  [[nodiscard]] Result<float> factor_or_one(std::string_view key) const;
  [[nodiscard]] Result<bool> flag_or(std::string_view key, bool fallback) const;

 private:
  [[nodiscard]] Result<std::uint32_t> checked(std::string_view key, std::uint64_t value) const;

  const Metadata& metadata_;
  std::string prefix_;
  const std::string& path_;
};

}  // namespace gguf_fuse
