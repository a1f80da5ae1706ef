// SPDX-License-Identifier: MIT
#include "support/random_model.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "support/file_util.hpp"
#include "support/random.hpp"

namespace gguf_fuse::test_support {
namespace {

/// blk.LAYER.PART.SUFFIX taken apart; tensors outside the layers have no layer.
struct TensorName {
  std::optional<std::uint32_t> layer;
  std::string part;
  std::string suffix;
};

TensorName parse_name(std::string_view name) {
  TensorName parsed;
  if (name.starts_with("blk.")) {
    const std::size_t dot = name.find('.', 4);
    parsed.layer = static_cast<std::uint32_t>(std::stoul(std::string(name.substr(4, dot - 4))));
    name.remove_prefix(dot + 1);
  }
  const std::size_t dot = name.find('.');
  parsed.part = name.substr(0, dot);
  if (dot != std::string_view::npos) parsed.suffix = name.substr(dot + 1);
  return parsed;
}

bool matches(const TensorSpec& spec, std::string_view part, RandomModel::Layer layer) {
  const TensorName name = parse_name(spec.name);
  return name.part == part && (!layer || name.layer == layer);
}

std::string with_suffix(const TensorSpec& weight, std::string_view suffix) {
  return weight.name.substr(0, weight.name.size() - std::string_view("weight").size()) + std::string(suffix);
}

Bytes repeated(float value, std::uint64_t count, bool big_endian) {
  auto bits = std::bit_cast<std::uint32_t>(value);
  if (big_endian) bits = __builtin_bswap32(bits);
  Bytes bytes(count * sizeof bits);
  for (std::uint64_t i = 0; i < count; ++i) std::memcpy(bytes.data() + i * sizeof bits, &bits, sizeof bits);
  return bytes;
}

}  // namespace

RandomModel::RandomModel(std::string architecture) {
  if (always_has_experts(architecture)) shape_.experts = 4;
  shape_.architecture = std::move(architecture);
}

RandomModel& RandomModel::heads(std::uint32_t query, std::uint32_t key_value, std::uint64_t size) {
  shape_.heads = query;
  shape_.kv_heads = key_value;
  shape_.head_size = size;
  return *this;
}

RandomModel& RandomModel::experts(std::uint32_t count, std::uint32_t used, std::uint64_t size) {
  shape_.experts = count;
  shape_.experts_used = used;
  shape_.expert_size = size;
  return *this;
}

RandomModel& RandomModel::wide() { return embedding(256).feed_forward(256).heads(4, 2, 64); }

RandomModel& RandomModel::seed(std::uint64_t value) {
  seed_ = value;
  builder_.seed(value);
  return *this;
}

RandomModel& RandomModel::big_endian(bool value) {
  big_endian_ = value;
  builder_.big_endian(value);
  return *this;
}

RandomModel& RandomModel::edit(std::function<void(std::vector<TensorSpec>&)> change) {
  edits_.emplace_back([change = std::move(change)](const RandomModel&, Table& table) { change(table); });
  return *this;
}

RandomModel& RandomModel::edit_parts(std::string_view part, Layer layer, PartEdit change) {
  edits_.emplace_back(
      [part = std::string(part), layer, change = std::move(change)](const RandomModel& model, Table& table) {
        bool found = false;
        for (std::size_t i = 0; i < table.size(); ++i) {
          if (!matches(table[i], part, layer) || parse_name(table[i].name).suffix != "weight") continue;
          change(model, table, i);
          found = true;
        }
        if (!found) throw std::invalid_argument("the model has no " + part + ".weight");
      });
  return *this;
}

RandomModel& RandomModel::type(std::string_view part, std::string_view type, Layer layer) {
  return edit_parts(part, layer, [type = std::string(type)](const RandomModel&, Table& table, std::size_t i) {
    table[i].type = type;
  });
}

RandomModel& RandomModel::bias(std::string_view part, Layer layer) {
  return edit_parts(part, layer, [](const RandomModel&, Table& table, std::size_t i) {
    std::vector<std::uint64_t> dims(table[i].dims.begin() + 1, table[i].dims.end());
    TensorSpec bias{with_suffix(table[i], "bias"), "F32", std::move(dims)};
    table.insert(table.begin() + static_cast<std::ptrdiff_t>(i) + 1, std::move(bias));
  });
}

RandomModel& RandomModel::scale(std::string_view part, Layer layer, std::string_view suffix,
                                std::optional<float> value) {
  return edit_parts(part, layer,
                    [suffix = std::string(suffix), value](const RandomModel& model, Table& table, std::size_t i) {
                      const std::uint64_t count = table[i].dims.size() > 2 ? table[i].dims[2] : 1;
                      TensorSpec scale{with_suffix(table[i], suffix), "F32", {count}};
                      if (value) scale.data = repeated(*value, count, model.big_endian_);
                      table.insert(table.begin() + static_cast<std::ptrdiff_t>(i) + 1, std::move(scale));
                    });
}

RandomModel& RandomModel::drop(std::string_view part, Layer layer) {
  return edit([part = std::string(part), layer](Table& table) {
    const auto count = std::erase_if(table, [&](const TensorSpec& spec) { return matches(spec, part, layer); });
    if (count == 0) throw std::invalid_argument("the model has no " + part);
  });
}

RandomModel& RandomModel::tensor(TensorSpec spec) {
  return edit([spec = std::move(spec)](Table& table) { table.push_back(spec); });
}

void RandomModel::fuse_layer(Table& table, RuleId id, std::uint32_t layer) const {
  const Rule& row = rule(id);
  for (const std::string_view suffix : {"weight", "bias"}) {
    std::vector<std::size_t> found;
    for (const std::string_view part : row.part_names()) {
      const std::string name = "blk." + std::to_string(layer) + "." + std::string(part) + "." + std::string(suffix);
      const auto at =
          std::find_if(table.begin(), table.end(), [&](const TensorSpec& spec) { return spec.name == name; });
      if (at != table.end()) found.push_back(static_cast<std::size_t>(at - table.begin()));
    }
    if (found.size() != row.part_names().size()) continue;
    // Weights have their rows in ne[1] and their matrices behind it, biases one dimension less of each.
    const std::size_t axis = suffix == "weight" ? 1 : 0;
    TensorSpec joined{"blk." + std::to_string(layer) + "." + std::string(row.result) + "." + std::string(suffix),
                      table[found[0]].type, table[found[0]].dims};
    joined.dims[axis] = 0;
    std::vector<Bytes> parts;
    for (const std::size_t i : found) {
      joined.dims[axis] += table[i].dims[axis];
      parts.push_back(table[i].data.empty() ? random_tensor(seed_, table[i], big_endian_) : table[i].data);
    }
    std::size_t matrices = 1;
    for (std::size_t i = axis + 1; i < joined.dims.size(); ++i) matrices *= joined.dims[i];
    joined.data = join_rows(parts, matrices);
    const std::size_t first = *std::min_element(found.begin(), found.end());
    std::sort(found.rbegin(), found.rend());
    for (const std::size_t i : found) table.erase(table.begin() + static_cast<std::ptrdiff_t>(i));
    table.insert(table.begin() + static_cast<std::ptrdiff_t>(first), std::move(joined));
  }
}

RandomModel& RandomModel::fused(RuleId rule, Layer layer) {
  edits_.emplace_back([rule, layer](const RandomModel& model, Table& table) {
    const std::uint32_t end = layer ? *layer + 1 : model.shape_.layers;
    for (std::uint32_t i = layer.value_or(0); i < end; ++i) model.fuse_layer(table, rule, i);
  });
  return *this;
}

void RandomModel::unstack_layer(Table& table, std::uint32_t layer) const {
  const std::string prefix = "blk." + std::to_string(layer) + ".";
  std::vector<TensorSpec> stacks;
  const auto is_stack = [&](const TensorSpec& spec) {
    const TensorName name = parse_name(spec.name);
    return name.layer == layer && name.part.starts_with("ffn_") && name.part.ends_with("_exps");
  };
  const auto first = std::find_if(table.begin(), table.end(), is_stack) - table.begin();
  std::copy_if(table.begin(), table.end(), std::back_inserter(stacks), is_stack);
  if (stacks.empty()) return;
  std::erase_if(table, is_stack);
  std::vector<TensorSpec> experts;
  for (TensorSpec& stack : stacks) {
    // A tensor of one scale for all of it is no row of such tensors.
    const bool has_rows = find_tensor_type(stack.type)->tail_bytes == 0;
    if (stack.data.empty() && has_rows) stack.data = random_tensor(seed_, stack, big_endian_);
  }
  for (std::uint64_t expert = 0; expert < stacks.front().dims.back(); ++expert) {
    for (const TensorSpec& stack : stacks) {
      const TensorName name = parse_name(stack.name);
      const std::string part = name.part.substr(0, name.part.size() - std::string_view("_exps").size());
      const auto bytes = static_cast<std::ptrdiff_t>(stack.data.size() / stack.dims.back());
      const auto begin = stack.data.begin() + static_cast<std::ptrdiff_t>(expert) * bytes;
      experts.push_back({prefix + part + "." + std::to_string(expert) + "." + name.suffix,
                         stack.type,
                         {stack.dims.begin(), stack.dims.end() - 1},
                         {begin, begin + bytes}});
    }
  }
  table.insert(table.begin() + first, experts.begin(), experts.end());
}

RandomModel& RandomModel::unstacked(Layer layer) {
  edits_.emplace_back([layer](const RandomModel& model, Table& table) {
    const std::uint32_t end = layer ? *layer + 1 : model.shape_.layers;
    for (std::uint32_t i = layer.value_or(0); i < end; ++i) model.unstack_layer(table, i);
  });
  return *this;
}

RandomModel& RandomModel::prec_a4(std::vector<std::pair<std::string, bool>> entries) {
  return keys([entries = std::move(entries)](HeaderWriter& writer) {
    std::vector<std::string_view> names;
    const auto flags = std::make_unique<bool[]>(entries.size());
    for (const auto& [name, flag] : entries) {
      flags[names.size()] = flag;
      names.push_back(name);
    }
    writer.add_string_array("general.tensor_extra.name", names);
    writer.add_bool_array("general.tensor_extra.prec_a4", {flags.get(), entries.size()});
  });
}

std::vector<TensorSpec> RandomModel::table() const {
  if (!shape_.kv_heads_by_layer.empty() && shape_.kv_heads_by_layer.size() != shape_.layers) {
    throw std::invalid_argument("key_value_heads() wants a number a layer");
  }
  std::vector<TensorSpec> table = model_tensors(shape_);
  for (const Edit& change : edits_) change(*this, table);
  return table;
}

GgufBuilder RandomModel::builder() const {
  GgufBuilder builder = builder_;
  builder.keys([shape = shape_](HeaderWriter& writer) { write_model_keys(shape, writer); });
  for (const auto& write : more_keys_) builder.keys(write);
  builder.tensors(table());
  return builder;
}

std::vector<Bytes> RandomModel::build_shards(std::size_t tensors_per_shard) const {
  return builder().build_shards(tensors_per_shard);
}

std::string RandomModel::write(const std::string& path) const {
  write_file(path, build());
  return path;
}

}  // namespace gguf_fuse::test_support
