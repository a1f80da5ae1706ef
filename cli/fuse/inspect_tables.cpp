// SPDX-License-Identifier: MIT
#include "inspect_tables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "gguf_fuse/fuse/plan.hpp"
#include "gguf_fuse/loader/error.hpp"
#include "print.hpp"

namespace gguf_fuse::cli {
namespace {

/// `blk.12.attn_q.weight` as `blk.*.attn_q.weight`: parts that are numbers become stars.
std::string name_pattern(std::string_view name) {
  std::string pattern;
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t end = std::min(name.find('.', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    const bool number = !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
    if (begin > 0) pattern += '.';
    pattern += number ? "*" : part;
    begin = end + 1;
  }
  return pattern;
}

double element_count(const TensorInfo& tensor) {
  double count = 1;
  for (const std::uint64_t dim : tensor.dims) count *= static_cast<double>(dim);
  return count;
}

std::string parameters_text(double count) {
  if (count >= 1e12) return fmt::format("{:.2f} T", count / 1e12);
  if (count >= 1e9) return fmt::format("{:.2f} B", count / 1e9);
  if (count >= 1e6) return fmt::format("{:.1f} M", count / 1e6);
  if (count >= 1e3) return fmt::format("{:.1f} K", count / 1e3);
  return fmt::format("{:.0f}", count);
}

std::uint64_t data_bytes(const ModelInfo& model) {
  std::uint64_t bytes = 0;
  for (const Container& file : model.shards) {
    for (const TensorInfo& tensor : file.tensors) bytes += tensor.bytes;
  }
  return bytes;
}

std::string tensors_text(const ModelInfo& model) {
  double parameters = 0;
  for (const Container& file : model.shards) {
    for (const TensorInfo& tensor : file.tensors) parameters += element_count(tensor);
  }
  const std::uint64_t bytes = data_bytes(model);
  std::string text =
      fmt::format("{}, {}, {} parameters", model.tensor_count(), format_bytes(bytes), parameters_text(parameters));
  if (parameters > 0) text += fmt::format(", {:.2f} bits each", static_cast<double>(bytes) * 8 / parameters);
  return text;
}

std::string types_text(const ModelInfo& model) {
  std::map<std::string_view, std::pair<std::uint64_t, std::uint64_t>> types;  // name: bytes, tensors
  for (const Container& file : model.shards) {
    for (const TensorInfo& tensor : file.tensors) {
      auto& [bytes, count] = types[tensor.type->name];
      bytes += tensor.bytes;
      ++count;
    }
  }
  std::vector<std::pair<std::string_view, std::pair<std::uint64_t, std::uint64_t>>> sorted(types.begin(), types.end());
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second.first > b.second.first; });
  std::vector<std::string> texts;
  texts.reserve(sorted.size());
  for (const auto& [name, size] : sorted)
    texts.push_back(fmt::format("{} x {} ({})", size.second, name, format_bytes(size.first)));
  return fmt::format("{}", fmt::join(texts, ", "));
}

std::string format_text(const ModelInfo& model) {
  const Container& file = model.shards.front();
  return fmt::format("GGUF v{}, {}-endian, alignment {}, {} in {}", file.version, file.big_endian ? "big" : "little",
                     file.alignment, format_bytes(model.total_bytes()), plural(model.shards.size(), "file"));
}

/// Hyperparameters worth a line, as `name value`; `keys` are those after `ARCHITECTURE.`.
struct Hyperparameter {
  std::string_view key, name;
};
constexpr Hyperparameter kHyperparameters[] = {
    {"block_count", "layers"},
    {"embedding_length", "embedding"},
    {"attention.head_count", "heads"},
    {"attention.head_count_kv", "KV heads"},
    {"feed_forward_length", "feed-forward"},
    {"expert_count", "experts"},
    {"expert_used_count", "used per token"},
    {"context_length", "context"},
};

std::string shape_text(const Metadata& metadata, std::string_view architecture) {
  std::vector<std::string> texts;
  for (const Hyperparameter& row : kHyperparameters) {
    const auto value = metadata.find(fmt::format("{}.{}", architecture, row.key));
    if (value) texts.push_back(fmt::format("{} {}", row.name, value->display(30)));
  }
  const auto tokens = metadata.find("tokenizer.ggml.tokens");
  if (tokens) texts.push_back(fmt::format("vocabulary {}", tokens->count()));
  return fmt::format("{}", fmt::join(texts, ", "));
}

std::string fused_text(const ModelInfo& model) {
  const Metadata& metadata = model.metadata();
  bool recorded = false;
  for (std::size_t i = 0; i < metadata.size(); ++i) recorded = recorded || metadata[i].key.starts_with("gguf_fuse.");
  if (!recorded) return {};
  const auto plan = plan_unfuse(model);
  if (!plan) return "by gguf-fuse, but " + plan.error().message();
  switch (plan->restores) {
    case Restores::Original:
      return "by gguf-fuse; the record holds the original's hashes, which unfuse compares (or verify, with the "
             "original)";
    case Restores::Recorded:
      return "by gguf-fuse; unfuse gives back what the record says, not proven to be the original: " +
             texts_of(plan->unproven);
    default:
      return "by gguf-fuse, but another program took keys of the record; unfuse goes by the rules";
  }
}

}  // namespace

