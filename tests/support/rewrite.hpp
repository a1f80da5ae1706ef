// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "support/gguf_builder.hpp"

namespace gguf_fuse::test_support {

/// A GGUF file in pieces, to be changed and written again as another program would: key by key and tensor by tensor,
/// knowing nothing of what the keys mean.
struct Pieces {
  struct Key {
    std::string name;
    ValueType type = ValueType::U8;
    Bytes value;  ///< as stored
  };
  std::uint32_t version = 3;
  bool big_endian = false;
  std::uint64_t alignment = kDefaultAlignment;
  std::vector<Key> keys;
  std::vector<TensorSpec> tensors;

  /// The tensor of that name; throws std::runtime_error where there is none.
  [[nodiscard]] TensorSpec& tensor(std::string_view name);
  /// Takes keys away whose names begin so.
  void drop_keys(std::string_view prefix);

  [[nodiscard]] static Pieces of(const Bytes& file);
  [[nodiscard]] static Pieces of(const std::vector<Bytes>& shards);  ///< the first one's keys, all tensors
  [[nodiscard]] Bytes build() const;
};

/// The file with `key` written by `write` instead, or taken away, or added where it was not.
[[nodiscard]] Bytes with_key(const Bytes& file, std::string_view key, const std::function<void(HeaderWriter&)>& write);

}  // namespace gguf_fuse::test_support
