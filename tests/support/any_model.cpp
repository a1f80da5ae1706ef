// SPDX-License-Identifier: MIT
#include <array>
#include <string>

#include "support/random.hpp"
#include "support/random_model.hpp"

namespace gguf_fuse::test_support {
namespace {

template <typename List>
const auto& pick(Random& random, const List& list) {
  return list[random.below(list.size())];
}

std::string any_architecture(Random& random) {
  // Names without a row of their own too: the planner knows more architectures than there are shapes here.
  constexpr std::array kOthers = {"deepseek2", "qwen3next",           "hy_v3", "mixtral", "bitnet",
                                  "glm4moe",   "no-such-architecture"};
  const auto known = known_architectures();
  const std::size_t choice = random.below(known.size() + kOthers.size());
  return choice < known.size() ? std::string(known[choice]) : kOthers[choice - known.size()];
}

/// Does a change that not every model allows, and leaves the model as it was where it does not.
template <typename Change>
void attempt(RandomModel& model, Change change) {
  RandomModel changed = model;
  change(changed);
  try {
    static_cast<void>(changed.build());
  } catch (const std::exception&) {
    return;
  }
  model = changed;
}

void vary_types(Random& random, RandomModel& model, std::uint32_t layers) {
  constexpr std::array kParts = {"attn_q", "attn_k", "attn_v", "ffn_gate_exps", "ffn_up_exps", "ffn_gate", "ffn_up"};
  model.type(pick(random, tensor_types()).name);
  while (random.chance(0.4)) {
    const char* part = pick(random, kParts);
    const std::string_view type = pick(random, tensor_types()).name;
    const auto layer = static_cast<std::uint32_t>(random.below(layers));
    attempt(model, [&](RandomModel& changed) { changed.type(part, type, layer); });
  }
}

void vary_tensors(Random& random, RandomModel& model, std::uint32_t layers) {
  constexpr std::array kParts = {"attn_q", "attn_k", "attn_v", "ffn_gate_exps", "ffn_up_exps"};
  while (random.chance(0.5)) {
    const char* part = pick(random, kParts);
    const RandomModel::Layer layer = random.chance(0.5) ? RandomModel::Layer(random.below(layers)) : std::nullopt;
    const std::uint64_t what = random.below(4);
    attempt(model, [&](RandomModel& changed) {
      if (what == 0) changed.bias(part, layer);
      if (what == 1) changed.scale(part, layer, "scale", 0.5F);
      if (what == 2) changed.scale(part, layer);
      if (what == 3) changed.drop(part, layer);
    });
  }
  if (random.chance(0.2)) model.prec_a4({{"blk.0.attn_q.weight", random.chance(0.5)}, {"blk.0.attn_k.weight", true}});
  if (random.chance(0.2)) model.tensor({"an.unknown.tensor", "I8", {1 + random.below(100)}});
}

}  // namespace

RandomModel any_model(std::uint64_t seed) {
  Random random(seed, "any_model");
  const std::string architecture = any_architecture(random);
  RandomModel model(architecture);
  const auto layers = static_cast<std::uint32_t>(1 + random.below(5));
  model.seed(seed).layers(layers);
  if (random.chance(0.3)) {
    model.wide();
  } else if (random.chance(0.5)) {
    const std::uint32_t kv_heads = 1U << random.below(3);
    model.heads(kv_heads * static_cast<std::uint32_t>(1 + random.below(3)), kv_heads, 16 * (1 + random.below(2)));
  }
  if (random.chance(0.5)) model.experts(static_cast<std::uint32_t>(1 + random.below(6)), 1, 32 * random.below(4));
  vary_types(random, model, layers);
  vary_tensors(random, model, layers);
  model.version(random.chance(0.2) ? 2 : 3).big_endian(random.chance(0.2)).unpadded_end(random.chance(0.3));
  if (random.chance(0.3)) model.alignment(std::uint64_t{8} << random.below(8));
  return model;
}

}  // namespace gguf_fuse::test_support
