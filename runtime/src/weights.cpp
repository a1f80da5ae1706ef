// SPDX-License-Identifier: MIT
#include "weights.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_map>

namespace gguf_fuse {
namespace {

/// Of a chunk of matrices; a larger matrix has a chunk of its own.
constexpr std::uint64_t kChunkBytes = std::uint64_t{1} << 30;
/// Also what some devices want of the beginning of a buffer.
constexpr std::uint64_t kMatrixAlignment = 128;

/// The file alone says how many tokens there are; kernels count rows in 32 bits.
constexpr std::uint64_t kMostTokens = std::uint64_t{1} << 24;

/// Rows of a tensor that are one matrix, or one vector of floats.
struct Rows {
  std::size_t tensor;
  std::uint64_t first;
  std::uint64_t count;
};

class Mapper {
 public:
  Mapper(const PlannedFile& file, const std::string& path, const Hyperparameters& hyperparameters,
         const std::vector<std::shared_ptr<Device>>& devices)
      : file_(file), path_(path), hp_(hyperparameters), devices_(devices), used_(file.tensors.size()) {
    for (std::size_t i = 0; i < file.tensors.size(); ++i) index_.emplace(file.tensors[i].name, i);
  }

  Result<std::unique_ptr<WeightMap>> map(const std::vector<std::size_t>& layer_devices) {
    Weights& weights = map_->weights;
    GGUF_FUSE_CHECK(map_ends(weights));
    weights.layers.resize(hp_.layers.size());
    for (std::size_t i = 0; i < weights.layers.size(); ++i) {
      weights.layers[i].device = layer_devices[i];
      device_ = devices_[layer_devices[i]].get();
      // The norm behind a layer's feed-forward is computed together with what reads its result.
      next_device_ = (i + 1 < weights.layers.size() ? devices_[layer_devices[i + 1]] : devices_.back()).get();
      prefix_ = fmt::format("blk.{}.", i);
      GGUF_FUSE_CHECK(map_attention(hp_.layers[i], weights.layers[i]));
      GGUF_FUSE_CHECK(map_feed_forward(hp_.layers[i], weights.layers[i]));
    }
    GGUF_FUSE_CHECK(allocate_chunks());
    if (weights.output.shape.type == nullptr) weights.output = weights.embedding;
    for (std::size_t i = 0; i < used_.size(); ++i) {
      if (!used_[i]) {
        return fail({.code = ErrorCode::UnsupportedArchitecture,
                     .path = path_,
                     .subject = file_.tensors[i].name,
                     .expected = fmt::format("only tensors that {} computes with", hp_.architecture->name),
                     .actual = "one more"});
      }
    }
    std::sort(map_->placements.begin(), map_->placements.end(), [](const Placement& a, const Placement& b) {
      return std::pair(a.tensor, a.first_row) < std::pair(b.tensor, b.first_row);
    });
    return std::move(map_);
  }

 private:
  [[nodiscard]] std::optional<std::size_t> find(const std::string& name) const {
    const auto found = index_.find(name);
    return found == index_.end() ? std::nullopt : std::optional(found->second);
  }

  [[nodiscard]] Error missing(const std::string& name) const {
    return {.code = ErrorCode::MissingTensor, .path = path_, .subject = name};
  }

  /// The whole tensor, when it has `rows` rows of `columns` elements.
  Result<Rows> rows_of(std::size_t tensor, std::uint64_t rows, std::uint64_t columns) {
    const PlannedTensor& found = file_.tensors[tensor];
    const auto stored = row_count(found.dims).value_or(0);
    if (found.dims[0] != columns || stored != rows) {
      return fail({.code = ErrorCode::BadTensorShape,
                   .path = path_,
                   .subject = found.name,
                   .expected = fmt::format("{} x {}", columns, rows),
                   .actual = fmt::format("{} x {}", found.dims[0], stored)});
    }
    used_[tensor] = true;
    return Rows{.tensor = tensor, .first = 0, .count = rows};
  }

