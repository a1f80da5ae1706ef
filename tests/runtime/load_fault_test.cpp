// SPDX-License-Identifier: MIT
// Every stage of loading fails once: the error names the tensor, nothing is left on its way, nothing leaks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "load_scene.hpp"
#include "support/file_util.hpp"
#include "support/random.hpp"
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
using testing::HasSubstr;

class LoadPipelineFaults : public testing::Test {
 protected:
  static std::vector<std::shared_ptr<Device>> devices() { return {support::test_devices().front()}; }

  static Result<LoadReport> load_with(LoadScene& scene, std::optional<UploadStrategy> upload, unsigned threads,
                                      LoadMode mode = LoadMode::Read) {
    LoadInput input = scene.input();
    input.mode = mode;
    input.upload = upload;
    input.threads = threads;
    input.job_bytes = 3000;
    input.slot_bytes = 20'000;
    return load(input);
  }

  /// Which tensor has this byte of the file.
  std::string tensor_at(std::uint64_t offset) const {
    const Model model = value_of(open_model(memory_source(whole_, "whole")));
    const Container& container = model.info.shards.front();
    for (const TensorInfo& tensor : container.tensors) {
      const std::uint64_t begin = container.data_offset + tensor.offset;
      if (offset >= begin && offset < begin + tensor.bytes) return std::string(tensor.name);
    }
    return {};
  }

  const TempDir dir_;
  const Bytes whole_ = edgy_model().build();
};

TEST_F(LoadPipelineFaults, ReadsThatFailNameTheTensor) {
  const std::uint64_t data = value_of(open_model(memory_source(whole_, "whole"))).info.shards.front().data_offset;
  support::Random random(7);
  for (int i = 0; i < 12; ++i) {
    std::uint64_t bad = 0;
    while (tensor_at(bad).empty()) bad = data + random.below(whole_.size() - data);
    for (const auto& upload : kStrategies) {
      for (const bool sequential : {false, true}) {
        auto source = std::make_unique<WatchedSource>(memory_source(whole_, "bad.gguf"), sequential);
        WatchedSource& watched = *source;
        Model model = value_of(open_model(std::move(source)));
        LoadScene scene(whole_, model, i % 2 == 0, devices());
        watched.watch_from_now([&](std::uint64_t offset, std::size_t bytes) -> Result<void> {
          if (bad < offset || bad >= offset + bytes) return {};
          return fail(system_error(ErrorCode::ReadFailed, "bad.gguf", EIO, bad));
        });
        const auto failed = load_with(scene, upload, 1 + static_cast<unsigned>(i % 3));
        ASSERT_FALSE(failed);
        EXPECT_EQ(failed.error().code, ErrorCode::ReadFailed);
        EXPECT_EQ(failed.error().subject, tensor_at(bad));
        EXPECT_LT(scene.control.bytes_done, scene.control.bytes_total);
      }
    }
  }
}

TEST_F(LoadPipelineFaults, StreamsThatEndEarlyNameTheTensor) {
  const std::uint64_t data = value_of(open_model(memory_source(whole_, "whole"))).info.shards.front().data_offset;
  support::Random random(8);
  for (int i = 0; i < 20; ++i) {
    std::uint64_t end = 0;
    while (tensor_at(end).empty()) end = data + random.below(whole_.size() - data);
    const Bytes cut(whole_.begin(), whole_.begin() + static_cast<std::ptrdiff_t>(end));
    Model model = value_of(open_model(std::make_unique<WatchedSource>(memory_source(cut, "cut.gguf"), true)));
    LoadScene scene(whole_, model, i % 2 == 0, devices());
    const auto failed = load_with(scene, kStrategies[static_cast<std::size_t>(i) % 4], 3);
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, ErrorCode::Truncated);
    EXPECT_FALSE(failed.error().subject.empty());
    EXPECT_THAT(failed.error().message(), HasSubstr("cut.gguf"));
  }
}

TEST_F(LoadPipelineFaults, FilesThatChangeMeanwhile) {
  struct Row {
    std::uint64_t bytes;  // of the file after some reads
    bool shrinks;
  };
  for (const LoadMode mode : {LoadMode::Read, LoadMode::Mmap, LoadMode::Direct}) {
    for (const Row& row : {Row{whole_.size() / 2, true}, Row{whole_.size() + 1, false}}) {
      const std::string path = dir_.file("changing.gguf");
      support::write_file(path, whole_);
      auto source = std::make_unique<WatchedSource>(value_of(open_source(path, mode)), false);
      WatchedSource& watched = *source;
      Model model = value_of(open_model(std::move(source)));
      LoadScene scene(whole_, model, true, devices());
      // Before the first half is read: nobody may look at pages that are gone.
      int reads = 0;
      watched.watch_from_now([&](std::uint64_t, std::size_t) -> Result<void> {
        if (++reads == 5) std::filesystem::resize_file(path, row.bytes);
        return {};
      });
      const auto failed = load_with(scene, std::nullopt, 1, mode);
      ASSERT_FALSE(failed) << static_cast<int>(mode);
      EXPECT_EQ(failed.error().code, ErrorCode::InputChanged) << failed.error().message();
      if (row.shrinks) {
        EXPECT_FALSE(failed.error().subject.empty());
      }
    }
  }
}

