// SPDX-License-Identifier: MIT
// Matrix products against the scalar reference, computed from the same (quantised) activations, so that only rounding
// of the sums is left. Several types share a launch, which also keeps the number of kernels to build small.
#include <gmock/gmock.h>

#include "matmul_fixture.hpp"
#include "types.hpp"

namespace gguf_fuse::kernels {
namespace {

using support::FileMatrix;
using support::TestActivations;
using support::value_of;
using support::Variant;

/// Of the sum of |weight * activation|.
constexpr double kTolerance = 1e-5;
/// Of ternary types also of the sum of |largest weight of the row * activation|: what scale * q and offset lose where
/// they make weights of zero, as nearly all of a block are that has an outlier.
double cancelled(const TensorType& type) { return type.name == "TQ1_0" || type.name == "TQ2_0" ? 1e-7 : 0; }

struct TypeSet {
  std::vector<std::string_view> types;
  std::uint32_t columns;
};

/// All types with blocks of that many elements, three in a launch.
void add_sets(std::vector<TypeSet>& sets, std::uint32_t block_elements, std::uint32_t columns) {
  std::size_t count = 0;
  for (const TensorType* type : support::computable_types()) {
    if (type->block_elements != block_elements) continue;
    if (count++ % 3 == 0) sets.push_back({.types = {}, .columns = columns});
    sets.back().types.push_back(type->name);
  }
}

/// Small blocks: an odd number of them, so that tiles are not aligned to cache lines.
std::vector<TypeSet> quantised_sets() {
  std::vector<TypeSet> sets;
  for (const std::uint32_t elements : {32U, 64U, 128U}) add_sets(sets, elements, 3 * elements);
  add_sets(sets, 256, 512);
  return sets;
}

/// Padded.
std::vector<TypeSet> float_sets() {
  std::vector<TypeSet> sets;
  add_sets(sets, 1, 70);
  return sets;
}

constexpr std::uint32_t kRows[] = {37, 16, 5};

/// The matrix with the largest weight of a row in all its places.
FileMatrix of_largest(FileMatrix matrix) {
  const auto columns = static_cast<std::ptrdiff_t>(matrix.columns);
  for (auto row = matrix.values.begin(); row != matrix.values.end(); row += columns) {
    const auto [least, most] = std::minmax_element(row, row + columns);
    std::fill_n(row, columns, std::max(-*least, *most));
  }
  return matrix;
}

/// One operation with what it should give.
class Product {
 public:
  Product(const Variant& variant, MatmulShape shape, std::vector<FileMatrix> files, std::uint32_t max_tokens)
      : device_(support::shared_device(variant.style, variant.dot)),
        shape_(std::move(shape)),
        files_(std::move(files)),
        max_tokens_(max_tokens) {
    for (std::size_t i = 0; i < files_.size(); ++i)
      shape_.matrices.push_back(support::upload(*device_, files_[i], 64 * i));
    activations_ = support::random_activations(shape_.kind, files_[0].columns, shape_.tile, max_tokens, 5);
    std::size_t rows = 0;
    for (const FileMatrix& file : files_) rows += file.rows;
    bias_.assign(rows, 0.0F);
  }

  void add_bias() {
    support::Random random(9);
    for (float& value : bias_) value = random.uniform();
    shape_.bias = support::buffer_of(*device_, bias_);
  }