std::string fact_table(const std::string& path, const ModelInfo& model, std::size_t width) {
  const Metadata& metadata = model.metadata();
  const auto text_of = [&](std::string_view key) { return escape_text(metadata.get_string(key).value_or("")); };
  const std::string_view architecture = metadata.get_string("general.architecture").value_or(std::string_view());
  Table table({{""}, {""}});
  const auto add = [&table](std::string label, std::string value) {
    if (!value.empty()) table.add({std::move(label), std::move(value)});
  };
  add("file", escape_text(path));
  add("format", format_text(model));
  add("architecture", escape_text(architecture));
  add("name", text_of("general.name"));
  add("licence", text_of("general.license"));
  add("shape", shape_text(metadata, architecture));
  add("tensors", tensors_text(model));
  add("types", types_text(model));
  add("keys", fmt::format("{} (--kv lists them)", metadata.size()));
  add("fused", fused_text(model));
  return table.render(width);
}

std::string group_table(const ModelInfo& model) {
  struct Group {
    std::string name;
    const TensorInfo* first = nullptr;
    std::uint64_t count = 0, bytes = 0;
  };
  std::vector<Group> groups;
  std::map<std::tuple<std::string, const TensorType*, Dimensions>, std::size_t> known;
  for (const Container& file : model.shards) {
    for (const TensorInfo& tensor : file.tensors) {
      const std::string pattern = name_pattern(tensor.name);
      const auto [place, added] = known.try_emplace({pattern, tensor.type, tensor.dims}, groups.size());
      if (added) groups.push_back({std::string(tensor.name), &tensor, 0, 0});
      Group& group = groups[place->second];
      if (++group.count > 1) group.name = pattern;
      group.bytes += tensor.bytes;
    }
  }
  Table table({{"tensor"}, {"count", Align::Right}, {"type"}, {"shape"}, {"bytes", Align::Right}});
  for (const Group& group : groups) {
    table.add({escape_text(group.name), fmt::format("{}", group.count), std::string(group.first->type->name),
               format_shape(group.first->dims, group.first->dimension_count), format_bytes(group.bytes)});
  }
  return table.render();
}

std::string tensor_table(const ModelInfo& model) {
  Table table(
      {{"tensor"}, {"type"}, {"shape"}, {"file", Align::Right}, {"offset", Align::Right}, {"bytes", Align::Right}});
  for (std::size_t i = 0; i < model.shards.size(); ++i) {
    const Container& file = model.shards[i];
    for (const TensorInfo& tensor : file.tensors) {
      table.add({escape_text(tensor.name), std::string(tensor.type->name),
                 format_shape(tensor.dims, tensor.dimension_count), fmt::format("{}", i + 1),
                 fmt::format("{}", file.data_offset + tensor.offset), fmt::format("{}", tensor.bytes)});
    }
  }
  return table.render();
}

std::string key_table(const ModelInfo& model, std::size_t width) {
  std::string out;
  for (const Container& file : model.shards) {
    std::size_t longest = 0;
    for (std::size_t i = 0; i < file.metadata.size(); ++i) longest = std::max(longest, file.metadata[i].key.size());
    constexpr std::size_t kUsualWidth = 120, kTypeColumns = 10, kShortestValue = 30;
    const std::size_t columns = width == 0 ? kUsualWidth : width;
    const std::size_t room = columns > longest + kTypeColumns ? columns - longest - kTypeColumns : 0;
    Table table({{"key"}, {"type"}, {"value"}});
    for (std::size_t i = 0; i < file.metadata.size(); ++i) {
      const auto entry = file.metadata[i];
      table.add({escape_text(entry.key), std::string(value_type_name(entry.value.type())),
                 entry.value.display(std::max(room, kShortestValue))});
    }
    if (model.shards.size() > 1) out += fmt::format("{}\n", escape_text(file.path));
    out += table.render();
  }
  return out;
}

std::string type_table() {
  Table table({{"id", Align::Right},
               {"type"},
               {"elements", Align::Right},
               {"bytes", Align::Right},
               {"bits each", Align::Right},
               {"row header", Align::Right},
               {"rows per group", Align::Right},
               {"read by"}});
  for (const TensorType& type : tensor_types()) {
    const bool mainline = (type.engines & kMainline) != 0, ik = (type.engines & kIk) != 0;
    table.add({fmt::format("{}", type.id), std::string(type.name), fmt::format("{}", type.block_elements),
               fmt::format("{}", type.block_bytes), fmt::format("{:.2f}", 8.0 * type.block_bytes / type.block_elements),
               type.row_header_bytes == 0 ? "" : fmt::format("{}", type.row_header_bytes),
               type.rows_per_group == 1 ? "" : fmt::format("{}", type.rows_per_group),
               mainline && ik ? "both"
               : mainline     ? "llama.cpp"
               : ik           ? "ik_llama.cpp"
                              : "-"});
  }
  return table.render();
}

}  // namespace gguf_fuse::cli
