// SPDX-License-Identifier: MIT
// Products with experts' matrices against the scalar reference, computed from the same (quantised) activations, choices
// and weights, so that only rounding of the sums is left.
#include "experts_fixture.hpp"

namespace gguf_fuse::kernels {
namespace {

using support::ExpertFiles;
using support::TestActivations;
using support::TestRouting;
using support::value_of;
using support::Variant;

/// Of the sum of |weight * activation|.
constexpr double kTolerance = 1e-5;

struct ExpertCase {
  const char* gate = "Q8_0";
  const char* up = "Q8_0";
  const char* down = "Q8_0";
  Activations kind = Activations::Q8;
  Activation activation = Activation::Silu;
  std::uint32_t experts = 4;
  std::uint32_t used = 2;
  std::uint32_t tile = kBatchTile;
  std::uint32_t tokens = 17;
  std::uint32_t rows = 100;     ///< of gate and up
  std::uint32_t columns = 256;  ///< of all
  std::uint32_t out_rows = 24;  ///< of down
  std::uint32_t part = 128;     ///< experts in a buffer, at most
  bool bias = false;
  Epilogue epilogue = Epilogue::Add;
  float factor = 1;
  std::vector<float> logits{};
  bool weigh_input = false;
};

class Experts : public testing::TestWithParam<Variant> {
 protected:
  void SetUp() override {
    if (!support::can_run(GetParam())) GTEST_SKIP() << "not on this device";
    device_ = support::shared_device(GetParam().style, GetParam().dot);
  }

  /// Many types where it matters most; that every style reads every type is DecodeOnDevice's to test.
  [[nodiscard]] bool is_main() const {
    return GetParam().dot != DotProduct::None && GetParam().dot != DotProduct::VnniAvx;
  }

  [[nodiscard]] TestRouting routing_of(const ExpertCase& wanted) const {
    return support::make_routing(*device_, {.experts = wanted.experts, .used = wanted.used, .normalise = true},
                                 wanted.tile, wanted.tokens, wanted.logits, wanted.weigh_input);
  }

  void expect_gate_up(const ExpertCase& wanted) {
    const ExpertFiles gate = support::random_experts(wanted.gate, wanted.experts, wanted.rows, wanted.columns, 100);
    const ExpertFiles up = support::random_experts(wanted.up, wanted.experts, wanted.rows, wanted.columns, 500);
    const TestRouting routing = routing_of(wanted);
    const std::uint32_t slots = routing.routing.shape.slots(routing.routing.shape.max_tokens);
    // In batches slots have activations of their own here, so that each must be read from its place.
    const TestActivations x =
        support::random_activations(wanted.kind, wanted.columns, wanted.tile, wanted.tile == 1 ? 1 : slots, 5);
    ExpertGateUpShape shape{.kind = wanted.kind,
                            .activation = wanted.activation,
                            .gate = support::upload_experts(*device_, gate, wanted.part),
                            .up = support::upload_experts(*device_, up, wanted.part)};
    // Large enough for both limits of SiluOai.
    const std::size_t biases = std::size_t{wanted.experts} * wanted.rows;
    const std::vector<float> gate_bias =
        wanted.bias ? support::random_floats(biases, 12, 1) : std::vector<float>(biases);
    const std::vector<float> up_bias = wanted.bias ? support::random_floats(biases, 12, 2) : std::vector<float>(biases);
    if (wanted.bias) {
      shape.gate_bias = support::buffer_of(*device_, gate_bias);
      shape.up_bias = support::buffer_of(*device_, up_bias);
    }
    const Buffer out = support::buffer_of(*device_, std::vector<float>(std::size_t{slots} * wanted.rows, 77));
    Operation operation = value_of(
        expert_gate_up(*device_, shape, routing.routing, support::buffer_of(*device_, x.bytes), out, routing.step));
    support::enqueue_in_parts(operation, {.tokens = wanted.tokens});
    const auto got = support::content_of<float>(out);
    for (std::uint32_t choice = 0; choice < wanted.tokens * wanted.used; ++choice) {
      const std::uint32_t slot = routing.slots[choice];
      const std::uint32_t expert = routing.experts[choice];
      const auto row_of_x =
          std::span(x.values).subspan(std::size_t{wanted.tile == 1 ? 0 : slot} * wanted.columns, wanted.columns);
      const support::RowProduct gates = support::row_product(gate.experts[expert], row_of_x);
      const support::RowProduct ups = support::row_product(up.experts[expert], row_of_x);
      const double weight = wanted.weigh_input ? double{routing.weights[choice]} : 1;
      for (std::uint32_t row = 0; row < wanted.rows; ++row) {
        const std::size_t at = std::size_t{expert} * wanted.rows + row;
        const double g = weight * gates.sums[row] + double{gate_bias[at]};
        const double u = weight * ups.sums[row] + double{up_bias[at]};
        const double expected = gated_reference(wanted.activation, g, u);
        ASSERT_NEAR(double{got[std::size_t{slot} * wanted.rows + row]}, expected,
                    tolerance(wanted.activation, g, kTolerance * weight * gates.magnitudes[row] + 1e-6 * std::fabs(g),
                              u, kTolerance * weight * ups.magnitudes[row] + 1e-6 * std::fabs(u)) +
                        2e-6 * std::fabs(expected))
            << wanted.gate << " choice " << choice << " expert " << expert << " row " << row;
      }
    }
  }