TEST_F(LoadPipelineFaults, AbortsAtAnyPoint) {
  for (int after = 0; after < 40; after += 3) {
    for (const auto& upload : kStrategies) {
      for (const bool sequential : {false, true}) {
        auto source = std::make_unique<WatchedSource>(memory_source(whole_, "model.gguf"), sequential);
        WatchedSource& watched = *source;
        Model model = value_of(open_model(std::move(source)));
        LoadScene scene(whole_, model, true, devices());
        int reads = 0;
        watched.watch_from_now([&](std::uint64_t, std::size_t) -> Result<void> {
          if (reads++ == after) scene.control.cancelled = true;
          return {};
        });
        const auto failed = load_with(scene, upload, 3);
        ASSERT_FALSE(failed);
        EXPECT_EQ(failed.error().code, ErrorCode::Interrupted);
        EXPECT_THAT(failed.error().message(), HasSubstr("the model was not loaded"));
      }
    }
  }
}

// A placement that no device owns: an error, no crash.
TEST_F(LoadPipelineFaults, APlaceOfAStranger) {
  Model model = value_of(open_model(memory_source(whole_, "model.gguf")));
  LoadScene scene(whole_, model, true, devices());
  const std::vector<std::shared_ptr<Device>> others{value_of(Device::open(devices().front()->info()))};
  LoadInput input = scene.input();
  input.devices = others;
  const auto failed = load(input);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::InvalidArgument);
}

class LoadPipelineOpenClFaults : public LoadPipelineFaults {
 protected:
  support::ScopedVariable library_{"GGUF_FUSE_OPENCL_LIBRARY",
                                   (support::program_folder() / "libgguf_fuse_opencl_faults.so").string()};
  const std::shared_ptr<Device> device_ =
      value_of(Device::open(support::test_device(), {.dot = DotProduct::None, .cache_folder = {}}));
};

// Mapping, memory that the driver can copy from at once, and strided writes are ways to be faster.
TEST_F(LoadPipelineOpenClFaults, FastWaysThatFailAreDoneWithout) {
  const std::pair<const char*, std::optional<UploadStrategy>> rows[] = {
      {"clEnqueueMapBuffer=-12", {}},
      {"clEnqueueMapBuffer=-6", UploadStrategy::Slices},
      {"clCreateBuffer=-4", UploadStrategy::Slices},
      {"clCreateBuffer=-61,clEnqueueMapBuffer=-59", UploadStrategy::Gather},
      {"clEnqueueWriteBufferRect=-5", UploadStrategy::Rectangle},
      {"clEnqueueMapBuffer=-5,clEnqueueWriteBufferRect=-59", {}},
  };
  for (const auto& [what, upload] : rows) {
    for (const bool sequential : {false, true}) {
      Model model =
          value_of(open_model(std::make_unique<WatchedSource>(memory_source(whole_, "model.gguf"), sequential)));
      LoadScene scene(whole_, model, true, {device_});
      ASSERT_TRUE(device_->finish());
      {
        const support::ScopedVariable fault("GGUF_FUSE_OPENCL_FAULT", what);
        const auto loaded = load_with(scene, upload, 2);
        ASSERT_TRUE(loaded) << what << ": " << loaded.error().message();
      }
      EXPECT_EQ(scene.faults(), "") << what;
    }
  }
}

TEST_F(LoadPipelineOpenClFaults, EveryCallThatFailsIsAnError) {
  struct Row {
    const char* fault;
    std::optional<UploadStrategy> upload;
    ErrorCode code;
    const char* call;
    bool names_tensor;
  };
  const Row rows[] = {
      {"clCreateCommandQueue=-6", UploadStrategy::Slices, ErrorCode::OpenClFailed, "clCreateCommandQueue", false},
      {"clEnqueueWriteBuffer=-4", UploadStrategy::Slices, ErrorCode::OutOfDeviceMemory, "clEnqueueWriteBuffer", true},
      {"clEnqueueWriteBuffer=-5", UploadStrategy::Gather, ErrorCode::OpenClFailed, "clEnqueueWriteBuffer", true},
      {"clEnqueueWriteBufferRect=-5,clEnqueueWriteBuffer=-5", UploadStrategy::Rectangle, ErrorCode::OpenClFailed,
       "clEnqueueWriteBuffer", true},
      {"clFlush=-36", UploadStrategy::Rectangle, ErrorCode::OpenClFailed, "clFlush", true},
      {"clWaitForEvents=-14", UploadStrategy::Rectangle, ErrorCode::OpenClFailed, "clWaitForEvents", true},
      {"clFinish=-36", {}, ErrorCode::OpenClFailed, "clFinish", false},
  };
  for (const Row& row : rows) {
    for (const bool sequential : {false, true}) {
      for (const unsigned threads : {1U, 4U}) {
        Model model =
            value_of(open_model(std::make_unique<WatchedSource>(memory_source(whole_, "model.gguf"), sequential)));
        LoadScene scene(whole_, model, true, {device_});
        ASSERT_TRUE(device_->finish());
        const support::ScopedVariable fault("GGUF_FUSE_OPENCL_FAULT", row.fault);
        const auto failed = load_with(scene, row.upload, threads);
        ASSERT_FALSE(failed) << row.fault;
        EXPECT_EQ(failed.error().code, row.code) << failed.error().message();
        EXPECT_THAT(failed.error().message(), HasSubstr(row.call));
        EXPECT_EQ(failed.error().subject.empty(), !row.names_tensor) << failed.error().message();
      }
    }
  }
  // And the device still works.
  Model model = value_of(open_model(memory_source(whole_, "model.gguf")));
  LoadScene scene(whole_, model, true, {device_});
  ASSERT_TRUE(load_with(scene, UploadStrategy::Rectangle, 2));
  EXPECT_EQ(scene.faults(), "");
}

}  // namespace
}  // namespace gguf_fuse::runtime
