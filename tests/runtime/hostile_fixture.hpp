// SPDX-License-Identifier: MIT
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "gguf_fuse/loader/container.hpp"
#include "model/architecture.hpp"
#include "support/file_util.hpp"
#include "support/model_shape.hpp"
#include "support/random_model.hpp"
#include "support/runtime/run_model.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::runtime {

using support::Bytes;
using support::RandomModel;
using support::TensorSpec;

/// Behind an architecture that is dense by nature: the same with experts.
constexpr std::string_view kWithExperts = "+experts";

/// Architectures that are run and that a random model has the tensors and keys of, and one that may be dense or a
/// mixture as both; each of the others is among the tiny models (lost_tensor_test.cpp).
inline std::vector<std::string> hostile_names() {
  std::vector<std::string> names{"llama" + std::string(kWithExperts), "gemma2", "gemma", "smollm3", "mistral3"};
  for (const std::string_view name : support::known_architectures()) {
    if (find_architecture(name) != nullptr) names.emplace_back(name);
  }
  return names;
}

/// general.architecture of a name of hostile_names().
inline std::string architecture_of(const std::string& name) { return name.substr(0, name.find('+')); }

/// A name as googletest allows it.
inline std::string test_name(const testing::TestParamInfo<std::string>& architecture) {
  std::string name = architecture.param;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '-' || c == '+'; }, '_');
  return name;
}

/// Two small layers; the ones with a window have a window of four positions.
inline RandomModel model_of(const std::string& name) {
  const std::string architecture = architecture_of(name);
  const Architecture& row = *find_architecture(architecture);
  RandomModel model = RandomModel(architecture).embedding(32).heads(2, 1, 16).feed_forward(32).vocabulary(40);
  if (row.attention() != nullptr && row.attention()->window_pattern > 0) model.window(4);
  if (name.ends_with(kWithExperts)) model.experts(4);
  return model.edit([&row](std::vector<TensorSpec>& table) {
    for (const std::string layer : {"blk.0.", "blk.1."}) {
      for (const std::string norm : {"post_attention_norm.weight", "post_ffw_norm.weight"}) {
        const bool there =
            std::any_of(table.begin(), table.end(), [&](const auto& t) { return t.name == layer + norm; });
        if (row.post_norms && !there) table.push_back({layer + norm, "F32", {table[0].dims[0]}});
      }
    }
  });
}

inline bool has_tensor(const RandomModel& model, std::string_view part) {
  const auto table = model.table();
  return std::any_of(table.begin(), table.end(), [&](const auto& t) { return t.name.ends_with(part); });
}

using Write = std::function<void(HeaderWriter&)>;

/// The file without `key`, with what `write` adds.
inline Bytes with_key(const Bytes& file, std::string_view key, const Write& write) {
  const auto source = memory_source(file, "in.gguf");
  const Container container = support::value_of(read_container(*source));
  HeaderWriter writer(container.version, container.big_endian);
  for (std::size_t i = 0; i < container.metadata.size(); ++i) {
    const Metadata::Entry entry = container.metadata[i];
    if (entry.key != key) writer.add_record(entry.record);
  }
  if (write) write(writer);
  for (const TensorInfo& tensor : container.tensors) {
    support::value_of(writer.add_tensor(tensor.name, *tensor.type, tensor.dimension_count, tensor.dims));
  }
  Bytes changed = writer.finish();
  changed.insert(changed.end(), file.begin() + static_cast<std::ptrdiff_t>(container.data_offset), file.end());
  return changed;
}

/// A value that a key may be given; nothing leaves the key out.
struct BadValue {
  const char* name;
  std::function<void(HeaderWriter&, std::string_view)> write;
};

