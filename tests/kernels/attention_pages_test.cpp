// SPDX-License-Identifier: MIT
// Many sequences in one step, and pages that come and go.
#include <gtest/gtest.h>

#include "../../kernels/src/attention_program.hpp"
#include "attention_pool.hpp"

namespace gguf_fuse::kernels {
namespace {

using support::error;
using support::Piece;
using support::Pool;

constexpr std::uint32_t kRow = 20;

class AttentionPages : public testing::TestWithParam<Style> {
 protected:
  Device& device_ = GetParam() == Style::Group ? *support::shared_device(Style::Group, DotProduct::None)
                                               : *support::shared_device(Style::Vector);

  // Shapes of other tests, so that each program is built once.
  static CacheShape three_share(std::uint32_t pages = 40) {
    return {.k = CacheType::F32, .v = CacheType::F32, .pages = pages, .heads = {.heads = 9, .kv_heads = 3, .size = 64}};
  }

  [[nodiscard]] Pool pool(const CacheShape& shape, std::uint32_t sequences = 4) const {
    return {device_, shape, sequences, kRow};
  }

  static void expect_as_reference(Pool& pool, std::initializer_list<AttentionShape> shapes) {
    for (const AttentionShape& shape : shapes) {
      SCOPED_TRACE(testing::Message() << "window " << shape.window << " chunked " << shape.chunked << " softcap "
                                      << shape.softcap);
      EXPECT_LT(error(pool.attend(shape), pool.expected(shape)), 1e-5);
    }
  }

