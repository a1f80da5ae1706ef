// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/upload.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "support/file_util.hpp"
#include "support/opencl_device.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::kernels {
namespace {

using support::content_of;
using support::value_of;
using testing::Each;
using Bytes = std::vector<std::byte>;

class UploaderTest : public testing::Test {
 protected:
  /// A slot whose byte i is i + `first`.
  static Uploader::Slot filled(Uploader& uploader, unsigned first = 0) {
    Uploader::Slot slot = value_of(uploader.take());
    for (std::size_t i = 0; i < slot.bytes().size(); ++i) slot.bytes()[i] = static_cast<std::byte>(i + first);
    return slot;
  }

  const std::shared_ptr<Device> device_ = support::open_device();
  const Buffer buffer_ = support::buffer_of(*device_, Bytes(256, std::byte{0xff}));
};

TEST_F(UploaderTest, WritesWhereItIsToldAndNowhereElse) {
  const auto uploader = value_of(Uploader::make(*device_, 2, 100));
  const UploadWrite writes[] = {{.buffer = buffer_, .offset = 7, .slot_offset = 10, .bytes = 5},
                                {.buffer = buffer_, .offset = 100, .bytes = 4, .count = 3, .stride = 20},
                                {.buffer = buffer_, .offset = 200, .bytes = 0}};
  ASSERT_TRUE(uploader->send(filled(*uploader), writes, "x"));
  ASSERT_TRUE(uploader->finish());
  Bytes expected(256, std::byte{0xff});
  for (std::size_t i = 0; i < 5; ++i) expected[7 + i] = static_cast<std::byte>(10 + i);
  for (std::size_t i = 0; i < 12; ++i) expected[100 + i / 4 * 20 + i % 4] = static_cast<std::byte>(i);
  EXPECT_EQ(content_of<std::byte>(buffer_), expected);
  EXPECT_EQ(uploader->staging_bytes(), 200U);
}

// More threads than slots, more uploads than slots: none is reused before it has left.
TEST_F(UploaderTest, ThreadsShareTheSlots) {
  constexpr unsigned kThreads = 5, kRounds = 40;
  const Buffer buffer = value_of(device_->allocate(kThreads * kRounds * 64));
  const auto uploader = value_of(Uploader::make(*device_, 2, 64));
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (unsigned i = 0; i < kRounds; ++i) {
        const UploadWrite write{.buffer = buffer, .offset = (t * kRounds + i) * std::uint64_t{64}, .bytes = 64};
        EXPECT_TRUE(uploader->send(filled(*uploader, t * kRounds + i), {&write, 1}, "x"));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(uploader->finish());
  const Bytes content = content_of<std::byte>(buffer);
  for (std::size_t i = 0; i < content.size(); ++i) ASSERT_EQ(content[i], static_cast<std::byte>(i / 64 + i % 64)) << i;
}

TEST_F(UploaderTest, ASlotThatIsNotSentIsFreeAgain) {
  const auto uploader = value_of(Uploader::make(*device_, 1, 16));
  for (int i = 0; i < 3; ++i) value_of(uploader->take());
}

TEST_F(UploaderTest, RangesOutsideAreRefused) {
  const auto uploader = value_of(Uploader::make(*device_, 1, 100));
  const auto stranger = support::open_device();
  const UploadWrite wrong[] = {
      {.buffer = buffer_, .offset = 250, .bytes = 10},
      {.buffer = buffer_, .slot_offset = 95, .bytes = 10},
      {.buffer = buffer_, .offset = ~std::uint64_t{0}, .bytes = 10},
      {.buffer = buffer_, .bytes = 30, .count = 4, .stride = 40},
      {.buffer = buffer_, .bytes = 10, .count = 3, .stride = 200},
      {.buffer = buffer_, .bytes = 10, .count = 2, .stride = 5},
      {.buffer = value_of(stranger->allocate(100)), .bytes = 10},
      {.bytes = 10},
  };
  for (const UploadWrite& write : wrong) {
    const auto refused = uploader->send(filled(*uploader), {&write, 1}, "a tensor");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::BadLaunch);
    EXPECT_EQ(refused.error().subject, "a tensor");
  }
  EXPECT_TRUE(uploader->finish());
  EXPECT_THAT(content_of<std::byte>(buffer_), Each(std::byte{0xff}));
}

TEST_F(UploaderTest, AnUploadThatFailedIsToldLater) {
  const support::ScopedVariable library("GGUF_FUSE_OPENCL_LIBRARY",
                                        (support::program_folder() / "libgguf_fuse_opencl_faults.so").string());
  const auto device = support::open_device({.dot = DotProduct::None, .cache_folder = {}});
  const Buffer buffer = value_of(device->allocate(64));
  const auto uploader = value_of(Uploader::make(*device, 1, 64));
  const UploadWrite write{.buffer = buffer, .bytes = 64};
  const support::ScopedVariable fault("GGUF_FUSE_OPENCL_FAULT", "clWaitForEvents=-14");
  ASSERT_TRUE(uploader->send(filled(*uploader), {&write, 1}, "a tensor"));
  for (int i = 0; i < 2; ++i) {
    const auto failed = uploader->take();
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, ErrorCode::OpenClFailed);
    EXPECT_EQ(failed.error().subject, "a tensor");
  }
}

TEST(UploadChoice, IsMadeOnceAndKept) {
  const support::TempDir folder;
  const auto device = support::open_device({.dot = DotProduct::None, .cache_folder = folder.file("cache")});
  const UploadStrategy chosen = value_of(fastest_upload(*device));
  const auto entries = support::list_folder(folder.file("cache/uploads"));
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(value_of(fastest_upload(*device)), chosen);
  // A damaged answer is no answer.
  support::write_text(folder.file("cache/uploads/" + entries.front()), "nonsense");
  value_of(fastest_upload(*device));
  EXPECT_NE(support::read_text(folder.file("cache/uploads/" + entries.front())), "nonsense");
}

// What is kept is believed, so that nothing is measured again.
TEST(UploadChoice, NeedsNoDeviceOnceItIsKept) {
  const support::TempDir folder;
  const DeviceOptions options{.dot = DotProduct::None, .cache_folder = folder.file("cache")};
  const UploadStrategy chosen = value_of(fastest_upload(*support::open_device(options)));
  const support::ScopedVariable library("GGUF_FUSE_OPENCL_LIBRARY",
                                        (support::program_folder() / "libgguf_fuse_opencl_faults.so").string());
  const auto device = support::open_device(options);
  const support::ScopedVariable fault("GGUF_FUSE_OPENCL_FAULT", "clCreateBuffer=-4");
  EXPECT_EQ(value_of(fastest_upload(*device)), chosen);
}

}  // namespace
}  // namespace gguf_fuse::kernels
