// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gguf_fuse/loader/header_writer.hpp"
#include "support/namespace.hpp"

namespace gguf_fuse::test_support {

using Bytes = std::vector<std::byte>;

/// A tensor of a file to be made. Its data is random unless given.
struct TensorSpec {
  std::string name;
  std::string type = "F32";              ///< TensorType::name
  std::vector<std::uint64_t> dims = {};  ///< as stored: 0 to 4 of them
  Bytes data = {};
};

/// Any valid GGUF file, in memory: version, byte order, alignment, keys and tensors as the test wants them.
///
///   const Bytes file = GgufBuilder().alignment(64).string("general.architecture", "llama")
///                          .tensor({"a.weight", "Q4_0", {32, 2}}).build();
///
/// Equal calls give equal bytes. A specification that no GGUF file can have (an unknown type, a partial block) throws
/// std::invalid_argument; hostile files are made by damaging the bytes of a valid one.
class GgufBuilder {
 public:
  GgufBuilder& version(std::uint32_t value) { return version_ = value, *this; }
  GgufBuilder& big_endian(bool value = true) { return big_endian_ = value, *this; }
  /// Writes general.alignment too, unless it is the default.
  GgufBuilder& alignment(std::uint64_t value) { return alignment_ = value, *this; }
  GgufBuilder& seed(std::uint64_t value) { return seed_ = value, *this; }
  /// The file ends with the last tensor's last byte; otherwise it is padded to the alignment.
  GgufBuilder& unpadded_end(bool value = true) { return unpadded_end_ = value, *this; }

  /// Any keys that a HeaderWriter can write: keys([](HeaderWriter& w) { w.add_u32("a", 1); }).
  GgufBuilder& keys(std::function<void(HeaderWriter&)> write) { return keys_.push_back(std::move(write)), *this; }
  GgufBuilder& u32(std::string key, std::uint32_t value);
  GgufBuilder& string(std::string key, std::string value);
  GgufBuilder& tensor(TensorSpec spec) { return tensors_.push_back(std::move(spec)), *this; }
  GgufBuilder& tensors(const std::vector<TensorSpec>& specs);

  [[nodiscard]] Bytes build() const;
  /// The same model as shards of at most `tensors_per_shard` tensors, with the split.* keys that llama.cpp writes.
  /// The model's own keys are in the first one.
  [[nodiscard]] std::vector<Bytes> build_shards(std::size_t tensors_per_shard) const;

 private:
  [[nodiscard]] Bytes assemble(std::span<const TensorSpec> tensors, std::size_t shard, std::size_t shard_count) const;
  void write_keys(HeaderWriter& writer, std::size_t shard, std::size_t shard_count) const;

  std::uint32_t version_ = 3;
  bool big_endian_ = false;
  std::uint64_t alignment_ = kDefaultAlignment;
  std::uint64_t seed_ = 1;
  bool unpadded_end_ = false;
  std::vector<std::function<void(HeaderWriter&)>> keys_;
  std::vector<TensorSpec> tensors_;
};

/// The bytes that a builder with this seed puts into a tensor: they depend on seed, name, type and dims alone.
/// No half, bfloat or float in them is infinite or NaN, so that an engine can compute with them.
[[nodiscard]] Bytes random_tensor(std::uint64_t seed, const TensorSpec& spec, bool big_endian = false);

/// Tensors joined by rows within each of `matrices` matrices: what fusing means, written as plainly as possible.
[[nodiscard]] Bytes join_rows(std::span<const Bytes> parts, std::size_t matrices);

/// Writes shards as PREFIX-00001-of-000NN.gguf and returns their paths.
std::vector<std::string> write_shards(const std::string& prefix, std::span<const Bytes> shards);

}  // namespace gguf_fuse::test_support