  Result<void> place_matrix(const Rows& rows, Matrix& out) {
    const PlannedTensor& tensor = file_.tensors[rows.tensor];
    if (!can_compute(*tensor.type)) {
      return fail({.code = ErrorCode::UnsupportedType,
                   .path = path_,
                   .subject = tensor.name,
                   .actual = std::string(tensor.type->name)});
    }
    out.shape = {.type = tensor.type,
                 .rows = static_cast<std::uint32_t>(rows.count),
                 .columns = static_cast<std::uint32_t>(tensor.dims[0])};
    const std::size_t chunk = chunk_for(out.shape.bytes());
    out.offset = chunks_[chunk].bytes;
    chunks_[chunk].bytes += align_up(out.shape.bytes(), kMatrixAlignment);
    waiting_.push_back({.out = &out, .placement = map_->placements.size(), .chunk = chunk});
    map_->placements.push_back(
        {.tensor = rows.tensor, .first_row = rows.first, .rows = rows.count, .matrix = {}, .floats = {}});
    return {};
  }

  /// The chunk of the present device that has room for so many bytes.
  std::size_t chunk_for(std::uint64_t bytes) {
    const std::uint64_t most = std::min(kChunkBytes, device_->info().max_buffer_bytes);
    for (std::size_t i = chunks_.size(); i-- > 0;) {
      if (chunks_[i].device != device_) continue;
      if (chunks_[i].bytes + bytes <= most) return i;
      break;
    }
    chunks_.push_back({.device = device_});
    return chunks_.size() - 1;
  }

  /// Allocates the chunks and tells the matrices.
  Result<void> allocate_chunks() {
    std::vector<Buffer> buffers;
    for (std::size_t i = 0; i < chunks_.size(); ++i) {
      auto buffer = chunks_[i].device->allocate(chunks_[i].bytes, Access::ReadOnly);
      if (!buffer) {
        Error error = buffer.error();
        const auto first = std::find_if(waiting_.begin(), waiting_.end(), [&](const auto& w) { return w.chunk == i; });
        error.subject = file_.tensors[map_->placements[first->placement].tensor].name;
        return fail(std::move(error));
      }
      buffers.push_back(std::move(*buffer));
    }
    for (const Waiting& waiting : waiting_) {
      waiting.out->buffer = buffers[waiting.chunk];
      map_->placements[waiting.placement].matrix = *waiting.out;
    }
    return {};
  }

  Result<void> matrix(const std::string& name, std::uint64_t rows, std::uint64_t columns, Matrix& out) {
    const auto tensor = find(name);
    if (!tensor) return fail(missing(name));
    GGUF_FUSE_ASSIGN(const Rows all, rows_of(*tensor, rows, columns));
    return place_matrix(all, out);
  }

  /// Matrices that the file holds one by one under `names`, or one behind the other in `fused`.
  struct Part {
    std::string_view name;
    std::uint64_t rows;
    Matrix* out;
  };
  Result<void> parts(std::span<const Part> wanted, std::string_view fused, std::uint64_t columns) {
    const auto tensor = find(prefix_ + std::string(fused) + ".weight");
    const auto first = find(prefix_ + std::string(wanted[0].name) + ".weight");
    if (!tensor || first) {
      for (const Part& part : wanted) {
        GGUF_FUSE_CHECK(matrix(prefix_ + std::string(part.name) + ".weight", part.rows, columns, *part.out));
      }
      return {};
    }
    std::uint64_t total = 0;
    for (const Part& part : wanted) total += part.rows;
    GGUF_FUSE_ASSIGN(Rows rows, rows_of(*tensor, total, columns));
    for (const Part& part : wanted) {
      rows.count = part.rows;
      GGUF_FUSE_CHECK(place_matrix(rows, *part.out));
      rows.first += part.rows;
    }
    return {};
  }