inline const std::vector<BadValue>& bad_values() {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto f32 = [](float value) { return [=](HeaderWriter& w, std::string_view key) { w.add_f32(key, value); }; };
  const auto u64 = [](std::uint64_t value) {
    return [=](HeaderWriter& w, std::string_view key) { w.add_u64(key, value); };
  };
  static const std::vector<BadValue> values = {
      {"missing", nullptr},
      {"text", [](HeaderWriter& w, std::string_view key) { w.add_string(key, "m\x1b[any"); }},
      {"true", [](HeaderWriter& w, std::string_view key) { w.add_bool(key, true); }},
      {"2.5", f32(2.5F)},
      {"-1.0", f32(-1)},
      {"1e-45", f32(1e-45F)},
      {"3e38", f32(3e38F)},
      {"NaN", f32(std::nanf(""))},
      {"infinite", f32(kInfinity)},
      {"0.0", f32(0)},
      {"-1", [](HeaderWriter& w, std::string_view key) { w.add_i32(key, -1); }},
      {"0", u64(0)},
      {"1", u64(1)},
      {"3", u64(3)},
      {"2^24", u64(1U << 24)},
      {"2^31", u64(std::uint64_t{1} << 31)},
      {"2^64-1", u64(~std::uint64_t{0})},
      {"[]", [](HeaderWriter& w, std::string_view key) { w.add_u32_array(key, {}); }},
      {"[0, 0]",
       [](HeaderWriter& w, std::string_view key) {
         w.add_u32_array(key, std::array{0U, 0U});
       }},
      {"[texts]", [](HeaderWriter& w, std::string_view key) {
         w.add_string_array(key, std::array<std::string_view, 2>{"a", "b"});
       }}};
  return values;
}

/// Files that are run, a name of hostile_names() each.
class HostileTest : public testing::TestWithParam<std::string> {
 protected:
  [[nodiscard]] const Architecture& row() const { return *find_architecture(architecture_of(GetParam())); }
  [[nodiscard]] std::string key(std::string_view name) const {
    return architecture_of(GetParam()) + "." + std::string(name);
  }
  [[nodiscard]] bool is_mixture() const { return has_tensor(model_of(GetParam()), "ffn_down_exps.weight"); }

  /// Opens the model and runs three tokens; what went wrong, or nothing. Whatever it is has to be fit to be shown.
  std::optional<Error> attempt(const Bytes& file, const SessionOptions& options = {.context = 8}) {
    const std::string path = dir_.file("in.gguf");
    support::write_file(path, file);
    const auto error = run(path, options);
    if (!error) return error;
    const std::string message = error->message();
    EXPECT_THAT(error->path, testing::AnyOf(path, device_->info().name)) << message;
    EXPECT_EQ(escape_text(message), message);
    EXPECT_THAT(error->kind(), testing::AnyOf(ErrorKind::Malformed, ErrorKind::Unsupported, ErrorKind::Environment))
        << message;
    // These say that a check is missing before the device is asked, or in it.
    EXPECT_NE(error->code, ErrorCode::OpenClFailed) << message;
    EXPECT_NE(error->code, ErrorCode::KernelBuildFailed) << message;
    EXPECT_NE(error->code, ErrorCode::BadLaunch) << message;
    return error;
  }

  std::optional<Error> run(const std::string& path, const SessionOptions& options) const {
    auto model = RunnableModel::open(path, {.devices = {device_}, .threads = 1});
    if (!model) return model.error();
    auto session = Session::create(*model, options);
    if (!session) return session.error();
    for (const std::vector<std::int32_t>& tokens : {std::vector{0, 0}, {0}}) {
      if (auto step = (*session)->evaluate(tokens); !step) return step.error();
    }
    const auto logits = support::value_of((*session)->logits());
    EXPECT_EQ(logits.size(), (*model)->description().vocabulary);
    EXPECT_TRUE(std::all_of(logits.begin(), logits.end(), [](float logit) { return std::isfinite(logit); }));
    return std::nullopt;
  }

  /// The code's name, or "works".
  std::string outcome(const Bytes& file) {
    const auto error = attempt(file);
    return error ? std::string(error_name(error->code)) : "works";
  }

  const support::TempDir dir_;
  const std::shared_ptr<Device> device_ = support::test_devices().front();
};

}  // namespace gguf_fuse::runtime
