// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include "attention_support.hpp"
#include "gguf_fuse/kernels/delta.hpp"
#include "gguf_fuse/kernels/step.hpp"

namespace gguf_fuse::kernels {
namespace {

class DeltaErrors : public testing::Test {
 protected:
  DeltaErrors() {
    const auto zeros = [&](std::uint64_t count) { return support::zeros(device_, count * sizeof(float)); };
    good_.beta = {.row = 8, .columns = 4};
    good_.alpha = {.row = 8, .offset = 4, .columns = 4};
    fit_ = {.qkv = zeros(std::uint64_t{3} * good_.channels()),
            .beta = zeros(24),
            .alpha = zeros(24),
            .a = zeros(4),
            .dt = zeros(4),
            .state = zeros(good_.state_bytes() / sizeof(float)),
            .scratch = zeros(good_.scratch_bytes() / sizeof(float)),
            .out = zeros(384)};
  }

  std::string code(const DeltaShape& shape, const DeltaBuffers& buffers, const Buffer& step) {
    const auto result = delta_rule(device_, shape, buffers, step);
    return result ? "none" : std::string(error_name(result.error().code));
  }
  std::string code(const DeltaShape& shape) { return code(shape, fit_, step_); }

  Device& device_ = *support::shared_device(Style::Vector);
  DeltaShape good_{
      .key_heads = 2, .value_heads = 4, .key_size = 16, .value_size = 32, .max_tokens = 3, .max_sequences = 2};
  DeltaBuffers fit_{};
  Buffer step_ = support::zeros(device_, StepTable::most_bytes(3, 2));
};

TEST_F(DeltaErrors, BuffersThatAreMissingOrTooSmall) {
  EXPECT_EQ(code(good_), "none");
  const Buffer few = support::zeros(device_, 15);
  EXPECT_EQ(code(good_, fit_, few), "InvalidArgument");
  for (Buffer DeltaBuffers::*buffer :
       {&DeltaBuffers::qkv, &DeltaBuffers::beta, &DeltaBuffers::alpha, &DeltaBuffers::a, &DeltaBuffers::dt,
        &DeltaBuffers::state, &DeltaBuffers::scratch, &DeltaBuffers::out}) {
    DeltaBuffers buffers = fit_;
    buffers.*buffer = few;
    EXPECT_EQ(code(good_, buffers, step_), "InvalidArgument");
    buffers.*buffer = {};
    EXPECT_EQ(code(good_, buffers, step_), "InvalidArgument");
  }
  DeltaBuffers same = fit_;
  same.out = same.qkv;
  EXPECT_EQ(code(good_, same, step_), "InvalidArgument");
}

TEST_F(DeltaErrors, SizesThatContradictEachOther) {
  const auto with = [&](std::uint32_t DeltaShape::*field, std::uint32_t value) {
    DeltaShape shape = good_;
    shape.*field = value;
    return code(shape);
  };
  for (const std::uint32_t heads : {0U, 3U, 8U}) EXPECT_EQ(with(&DeltaShape::key_heads, heads), "InvalidArgument");
  for (const std::uint32_t heads : {0U, 2U, 3U, 6U})
    EXPECT_EQ(with(&DeltaShape::value_heads, heads), "InvalidArgument");
  for (const std::uint32_t size : {0U, 8U, 24U, 272U}) EXPECT_EQ(with(&DeltaShape::key_size, size), "InvalidArgument");
  for (const std::uint32_t size : {0U, 8U, 40U, 48U}) EXPECT_EQ(with(&DeltaShape::value_size, size), "InvalidArgument");
  for (const std::uint32_t tokens : {0U, 4U}) EXPECT_EQ(with(&DeltaShape::max_tokens, tokens), "InvalidArgument");
  for (const std::uint32_t sequences : {0U, 3U}) {
    EXPECT_EQ(with(&DeltaShape::max_sequences, sequences), "InvalidArgument");
  }
}

TEST_F(DeltaErrors, NumbersOfOtherHeads) {
  for (Columns DeltaShape::*gate : {&DeltaShape::beta, &DeltaShape::alpha}) {
    for (const Columns& columns : {Columns{.row = 8, .columns = 3}, Columns{.row = 8, .offset = 5, .columns = 4},
                                   Columns{.row = 8, .segments = 2, .stride = 1, .columns = 2}, Columns{}}) {
      DeltaShape shape = good_;
      shape.*gate = columns;
      EXPECT_EQ(code(shape), "InvalidArgument");
    }
    DeltaShape shape = good_;
    shape.*gate = {.row = 8, .segments = 2, .stride = 4, .columns = 2};
    EXPECT_EQ(code(shape), "none");
  }
}

}  // namespace
}  // namespace gguf_fuse::kernels