  /// Runs for that many tokens; rows of other tokens must keep what they held.
  void expect(std::uint32_t tokens) {
    const std::vector<float> before = random_output();
    const Buffer out = support::buffer_of(*device_, before);
    Operation operation = value_of(matmul(*device_, shape_, support::buffer_of(*device_, activations_.bytes), out,
                                          support::step_buffer(*device_, tokens)));
    support::enqueue_in_parts(operation, {.tokens = tokens});
    const std::vector<float> got = support::content_of<float>(out);
    const std::uint32_t rows = shape_.rows();
    std::uint32_t first = 0;
    for (std::size_t i = 0; i < (gated() ? 1 : files_.size()); ++i) {
      const std::vector<double> want = result_of(i);
      const std::vector<double> scale = scale_of(i);
      const std::vector<double> largest = support::magnitudes(of_largest(files_[i]), activations_);
      for (std::uint32_t token = 0; token < max_tokens_; ++token) {
        for (std::uint32_t row = 0; row < files_[i].rows; ++row) {
          const std::size_t at = std::size_t{token} * rows + first + row;
          const std::size_t from = std::size_t{token} * files_[i].rows + row;
          const double added = shape_.epilogue == Epilogue::Add ? double{before[at]} : 0;
          const double expected =
              token < tokens ? double{shape_.factor} * (want[from] + bias_of(first + row)) + added : double{before[at]};
          const double rounding = kTolerance * scale[from] + cancelled(*files_[i].type) * largest[from];
          const double tolerance = token < tokens ? std::fabs(double{shape_.factor}) * rounding +
                                                        1e-6 * (std::fabs(added) + std::fabs(expected)) + 1e-36
                                                  : 0;
          ASSERT_NEAR(static_cast<double>(got[at]), expected, tolerance)
              << files_[i].type->name << " row " << row << " token " << token << " of " << tokens;
        }
      }
      first += files_[i].rows;
    }
  }

 private:
  /// What is added behind everything else; before an activation it is in the sums.
  [[nodiscard]] double bias_of(std::size_t row) const {
    return gated() || activated() ? 0 : static_cast<double>(bias_[row]);
  }
  [[nodiscard]] bool gated() const { return shape_.epilogue == Epilogue::Gated; }
  [[nodiscard]] bool activated() const { return shape_.epilogue == Epilogue::Activated; }

  [[nodiscard]] std::vector<float> random_output() const {
    support::Random random(11);
    std::vector<float> values(std::size_t{max_tokens_} * shape_.rows());
    for (float& value : values) value = random.uniform();
    return values;
  }

  /// Sums of a matrix; those that become something else with their biases.
  [[nodiscard]] std::vector<double> sums_of(std::size_t i) const {
    std::vector<double> sums = matmul_reference(files_[i].values, activations_.values, files_[i].columns);
    if (!gated() && !activated()) return sums;
    const std::uint32_t rows = files_[i].rows;
    for (std::size_t at = 0; at < sums.size(); ++at) sums[at] += static_cast<double>(bias_[i * rows + at % rows]);
    return sums;
  }

  [[nodiscard]] std::vector<double> result_of(std::size_t i) const {
    std::vector<double> result = sums_of(i);
    if (activated()) {
      for (double& value : result) value = activated_reference(shape_.activation, value);
    }
    if (!gated()) return result;
    const std::vector<double> up = sums_of(1);
    for (std::size_t at = 0; at < result.size(); ++at) {
      result[at] = gated_reference(shape_.activation, result[at], up[at]);
    }
    return result;
  }

  /// What the error of a result is in proportion to. An activation's slope is at most 1.13, so its error grows with the
  /// sum's; but that of the square.
  [[nodiscard]] std::vector<double> scale_of(std::size_t i) const {
    std::vector<double> scale = support::magnitudes(files_[i], activations_);
    if (activated()) {
      const std::vector<double> sums = sums_of(i);
      const bool squared = shape_.activation == Activation::ReluSquared;
      for (std::size_t at = 0; at < scale.size(); ++at) {
        scale[at] *= squared ? 2 * std::fabs(sums[at]) + kTolerance * scale[at] : 1.13;
      }
    }
    if (!gated()) return scale;
    const std::vector<double> up = sums_of(1);
    const std::vector<double> up_scale = support::magnitudes(files_[1], activations_);
    const std::vector<double> gate = sums_of(0);
    const bool oai = shape_.activation == Activation::SiluOai;
    for (std::size_t at = 0; at < scale.size(); ++at) {
      const double factor = oai ? std::clamp(up[at], -7.0, 7.0) + 1 : up[at];
      scale[at] = 1.13 * scale[at] * std::fabs(factor) +
                  std::fabs(gated_reference(shape_.activation, gate[at], oai ? 0 : 1)) * up_scale[at];
    }
    return scale;
  }

