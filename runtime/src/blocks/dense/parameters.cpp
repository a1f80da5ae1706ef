// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "blocks/dense/dense.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

/// Keys of xIELU are not below the architecture's name.
Result<void> read_xielu(const Keys& keys, std::vector<DenseParameters>& layers) {
  const struct {
    std::string_view key;
    float Xielu::*number;
  } rows[] = {{".xielu.alpha_n", &Xielu::alpha_n},
              {".xielu.alpha_p", &Xielu::alpha_p},
              {".xielu.beta", &Xielu::beta},
              {".xielu.eps", &Xielu::epsilon}};
  for (DenseParameters& layer : layers) layer.xielu.emplace();
  for (const auto& row : rows) {
    GGUF_FUSE_ASSIGN(const std::vector<double> values, keys.reals(row.key, layers.size()));
    for (std::size_t i = 0; i < layers.size(); ++i) (*layers[i].xielu).*row.number = static_cast<float>(values[i]);
  }
  return {};
}

}  // namespace

Result<std::vector<DenseParameters>> DenseParameters::read(const Keys& keys, const ModelSizes& sizes,
                                                           const DenseTraits& traits, Activation activation) {
  constexpr std::string_view kLength = "feed_forward_length";
  std::vector<DenseParameters> layers(sizes.layers + sizes.next_token_layers,
                                      {.embedding = sizes.embedding, .activation = activation, .gated = traits.gated});
  if (traits.xielu) GGUF_FUSE_CHECK(read_xielu(keys, layers));
  GGUF_FUSE_ASSIGN(const std::uint32_t experts, keys.count("expert_count"));
  if (experts > 0 && !keys.find(kLength)) return layers;
  GGUF_FUSE_ASSIGN(const std::vector<std::uint32_t> lengths, keys.per_layer(kLength, layers.size()));
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (traits.length_of_both && lengths[i] % 2 != 0) {
      return fail(keys.bad(ErrorCode::BadHyperparameter, kLength, "an even number", std::to_string(lengths[i])));
    }
    layers[i].size = traits.length_of_both ? lengths[i] / 2 : lengths[i];
  }
  return layers;
}

}  // namespace gguf_fuse::runtime::detail
