// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "layout.hpp"
#include "legality.hpp"

namespace gguf_fuse::fuse {
namespace {

/// Takes tensors apart that came fused from elsewhere, by the rules and the model's own head counts.
class UnfusePlanner {
 public:
  explicit UnfusePlanner(const ModelView& view) : view_(view) {}

  Result<Plan> run(const SplitOptions& split) {
    Plan plan;
    plan.restores = Restores::Weights;
    for (const Rule& rule : rules()) {
      for (const std::uint32_t layer : view_.layers()) {
        auto decision = decide(rule, layer);
        if (decision) plan.decisions.push_back(std::move(*decision));
      }
    }
    if (parts_.empty()) return fail(nothing_to_unfuse(plan));
    note_lost_record(view_.logical(), plan);
    GGUF_FUSE_ASSIGN(Layout layout, lay_out(view_.logical(), take_tensors(), split));
    plan.files = std::move(layout.files);
    return plan;
  }

 private:
  std::optional<Decision> decide(const Rule& rule, std::uint32_t layer) {
    const LogicalTensor* fused = view_.find(layer, rule.result, "weight");
    // Gate and up, each on its own.
    if (fused == nullptr || (rule.result_is_part() && view_.find(layer, rule.parts[0], "weight") != nullptr))
      return std::nullopt;
    const UnfuseCut cut = natural_cut(view_, rule, layer, *fused);
    if (!cut && cut.error().code == ReasonCode::NotFused) return std::nullopt;
    Decision decision{.rule = rule.id,
                      .layer = layer,
                      .reason = because<ReasonCode::ByRule>(),
                      .parts = {},
                      .result = std::string(rule.result),
                      .bytes = fused->bytes};
    if (auto reason = reason_against(rule, layer, *fused, cut)) {
      decision.reason = std::move(*reason);
      return decision;
    }
    take_apart(rule, layer, *fused, *cut, "weight", decision);
    if (const LogicalTensor* bias = view_.find(layer, rule.result, "bias"))
      take_apart(rule, layer, *bias, {.rows = cut->rows, .along_elements = true}, "bias", decision);
    return decision;
  }

  [[nodiscard]] std::optional<Reason> reason_against(const Rule& rule, std::uint32_t layer, const LogicalTensor& fused,
                                                     const UnfuseCut& cut) const {
    if (!cut) return cut.error();
    const Support mainline = support(Target::LlamaCpp, view_.architecture(), rule.id);
    const Support ik = support(Target::IkLlamaCpp, view_.architecture(), rule.id);
    if (mainline == Support::Required || (mainline == Support::Unknown && ik == Support::Required))
      return because<ReasonCode::StoredByDesign>();
    if (auto reason = neighbour_against(rule, layer)) return reason;
    if (!can_cut(fused, *cut)) return because<ReasonCode::CutInGroup>();
    const LogicalTensor* bias = view_.find(layer, rule.result, "bias");
    const Cut bias_cut{.rows = cut->rows, .along_elements = true};
    if (bias != nullptr && (bias->dims[0] != fused.dims[1] || !can_cut(*bias, bias_cut)))
      return because<ReasonCode::OtherFusedBias>();
    return std::nullopt;
  }

  // Tensors that would stand twice, or belong to no tensor any more.
  [[nodiscard]] std::optional<Reason> neighbour_against(const Rule& rule, std::uint32_t layer) const {
    for (const std::string_view attribute : {"weight", "bias"}) {
      if (view_.find(layer, rule.result, attribute) == nullptr) continue;
      for (const std::string_view part : rule.part_names()) {
        if (part != rule.result && view_.find(layer, part, attribute) != nullptr)
          return because<ReasonCode::PartThere>(part, attribute, rule.result);
      }
    }
    for (const std::string_view attribute : kScales) {
      if (view_.find(layer, rule.result, attribute) != nullptr)
        return because<ReasonCode::OwnScale>(rule.result, attribute);
    }
    return std::nullopt;
  }

  void take_apart(const Rule& rule, std::uint32_t layer, const LogicalTensor& fused, const Cut& cut,
                  std::string_view attribute, Decision& decision) {
    std::vector<std::string> names;
    for (const std::string_view part : rule.part_names()) {
      names.push_back(tensor_name(layer, part, attribute));
      if (attribute == "weight") decision.parts.emplace_back(part);
    }
    std::vector<LogicalTensor>& parts = parts_[fused.index];
    for (LogicalTensor& part : cut_apart(fused, cut, names)) {
      part.taken_from = fused.name;
      parts.push_back(std::move(part));
    }
  }

  [[nodiscard]] Error nothing_to_unfuse(const Plan& plan) const {
    const LogicalModel& logical = view_.logical();
    if (!logical.lost_key.empty()) {
      return {.code = ErrorCode::BadRecord,
              .path = logical.path,
              .subject = logical.lost_key,
              .expected = "all keys of the record, or tensors that the rules can take apart without one",
              .actual = plan.decisions.empty() ? std::string("no such key")
                                               : fmt::format("no such key, and {}: {}", plan.decisions.front().result,
                                                             plan.decisions.front().reason.text()),
              .hint = "another program dropped it; fuse the original again"};
    }
    Error error{.code = ErrorCode::NothingToUnfuse, .path = logical.path};
    if (!plan.decisions.empty())
      error.actual = fmt::format("{}: {}", plan.decisions.front().result, plan.decisions.front().reason.text());
    return error;
  }