  Result<std::size_t> float_tensor(std::size_t tensor, std::uint64_t count) {
    GGUF_FUSE_CHECK(rows_of(tensor, 1, count));
    const PlannedTensor& found = file_.tensors[tensor];
    if (found.type->name == "F32") return tensor;
    return fail({.code = ErrorCode::UnsupportedType,
                 .path = path_,
                 .subject = found.name,
                 .expected = "F32",
                 .actual = std::string(found.type->name)});
  }

  /// A vector of floats, `offset` elements behind the beginning of `out`, which is `size` elements long.
  Result<void> floats_at(std::size_t tensor, std::uint64_t count, std::uint64_t offset, std::uint64_t size,
                         Buffer& out) {
    GGUF_FUSE_CHECK(float_tensor(tensor, count));
    if (!out) {
      GGUF_FUSE_ASSIGN(out, device_->allocate(size * sizeof(float), Access::ReadOnly));
      GGUF_FUSE_CHECK(out.fill(std::byte{0}));
    }
    map_->placements.push_back({.tensor = tensor,
                                .first_row = 0,
                                .rows = 1,
                                .matrix = {},
                                .floats = out,
                                .float_offset = offset * sizeof(float)});
    return {};
  }

  Result<void> floats(const std::string& name, std::uint64_t count, Buffer& out) {
    const auto tensor = find(name);
    if (!tensor) return fail(missing(name));
    return floats_at(*tensor, count, 0, count, out);
  }
  Result<void> floats_if_there(const std::string& name, std::uint64_t count, Buffer& out) {
    return find(name) ? floats(name, count, out) : Result<void>{};
  }

  Result<void> host_floats(const std::string& name, std::vector<float>& out) {
    const auto tensor = find(name);
    if (!tensor) return {};
    GGUF_FUSE_CHECK(float_tensor(*tensor, hp_.rope.rotated / 2));
    out.resize(hp_.rope.rotated / 2);
    map_->placements.push_back(
        {.tensor = *tensor, .first_row = 0, .rows = 1, .matrix = {}, .floats = {}, .host = &out});
    return {};
  }

  Result<void> map_ends(Weights& weights) {
    const auto embedding = find("token_embd.weight");
    if (!embedding) return fail(missing("token_embd.weight"));
    const std::uint64_t vocabulary = row_count(file_.tensors[*embedding].dims).value_or(0);
    if (vocabulary == 0 || vocabulary > kMostTokens) {
      return fail({.code = ErrorCode::BadTensorShape,
                   .path = path_,
                   .subject = "token_embd.weight",
                   .expected = fmt::format("1 to {} rows", kMostTokens),
                   .actual = std::to_string(vocabulary)});
    }
    device_ = devices_.front().get();
    GGUF_FUSE_CHECK(matrix("token_embd.weight", vocabulary, hp_.embedding, weights.embedding));
    GGUF_FUSE_CHECK(host_floats("rope_freqs.weight", weights.rope_factors));
    GGUF_FUSE_CHECK(host_floats("rope_factors_long.weight", weights.rope_factors_long));
    GGUF_FUSE_CHECK(host_floats("rope_factors_short.weight", weights.rope_factors_short));

    device_ = devices_.back().get();
    GGUF_FUSE_CHECK(floats("output_norm.weight", hp_.embedding, weights.output_norm));
    if (find("output.weight")) return matrix("output.weight", vocabulary, hp_.embedding, weights.output);
    if (devices_.size() == 1) return {};  // the embeddings serve as the output, too
    return matrix("token_embd.weight", vocabulary, hp_.embedding, weights.output);
  }

