// SPDX-License-Identifier: MIT
#include "support/upcycle.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "gguf_fuse/loader/header_writer.hpp"
#include "support/random.hpp"

namespace gguf_fuse::test_support {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::size_t kCopyPiece = std::size_t{4} << 20;

/// What the mixture is called where the dense model says "llama".
std::string_view architecture_name(MixtureKind kind) {
  constexpr std::array<std::string_view, 3> kNames = {"llama", "granite_swa", "qwen3moe"};
  return kNames[static_cast<std::size_t>(kind)];
}

Error unsuitable(const Model& dense, std::string subject, std::string expected, std::string actual) {
  return {ErrorCode::InvalidArgument,
          dense.info.shards.front().path,
          std::move(subject),
          std::nullopt,
          std::move(expected),
          std::move(actual),
          "upcycle a dense model of the llama architecture"};
}

struct Hyperparameters {
  std::uint32_t layers = 0;
  std::uint32_t context = 0;
  std::uint32_t hidden = 0;  // FFN units
  std::uint32_t heads = 0;
  std::uint32_t head_size = 0;
  std::uint64_t embedding = 0;
};

Result<Hyperparameters> read_hyperparameters(const Model& dense) {
  const Metadata& metadata = dense.info.metadata();
  std::string_view architecture;
  GGUF_FUSE_ASSIGN(architecture, metadata.get_string("general.architecture"));
  if (architecture != "llama")
    return fail(unsuitable(dense, "general.architecture", "llama", std::string(architecture)));
  std::array<std::uint64_t, 5> values{};
  constexpr std::array kKeys = {"llama.block_count", "llama.context_length", "llama.feed_forward_length",
                                "llama.attention.head_count", "llama.embedding_length"};
  for (std::size_t i = 0; i < kKeys.size(); ++i) {
    GGUF_FUSE_ASSIGN(values[i], metadata.get_unsigned(kKeys[i]));
    if (values[i] == 0 || values[i] > UINT32_MAX)
      return fail(unsuitable(dense, kKeys[i], "1 .. 2^32 - 1", std::to_string(values[i])));
  }
  const auto narrow = [](std::uint64_t value) { return static_cast<std::uint32_t>(value); };
  const std::uint64_t head_size = values[4] / values[3];
  return Hyperparameters{narrow(values[0]), narrow(values[1]), narrow(values[2]),
                         narrow(values[3]), narrow(head_size), values[4]};
}

/// One tensor of the mixture and how its bytes come about, in order and piece by piece.
struct Output {
  std::string name;
  const TensorType* type;
  std::uint32_t dimension_count;
  Dimensions dims;
  std::function<Result<void>()> write;
};

class Upcycler {
 public:
  Upcycler(Model& dense, const UpcycleOptions& options, const Hyperparameters& sizes)
      : dense_(dense), options_(options), sizes_(sizes) {}

  Result<void> plan() {
    for (std::size_t shard = 0; shard < dense_.info.shards.size(); ++shard) {
      for (const TensorInfo& tensor : dense_.info.shards[shard].tensors) GGUF_FUSE_CHECK(add(shard, tensor));
    }
    if (block_units_.size() == sizes_.layers) return {};
    return fail(
        unsuitable(dense_, "ffn_down.weight", std::to_string(sizes_.layers), std::to_string(block_units_.size())));
  }

  /// Header, tensors and padding, from the first byte to the last.
  Result<void> write(Sink& out) {
    out_ = &out;
    const Container& model = dense_.info.shards.front();
    HeaderWriter header(3, model.big_endian);
    GGUF_FUSE_CHECK(header.set_alignment(model.alignment));
    write_keys(header);
    std::vector<std::uint64_t> offsets;
    for (const Output& tensor : outputs_) {
      GGUF_FUSE_ASSIGN(const std::uint64_t offset,
                       header.add_tensor(tensor.name, *tensor.type, tensor.dimension_count, tensor.dims));
      offsets.push_back(offset);
    }
    const Bytes bytes = header.finish();
    GGUF_FUSE_CHECK(put(bytes));
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      GGUF_FUSE_CHECK(pad(bytes.size() + offsets[i]));
      GGUF_FUSE_CHECK(outputs_[i].write());
    }
    return pad(bytes.size() + align_up(header.data_bytes(), model.alignment));
  }

 private:
  struct Name {
    std::string prefix;  // "blk.N."
    std::string part;    // "ffn_gate.weight"
  };

  static Name split_name(std::string_view name) {
    if (!name.starts_with("blk.")) return {"", std::string(name)};
    const std::size_t dot = name.find('.', 4);
    return {std::string(name.substr(0, dot + 1)), std::string(name.substr(dot + 1))};
  }

