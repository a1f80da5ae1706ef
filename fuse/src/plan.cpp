// SPDX-License-Identifier: MIT
#include "gguf_fuse/fuse/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <unordered_map>
#include <unordered_set>

#include "gguf_fuse/loader/file_kind.hpp"
#include "joined.hpp"
#include "layout.hpp"
#include "legality.hpp"

namespace gguf_fuse::fuse {
namespace {

// Fused tensors by the original index at which they stand, and the names of the parts they replace.
struct Fusions {
  std::unordered_map<std::uint32_t, LogicalTensor> at;
  std::unordered_set<std::uint32_t> consumed;
  std::unordered_map<std::string, std::string> part_of;  ///< where what a rule made became a part of a later one

  void add(const Rule& rule, std::uint32_t layer, std::string_view attribute,
           const std::vector<const LogicalTensor*>& parts, ModelView& view, bool stored) {
    const Join how{.axis = rule.axis, .along_elements = attribute == "bias"};
    LogicalTensor fused = join(parts, how, fused_name(rule, layer, attribute));
    if (how.axis == Axis::Rows) {
      fused.joined = Joined{.rule = rule.id, .stored = stored, .of_elements = how.along_elements, .parts = {}};
      for (const LogicalTensor* part : parts)
        fused.joined->parts.push_back({.name = part->name, .rows = part->dims[how.dimension()]});
    }
    std::vector<std::unordered_map<std::uint32_t, LogicalTensor>::node_type> made_before;
    for (const LogicalTensor* part : parts) {
      consumed.insert(part->index);
      if (!part->parts.empty()) part_of.emplace(part->name, fused.name);
      made_before.push_back(at.extract(part->index));
    }
    const auto place = at.emplace(fused.index, std::move(fused)).first;
    view.replace(parts, place->second);
  }

  // Equal scales of parts, as one of the fused tensor.
  void add_common(const Rule& rule, std::uint32_t layer, std::string_view attribute,
                  const std::vector<const LogicalTensor*>& scales) {
    for (const LogicalTensor* scale : scales) consumed.insert(scale->index);
    LogicalTensor common = share(scales, fused_name(rule, layer, attribute));
    at.emplace(common.index, std::move(common));
  }
};

class FusePlanner {
 public:
  FusePlanner(ModelView& view, const FuseOptions& options)
      : view_(view), options_(options), stored_(stored_joined(view)) {
    for (const StoredFusion& stored : view.logical().stored_fused) recorded_.insert(stored.name);
  }

  Result<Plan> run() {
    Plan plan;
    GGUF_FUSE_CHECK(check_layers(plan));
    for (const Rule& rule : rules()) {
      for (const std::uint32_t layer : view_.layers()) {
        auto decision = decide(rule, layer);
        if (decision) plan.decisions.push_back(std::move(*decision));
      }
    }
    warn_of_stored(plan);
    note_lost_record(view_.logical(), plan);
    GGUF_FUSE_ASSIGN(Layout layout, lay_out(view_.logical(), take_tensors(), options_.split));
    plan.files = std::move(layout.files);
    plan.proof = std::move(layout.proof);
    plan.fused_before =
        static_cast<std::size_t>(std::count_if(plan.decisions.begin(), plan.decisions.end(),
                                               [this](const Decision& d) { return d.fused() && fused_before(d); }));
    return plan;
  }

 private:
  // Layers that the model does not have are a mistake, whole or in part.
  Result<void> check_layers(Plan& plan) const {
    if (!options_.layers || view_.layers().empty()) return {};
    const auto [first, last] = *options_.layers;
    const std::uint32_t end = view_.layers().back();
    const bool to_the_end = last == std::numeric_limits<std::uint32_t>::max();
    if (first > end || first > last) {
      return fail({.code = ErrorCode::InvalidArgument,
                   .path = view_.logical().path,
                   .subject = "--layers",
                   .expected = fmt::format("layers from 0 to {}", end),
                   .actual = to_the_end ? fmt::format("{}-", first) : fmt::format("{}-{}", first, last),
                   .hint = "`gguf-fuse plan` shows the layers of a model"});
    }
    if (last > end && !to_the_end) plan.warnings.push_back(because<ReasonCode::LayersBeyond>(first, last, end));
    return {};
  }

  std::optional<Decision> decide(const Rule& rule, std::uint32_t layer) {
    const Parts parts = find_parts(view_, rule, layer);
    Decision decision{.rule = rule.id, .layer = layer, .parts = {}, .result = std::string(rule.result)};
    if (parts.weight_count == 0) {
      const LogicalTensor* stored = rule.name_tells() ? view_.find(layer, rule.result, "weight") : nullptr;
      if (stored == nullptr || (rule.own_in_recurrent && view_.recurrent(layer))) return std::nullopt;
      decision.reason = because<ReasonCode::StoredFused>();
      decision.bytes = stored->bytes;
      return decision;
    }
    // A feed-forward network without a gate is none of this rule's business.
    if (rule.result_is_part() && parts.weights[0] == nullptr) return std::nullopt;
    for (std::size_t i = 0; i < parts.names.size(); ++i) {
      if (parts.weights[i] != nullptr) decision.parts.push_back(parts.names[i]);
    }
    if (auto reason = reason_against(rule, layer, parts)) {
      decision.reason = std::move(*reason);
      return decision;
    }
    fuse(rule, layer, parts, decision);
    return decision;
  }

