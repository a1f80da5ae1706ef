// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <array>
#include <filesystem>

#include "gguf_fuse/loader/model.hpp"
#include "support/file_util.hpp"
#include "support/memory_sink.hpp"
#include "support/paths.hpp"
#include "support/random_model.hpp"

namespace gguf_fuse::loader {
namespace {

using support::GgufBuilder;
using support::MemoryStream;
using support::RandomModel;
using Bytes = std::vector<std::byte>;

RandomModel small(const std::string& architecture) {
  return RandomModel(architecture).layers(1).embedding(32).heads(2, 1, 16).feed_forward(32).vocabulary(4);
}

struct Sample {
  std::string name;
  Bytes bytes;
};

// Between them they have every kind of field.
std::vector<Sample> samples() {
  std::vector<Sample> all;
  all.push_back({"llama", small("llama").build()});
  all.push_back({"gpt-oss big-endian", small("gpt-oss").big_endian().build()});
  all.push_back({"qwen35moe", small("qwen35moe").alignment(64).prec_a4({{"blk.0.attn_q.weight", true}}).build()});
  all.push_back({"version 2", GgufBuilder()
                                  .version(2)
                                  .string("general.architecture", "llama")
                                  .u32("llama.block_count", 1)
                                  .tensor({"a", "Q4_0", {32, 2}})
                                  .tensor({"b", "F32", {3}})
                                  .build()});
  all.push_back({"unaligned", GgufBuilder().alignment(1).tensor({"a", "I8", {3}}).tensor({"b", "F16", {5}}).build()});
  return all;
}

// Touches everything a header offers, as inspect does.
void walk(const Container& container) {
  std::size_t seen = 0;
  for (std::size_t i = 0; i < container.metadata.size(); ++i) {
    const auto entry = container.metadata[i];
    seen += entry.value.display().size() + entry.record.size();
    static_cast<void>(container.metadata.get_unsigned_array(entry.key));
    static_cast<void>(container.metadata.get_string_array(entry.key));
    static_cast<void>(container.metadata.get_unsigned(entry.key));
    EXPECT_TRUE(container.metadata.find(entry.key));
  }
  for (const TensorInfo& tensor : container.tensors) {
    seen += tensor.name.size() + tensor.bytes;
    EXPECT_NE(tensor.type, nullptr);
    EXPECT_TRUE(tensor.offset <= container.data_bytes && tensor.bytes <= container.data_bytes - tensor.offset);
  }
  EXPECT_LE(container.metadata.section().size(), container.header->size());
  EXPECT_TRUE(seen > 0 || container.tensors.empty());
}

void check_prefix(const Bytes& file, std::size_t length, std::uint64_t needed) {
  const auto source = memory_source(std::span(file).first(length), "prefix");
  const auto container = read_container(*source);
  ASSERT_EQ(container.has_value(), length >= needed) << length << " of " << file.size();
  if (!container) {
    EXPECT_EQ(container.error().kind(), ErrorKind::Malformed);
    EXPECT_FALSE(container.error().message().empty());
  }
}

// What a file must have: all of its tensors, or the whole table where there is no data.
std::uint64_t needed_bytes(const Bytes& file) {
  const auto container = read_container(*memory_source(file, "whole"));
  EXPECT_TRUE(container) << container.error().message();
  return container->data_bytes == 0 ? container->header->size() : container->data_offset + container->data_bytes;
}

TEST(Truncation, EveryPrefixIsRefused) {
  for (const Sample& sample : samples()) {
    SCOPED_TRACE(sample.name);
    const std::uint64_t needed = needed_bytes(sample.bytes);
    for (std::size_t length = 0; length <= sample.bytes.size(); ++length) check_prefix(sample.bytes, length, needed);
  }
}

TEST(Truncation, EveryPrefixOfAStreamIsRefused) {
  for (const Sample& sample : samples()) {
    SCOPED_TRACE(sample.name);
    const auto whole = read_container(*memory_source(sample.bytes, "whole"));
    ASSERT_TRUE(whole);
    for (std::size_t length = 0; length <= whole->data_offset; ++length) {
      MemoryStream stream({sample.bytes.begin(), sample.bytes.begin() + static_cast<std::ptrdiff_t>(length)});
      const auto container = read_container(stream);
      ASSERT_EQ(container.has_value(), length >= whole->header->size()) << length;
    }
  }
}

// Every prefix of the header, and of the data those that end in different places of a block.
TEST(Truncation, PrefixesOfRealModels) {
  const std::filesystem::path folder = test_support::test_data("models");
  std::size_t found = 0;
  for (const char* name : {"gemma2-q4_1.gguf", "gpt-oss-mxfp4.gguf"}) {
    SCOPED_TRACE(name);
    if (!std::filesystem::exists(folder / name)) continue;
    ++found;
    const Bytes file = support::read_file(folder / name);
    const auto whole = read_container(*memory_source(file, name));
    ASSERT_TRUE(whole) << whole.error().message();
    const std::uint64_t needed = whole->data_offset + whole->data_bytes;
    for (std::size_t length = 0; length <= whole->data_offset + 64; ++length) check_prefix(file, length, needed);
    for (std::size_t length = whole->data_offset; length < file.size(); length += 997)
      check_prefix(file, length, needed);
    for (std::size_t cut = 0; cut < 64; ++cut) check_prefix(file, file.size() - cut, needed);
  }
  if (found == 0) GTEST_SKIP() << "the tiny models are not here";
}

TEST(Mutation, EveryByteOfTheHeader) {
  for (const Sample& sample : samples()) {
    SCOPED_TRACE(sample.name);
    const auto whole = read_container(*memory_source(sample.bytes, "whole"));
    ASSERT_TRUE(whole);
    Bytes file = sample.bytes;
    std::size_t accepted = 0;
    for (std::size_t at = 0; at < whole->header->size(); ++at) {
      const auto old = static_cast<unsigned>(file[at]);
      for (const unsigned value : {old ^ 1U, old ^ 0x80U, old ^ 0x20U, 0U, 0xffU, old + 1, old - 1}) {
        file[at] = static_cast<std::byte>(value & 0xffU);
        const auto container = read_container(*memory_source(file, "mutant"));
        if (container) {
          ++accepted;
          walk(*container);
        } else {
          EXPECT_FALSE(container.error().message().empty());
        }
      }
      file[at] = static_cast<std::byte>(old);
    }
    // Names and values may change; structure may not.
    EXPECT_GT(accepted, 0U);
    EXPECT_LT(accepted, 7 * whole->header->size());
  }
}

}  // namespace
}  // namespace gguf_fuse::loader