  Result<void> add(std::size_t shard, const TensorInfo& tensor) {
    const auto [prefix, part] = split_name(tensor.name);
    const bool by_columns = part == "ffn_down.weight";
    if (by_columns || part == "ffn_gate.weight" || part == "ffn_up.weight")
      return add_experts(shard, tensor, prefix, part);
    if (part.starts_with("ffn_") && part != "ffn_norm.weight") {
      return fail(unsuitable(dense_, std::string(tensor.name), "an FFN of gate, up and down without biases",
                             "one more tensor"));
    }
    outputs_.push_back({std::string(tensor.name), tensor.type, tensor.dimension_count, tensor.dims,
                        [this, shard, &tensor] { return copy(shard, tensor); }});
    if (part == "attn_norm.weight") add_attention_extras(prefix);
    if (part == "ffn_norm.weight") add_router(prefix);
    return {};
  }

  Result<void> add_experts(std::size_t shard, const TensorInfo& tensor, const std::string& prefix,
                           const std::string& part) {
    const bool by_columns = part == "ffn_down.weight";
    const std::uint64_t units = by_columns ? tensor.dims[0] : tensor.dims[1];
    if (units != sizes_.hidden || tensor.dimension_count != 2) {
      return fail(unsuitable(dense_, std::string(tensor.name), std::to_string(sizes_.hidden) + " units",
                             std::to_string(units)));
    }
    if (tensor.type->rows_per_group != 1 || tensor.type->tail_bytes != 0) {
      return fail(
          unsuitable(dense_, std::string(tensor.name), "rows that stand alone", std::string(tensor.type->name)));
    }
    if (by_columns) block_units_[prefix] = tensor.type->block_elements;
    const std::string name = prefix + part.substr(0, part.find('.'));
    const auto add = [&](const std::string& ending, std::uint32_t first, std::uint32_t last) {
      Dimensions dims = tensor.dims;
      dims[2] = last - first;
      outputs_.push_back({name + ending, tensor.type, options_.unstacked ? 2U : 3U, dims,
                          [this, shard, &tensor, prefix, by_columns, first, last] {
                            return write_experts(shard, tensor, prefix, by_columns, first, last);
                          }});
    };
    if (!options_.unstacked) add("_exps.weight", 0, options_.experts);
    for (std::uint32_t e = 0; options_.unstacked && e < options_.experts; ++e)
      add("." + std::to_string(e) + ".weight", e, e + 1);
    return {};
  }

  void add_floats(const std::string& name, std::uint32_t dimension_count, const Dimensions& dims,
                  std::function<float()> next) {
    outputs_.push_back({name, find_tensor_type("F32"), dimension_count, dims, [this, dims, next = std::move(next)] {
                          Bytes bytes(dims[0] * dims[1] * sizeof(float));
                          for (std::size_t at = 0; at < bytes.size(); at += sizeof(float))
                            store(next(), bytes.data() + at);
                          return put(bytes);
                        }});
  }

  /// A router whose choices differ from token to token, without any expert taking nearly all the weight.
  void add_router(const std::string& prefix) {
    auto random = std::make_shared<Random>(options_.seed, prefix + "router");
    add_floats(prefix + "ffn_gate_inp.weight", 2, {sizes_.embedding, options_.experts, 1, 1},
               [random] { return 0.05F * random->uniform(); });
  }

  void add_attention_extras(const std::string& prefix) {
    if (options_.kind == MixtureKind::GraniteSwa) {
      // A sink takes its share of every softmax; this one takes nothing.
      add_floats(prefix + "attn_sinks.weight", 1, {sizes_.heads, 1, 1, 1}, [] { return -1e9F; });
    }
    if (options_.kind == MixtureKind::Qwen3Moe) {
      for (const char* norm : {"attn_q_norm.weight", "attn_k_norm.weight"}) {
        add_floats(prefix + norm, 1, {sizes_.head_size, 1, 1, 1}, [] { return 1.0F; });
      }
    }
  }

  void write_keys(HeaderWriter& header) const {
    const std::string prefix = std::string(architecture_name(options_.kind)) + ".";
    const Metadata& metadata = dense_.info.metadata();
    for (std::size_t i = 0; i < metadata.size(); ++i) {
      const Metadata::Entry entry = metadata[i];
      if (entry.key == "general.architecture") {
        header.add_string(entry.key, architecture_name(options_.kind));
      } else if (entry.key.starts_with("llama.")) {
        header.add_value(prefix + std::string(entry.key.substr(6)), entry.value.type(), entry.value.bytes());
      } else if (!entry.key.starts_with("split.")) {
        header.add_record(entry.record);
      }
    }
    header.add_u32(prefix + "expert_count", options_.experts);
    header.add_u32(prefix + "expert_used_count", options_.used);
    if (options_.kind == MixtureKind::Qwen3Moe) header.add_u32(prefix + "expert_feed_forward_length", sizes_.hidden);
    if (options_.kind == MixtureKind::GraniteSwa) write_granite_keys(header, prefix);
  }

