// SPDX-License-Identifier: MIT
// The error gallery of kernels and runtime: every code from NoOpenCl on, provoked for real through the public
// interface (those before it: tests/fuse/error_test.cpp).
#include "gguf_fuse/loader/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <map>

#include "gguf_fuse/jinja/template.hpp"
#include "gguf_fuse/kernels/launch.hpp"
#include "gguf_fuse/loader/container.hpp"
#include "gguf_fuse/runtime/chat.hpp"
#include "support/opencl_device.hpp"
#include "support/random_model.hpp"
#include "support/runtime/run_model.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::runtime {
namespace {

using support::GgufBuilder;
using support::RandomModel;
using support::ScopedVariable;
using support::TempDir;
using support::TensorSpec;
using support::value_of;
using testing::HasSubstr;

/// An error, and what its message has to name: the file, the device, or what the user typed.
struct Shown {
  Error error;
  std::string name;
};

template <typename T>
Error error_of(const Result<T>& result) {
  if (result) throw std::runtime_error("no error");
  return result.error();
}

RandomModel llama() {
  return RandomModel("llama").layers(1).embedding(32).heads(2, 1, 16).feed_forward(32).vocabulary(40);
}

/// What opening the model says, or else what the first token of it does.
Shown model_error(const RandomModel& model) {
  const TempDir dir;
  const std::string path = model.write(dir.file("in.gguf"));
  auto opened = RunnableModel::open(path, {.devices = {support::test_devices().front()}});
  if (!opened) return {opened.error(), path};
  const auto session = value_of(Session::create(*opened));
  return {error_of(session->evaluate(std::vector{1})), path};
}

/// What a session on a good model says.
Shown session_error(const SessionOptions& options, const std::vector<std::int32_t>& tokens) {
  const TempDir dir;
  const std::string path = llama().write(dir.file("in.gguf"));
  auto session = Session::create(support::open_runnable(path), options);
  if (!session) return {session.error(), support::test_devices().front()->info().name};
  return {error_of((*session)->evaluate(tokens)), path};
}

/// With a driver whose calls fail as `faults` says.
template <typename Provoke>
auto with_faults(const std::string& faults, const Provoke& provoke) {
  const ScopedVariable library("GGUF_FUSE_OPENCL_LIBRARY",
                               (support::program_folder() / "libgguf_fuse_opencl_faults.so").string());
  const ScopedVariable fault("GGUF_FUSE_OPENCL_FAULT", faults);
  return provoke();
}

Shown no_opencl() {
  const ScopedVariable library("GGUF_FUSE_OPENCL_LIBRARY", "/no/such/folder/libOpenCL.so");
  return {error_of(list_devices()), "/no/such/folder/libOpenCL.so"};
}

Shown no_device() {
  // Nothing can be named: the hint says what to install.
  return {with_faults("clGetPlatformIDs=-1001", [] { return error_of(list_devices()); }), "OpenCL platform"};
}

Shown unknown_device() {
  const auto devices = value_of(list_devices());
  return {error_of(select_devices(devices, "abacus")), "abacus"};
}

Shown opencl_failed() {
  return with_faults("clCreateContext=-2", [] {
    const DeviceInfo info = support::test_device();
    return Shown{error_of(Device::open(info, {.dot = DotProduct::None, .cache_folder = {}})), info.name};
  });
}

Shown out_of_device_memory() {
  return with_faults("clCreateBuffer=-4", [] {
    const DeviceInfo info = support::test_device();
    const auto device = value_of(Device::open(info, {.dot = DotProduct::None, .cache_folder = {}}));
    return Shown{error_of(device->allocate(1000)), info.name};
  });
}

Shown kernel_build_failed() {
  const auto device = support::open_device();
  return {error_of(device->program({.file = "broken.cl", .source = "kernel void broken() { none = 1; }\n"})),
          device->info().name};
}

Shown buffer_too_large() { return session_error({.context = std::numeric_limits<std::uint32_t>::max()}, {1}); }

Shown bad_launch() {
  const auto device = support::open_device();
  const auto program = value_of(device->program({.file = "one.cl", .source = "kernel void one() {}\n"}));
  return {error_of(Launch::make(program, "two")), "two"};
}

Shown unsupported_type() { return model_error(RandomModel("llama").layers(1).wide().type("ffn_down", "Q8_K")); }

Shown unsupported_architecture() { return model_error(RandomModel("mamba").layers(1)); }

Shown old_layout() {
  return model_error(llama().edit([](std::vector<TensorSpec>& table) {
    for (TensorSpec& spec : table) {
      if (spec.name == "blk.0.ffn_up.weight") spec.name = "blk.0.ffn_up.7.weight";
    }
  }));
}

Shown unsupported_hyperparameter() {
  return model_error(
      RandomModel("gemma4").keys([](HeaderWriter& writer) { writer.add_u32("gemma4.attention.shared_kv_layers", 1); }));
}

Shown unsupported_tokenizer() {
  const auto file = GgufBuilder().string("tokenizer.ggml.model", "morse").build();
  const auto source = memory_source(file, "in.gguf");
  const auto container = value_of(read_container(*source));
  return {error_of(Tokenizer::load(container.metadata, "in.gguf")), "in.gguf"};
}

Shown unsupported_template() {
  const auto file = GgufBuilder().string("tokenizer.ggml.model", "none").build();
  const auto source = memory_source(file, "in.gguf");
  const auto tokenizer = value_of(Tokenizer::load(value_of(read_container(*source)).metadata, "in.gguf"));
  return {error_of(ChatTemplate::parse("", tokenizer, "in.gguf")), "in.gguf"};
}

Shown bad_hyperparameter() { return model_error(RandomModel(llama()).key_value_heads({0})); }

/// What a chat template says that is run on nothing.
Shown template_error(std::string_view source) {
  auto parsed = jinja::Template::parse(source);
  if (!parsed) return {parsed.error(), "line 1"};
  jinja::Heap heap;
  return {error_of(parsed->render(heap, *heap.dict(), {.steps = 1000})), "line 1"};
}

Shown template_syntax() { return template_error("{% if %}"); }

Shown template_failed() { return template_error("{{ raise_exception('roles must alternate') }}"); }

Shown template_limit() { return template_error("{% for i in range(9999) %}{{ i }}{% endfor %}"); }

Shown missing_tensor() { return model_error(llama().drop("ffn_norm")); }

Shown bad_tensor_shape() {
  return model_error(llama().edit([](std::vector<TensorSpec>& table) { table.front().dims[0] = 64; }));
}

Shown bad_token() { return session_error({}, {40}); }

Shown context_full() { return session_error({.context = 2}, {1, 2, 3}); }

Shown not_finite() {
  return model_error(llama().edit([](std::vector<TensorSpec>& table) {
    for (TensorSpec& spec : table) {
      if (spec.name != "output_norm.weight") continue;
      const std::vector<float> weights(32, std::numeric_limits<float>::infinity());
      const auto bytes = std::as_bytes(std::span(weights));
      spec.data.assign(bytes.begin(), bytes.end());
    }
  }));
}

using Gallery = std::vector<std::pair<ErrorCode, std::function<Shown()>>>;

Gallery gallery() {
  using enum ErrorCode;
  return {{NoOpenCl, no_opencl},
          {NoDevice, no_device},
          {UnknownDevice, unknown_device},
          {OpenClFailed, opencl_failed},
          {KernelBuildFailed, kernel_build_failed},
          {OutOfDeviceMemory, out_of_device_memory},
          {BufferTooLarge, buffer_too_large},
          {BadLaunch, bad_launch},
          {UnsupportedType, unsupported_type},
          {UnsupportedArchitecture, unsupported_architecture},
          {OldLayout, old_layout},
          {UnsupportedHyperparameter, unsupported_hyperparameter},
          {UnsupportedTokenizer, unsupported_tokenizer},
          {UnsupportedTemplate, unsupported_template},
          {BadHyperparameter, bad_hyperparameter},
          {TemplateSyntax, template_syntax},
          {TemplateFailed, template_failed},
          {TemplateLimit, template_limit},
          {MissingTensor, missing_tensor},
          {BadTensorShape, bad_tensor_shape},
          {BadToken, bad_token},
          {ContextFull, context_full},
          {NotFinite, not_finite}};
}

TEST(RuntimeErrorGallery, EveryCodeCanHappen) {
  for (const auto& [code, provoke] : gallery()) {
    SCOPED_TRACE(error_name(code));
    try {
      const auto [error, name] = provoke();
      const std::string message = error.message();
      EXPECT_EQ(error_name(error.code), error_name(code)) << message;
      EXPECT_THAT(message, HasSubstr(name));
      EXPECT_EQ(escape_text(message), message);
      const std::string hint(error.hint.empty() ? error_hint(code) : error.hint);
      EXPECT_FALSE(hint.empty());
      EXPECT_THAT(message, testing::EndsWith(hint));
    } catch (const std::exception& exception) {
      ADD_FAILURE() << exception.what();
    }
  }
}

TEST(RuntimeErrorGallery, NoCodeIsMissingOrShownTwice) {
  std::map<ErrorCode, int> shown;
  for (const auto& [code, provoke] : gallery()) ++shown[code];
  const auto first = static_cast<std::size_t>(ErrorCode::NoOpenCl);  // before it: tests/fuse/error_test.cpp
  for (std::size_t i = first; i < error_code_count(); ++i) {
    const auto code = static_cast<ErrorCode>(i);
    EXPECT_EQ(shown[code], 1) << error_name(code);
  }
  EXPECT_EQ(shown.size(), error_code_count() - first);
}

}  // namespace
}  // namespace gguf_fuse::runtime