  std::vector<LogicalTensor> take_tensors() {
    std::vector<LogicalTensor> tensors;
    for (const LogicalTensor& tensor : view_.logical().tensors) {
      const auto found = parts_.find(tensor.index);
      if (found == parts_.end()) {
        tensors.push_back(tensor);
      } else {
        std::move(found->second.begin(), found->second.end(), std::back_inserter(tensors));
      }
    }
    // The parts share their fused tensor's index, and shards are filled by it: the order is already right.
    return tensors;
  }

  const ModelView& view_;
  std::unordered_map<std::uint32_t, std::vector<LogicalTensor>> parts_;
};

// What a name says behind its layer and before `.weight`.
std::string base_name(std::string_view name, std::uint32_t layer) {
  constexpr std::string_view kWeight = ".weight";
  const std::string prefix = fmt::format("blk.{}.", layer);
  if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  if (name.ends_with(kWeight)) name.remove_suffix(kWeight.size());
  return std::string(name);
}

// Every fused tensor of the record, for the summary.
std::vector<Decision> recorded_decisions(const ModelInfo& model, const LogicalModel& original) {
  std::vector<Decision> decisions;
  const LogicalModel stored = stored_model(model);
  const TensorIndex tensors = index_by_name(stored.tensors);
  for (const StoredFusion& fusion : original.stored_fused) {
    const auto layer = layer_of(fusion.name);
    if (!layer || !fusion.name.ends_with(".weight")) continue;
    for (const Rule& rule : rules()) {
      if (fusion.name != tensor_name(*layer, rule.result, "weight")) continue;
      Decision decision{.rule = rule.id,
                        .layer = *layer,
                        .reason = because<ReasonCode::ByRecord>(),
                        .parts = {},
                        .result = std::string(rule.result),
                        .bytes = stored.tensors[tensors.find(fusion.name)->second].bytes};
      for (const std::string& part : fusion.parts) decision.parts.push_back(base_name(part, *layer));
      decisions.push_back(std::move(decision));
    }
  }
  std::stable_sort(decisions.begin(), decisions.end(),
                   [](const Decision& a, const Decision& b) { return a.rule < b.rule; });
  return decisions;
}

bool is_split_key(const KeyItem& item) {
  return item.key == "split.no" || item.key == "split.count" || item.key == "split.tensors.count";
}

bool same_headers(const std::vector<PlannedFile>& files, const std::vector<ContentHash>& expected) {
  return std::equal(files.begin(), files.end(), expected.begin(), expected.end(),
                    [](const PlannedFile& file, const ContentHash& hash) {
                      return hash_header(file.header, 0, file.total_bytes) == hash;
                    });
}

// Whoever cuts a file and joins it again leaves these keys behind, and nobody but the hash of the header can tell that
// the original had none. True when the plan is that of the original now.
Result<bool> without_split_keys(const LogicalModel& original, const SplitOptions& split, Plan& plan) {
  LogicalModel plain = original;
  if (plain.shards.size() != 1 || std::erase_if(plain.shards.front().keys, is_split_key) == 0) return false;
  GGUF_FUSE_ASSIGN(Layout layout, lay_out(plain, plain.tensors, split));
  if (!same_headers(layout.files, original.hashes->headers)) return false;
  plan.files = std::move(layout.files);
  plan.proof = std::move(layout.proof);
  return true;
}

}  // namespace

Result<Plan> plan_unfuse(const ModelInfo& model, const SplitOptions& split) {
  GGUF_FUSE_ASSIGN(LogicalModel original, original_model(model));
  SplitOptions wanted = split;
  const bool as_recorded = split.max_bytes == 0 && split.max_tensors == 0;
  if (as_recorded) wanted.keep = true;
  if (!original.has_record) {
    GGUF_FUSE_ASSIGN(const ModelView view, ModelView::make(original));
    return UnfusePlanner(view).run(wanted);
  }
  Plan plan;
  plan.decisions = recorded_decisions(model, original);
  GGUF_FUSE_ASSIGN(Layout layout, lay_out(original, original.tensors, wanted));
  plan.files = std::move(layout.files);
  plan.proof = std::move(layout.proof);
  if (!as_recorded) {
    plan.unproven = {because<ReasonCode::OtherShards>()};
  } else if (!original.hashes) {
    plan.unproven = {because<ReasonCode::NoHashes>()};
  } else if (!same_headers(plan.files, original.hashes->headers)) {
    GGUF_FUSE_ASSIGN(const bool found, without_split_keys(original, wanted, plan));
    if (!found) plan.unproven = {because<ReasonCode::MetadataChanged>()};
  }
  if (plan.unproven.empty() && !original.hashes->zero_padding) plan.unproven = {because<ReasonCode::PaddingNotKept>()};
  plan.restores = plan.unproven.empty() ? Restores::Original : Restores::Recorded;
  return plan;
}

}  // namespace gguf_fuse::fuse