  /// Granite's scales at the values that scale nothing, and a window as wide as the context, on three layers of four.
  void write_granite_keys(HeaderWriter& header, const std::string& prefix) const {
    for (const char* key : {"logit_scale", "residual_scale", "embedding_scale"}) header.add_f32(prefix + key, 1.0F);
    header.add_f32(prefix + "attention.scale", 1.0F / std::sqrt(static_cast<float>(sizes_.head_size)));
    header.add_u32(prefix + "attention.sliding_window", sizes_.context);
    const auto pattern = std::make_unique<bool[]>(sizes_.layers);
    for (std::uint32_t layer = 0; layer < sizes_.layers; ++layer) pattern[layer] = layer % 4 != 3;
    header.add_bool_array(prefix + "attention.sliding_window_pattern", {pattern.get(), sizes_.layers});
  }

  Result<Bytes> read(std::size_t shard, const TensorInfo& tensor) {
    Bytes bytes(tensor.bytes);
    GGUF_FUSE_CHECK(dense_.sources[shard]->read_at(dense_.info.shards[shard].data_offset + tensor.offset, bytes));
    return bytes;
  }

  Result<void> copy(std::size_t shard, const TensorInfo& tensor) {
    const std::uint64_t begin = dense_.info.shards[shard].data_offset + tensor.offset;
    Bytes buffer(std::min<std::uint64_t>(kCopyPiece, tensor.bytes));
    for (std::uint64_t done = 0; done < tensor.bytes;) {
      const auto piece = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), tensor.bytes - done));
      GGUF_FUSE_CHECK(dense_.sources[shard]->read_at(begin + done, piece));
      GGUF_FUSE_CHECK(put(piece));
      done += piece.size();
    }
    return {};
  }

  /// Gate and up hold a hidden unit in a row, down in a column: blocks of rows move whole, and so do blocks within
  /// rows.
  Result<void> write_experts(std::size_t shard, const TensorInfo& tensor, const std::string& prefix, bool by_columns,
                             std::uint32_t first, std::uint32_t last) {
    Bytes dense;
    GGUF_FUSE_ASSIGN(dense, read(shard, tensor));
    Bytes expert(dense.size());
    const std::uint64_t block_units = block_units_.at(prefix);
    const std::size_t row_bytes = dense.size() / tensor.dims[1];
    const std::size_t header = by_columns ? tensor.type->row_header_bytes : 0;
    const std::size_t block = by_columns ? tensor.type->block_bytes : block_units * row_bytes;
    const std::size_t span = by_columns ? row_bytes : dense.size();
    for (std::uint32_t e = first; e < last; ++e) {
      Random random(options_.seed, prefix + "expert." + std::to_string(e));
      const std::vector<std::size_t> order = random.permutation(sizes_.hidden / block_units);
      for (std::size_t begin = 0; begin < dense.size(); begin += span) {
        std::copy_n(dense.data() + begin, header, expert.data() + begin);
        for (std::size_t i = 0; i < order.size(); ++i) {
          std::copy_n(dense.data() + begin + header + order[i] * block, block,
                      expert.data() + begin + header + i * block);
        }
      }
      GGUF_FUSE_CHECK(put(expert));
    }
    return {};
  }

  void store(float value, std::byte* out) const {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    for (std::size_t i = 0; i < sizeof bits; ++i) {
      const std::size_t byte = dense_.info.shards.front().big_endian ? sizeof bits - 1 - i : i;
      out[i] = static_cast<std::byte>(bits >> (8 * byte));
    }
  }

  Result<void> put(std::span<const std::byte> bytes) {
    GGUF_FUSE_CHECK(out_->write_at(end_, bytes));
    end_ += bytes.size();
    return {};
  }

  Result<void> pad(std::uint64_t offset) { return put(Bytes(offset - end_)); }

  Model& dense_;
  const UpcycleOptions& options_;
  Hyperparameters sizes_;
  std::vector<Output> outputs_;
  std::map<std::string, std::uint64_t> block_units_;  // by layer prefix
  Sink* out_ = nullptr;
  std::uint64_t end_ = 0;  // of what was written
};

Result<void> check_options(const UpcycleOptions& options) {
  if (options.used != 0 && options.used <= options.experts) return {};
  return fail({ErrorCode::InvalidArgument, "", "experts per token", std::nullopt,
               "1 .. " + std::to_string(options.experts), std::to_string(options.used), ""});
}

}  // namespace

Result<void> upcycle(Model& dense, Sink& out, const UpcycleOptions& options) {
  GGUF_FUSE_CHECK(check_options(options));
  Hyperparameters sizes;
  GGUF_FUSE_ASSIGN(sizes, read_hyperparameters(dense));
  Upcycler upcycler(dense, options, sizes);
  GGUF_FUSE_CHECK(upcycler.plan());
  return upcycler.write(out);
}

Result<void> upcycle(const std::string& dense, const std::string& out, const UpcycleOptions& options, bool replace) {
  Model model;
  GGUF_FUSE_ASSIGN(model, open_model(dense));
  std::unique_ptr<Sink> sink;
  GGUF_FUSE_ASSIGN(sink, file_sink(out, {.replace = replace, .bytes = 0}));
  GGUF_FUSE_CHECK(upcycle(model, *sink, options));
  return sink->commit();
}

}  // namespace gguf_fuse::test_support