  /// Alternates steps of long and short runs, and of both.
  void expect_mixes_as_reference(const CacheShape& shape, float scale = 2) const {
    const std::vector<Piece> kSteps[] = {{{0, 40}, {3, 17}, {1, 2}, {2, 1}},
                                         {{2, 61}, {1, 15}},
                                         {{3, 16}, {0, 1}, {1, 1}, {2, 1}},
                                         {{2, 1}, {3, 1}, {0, 1}},
                                         {{1, 70}, {2, 3}, {3, 1}}};
    Pool mixed = pool(shape);
    for (const std::vector<Piece>& pieces : kSteps) {
      SCOPED_TRACE(testing::Message() << "step that begins with " << pieces[0].tokens << " tokens");
      mixed.store(pieces, scale);
      expect_as_reference(mixed, {{}, {.window = 17}, {.window = 16, .chunked = true}, {.softcap = 5, .window = 64}});
    }
  }
};

TEST_P(AttentionPages, MixesOfRunsAreAsTheReference) {
  expect_mixes_as_reference(three_share());
  CacheShape shape = three_share();
  shape.k = shape.v = CacheType::Q8_0;
  shape.heads = {.heads = 4, .kv_heads = 4, .size = 80};
  expect_mixes_as_reference(shape);
}

/// In the group style a tile of 16 tokens is several tasks then.
TEST_P(AttentionPages, MixesOfLargeHeads) {
  CacheShape shape = three_share();
  shape.k = shape.v = CacheType::F16;
  shape.heads = {.heads = 10, .kv_heads = 2, .size = 512};
  expect_mixes_as_reference(shape, 0.75F);
}

TEST_P(AttentionPages, OthersChangeNoBit) {
  Pool mixed = pool(three_share());
  mixed.store(std::vector<Piece>{{0, 100}, {1, 33}, {2, 70}, {3, 200}});
  mixed.store(std::vector<Piece>{{2, 35}, {0, 16}, {3, 1}, {1, 1}});
  for (const AttentionShape& shape : {AttentionShape{}, AttentionShape{.window = 40}}) {
    const std::vector<float> all = mixed.attend(shape);
    for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(mixed.attend_alone(shape, i), mixed.rows_of(all, i)) << i;
  }
}

/// Short runs that reach far are split, those beside them too, however little they see.
TEST_P(AttentionPages, LongSequencesBesideShortOnes) {
  Pool mixed = pool(three_share());
  mixed.store(std::vector<Piece>{{0, 1150}, {1, 600}, {2, 5}});
  mixed.store(std::vector<Piece>{{1, 1}, {0, 1}, {2, 1}, {3, 1}});
  expect_as_reference(mixed, {{}, {.window = 600}, {.window = 500, .chunked = true}});
  mixed.store(std::vector<Piece>{{3, 20}, {2, 1}, {0, 1}});
  expect_as_reference(mixed, {{}, {.window = 600}});
}

TEST_P(AttentionPages, SinksOfEverySequence) {
  const std::vector<float> sinks{0, 1, 2, 3, 4, 5, -1, -2, -3};
  Pool mixed = pool(three_share());
  mixed.store(std::vector<Piece>{{0, 1100}, {1, 30}});
  mixed.store(std::vector<Piece>{{2, 18}, {0, 1}, {1, 1}});
  const AttentionShape shape{.sinks = support::buffer_of(device_, sinks)};
  EXPECT_LT(error(mixed.attend(shape), mixed.expected(shape, sinks)), 1e-5);
}

/// The page in which a window begins is kept, all before it are gone.
TEST_P(AttentionPages, WindowsNeedNoPageBeforeTheirOwn) {
  for (const bool chunked : {false, true}) {
    for (const std::uint32_t window : {1U, 64U, 70U, 128U}) {
      SCOPED_TRACE(testing::Message() << "window " << window << " chunked " << chunked);
      const AttentionShape shape{.window = window, .chunked = chunked};
      Pool mixed = pool(three_share());
      mixed.store(std::vector<Piece>{{0, 300}, {1, 129}, {2, 250}});
      for (std::uint32_t sequence = 0; sequence < 3; ++sequence) {
        const std::uint32_t position = std::array{300U, 129U, 250U}[sequence];
        const std::uint32_t first = chunked ? position / window * window : position + 1 - window;
        mixed.give_back(sequence, first);
      }
      mixed.store(std::vector<Piece>{{2, 37}, {0, 1}, {1, 1}});
      EXPECT_LT(error(mixed.attend(shape), mixed.expected(shape)), 1e-5);
      for (std::size_t i = 0; i < 3; ++i) {
        for (const float value : mixed.attend_alone(shape, i)) ASSERT_TRUE(std::isfinite(value));
      }
    }
  }
}

/// With the same number of parts a token's result is the same, whatever is beside it.
TEST_P(AttentionPages, PartsOfARunAreItsOwn) {
  constexpr std::uint32_t kParts = 3;
  Pool mixed = pool(three_share());
  mixed.store(std::vector<Piece>{{0, 700}, {1, 300}, {2, 40}});
  mixed.store(std::vector<Piece>{{1, 1}, {2, 1}, {0, 1}});
  const auto program = support::value_of(detail::attention_program(device_, mixed.cache().shape));
  const std::size_t lanes = GetParam() == Style::Vector ? 1 : 64;
  const auto run = [&](const StepTable& table) {
    support::write_step(mixed.step(), table);
    const std::size_t runs = table.size().runs;
    const Buffer out = support::zeros(device_, mixed.q().bytes());
    const Buffer partial = support::zeros(device_, (16 + runs * kParts * 9 * 66) * sizeof(float));
    const auto launch = [&](const char* kernel, Grid grid) {
      Launch made = support::value_of(Launch::make(program, kernel));
      if (std::string_view(kernel) == "attention_single") {
        made.set("q", mixed.q()).set("softcap", 0.0F).set("window", 0U).set("chunked", 0U);
        made.set("sinks", mixed.q()).set("has_sinks", 0U);
        detail::set_cache(made, mixed.cache(), mixed.step());
      } else {
        made.set("heads", 9U).set("step_info", mixed.step());
      }
      made.set("out", out).set("partial", partial).set_grid(grid);
      EXPECT_TRUE(made.enqueue());
    };
    launch("attention_single", {.global = {3 * lanes, kParts, runs}, .local = {lanes, 1, 1}});
    launch("attention_combine", {.global = {9 * lanes, runs, 1}, .local = {lanes, 1, 1}});
    return support::content_of<float>(out);
  };
  const std::vector<float> all = run(mixed.table());
  EXPECT_LT(error(all, mixed.expected({})), 1e-5);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(mixed.rows_of(run(StepTable(std::array{mixed.runs()[i]}, {})), i), mixed.rows_of(all, i)) << i;
  }
}

/// A pool that grows: the same operations go on with other buffers.
TEST_P(AttentionPages, BuffersMayBeChanged) {
  const CacheShape shape = three_share();
  Pool mixed = pool(shape);
  mixed.store(std::vector<Piece>{{0, 100}, {1, 30}});
  mixed.store(std::vector<Piece>{{0, 2}, {1, 1}});
  const Buffer out = support::zeros(device_, mixed.q().bytes());
  Cache empty = mixed.cache();
  empty.k = support::zeros(device_, shape.k_bytes());
  empty.v = support::zeros(device_, shape.v_bytes());
  auto operation =
      support::value_of(attention(device_, {.max_tokens = 3, .max_sequences = 4}, empty, mixed.q(), out, mixed.step()));
  support::run_operation(device_, operation, mixed.step(), mixed.table());
  EXPECT_EQ(support::content_of<float>(out), std::vector<float>(std::size_t{3} * 576));
  ASSERT_TRUE(operation.set("k", mixed.cache().k));
  ASSERT_TRUE(operation.set("v", mixed.cache().v));
  support::run_operation(device_, operation, mixed.step(), mixed.table());
  EXPECT_LT(error(support::content_of<float>(out), mixed.expected({})), 1e-5);
  EXPECT_EQ(operation.set("nothing", out).error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(operation.set("window", out).error().code, ErrorCode::BadLaunch);
}

/// What paces a device goes by the shares.
TEST_P(AttentionPages, LaunchesWithoutWorkAreNone) {
  Pool mixed = pool(three_share());
  mixed.store(std::vector<Piece>{{0, 40}});
  const Buffer out = support::zeros(device_, mixed.q().bytes());
  auto operation = support::value_of(
      attention(device_, {.max_tokens = 40, .max_sequences = 4}, mixed.cache(), mixed.q(), out, mixed.step()));
  const auto shares_of = [&](const StepTable& table) {
    support::write_step(mixed.step(), table);
    std::vector<double> shares;
    const auto launched = [&](double share) -> Result<bool> {
      shares.push_back(share);
      return true;
    };
    EXPECT_TRUE(operation.enqueue(table.size(), 1, launched));
    return shares;
  };
  EXPECT_EQ(shares_of(StepTable(40, 0)), std::vector<double>{1});
  EXPECT_EQ(shares_of(StepTable(1, 39)), std::vector<double>{1});
  const std::array both{StepRun{.tokens = 2, .position = 3}, StepRun{.first = 2, .tokens = 1, .sequence = 1}};
  EXPECT_EQ(shares_of(StepTable(both, {})), (std::vector<double>{0.5, 0.5}));
}

TEST_P(AttentionPages, RefusesWhatDoesNotFit) {
  Pool mixed = pool(three_share());
  mixed.store(std::vector<Piece>{{0, 2}});
  const Buffer out = support::zeros(device_, mixed.q().bytes());
  const auto code = [&](const AttentionShape& shape, const Cache& cache, const Buffer& step) {
    const auto result = attention(device_, shape, cache, mixed.q(), out, step);
    return result ? "none" : std::string(error_name(result.error().code));
  };
  const AttentionShape shape{.max_tokens = 2, .max_sequences = 4};
  EXPECT_EQ(code(shape, mixed.cache(), mixed.step()), "none");
  EXPECT_EQ(code({.max_tokens = 0}, mixed.cache(), mixed.step()), "InvalidArgument");
  EXPECT_EQ(code({.max_sequences = 0}, mixed.cache(), mixed.step()), "InvalidArgument");
  EXPECT_EQ(code({.max_tokens = 2, .max_sequences = 5}, mixed.cache(), mixed.step()), "InvalidArgument") << "table";
  const std::uint64_t least = StepTable::most_bytes(2, 2);
  EXPECT_EQ(code(shape, mixed.cache(), support::zeros(device_, least)), "none");
  EXPECT_EQ(code(shape, mixed.cache(), support::zeros(device_, least - 4)), "InvalidArgument");
  Cache wrong = mixed.cache();
  wrong.table_row = 0;
  EXPECT_EQ(code(shape, wrong, mixed.step()), "InvalidArgument");
  wrong = mixed.cache();
  wrong.table = Buffer();
  EXPECT_EQ(code(shape, wrong, mixed.step()), "InvalidArgument");
  wrong = mixed.cache();
  wrong.shape.pages += 1;
  EXPECT_EQ(code(shape, wrong, mixed.step()), "InvalidArgument");
}

INSTANTIATE_TEST_SUITE_P(, AttentionPages, testing::Values(Style::Vector, Style::Group), support::style_test_name);

}  // namespace
}  // namespace gguf_fuse::kernels