  std::shared_ptr<Device> device_;
  MatmulShape shape_;
  std::vector<FileMatrix> files_;
  std::uint32_t max_tokens_;
  TestActivations activations_;
  std::vector<float> bias_;
};

/// All types where it matters most; elsewhere one set with a scale every 32 elements, one with some every 16, and one
/// whose rows have factors. That every style reads every type is DecodeOnDevice's to test.
std::vector<TypeSet> sets_of(const Variant& variant) {
  if (variant.dot != DotProduct::None && variant.dot != DotProduct::VnniAvx) return quantised_sets();
  return {{{"Q5_0", "IQ4_NL"}, 96}, {{"Q3_K", "Q4_K"}, 512}, {{"NVFP4"}, 192}};
}

std::vector<FileMatrix> files_of(const TypeSet& set, Activations kind) {
  std::vector<FileMatrix> files;
  for (std::size_t i = 0; i < set.types.size(); ++i) {
    files.push_back(support::random_matrix(set.types[i], kRows[i], set.columns, i, kind));
  }
  return files;
}

class Matmul : public testing::TestWithParam<Variant> {
 protected:
  void SetUp() override {
    if (!support::can_run(GetParam())) GTEST_SKIP() << "not on this device";
  }

  /// Float activations know no dot product: once a style is enough.
  [[nodiscard]] static bool has_own_float_path() {
    return GetParam().style == Style::Group ? GetParam().dot == DotProduct::None
                                            : GetParam().dot == DotProduct::VnniAvx512 || !can_run_assembly();
  }
  [[nodiscard]] static bool can_run_assembly() { return support::can_run({Style::Vector, DotProduct::VnniAvx512}); }

  static void expect_batches(const TypeSet& set, Activations kind) {
    Product product(GetParam(), {.kind = kind}, files_of(set, kind), 48);
    for (const std::uint32_t tokens : {1U, 2U, 4U, 5U, 8U, 9U, 15U, 16U, 17U, 40U}) product.expect(tokens);
  }