  /// A gate's slope is at most 1.13.
  static double tolerance(Activation activation, double g, double g_error, double u, double u_error) {
    const bool oai = activation == Activation::SiluOai;
    const double factor = oai ? std::clamp(u, -7.0, 7.0) + 1 : u;
    return 1.13 * g_error * std::fabs(factor) + std::fabs(gated_reference(activation, g, oai ? 0 : 1)) * u_error +
           1e-36;
  }

  void expect_down(const ExpertCase& wanted) {
    const ExpertFiles down = support::random_experts(wanted.down, wanted.experts, wanted.out_rows, wanted.columns, 900);
    const TestRouting routing = routing_of(wanted);
    const RoutingShape& routed = routing.routing.shape;
    const std::uint32_t slots = routed.slots(routed.max_tokens);
    const TestActivations x = support::random_activations(wanted.kind, wanted.columns, wanted.tile, slots, 6);
    ExpertDownShape shape{.kind = wanted.kind,
                          .epilogue = wanted.epilogue,
                          .factor = wanted.factor,
                          .down = support::upload_experts(*device_, down, wanted.part)};
    const std::size_t biases = std::size_t{wanted.experts} * wanted.out_rows;
    const std::vector<float> bias = wanted.bias ? support::random_floats(biases, 12, 1) : std::vector<float>(biases);
    if (wanted.bias) shape.bias = support::buffer_of(*device_, bias);
    const std::vector<float> before = support::random_floats(std::size_t{routed.max_tokens} * wanted.out_rows, 1, 3);
    const Buffer out = support::buffer_of(*device_, before);
    const Buffer scratch =
        wanted.tile == 1 ? Buffer() : value_of(device_->allocate(std::uint64_t{slots} * wanted.out_rows * 4));
    Operation operation = value_of(expert_down(*device_, shape, routing.routing, support::buffer_of(*device_, x.bytes),
                                               scratch, out, routing.step));
    support::enqueue_in_parts(operation, {.tokens = wanted.tokens});
    const auto got = support::content_of<float>(out);
    for (std::uint32_t token = 0; token < wanted.tokens; ++token) {
      std::vector<double> sums(wanted.out_rows);
      std::vector<double> magnitudes(wanted.out_rows);
      for (std::uint32_t choice = token * wanted.used; choice < (token + 1) * wanted.used; ++choice) {
        const std::uint32_t expert = routing.experts[choice];
        const support::RowProduct product = support::row_product(
            down.experts[expert],
            std::span(x.values).subspan(std::size_t{routing.slots[choice]} * wanted.columns, wanted.columns));
        for (std::uint32_t row = 0; row < wanted.out_rows; ++row) {
          const double added = double{bias[std::size_t{expert} * wanted.out_rows + row]};
          const double weight = wanted.weigh_input ? 1 : double{routing.weights[choice]};
          sums[row] += weight * (product.sums[row] + added);
          magnitudes[row] += weight * (product.magnitudes[row] + std::fabs(added));
        }
      }
      for (std::uint32_t row = 0; row < wanted.out_rows; ++row) {
        const std::size_t at = std::size_t{token} * wanted.out_rows + row;
        const double added = wanted.epilogue == Epilogue::Add ? double{before[at]} : 0;
        const double factor = double{wanted.factor};
        ASSERT_NEAR(double{got[at]}, added + factor * sums[row],
                    kTolerance * std::fabs(factor) * magnitudes[row] + 1e-6 * std::fabs(added) + 1e-36)
            << wanted.down << " token " << token << " row " << row;
      }
    }
    // Tokens that did not come keep what they held.
    for (std::size_t at = std::size_t{wanted.tokens} * wanted.out_rows; at < got.size(); ++at) {
      ASSERT_EQ(got[at], before[at]);
    }
  }

