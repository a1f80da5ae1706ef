// SPDX-License-Identifier: MIT
// Whatever the way, the same bytes arrive, and nothing beside them is touched.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "gguf_fuse/loader/page_cache.hpp"
#include "gguf_fuse/loader/sink.hpp"
#include "load_scene.hpp"
#include "support/file_util.hpp"
#include "support/runtime/run_model.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::runtime {
namespace {

using support::Bytes;
using support::edgy_model;
using support::kStrategies;
using support::LoadScene;
using support::TempDir;
using support::value_of;
using support::WatchedSource;

std::vector<std::shared_ptr<Device>> one_device() { return {support::test_devices().front()}; }
std::vector<std::shared_ptr<Device>> two_devices() {
  const auto& devices = support::test_devices();
  return {devices.front(), devices.size() > 1 ? devices[1] : value_of(Device::open(devices.front()->info()))};
}

struct Way {
  std::optional<UploadStrategy> upload;
  unsigned threads = 1;
  std::uint64_t job_bytes = 0;
  std::uint64_t slot_bytes = 0;
};

/// Loads all of the model into a fresh scene and compares.
void expect_loaded(const Bytes& whole, Model& model, bool fused, LoadMode mode, const Way& way,
                   const std::vector<std::shared_ptr<Device>>& devices) {
  LoadScene scene(whole, model, fused, devices);
  LoadInput input = scene.input();
  input.mode = mode;
  input.upload = way.upload;
  input.threads = way.threads;
  input.job_bytes = way.job_bytes;
  input.slot_bytes = way.slot_bytes;
  const auto report = load(input);
  const std::string what =
      fmt::format("fused {}, mode {}, upload {}, {} threads, jobs of {}", fused, static_cast<int>(mode),
                  way.upload ? upload_strategy_name(*way.upload) : "none", way.threads, way.job_bytes);
  ASSERT_TRUE(report) << what << ": " << report.error().message();
  EXPECT_EQ(scene.faults(), "") << what;
  EXPECT_EQ(scene.control.bytes_done, scene.control.bytes_total) << what;
  EXPECT_EQ(report->bytes, scene.control.bytes_total) << what;
  EXPECT_EQ(report->strategy.has_value(), way.upload.has_value() || !devices.front()->profile().host_memory) << what;
}

class LoadPipeline : public testing::Test {
 protected:
  const TempDir dir_;
  const Bytes whole_ = edgy_model().build();
  const std::string path_ = edgy_model().write(dir_.file("model.gguf"));
};

TEST_F(LoadPipeline, EveryModeStrategyAndNumberOfThreads) {
  for (const LoadMode mode : {LoadMode::Read, LoadMode::Mmap, LoadMode::Direct}) {
    for (const auto& upload : kStrategies) {
      for (const unsigned threads : {1U, 2U, 5U}) {
        for (const bool fused : {false, true}) {
          Model model = value_of(open_model(path_, {.mode = mode}));
          // Jobs of a tile or two, and slots that only some of them fit into.
          expect_loaded(whole_, model, fused, mode, {upload, threads, 3000, 20'000}, one_device());
        }
      }
    }
  }
}

TEST_F(LoadPipeline, EverySizeOfJobsAndSlots) {
  for (const auto& upload : kStrategies) {
    for (const std::uint64_t job_bytes : {1U, 2000U, 1U << 20}) {
      for (const std::uint64_t slot_bytes : {1U, 10000U, 1U << 22}) {
        Model model = value_of(open_model(path_));
        expect_loaded(whole_, model, true, LoadMode::Read, {upload, 2, job_bytes, slot_bytes}, one_device());
      }
    }
  }
}

TEST_F(LoadPipeline, SeveralDevicesAtOnce) {
  for (const auto& upload : kStrategies) {
    for (const bool fused : {false, true}) {
      Model model = value_of(open_model(path_));
      expect_loaded(whole_, model, fused, LoadMode::Read, {upload, 4, 3000, 20'000}, two_devices());
    }
  }
}

TEST_F(LoadPipeline, ShardsGzipAndStreams) {
  const auto shards = edgy_model().build_shards(4);
  ASSERT_GT(shards.size(), 3U);
  const std::string shard = support::write_shards(dir_.file("part"), shards).front();
  const auto sink = gzip_sink(value_of(file_sink(dir_.file("model.gguf.gz"), {})));
  value_of(sink->write_at(0, whole_));
  value_of(sink->commit());
  for (const auto& upload : kStrategies) {
    for (const unsigned threads : {1U, 3U}) {
      for (const bool fused : {false, true}) {
        const Way way{upload, threads, 3000, 20'000};
        Model split = value_of(open_model(shard));
        expect_loaded(whole_, split, fused, LoadMode::Read, way, two_devices());
        Model compressed = value_of(open_model(dir_.file("model.gguf.gz")));
        ASSERT_TRUE(compressed.sequential());
        expect_loaded(whole_, compressed, fused, LoadMode::Read, way, two_devices());
      }
    }
  }
}

TEST_F(LoadPipeline, AStreamIsReadOnceAndToItsEnd) {
  auto source = std::make_unique<WatchedSource>(memory_source(whole_, "stream"), true);
  WatchedSource& watched = *source;
  Model model = value_of(open_model(std::move(source)));
  watched.watch_from_now({});
  expect_loaded(whole_, model, true, LoadMode::Read, {UploadStrategy::Gather, 3, 3000, 20'000}, two_devices());
  std::uint64_t position = model.info.shards.front().data_offset, sum = 0;
  for (const auto& read : watched.reads()) {
    EXPECT_GE(read.offset, position);
    position = read.offset + read.bytes;
    if (position <= whole_.size()) sum += read.bytes;
  }
  EXPECT_GE(position, whole_.size());
  // The embeddings, which two devices hold, came once.
  std::uint64_t tensors = 0;
  for (const TensorInfo& tensor : model.info.shards.front().tensors) tensors += tensor.bytes;
  EXPECT_EQ(sum, tensors);
  EXPECT_EQ(model.info.shards.front().file_bytes, whole_.size());
}

// Why fusing costs nothing: the same ranges are read; from a disk, from front to back.
TEST_F(LoadPipeline, FusedOrNotTheSameIsRead) {
  const auto by_offset = [](const auto& a, const auto& b) { return a.offset < b.offset; };
  for (const LoadMode mode : {LoadMode::Direct, LoadMode::Read}) {
    std::vector<std::vector<WatchedSource::Read>> reads;
    for (const bool fused : {false, true}) {
      auto source = std::make_unique<WatchedSource>(memory_source(whole_, "memory"), false);
      WatchedSource& watched = *source;
      Model model = value_of(open_model(std::move(source)));
      watched.watch_from_now({});
      expect_loaded(whole_, model, fused, mode, {{}, 1, 3000, 0}, one_device());
      reads.push_back(watched.reads());
      if (mode == LoadMode::Read) std::sort(reads.back().begin(), reads.back().end(), by_offset);
    }
    EXPECT_GT(reads[0].size(), 100U);
    EXPECT_EQ(reads[0], reads[1]);
    EXPECT_TRUE(std::is_sorted(reads[0].begin(), reads[0].end(), by_offset));
  }
}

TEST_F(LoadPipeline, AFileThatIsFusedAlready) {
  const Bytes fused = edgy_model().fused(RuleId::GateUpExperts).fused(RuleId::Qkv).build();
  support::write_file(dir_.file("fused.gguf"), fused);
  for (const bool again : {false, true}) {
    Model model = value_of(open_model(dir_.file("fused.gguf")));
    expect_loaded(fused, model, again, LoadMode::Read, {{}, 2, 3000, 0}, one_device());
  }
}

}  // namespace
}  // namespace gguf_fuse::runtime
