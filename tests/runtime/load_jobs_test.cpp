// SPDX-License-Identifier: MIT
// How placements are cut into jobs, and jobs become writes.
#include "load/load_jobs.hpp"

#include <gtest/gtest.h>

#include "load/load_lanes.hpp"
#include "support/opencl_device.hpp"

namespace gguf_fuse::runtime {
namespace {

using support::value_of;
using Runs = std::vector<Run>;  // within a test, Run is another name

class LoadJobs : public testing::Test {
 protected:
  /// A plan of one tensor of Q8_0 rows of 34 bytes, and a placement of all its rows from `offset` of the buffer on.
  void plan(std::uint64_t rows, Runs runs, std::uint64_t offset = 0) {
    const TensorType* type = find_tensor_type("Q8_0");
    file_.tensors.push_back({.name = "tensor",
                             .type = type,
                             .dimension_count = 2,
                             .dims = {32, rows, 1, 1},
                             .offset = 0,
                             .bytes = rows * 34,
                             .map = std::move(runs)});
    Placement placement{.tensor = file_.tensors.size() - 1, .rows = rows, .matrix = {}, .floats = {}};
    placement.matrix.shape = {type, static_cast<std::uint32_t>(rows), 32};
    placement.matrix.offset = offset;
    placement.matrix.buffer = buffer_;
    placements_.push_back(placement);
  }

  /// A job whose place is known, for writes_of.
  LoadJob job(std::uint64_t offset, std::uint64_t bytes) const { return {.offset = offset, .placed = bytes}; }

