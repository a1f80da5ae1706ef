// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/program.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gguf_fuse/kernels/launch.hpp"
#include "support/opencl_device.hpp"

namespace gguf_fuse::kernels {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

constexpr const char* kAnswer = "kernel void answer(global int *out) { out[0] = ANSWER; }\n";

std::int32_t run_answer(const Device& device, const std::shared_ptr<Program>& program) {
  const Buffer out = support::buffer_of<std::int32_t>(device, {0});
  const auto launch = support::value_of(Launch::make(program, "answer", {{"out", out}}, Grid{}));
  EXPECT_TRUE(launch.enqueue());
  return support::content_of<std::int32_t>(out).front();
}

void expect_build_failure(const ProgramSpec& spec, const std::string& text) {
  const auto program = support::open_device()->program(spec);
  ASSERT_FALSE(program) << text;
  EXPECT_EQ(program.error().code, ErrorCode::KernelBuildFailed) << text;
  EXPECT_THAT(program.error().message(), HasSubstr(text));
}

TEST(Program, DefinesMayHoldAnything) {
  const auto device = support::open_device();
  const auto answer = [&](Defines defines) {
    return run_answer(
        *device,
        support::value_of(device->program({.file = "answer.cl", .source = kAnswer, .defines = std::move(defines)})));
  };
  EXPECT_EQ(answer({{"ANSWER", "42"}}), 42);
  EXPECT_EQ(answer({{"ANSWER", "( 40 + \"ab\"[1] - 'a' )"}}), 41);
  EXPECT_EQ(answer({{"ANSWER", ""}}), 1);
  EXPECT_EQ(answer({{"HALF", "21"}, {"ANSWER", "(2 * HALF)"}}), 42);
}

TEST(Program, OptionsReachTheCompiler) {
  const auto device = support::open_device();
  const auto answer = [&](std::vector<std::string> options) {
    return run_answer(*device, support::value_of(device->program({.file = "answer.cl",
                                                                  .source = kAnswer,
                                                                  .defines = {{"ANSWER", "__OPENCL_C_VERSION__ + X"}},
                                                                  .options = std::move(options)})));
  };
  EXPECT_EQ(answer({"-DX=0"}), 120);
  EXPECT_EQ(answer({"-DX=1000", "-cl-std=CL1.1"}), 1110);
}

TEST(Program, AFileMayBeIncludedUnderOtherMacros) {
  const auto device = support::open_device();
  const auto program = support::value_of(device->program({.file = "twice.cl", .source = R"(
int16 plain(int16 sums, uint16 a, global const int *b) { return sums + convert_int16(a) * *b; }
#define dot_step plain
#define probe_dot first
#include "probe/dot.cl"
#undef probe_dot
#define probe_dot second
  #  include   "probe/dot.cl"
)"}));
  const std::vector<KernelArgument> arguments = {{"a", ArgumentKind::Buffer},
                                                 {"b", ArgumentKind::Buffer},
                                                 {"sums", ArgumentKind::Buffer},
                                                 {"steps", ArgumentKind::UInt32}};
  EXPECT_THAT(program->kernels(),
              UnorderedElementsAre(KernelSignature{"first", arguments}, KernelSignature{"second", arguments}));
  EXPECT_EQ(program->kernel("probe_dot"), nullptr);
}

TEST(Program, SignaturesAreWhatTheCompilerSaw) {
  const auto device = support::open_device();
  const auto program = support::value_of(device->program({.file = "signature.cl", .source = R"(
#define TYPE uint
#if 0
kernel void only(global int *wrong) {}
#else
__attribute__((vec_type_hint(float4)))
kernel void only(global const float4 *restrict weights, constant uchar *table,
                 local int *scratch,  // one per lane
                 const TYPE rows, unsigned int columns, int signed_one, long e, ulong f, float g) {}
#endif
)"}));
  const std::vector<KernelArgument> expected = {
      {"weights", ArgumentKind::Buffer}, {"table", ArgumentKind::Buffer},   {"scratch", ArgumentKind::Local},
      {"rows", ArgumentKind::UInt32},    {"columns", ArgumentKind::UInt32}, {"signed_one", ArgumentKind::Int32},
      {"e", ArgumentKind::Int64},        {"f", ArgumentKind::UInt64},       {"g", ArgumentKind::Float}};
  EXPECT_THAT(program->kernels(), ElementsAre(KernelSignature{"only", expected}));
}

TEST(Program, MessagesNameFileAndLine) {
  expect_build_failure({.file = "matmul.cl", .source = "kernel void a() {}\n\nkernel void b() { unknown_name = 1; }\n"},
                       "matmul.cl:3");
  // Lines count on after an include, and the included file has its own.
  const std::string header = "int16 dot_step(int16 s, uint16 a, global const int *b) { return s; }\n";
  expect_build_failure(
      {.file = "outer.cl", .source = header + "#include \"probe/dot.cl\"\nkernel void b() { no = 1; }\n"},
      "outer.cl:3");
  expect_build_failure({.file = "outer.cl", .source = "#define probe_dot 1\n#include \"probe/dot.cl\"\n"},
                       "probe/dot.cl:");
  expect_build_failure({.file = "a.cl", .source = "#error this one\n"}, "this one");
  expect_build_failure({.file = "a.cl", .source = "#error this one\n"}, support::test_device().name);
}

TEST(Program, IncludesThatCannotBeAreRefused) {
  expect_build_failure({.file = "nowhere.cl"}, "nowhere.cl");
  expect_build_failure({.file = "a.cl", .source = "\n#include \"none.cl\"\n"}, "a.cl:2: \"none.cl\"");
  expect_build_failure({.file = "a.cl", .source = "#include \"a.cl\"\n"}, "includes itself");
  expect_build_failure({.file = "probe/dot.cl", .source = "#include \"probe/dot.cl\"\n"}, "includes itself");
}

TEST(Program, ArgumentsThatALaunchCannotSetAreRefused) {
  expect_build_failure({.file = "a.cl", .source = "kernel void a(float4 four) {}\n"}, "found float4");
  expect_build_failure({.file = "a.cl", .source = "kernel void a(short small) {}\n"}, "\"small\"");
}

TEST(Program, PlainerVariantsAreTriedInOrder) {
  std::vector<std::string> log;
  const auto device = support::open_device({.cache_folder = {}, .log = [&](LogLevel level, std::string_view text) {
                                              if (level == LogLevel::Warning) log.emplace_back(text);
                                            }});
  const ProgramSpec spec{.file = "answer.cl",
                         .source = kAnswer,
                         .defines = {{"ANSWER", "wanted"}},
                         .fallbacks = {{{"ANSWER", "plainer"}}, {{"ANSWER", "7"}}, {{"ANSWER", "8"}}}};
  const auto program = support::value_of(device->program(spec));
  EXPECT_EQ(program->variant(), 2U);
  EXPECT_EQ(run_answer(*device, program), 7);
  ASSERT_EQ(log.size(), 1U);
  EXPECT_THAT(log[0], HasSubstr("'wanted'"));

  ProgramSpec hopeless = spec;
  hopeless.fallbacks.resize(1);
  const auto failed = device->program(hopeless);
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message(), HasSubstr("'wanted'"));
}

TEST(Program, EqualSpecificationsShareOne) {
  const auto device = support::open_device();
  const ProgramSpec one{.file = "answer.cl", .source = kAnswer, .defines = {{"ANSWER", "1"}}};
  ProgramSpec two = one;
  two.defines[0].second = "2";
  const auto first = support::value_of(device->program(one));
  EXPECT_EQ(support::value_of(device->program(one)), first);
  const auto other = support::value_of(device->program(two));
  EXPECT_NE(other, first);
  EXPECT_EQ(first->variant(), 0U);
  EXPECT_FALSE(first->from_cache());
  EXPECT_EQ(run_answer(*device, other), 2);
}

TEST(Program, SeveralAtOnce) {
  const auto device = support::open_device();
  std::vector<ProgramSpec> specs;
  for (int i = 0; i < 6; ++i) {
    specs.push_back({.file = "answer.cl", .source = kAnswer, .defines = {{"ANSWER", std::to_string(i % 4)}}});
  }
  const auto programs = support::value_of(device->programs(specs));
  ASSERT_EQ(programs.size(), 6U);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(run_answer(*device, programs[static_cast<std::size_t>(i)]), i % 4);
  EXPECT_EQ(programs[0], programs[4]);

  specs[2].defines[0].second = "no_such_thing";
  specs[5].defines[0].second = "nor_this";
  const auto failed = device->programs(specs);
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message(), HasSubstr("no_such_thing"));
  EXPECT_TRUE(support::value_of(device->programs({})).empty());
}

}  // namespace
}  // namespace gguf_fuse::kernels
