// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <set>

#include "hostile_fixture.hpp"

namespace gguf_fuse::runtime {
namespace {

/// How a model is called when general.file_type says `id`, or does not exist.
std::string quantisation(const std::string& model, std::optional<std::uint32_t> id) {
  const support::TempDir folder;
  const std::string path = folder.file("model.gguf");
  const Write write = [id](HeaderWriter& writer) {
    if (id) writer.add_u32("general.file_type", *id);
  };
  support::write_file(path, with_key(support::read_file(support::reference_path(model)), "general.file_type", write));
  return support::open_runnable(path)->description().quantisation;
}

TEST(Description, AMixIsCalledWhatItsFileTypeSays) {
  EXPECT_EQ(quantisation("llama-q4_k_m", 15), "Q4_K_M");
  EXPECT_EQ(quantisation("llama-q4_k_m", 14), "Q4_K_S");
  EXPECT_EQ(quantisation("gpt-oss-mxfp4", 38), "MXFP4_MOE");
  EXPECT_EQ(quantisation("llama-q8_0", 7), "Q8_0");
  // Q6_K on rows that are no whole blocks of 256
  EXPECT_EQ(quantisation("llama-q8_0", 18), "Q6_K");
}

TEST(Description, WithoutAFileTypeTheMostCommonTypeIsCalledThat) {
  EXPECT_EQ(quantisation("llama-q4_k_m", std::nullopt), "mostly Q4_K");
  EXPECT_EQ(quantisation("llama-q8_0", std::nullopt), "Q8_0");  // every matrix is
}

TEST(Description, AFileTypeThatTheTensorsContradictIsNotBelieved) {
  EXPECT_EQ(quantisation("llama-q4_k_m", 1), "mostly Q4_K");
  EXPECT_EQ(quantisation("llama-q8_0", 15), "Q8_0");
  EXPECT_EQ(quantisation("llama-q8_0", 4711), "Q8_0");  // none that is known
}

TEST(Model, WeightBuffersHoldEveryPackedMatrixOnce) {
  const auto model = support::open_runnable(support::reference_path("llama-q8_0"));
  support::value_of(model->wait());
  const Device& device = *model->devices().front();
  const std::vector<Buffer> buffers = model->weight_buffers(device);
  std::set<const void*> seen;
  std::uint64_t bytes = 0;
  for (const Buffer& buffer : buffers) {
    EXPECT_TRUE(seen.insert(buffer.identity()).second);
    EXPECT_TRUE(device.owns(buffer));
    bytes += buffer.bytes();
  }
  EXPECT_GE(bytes, model->description().bytes * 9 / 10);  // all but the norms
  EXPECT_LE(bytes, device.allocated_bytes());
}

}  // namespace
}  // namespace gguf_fuse::runtime