  Result<void> map_attention(const LayerParameters& layer, LayerWeights& out) {
    const std::uint64_t q = layer.heads.q_columns();
    const std::uint64_t kv = layer.heads.kv_columns();
    const std::array<Part, 3> wanted = {Part{"attn_q", q, &out.q}, Part{"attn_k", kv, &out.k},
                                        Part{"attn_v", kv, &out.v}};
    GGUF_FUSE_CHECK(parts(wanted, "attn_qkv", hp_.embedding));
    std::uint64_t offset = 0;
    for (const Part& part : wanted) {
      if (const auto bias = find(prefix_ + std::string(part.name) + ".bias")) {
        GGUF_FUSE_CHECK(floats_at(*bias, part.rows, offset, q + 2 * kv, out.qkv_bias));
      }
      offset += part.rows;
    }
    GGUF_FUSE_CHECK(floats_if_there(prefix_ + "attn_qkv.bias", q + 2 * kv, out.qkv_bias));
    GGUF_FUSE_CHECK(matrix(prefix_ + "attn_output.weight", hp_.embedding, q, out.output));
    GGUF_FUSE_CHECK(floats_if_there(prefix_ + "attn_output.bias", hp_.embedding, out.output_bias));
    GGUF_FUSE_CHECK(floats(prefix_ + "attn_norm.weight", hp_.embedding, out.attention_norm));
    if (hp_.architecture->head_norm) {
      GGUF_FUSE_CHECK(floats(prefix_ + "attn_q_norm.weight", layer.heads.size, out.q_norm));
      GGUF_FUSE_CHECK(floats(prefix_ + "attn_k_norm.weight", layer.heads.size, out.k_norm));
    }
    if (!hp_.architecture->post_norms) return {};
    return floats(prefix_ + "post_attention_norm.weight", hp_.embedding, out.post_attention_norm);
  }

  Result<void> map_feed_forward(const LayerParameters& layer, LayerWeights& out) {
    const std::array<Part, 2> wanted = {Part{"ffn_gate", layer.feed_forward, &out.gate},
                                        Part{"ffn_up", layer.feed_forward, &out.up}};
    GGUF_FUSE_CHECK(parts(wanted, "ffn_up", hp_.embedding));
    GGUF_FUSE_CHECK(matrix(prefix_ + "ffn_down.weight", hp_.embedding, layer.feed_forward, out.down));
    GGUF_FUSE_CHECK(floats_if_there(prefix_ + "ffn_down.bias", hp_.embedding, out.down_bias));
    GGUF_FUSE_CHECK(floats(prefix_ + "ffn_norm.weight", hp_.embedding, out.feed_forward_norm));
    if (!hp_.architecture->post_norms) return {};
    device_ = next_device_;
    return floats(prefix_ + "post_ffw_norm.weight", hp_.embedding, out.post_feed_forward_norm);
  }

  const PlannedFile& file_;
  const std::string& path_;
  const Hyperparameters& hp_;
  const std::vector<std::shared_ptr<Device>>& devices_;
  std::vector<bool> used_;
  std::unordered_map<std::string_view, std::size_t> index_;
  std::unique_ptr<WeightMap> map_ = std::make_unique<WeightMap>();
  /// One buffer with many matrices: large pages serve it, and a driver has few buffers to look after.
  struct Chunk {
    Device* device;
    std::uint64_t bytes = 0;
  };
  struct Waiting {
    Matrix* out;
    std::size_t placement;
    std::size_t chunk;
  };
  std::vector<Chunk> chunks_;
  std::vector<Waiting> waiting_;
  Device* device_ = nullptr;  // where the next places are allocated
  Device* next_device_ = nullptr;
  std::string prefix_;
};

}  // namespace

Result<std::unique_ptr<WeightMap>> map_weights(const PlannedFile& file, const std::string& path,
                                               const Hyperparameters& hyperparameters,
                                               const std::vector<std::shared_ptr<Device>>& devices,
                                               const std::vector<std::size_t>& layer_devices) {
  return Mapper(file, path, hyperparameters, devices).map(layer_devices);
}

}  // namespace gguf_fuse