  void expect_all(const ExpertCase& wanted) {
    expect_gate_up(wanted);
    expect_down(wanted);
  }

  std::shared_ptr<Device> device_{};
};

TEST_P(Experts, OfEveryKindOfType) {
  std::vector<ExpertCase> cases = {{.gate = "Q4_K", .up = "Q4_1", .down = "Q8_0"},
                                   {.gate = "NVFP4", .up = "NVFP4", .down = "NVFP4", .columns = 192}};
  if (is_main()) {
    cases = {{.gate = "Q4_1", .up = "Q4_1", .down = "Q4_1", .columns = 96},
             {.gate = "Q8_0", .up = "Q8_0", .down = "Q8_0", .columns = 96},
             {.gate = "Q4_K", .up = "Q6_K", .down = "Q6_K"},
             {.gate = "MXFP4", .up = "MXFP4", .down = "MXFP4", .columns = 96},
             {.gate = "NVFP4", .up = "NVFP4", .down = "NVFP4", .columns = 192},
             {.gate = "IQ4_NL", .up = "Q5_0", .down = "IQ4_NL", .columns = 96}};
  }
  for (ExpertCase& wanted : cases) {
    expect_all(wanted);
    wanted.tile = 1;
    wanted.tokens = 1;
    expect_all(wanted);
  }
}

TEST_P(Experts, WithFloatActivations) {
  if (GetParam().dot != DotProduct::None) GTEST_SKIP() << "as with another dot product";
  for (const std::uint32_t tile : {1U, kBatchTile}) {
    const std::uint32_t tokens = tile == 1 ? 1 : 17;
    expect_all({.gate = "F32",
                .up = "BF16",
                .down = "BF16",
                .kind = Activations::F32,
                .tile = tile,
                .tokens = tokens,
                .columns = 70});
    expect_all(
        {.gate = "Q4_K", .up = "Q4_K", .down = "Q4_K", .kind = Activations::F32, .tile = tile, .tokens = tokens});
  }
}

TEST_P(Experts, OfAnyNumberOfExpertsAndTokens) {
  for (const auto& [experts, used] : {std::pair{2U, 1U}, {2U, 2U}, {8U, 2U}, {128U, 8U}}) {
    for (const std::uint32_t tokens : {1U, 2U, 17U, 100U}) {
      // A hundred of 128 experts take the reference long.
      if (experts == 128 && tokens == 100) continue;
      expect_all({.experts = experts, .used = used, .tokens = tokens, .rows = 24, .columns = 64, .out_rows = 40});
    }
    expect_all({.experts = experts, .used = used, .tile = 1, .tokens = 1, .rows = 24, .columns = 64, .out_rows = 40});
  }
}

TEST_P(Experts, OfManyRows) {
  for (const std::uint32_t tile : {1U, kBatchTile}) {
    expect_all(
        {.tile = tile, .tokens = tile == 1 ? 1U : 90U, .rows = 401, .columns = 64, .out_rows = 330, .factor = -0.5F});
  }
}

/// Each part is one launch: 7 experts in parts of 3, 3 and 1, and in seven.
TEST_P(Experts, InSeveralBuffers) {
  for (const std::uint32_t part : {3U, 1U}) {
    for (const Epilogue epilogue : {Epilogue::Store, Epilogue::Add}) {
      for (const std::uint32_t tile : {1U, kBatchTile}) {
        expect_all({.experts = 7,
                    .used = 3,
                    .tile = tile,
                    .tokens = tile == 1 ? 1U : 33U,
                    .rows = 24,
                    .columns = 64,
                    .part = part,
                    .bias = true,
                    .epilogue = epilogue,
                    .factor = 1.5F});
      }
    }
  }
}

/// The first part stores, though none of its experts is chosen.
TEST_P(Experts, ThePartThatStoresMayHaveNoExpert) {
  expect_down({.experts = 4,
               .used = 1,
               .tile = 1,
               .tokens = 1,
               .columns = 64,
               .part = 2,
               .epilogue = Epilogue::Store,
               .logits = {0, 0, 0, 5}});
}

TEST_P(Experts, ActivateWithABias) {
  for (const Activation activation : {Activation::Silu, Activation::Gelu, Activation::Relu, Activation::SiluOai}) {
    for (const std::uint32_t tile : {1U, kBatchTile}) {
      ExpertCase wanted{
          .activation = activation, .tile = tile, .tokens = tile == 1 ? 1U : 17U, .columns = 64, .bias = true};
      expect_all(wanted);
      wanted.bias = false;
      wanted.epilogue = Epilogue::Store;
      expect_all(wanted);
    }
  }
}

/// The weights multiply what gate and up read, with their bias behind, and not what down says.
TEST_P(Experts, MayHaveTheirInputWeighed) {
  for (const bool bias : {false, true}) {
    for (const std::uint32_t tile : {1U, kBatchTile}) {
      expect_all({.experts = 5,
                  .used = 3,
                  .tile = tile,
                  .tokens = tile == 1 ? 1U : 40U,
                  .columns = 64,
                  .part = 2,
                  .bias = bias,
                  .factor = 1.5F,
                  .weigh_input = true});
    }
  }
}

TEST_P(Experts, AllTokensToOneExpert) {
  std::vector<float> logits;
  for (int i = 0; i < 50; ++i) logits.insert(logits.end(), {0, 0, 0, 4, 0});
  expect_all({.experts = 5, .used = 1, .tokens = 50, .rows = 24, .columns = 64, .logits = logits});
}

/// Side by side in one buffer or each in its own: the same bits.
TEST_P(Experts, FusedAndSeparateAgree) {
  const ExpertFiles gate = support::random_experts("Q8_0", 6, 40, 64, 1);
  const ExpertFiles up = support::random_experts("Q8_0", 6, 40, 64, 2);
  const auto fused = support::upload_fused(*device_, gate, up);
  for (const std::uint32_t tile : {1U, kBatchTile}) {
    const ExpertCase wanted{.experts = 6, .tile = tile, .tokens = tile == 1 ? 1U : 20U};
    const TestRouting routing = routing_of(wanted);
    const std::uint32_t slots = routing.routing.shape.slots(routing.routing.shape.max_tokens);
    const TestActivations x = support::random_activations(Activations::Q8, 64, tile, tile == 1 ? 1 : slots, 5);
    const auto run = [&](ExpertMatrix gates, ExpertMatrix ups) {
      const Buffer out = support::buffer_of(*device_, std::vector<float>(std::size_t{slots} * 40));
      value_of(value_of(expert_gate_up(*device_, {.gate = std::move(gates), .up = std::move(ups)}, routing.routing,
                                       support::buffer_of(*device_, x.bytes), out, routing.step))
                   .enqueue({.tokens = wanted.tokens}));
      return support::content_of<std::uint32_t>(out);
    };
    const auto separate = run(support::upload_experts(*device_, gate, 128), support::upload_experts(*device_, up, 128));
    EXPECT_EQ(run(fused.first, fused.second), separate);
    EXPECT_EQ(run(support::upload_experts(*device_, gate, 2), support::upload_experts(*device_, up, 2)), separate);
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, Experts, testing::ValuesIn(support::kVariants), support::variant_test_name);

}  // namespace
}  // namespace gguf_fuse::kernels