  const std::shared_ptr<Device> device_ = support::open_device();
  const Buffer buffer_ = value_of(device_->allocate(1 << 20));
  const Buffer other_ = value_of(device_->allocate(1 << 10));
  PlannedFile file_;
  std::vector<Placement> placements_;
};

constexpr std::uint64_t kTile = 16 * 34;

TEST_F(LoadJobs, AreWholeTilesButTheLast) {
  plan(16 * 5 + 3, {{.source_offset = 1000, .offset = 0, .bytes = (16 * 5 + 3) * 34}}, 128);
  const JobList list = cut_jobs(file_, placements_, 2 * kTile + 100);
  ASSERT_EQ(list.jobs.size(), 3U);
  std::uint64_t source = 1000, place = 128;
  for (const LoadJob& one : list.jobs) {
    ASSERT_EQ(one.piece_count, 1U);
    const Piece& piece = list.pieces_of(one).front();
    EXPECT_EQ(piece.source_offset, source);
    EXPECT_EQ(piece.bytes, one.bytes);
    EXPECT_EQ(one.offset, place);
    EXPECT_EQ(one.placed, 2 * kTile);
    source += one.bytes;
    place += one.placed;
  }
  EXPECT_EQ(list.jobs.back().bytes, kTile + 3 * 34);
  EXPECT_EQ(list.bytes(), (16 * 5 + 3) * 34U);
  EXPECT_EQ(list.largest_job(), 2 * kTile);
}

TEST_F(LoadJobs, ATileIsNeverCut) {
  plan(40, {{.source_offset = 0, .offset = 0, .bytes = 40 * 34}});
  EXPECT_EQ(cut_jobs(file_, placements_, 1).jobs.size(), 3U);
}

TEST_F(LoadJobs, FollowTheRunsOfThePlan) {
  // Rows 0, 2, 4 ... come from one place of the source, 1, 3, 5 ... from another that lies before it.
  plan(32, {{.source_offset = 5000, .source_stride = 34, .offset = 0, .stride = 68, .bytes = 34, .count = 16},
            {.source_offset = 100, .source_stride = 34, .offset = 34, .stride = 68, .bytes = 34, .count = 16}});
  const JobList list = cut_jobs(file_, placements_, kTile);
  ASSERT_EQ(list.jobs.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    const auto pieces = list.pieces_of(list.jobs[i]);
    ASSERT_EQ(pieces.size(), 16U);
    for (std::uint64_t k = 0; k < 16; ++k) {
      EXPECT_EQ(pieces[k].bytes, 34U);
      EXPECT_EQ(pieces[k].source_offset, (k % 2 == 0 ? 5000U : 100U) + (i * 8 + k / 2) * 34);
    }
  }
}

TEST_F(LoadJobs, AreSortedByTheSource) {
  plan(16, {{.source = 1, .source_offset = 0, .offset = 0, .bytes = kTile}});
  plan(16, {{.source = 0, .source_offset = 9000, .offset = 0, .bytes = kTile}});
  plan(16, {{.source = 0, .source_offset = 200, .offset = 0, .bytes = kTile}});
  const JobList list = cut_jobs(file_, placements_, 1 << 20);
  ASSERT_EQ(list.jobs.size(), 3U);
  EXPECT_EQ(list.jobs[0].placement, 2U);
  EXPECT_EQ(list.jobs[1].placement, 1U);
  EXPECT_EQ(list.jobs[2].placement, 0U);
}

TEST_F(LoadJobs, NeighboursBecomeOneWrite) {
  plan(16, {});
  const std::vector<LoadJob> jobs{job(1000, 100), job(1100, 50), job(2000, 10)};
  for (const auto strategy : {UploadStrategy::Rectangle, UploadStrategy::Slices, UploadStrategy::Gather}) {
    const auto writes = writes_of(jobs, placements_, strategy);
    ASSERT_EQ(writes.size(), 2U);
    EXPECT_EQ(writes[0].offset, 1000U);
    EXPECT_EQ(writes[0].bytes, 150U);
    EXPECT_EQ(writes[1].slot_offset, 150U);
    EXPECT_EQ(writes[1].bytes, 10U);
  }
}

TEST_F(LoadJobs, EqualSlicesAtEqualDistancesBecomeARectangle) {
  plan(16, {});
  const std::vector<LoadJob> jobs{job(0, 100),   job(300, 60),   job(360, 40), job(600, 100),
                                  job(800, 100), job(1000, 100), job(1050, 7)};
  const auto slices = writes_of(jobs, placements_, UploadStrategy::Slices);
  EXPECT_EQ(slices.size(), 6U);
  const auto writes = writes_of(jobs, placements_, UploadStrategy::Rectangle);
  ASSERT_EQ(writes.size(), 3U);
  EXPECT_EQ(writes[0].count, 3U);
  EXPECT_EQ(writes[0].stride, 300U);
  EXPECT_EQ(writes[1].offset, 800U);
  EXPECT_EQ(writes[1].slot_offset, 300U);
  EXPECT_EQ(writes[1].count, 2U);
  EXPECT_EQ(writes[1].stride, 200U);
  EXPECT_EQ(writes[2].count, 1U);
}

TEST_F(LoadJobs, DifferentBuffersAreDifferentWrites) {
  plan(16, {});
  plan(16, {});
  placements_[1].matrix.buffer = other_;
  std::vector<LoadJob> jobs{job(0, 100), job(100, 100), job(300, 100)};
  jobs[1].placement = 1;
  const auto writes = writes_of(jobs, placements_, UploadStrategy::Rectangle);
  ASSERT_EQ(writes.size(), 3U);
  EXPECT_EQ(writes[1].buffer.identity(), other_.identity());
}

TEST_F(LoadJobs, SortedByPlaceTheyFollowTheDestination) {
  plan(16, {});
  plan(16, {});
  placements_[1].matrix.buffer = other_;
  std::vector<LoadJob> jobs{job(500, 1), job(700, 1), job(0, 1), job(100, 1)};
  jobs[1].placement = 1;
  sort_by_place(jobs, placements_);
  std::vector<std::uint64_t> offsets;
  for (const LoadJob& one : jobs) offsets.push_back(one.offset);
  EXPECT_EQ(offsets, (std::vector<std::uint64_t>{0, 100, 500, 700}));
}

TEST(RingSize, StaysBelowItsLimit) {
  constexpr std::uint64_t kMiB = 1 << 20;
  for (const unsigned threads : {1U, 2U, 8U, 64U}) {
    for (const std::size_t rings : {1U, 2U, 8U}) {
      for (const std::uint64_t largest : {std::uint64_t{1}, kMiB, 5 * kMiB}) {
        const RingSize size = ring_size(0, largest, threads, rings);
        EXPECT_GE(size.slots, 2U);
        EXPECT_GE(size.slot_bytes, largest);
        EXPECT_LE(size.slots * size.slot_bytes * rings, 128 * kMiB);
      }
    }
  }
  // A tile that is larger than all of it must fit all the same.
  EXPECT_EQ(ring_size(0, 512 * kMiB, 8, 1).slot_bytes, 512 * kMiB);
  EXPECT_EQ(ring_size(0, 512 * kMiB, 8, 1).slots, 2U);
}

}  // namespace
}  // namespace gguf_fuse::runtime