  static void expect_single(const TypeSet& set, Activations kind) {
    Product product(GetParam(), {.kind = kind, .tile = 1}, files_of(set, kind), 4);
    for (const std::uint32_t tokens : {1U, 3U}) product.expect(tokens);
  }
};

TEST_P(Matmul, BatchesOfEveryQuantisedType) {
  for (const TypeSet& set : sets_of(GetParam())) expect_batches(set, Activations::Q8);
}

TEST_P(Matmul, SingleTokensOfEveryQuantisedType) {
  for (const TypeSet& set : sets_of(GetParam())) expect_single(set, Activations::Q8);
}

TEST_P(Matmul, BatchesWithFloatActivations) {
  if (!has_own_float_path()) GTEST_SKIP() << "as with another dot product";
  for (const TypeSet& set : float_sets()) expect_batches(set, Activations::F32);
  expect_batches({{"Q6_K", "IQ4_XS", "IQ6_K"}, 256}, Activations::F32);
}

TEST_P(Matmul, SingleTokensWithFloatActivations) {
  if (!has_own_float_path()) GTEST_SKIP() << "as with another dot product";
  for (const TypeSet& set : float_sets()) expect_single(set, Activations::F32);
  expect_single({{"Q6_K", "IQ4_XS", "IQ6_K"}, 256}, Activations::F32);
}

TEST_P(Matmul, AddsABiasAndTheResidual) {
  for (const Epilogue epilogue : {Epilogue::Store, Epilogue::Add}) {
    Product product(GetParam(), {.epilogue = epilogue}, files_of({{"Q5_0", "IQ4_NL"}, 96}, Activations::Q8), 32);
    product.add_bias();
    product.expect(17);
  }
}

TEST_P(Matmul, MultipliesSumAndBiasButNotTheResidual) {
  for (const std::uint32_t tile : {1U, kBatchTile}) {
    Product product(GetParam(), {.tile = tile, .epilogue = Epilogue::Add, .factor = -0.375F},
                    files_of({{"Q5_0", "IQ4_NL"}, 96}, Activations::Q8), 20);
    product.add_bias();
    product.expect(tile == 1 ? 1 : 17);
  }
}

TEST_P(Matmul, AddsWithoutABias) {
  Product product(GetParam(), {.tile = 1, .epilogue = Epilogue::Add},
                  files_of({{"Q5_0", "IQ4_NL"}, 96}, Activations::Q8), 2);
  product.expect(1);
}

TEST_P(Matmul, GatesSumsWithTheirBiases) {
  for (const std::uint32_t tile : {1U, kBatchTile}) {
    std::vector<FileMatrix> files = {support::random_matrix("Q8_0", 37, 96, 1),
                                     support::random_matrix("Q4_0", 37, 96, 2)};
    Product product(GetParam(), {.tile = tile, .epilogue = Epilogue::Gated}, std::move(files), 20);
    product.add_bias();
    product.expect(tile == 1 ? 1 : 17);
  }
}

TEST_P(Matmul, GatesWithEachActivation) {
  for (const Activation activation : {Activation::Silu, Activation::Gelu, Activation::Relu, Activation::SiluOai}) {
    for (const std::uint32_t tile : {1U, kBatchTile}) {
      std::vector<FileMatrix> files = {support::random_matrix("Q8_0", 37, 96, 1),
                                       support::random_matrix("Q8_0", 37, 96, 2)};
      Product product(GetParam(), {.tile = tile, .epilogue = Epilogue::Gated, .activation = activation},
                      std::move(files), 20);
      product.expect(tile == 1 ? 1 : 17);
    }
  }
}

/// Both kinds of activations and a matrix of floats, with a bias that the activation must see.
TEST_P(Matmul, ActivatesSumsWithTheirBiases) {
  for (const Activation activation : {Activation::Silu, Activation::Gelu, Activation::Relu, Activation::ReluSquared}) {
    for (const std::uint32_t tile : {1U, kBatchTile}) {
      for (const Activations kind : {Activations::Q8, Activations::F32}) {
        if (kind == Activations::F32 && !has_own_float_path()) continue;
        Product product(
            GetParam(),
            {.kind = kind, .tile = tile, .epilogue = Epilogue::Activated, .activation = activation, .factor = -0.375F},
            {support::random_matrix(kind == Activations::Q8 ? "Q8_0" : "F32", 37, 96, 1)}, 20);
        product.add_bias();
        product.expect(tile == 1 ? 1 : 17);
      }
    }
  }
}

TEST_P(Matmul, ActivatesWithoutABias) {
  Product product(GetParam(), {.tile = 1, .epilogue = Epilogue::Activated, .activation = Activation::Gelu},
                  files_of({{"Q6_K"}, 256}, Activations::Q8), 2);
  product.expect(1);
}

TEST_P(Matmul, GatesWithTwoTypes) {
  std::vector<FileMatrix> files = {support::random_matrix("Q4_K", 21, 256, 1),
                                   support::random_matrix("Q6_K", 21, 256, 2)};
  Product product(GetParam(), {.epilogue = Epilogue::Gated}, std::move(files), 16);
  product.expect(16);
}

/// One type thrice, and many work-items.
TEST_P(Matmul, ManyRowsOfOneType) {
  std::vector<FileMatrix> files;
  for (const std::uint32_t rows : {401U, 130U, 64U}) files.push_back(support::random_matrix("Q8_0", rows, 64, rows));
  Product product(GetParam(), {}, std::move(files), 300);
  product.expect(300);
}

INSTANTIATE_TEST_SUITE_P(Variants, Matmul, testing::ValuesIn(support::kVariants), support::variant_test_name);

}  // namespace
}  // namespace gguf_fuse::kernels
