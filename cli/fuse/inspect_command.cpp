// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "commands.hpp"
#include "inspect_tables.hpp"
#include "json_output.hpp"
#include "print.hpp"

namespace gguf_fuse::cli {
namespace {

Json types_json() {
  Json types = Json::array();
  for (const TensorType& type : tensor_types()) {
    types.push_back({{"id", type.id},
                     {"name", type.name},
                     {"block_elements", type.block_elements},
                     {"block_bytes", type.block_bytes},
                     {"row_header_bytes", type.row_header_bytes},
                     {"rows_per_group", type.rows_per_group},
                     {"llama.cpp", (type.engines & kMainline) != 0},
                     {"ik_llama.cpp", (type.engines & kIk) != 0}});
  }
  return types;
}

Json container_json(const Container& file, std::uint64_t max_elements) {
  Json keys = Json::object();
  for (std::size_t i = 0; i < file.metadata.size(); ++i) {
    const auto entry = file.metadata[i];
    Json key{{"type", value_type_name(entry.value.type())}};
    if (entry.value.type() == ValueType::Array) {
      key["element_type"] = value_type_name(entry.value.element_type());
      key["count"] = entry.value.count();
    }
    const bool complete = entry.value.type() != ValueType::Array || entry.value.count() <= max_elements;
    if (complete) key["value"] = value_json(entry.value, max_elements);
    keys[std::string(entry.key)] = std::move(key);
  }
  Json tensors = Json::array();
  for (const TensorInfo& tensor : file.tensors) {
    tensors.push_back({{"name", tensor.name},
                       {"type", tensor.type->name},
                       {"dims", dimensions_json(tensor.dims, tensor.dimension_count)},
                       {"offset", file.data_offset + tensor.offset},
                       {"bytes", tensor.bytes}});
  }
  return {{"path", file.path},           {"version", file.version},         {"big_endian", file.big_endian},
          {"alignment", file.alignment}, {"data_offset", file.data_offset}, {"data_bytes", file.data_bytes},
          {"metadata", std::move(keys)}, {"tensors", std::move(tensors)}};
}

Json model_json(const Options& options, const ModelInfo& model) {
  // a vocabulary is most of a header and seldom what a script asks for: --kv brings it
  constexpr std::uint64_t kShortArray = 64;
  const std::uint64_t max_elements = options.show_keys ? ~std::uint64_t{0} : kShortArray;
  Json files = Json::array();
  for (const Container& file : model.shards) files.push_back(container_json(file, max_elements));
  Json json{{"command", "inspect"}, {"path", options.request.input}, {"files", std::move(files)}};
  if (options.show_types) json["types"] = types_json();
  return json;
}

}  // namespace

Result<void> inspect_command(const Options& options) {
  const bool types_only = options.request.input.empty();
  if (types_only && options.json) {
    put_json(stdout, {{"command", "inspect"}, {"types", types_json()}});
    return {};
  }
  if (options.show_types && !options.json) put(stdout, type_table());
  if (types_only) return {};
  GGUF_FUSE_ASSIGN(const Model model, open_model(options.request.input));
  if (options.json) {
    put_json(stdout, model_json(options, model.info));
    return {};
  }
  const std::size_t width = terminal_width(stdout);
  if (options.show_keys) put(stdout, key_table(model.info, width));
  if (options.show_tensors) put(stdout, tensor_table(model.info));
  if (options.show_keys || options.show_tensors || options.show_types) return {};
  put(stdout, fact_table(options.request.input, model.info, width) + "\n" + group_table(model.info));
  return {};
}

}  // namespace gguf_fuse::cli