  [[nodiscard]] std::optional<Reason> reason_against(const Rule& rule, std::uint32_t layer, const Parts& parts) const {
    if (!(options_.*rule.family->chosen)) return because<ReasonCode::NotChosen>();
    if (options_.layers && (layer < options_.layers->first || layer > options_.layers->second)) {
      return because<ReasonCode::OtherLayer>();
    }
    return refusal(view_, rule, layer, parts, options_);
  }

  // Whether the record of the input has this fusion, too, by itself or within a later one.
  [[nodiscard]] bool fused_before(const Decision& decision) const {
    std::string name = tensor_name(decision.layer, decision.result, "weight");
    for (auto next = fusions_.part_of.find(name); next != fusions_.part_of.end(); next = fusions_.part_of.find(name))
      name = next->second;
    return recorded_.contains(name);
  }

  void fuse(const Rule& rule, std::uint32_t layer, const Parts& parts, Decision& decision) {
    const std::string_view type = parts.weights[0]->type->name;
    decision.reason =
        parts.bias_count != 0 ? because<ReasonCode::AlikeWithBiases>(type) : because<ReasonCode::Alike>(type);
    for (std::size_t i = 0; i < parts.names.size(); ++i) {
      decision.bytes += parts.weights[i]->bytes + (parts.biases[i] != nullptr ? parts.biases[i]->bytes : 0);
    }
    const bool stored = fused_before(decision);
    fusions_.add(rule, layer, "weight", parts.weights, view_, stored);
    if (parts.bias_count != 0) fusions_.add(rule, layer, "bias", parts.biases, view_, stored);
    if (options_.target == Target::GgufFuse) return;  // where each row has its own
    for (const std::string_view attribute : kScales) {
      const std::vector<const LogicalTensor*> scales = find_scales(view_, layer, parts, attribute);
      if (!scales.empty()) fusions_.add_common(rule, layer, attribute, scales);
    }
  }

  // Tensors that came fused stay as they are; whether the target reads them is worth a word.
  void warn_of_stored(Plan& plan) const {
    for (const Rule& rule : rules()) {
      const Support support_here = support(options_.target, view_.architecture(), rule.id);
      const bool read = support_here == Support::Yes || support_here == Support::Required;
      const auto of_rule = [&rule](const Decision& decision) { return decision.rule == rule.id; };
      const bool stored = std::any_of(plan.decisions.begin(), plan.decisions.end(), [&](const Decision& d) {
        return of_rule(d) && d.reason.outcome() == Outcome::StoredFused;
      });
      if (stored && !read && view_.row() != nullptr) {
        plan.warnings.push_back(
            because<ReasonCode::StoredUnread>(rule.result, target_name(options_.target), view_.architecture()));
      }
      const bool separate = std::any_of(plan.decisions.begin(), plan.decisions.end(), [&](const Decision& d) {
        return of_rule(d) && !d.fused() && d.parts.size() >= rule.part_names().size();
      });
      if (separate && support_here == Support::Required) {
        plan.warnings.push_back(because<ReasonCode::NotAllFused>(target_name(options_.target), rule.result));
      }
    }
  }

  std::vector<LogicalTensor> take_tensors() {
    std::vector<LogicalTensor> tensors;
    for (const LogicalTensor& tensor : view_.logical().tensors) {
      if (const auto fused = fusions_.at.find(tensor.index); fused != fusions_.at.end()) {
        tensors.push_back(std::move(fused->second));
      } else if (!fusions_.consumed.contains(tensor.index)) {
        tensors.push_back(tensor);
        if (const auto joined = stored_.find(tensor.index); joined != stored_.end())
          tensors.back().joined = std::move(joined->second);
      }
    }
    return tensors;
  }

  ModelView& view_;
  const FuseOptions& options_;
  std::unordered_set<std::string_view> recorded_;     // fused tensors of the input's record
  std::unordered_map<std::uint32_t, Joined> stored_;  // of the input without one
  Fusions fusions_;
};

}  // namespace

std::uint64_t Plan::total_bytes() const {
  std::uint64_t bytes = 0;
  for (const PlannedFile& file : files) bytes += file.total_bytes;
  return bytes;
}

std::size_t Plan::fused_count() const {
  return static_cast<std::size_t>(
      std::count_if(decisions.begin(), decisions.end(), [](const Decision& d) { return d.fused(); }));
}

Result<Plan> plan_fuse(const ModelInfo& model, const FuseOptions& options) {
  GGUF_FUSE_ASSIGN(const LogicalModel original, original_model(model));
  GGUF_FUSE_ASSIGN(ModelView view, ModelView::make(original));
  GGUF_FUSE_ASSIGN(Plan plan, FusePlanner(view, options).run());
  if (const auto kind = other_than_model(model)) {
    plan.warnings.push_back(because<ReasonCode::OtherKind>(kind->name, kind->told, kind->advice));
  }
  return plan;
}

}  // namespace gguf_fuse::fuse
