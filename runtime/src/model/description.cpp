// SPDX-License-Identifier: MIT
#include "model/description.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "gguf_fuse/loader/file_type.hpp"
#include "model/architecture.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

bool is_experts(std::string_view name) { return name.find("_exps.") != std::string_view::npos; }

ModelDescription::Fused count_fused(const PlannedFile& file) {
  ModelDescription::Fused fused;
  for (const PlannedTensor& tensor : file.tensors) {
    if (!tensor.joined || tensor.joined->of_elements) continue;
    ++fused.layers[rule(tensor.joined->rule).kind];
    if (!tensor.joined->stored) ++fused.while_loading;
  }
  return fused;
}

/// Bytes by the name of a type, without vectors, which are always floats, and without the embeddings, which weigh much
/// in small models and are often kept in a better type than the layers.
using TypeBytes = std::map<std::string_view, std::uint64_t>;

/// A mix of types has a name that no tensor has; quantisers write it as general.file_type. Tools that quantise again
/// may leave the old value: where types that belong to the name hold less than a tenth, it is not believed.
std::string quantisation_of(const ModelInfo& info, const TypeBytes& by_type) {
  std::uint64_t all = 0;
  for (const auto& [type, bytes] : by_type) all += bytes;
  const auto key = info.metadata().find("general.file_type");
  const auto id = key ? key->as_unsigned() : std::nullopt;
  if (const FileType* row = id ? find_file_type(*id) : nullptr) {
    std::uint64_t fitting = 0;
    for (const auto& [type, bytes] : by_type) fitting += row->has(type) ? bytes : 0;
    if (fitting > 0 && fitting >= all / 10) return std::string(row->name);
  }
  const auto most = std::max_element(by_type.begin(), by_type.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most == by_type.end()) return {};
  return fmt::format("{}{}", by_type.size() > 1 ? "mostly " : "", most->first);
}

/// What the weights take, and what one token reads of them.
TypeBytes count_bytes(std::span<const TensorView> views, const WeightMap& map, const Network& network,
                      ModelDescription& result) {
  std::set<std::size_t> loaded;
  for (const Placement& placement : map.placements) loaded.insert(placement.tensor);
  TypeBytes by_type;
  for (const TensorView& view : views) {
    if (!loaded.contains(view.tensor)) continue;
    const std::uint64_t rows = row_count(view.dims).value_or(0);
    result.parameters += rows * view.dims[0];
    result.bytes += view.bytes;
    const bool embedding = view.name == "token_embd.weight", vector = rows == 1;
    if (!embedding && !vector) by_type[view.type->name] += view.bytes;
    if (embedding && network.output.matrix.shape.type != view.type) continue;
    const bool chosen = is_experts(view.name) && result.experts > 0;
    result.bytes_per_token += chosen ? view.bytes / result.experts * result.experts_used : view.bytes;
  }
  return by_type;
}

}  // namespace

std::set<std::string_view> stored_names(const ModelInfo& info) {
  std::set<std::string_view> names;
  for (const Container& shard : info.shards) {
    for (const TensorInfo& tensor : shard.tensors) names.insert(tensor.name);
  }
  return names;
}

FuseOptions with_stored(const std::set<std::string_view>& names, const FuseOptions& asked) {
  FuseOptions options = asked;
  for (const Rule& rule : rules()) {
    if (!rule.name_tells()) continue;
    const std::string ending = fmt::format(".{}.weight", rule.result);
    const bool stored =
        std::any_of(names.begin(), names.end(), [&ending](std::string_view name) { return name.ends_with(ending); });
    options.*rule.family->chosen = options.*rule.family->chosen || stored;
  }
  return options;
}

std::vector<TensorGroup> groups_of(TensorPlaces& tensors, const Network& network, const Plan& plan) {
  const std::size_t layers = network.layers.size();
  std::vector<TensorGroup> groups = tensors.take_groups(layers);
  for (std::size_t i = 0; i < layers; ++i) {
    groups[GroupIndex::feed_forward(i)].ahead = network.layers[i].feed_forward.block->looks_ahead();
  }
  const auto name = [](const Decision& decision, std::string_view part) {
    return fmt::format("blk.{}.{}.weight", decision.layer, part);
  };
  for (const Decision& decision : plan.decisions) {
    if (!decision.fused() || decision.layer >= layers) continue;
    const std::string whole = name(decision, decision.result);
    for (const std::size_t g : {GroupIndex::mixer(decision.layer), GroupIndex::feed_forward(decision.layer)}) {
      std::vector<std::string>& names = groups[g].tensors;
      const auto has = [&names](const std::string& one) {
        return std::find(names.begin(), names.end(), one) != names.end();
      };
      if (!has(whole)) continue;
      for (const std::string& part : decision.parts) {
        if (!has(name(decision, part))) names.push_back(name(decision, part));
      }
    }
  }
  return groups;
}

std::vector<std::string> not_fused(const Plan& plan, const FuseOptions& asked) {
  std::vector<std::string> lines;
  for (const Rule& rule : rules()) {
    if (!(asked.*rule.family->chosen)) continue;
    std::size_t layers = 0;
    std::size_t apart = 0;
    const Reason* reason = nullptr;
    for (const Decision& decision : plan.decisions) {
      if (decision.rule != rule.id) continue;
      ++layers;
      if (decision.fused() || decision.reason.outcome() == Outcome::StoredFused) continue;
      ++apart;
      if (reason == nullptr) reason = &decision.reason;
    }
    if (reason != nullptr) {
      lines.push_back(fmt::format("{} stays apart in {} of {} layers: {}", rule.name, apart, layers, reason->text()));
    }
  }
  return lines;
}

ModelDescription describe(const PlannedFile& file, std::span<const TensorView> views, const ModelInfo& info,
                          const Network& network, const WeightMap& map, const std::string& path) {
  ModelDescription result{.path = path, .architecture = std::string(network.architecture->name)};
  if (const auto name = info.metadata().find("general.name")) {
    result.name = escape_text(name->as_string().value_or(""));
  }
  for (const Layer& layer : network.layers) {
    if (const RouterShape* const router = layer.feed_forward.block->router()) {
      result.experts = router->experts;
      result.experts_used = router->used;
    }
  }
  result.quantisation = quantisation_of(info, count_bytes(views, map, network, result));
  result.fused = count_fused(file);
  result.layers = network.sizes.layers;
  result.embedding = network.sizes.embedding;
  result.vocabulary = network.embedding.table.shape.rows;
  result.train_context = network.sizes.train_context;
  return result;
}

}  // namespace gguf_fuse::runtime::detail
