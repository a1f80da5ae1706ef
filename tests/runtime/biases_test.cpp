// SPDX-License-Identifier: MIT
// Biases that no small reference model has: of dense feed-forwards, of attention's output, of the output matrix. Row i
// of the n-th one is 0.3 * sin(0.7 * i + n); the logits in tests/data/biases.json are llama.cpp's.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "support/edited_model.hpp"
#include "support/paths.hpp"
#include "support/runtime/run_model.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::runtime {
namespace {

using support::EditedModel;
using support::TensorSpec;
using support::value_of;

/// Rows of the matrix that a bias belongs to; the embeddings serve where there is no output matrix.
std::uint64_t rows_of(const EditedModel& model, const std::string& bias) {
  const std::string part = bias.substr(0, bias.rfind('.'));
  for (const std::string& name : {part + ".weight", std::string("token_embd.weight")}) {
    for (const TensorSpec& tensor : model.tensors()) {
      if (tensor.name == name) return tensor.dims.at(1);
    }
  }
  return 0;
}

TensorSpec make_bias(const EditedModel& model, const std::string& name, std::size_t n) {
  std::vector<float> values;
  for (std::uint64_t i = 0; i < rows_of(model, name); ++i) {
    values.push_back(static_cast<float>(0.3 * std::sin(0.7 * static_cast<double>(i) + static_cast<double>(n))));
  }
  TensorSpec spec{.name = name, .type = "F32", .dims = {values.size()}, .data = {}};
  spec.data.resize(values.size() * sizeof(float));
  std::memcpy(spec.data.data(), values.data(), spec.data.size());
  return spec;
}

TEST(Biases, GiveLlamaCppsLogits) {
  const support::TempDir dir;
  std::ifstream file(test_support::test_data("biases.json"));
  const auto data = nlohmann::json::parse(file);
  ASSERT_EQ(data.size(), 2U);
  for (const auto& [name, row] : data.items()) {
    EditedModel model(support::reference_path(name));
    std::size_t n = 0;
    for (const std::string bias : row.at("biases")) model.with_tensor(make_bias(model, bias, n++));
    const std::string path = model.write(dir.file(name + ".gguf"));
    const double spread = support::read_reference(name).spread;
    const auto expected = row.at("logits").get<std::vector<float>>();
    for (const bool fuse : {true, false}) {
      support::ModelSetup setup;
      setup.fuse_gate_up = setup.fuse_qkv = fuse;
      const auto session = support::open_session(path, setup);
      value_of(session->evaluate(row.at("tokens").get<std::vector<std::int32_t>>()));
      EXPECT_LE(support::logit_difference(value_of(session->logits()), expected).max, 1e-3 * spread) << name;
    }
  }
}

}  // namespace
}  // namespace gguf_fuse::runtime
