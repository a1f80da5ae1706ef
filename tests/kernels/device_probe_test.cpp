// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "../kernels/src/disk_cache.hpp"
#include "../kernels/src/probe.hpp"
#include "../kernels/src/probe_process.hpp"
#include "../kernels/src/profile_host.hpp"
#include "../kernels/src/profile_rules.hpp"
#include "support/file_util.hpp"
#include "support/opencl_device.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::kernels {
namespace {

using testing::HasSubstr;

std::string script(const support::TempDir& folder, const std::string& name, const std::string& body) {
  const std::string path = folder.file(name);
  support::write_text(path, "#!/bin/sh\n" + body + "\n");
  ::chmod(path.c_str(), 0700);
  return path;
}

TEST(ProbeProcess, TellsHowAProgramEnded) {
  const auto run = [](const std::string& command, int timeout = 60) {
    return run_process({"/bin/sh", "-c", command}, timeout);
  };
  EXPECT_EQ(run("printf ok; echo noise >&2").output, "ok");
  EXPECT_EQ(run("printf ok").failure, "");
  EXPECT_THAT(run("exit 3").failure, HasSubstr("status 3"));
  EXPECT_THAT(run("kill -6 $$").failure, HasSubstr("signal 6"));
  EXPECT_THAT(run("exec sleep 100", 1).failure, HasSubstr("more than 1 s"));
  EXPECT_EQ(run("head -c 100000 /dev/zero | tr '\\0' x").output, std::string(4096, 'x'));
  EXPECT_THAT(run_process({"/nonexistent/program"}, 60).failure, HasSubstr("could not be started"));
}

/// A probe that does `body`, and `plain` when asked for the plain product.
std::string probe_script(const support::TempDir& folder, const std::string& body, const std::string& plain) {
  return script(folder, "probe",
                "echo $3 >> " + folder.file("asked") + "\nif [ $3 = none ]; then " + plain + "; else " + body + "; fi");
}

// Each verdict once: later questions are answered from the folder even when the program has gone. The driver's name
// keeps the questions of one test apart from those of another, as answers are kept for the process too.
TEST(Probe, VerdictsAreKept) {
  const support::TempDir folder;
  const DeviceOptions options{.cache_folder = folder.file("cache")};
  const struct {
    std::string body;
    std::string verdict;
    std::string asked;  // a fault has to come again where the plain product works
  } cases[] = {{"printf ok", "", "vnni-avx512\n"},
               {"printf 'wrong results'", "wrong results", "vnni-avx512\nnone\nvnni-avx512\n"},
               {"kill -11 $$", "signal 11", "vnni-avx512\nnone\nvnni-avx512\n"}};
  for (const auto& test : cases) {
    const DeviceInfo info{.name = "VerdictsAreKept", .driver = test.body};
    const support::ScopedVariable probe("GGUF_FUSE_PROBE", probe_script(folder, test.body, "printf ok"));
    for (int i = 0; i < 2; ++i) {
      EXPECT_THAT(probe_verdict(info, DotProduct::VnniAvx512, options), HasSubstr(test.verdict));
    }
    EXPECT_EQ(probe_verdict(info, DotProduct::VnniAvx512, options).empty(), test.verdict.empty());
    EXPECT_EQ(support::read_text(folder.file("asked")), test.asked);
    std::filesystem::remove(folder.file("asked"));
  }
  EXPECT_EQ(support::list_folder(folder.file("cache/probes")).size(), std::size(cases));
}

// It may work the next time: no answer, time, or a compiler that breaks down whatever it is given.
TEST(Probe, WhatIsNotCertainIsNotStored) {
  const support::TempDir folder;
  const DeviceOptions options{.cache_folder = folder.file("cache")};
  const struct {
    std::string body;
    std::string plain;
  } cases[] = {{"printf 'no memory'; exit 1", "printf ok"},
               {"exit 3", "printf ok"},
               {"kill -9 $$", "printf ok"},
               {"kill -6 $$", "kill -6 $$"},
               {"printf 'cannot build'", "printf 'cannot build'"},
               {"kill -11 $$", "exit 3"}};
  for (const auto& test : cases) {
    const support::ScopedVariable probe("GGUF_FUSE_PROBE", probe_script(folder, test.body, test.plain));
    const std::string name = test.body + test.plain;
    EXPECT_NE(probe_verdict({.name = "WhatIsNotCertain", .driver = name}, DotProduct::VnniAvx512, options), "");
    // With a driver that is known to do it, it is done.
    const DeviceInfo known{.platform = "Portable Computing Language", .name = name, .driver = "3.1+debian"};
    EXPECT_EQ(probe_verdict(known, DotProduct::VnniAvx512, options), "");
  }
  EXPECT_FALSE(std::filesystem::exists(folder.file("cache")));
}

// The second time it works: the first was bad luck.
TEST(Probe, AFaultThatDoesNotComeAgainIsNone) {
  const support::TempDir folder;
  const support::ScopedVariable probe(
      "GGUF_FUSE_PROBE", probe_script(folder,
                                      "if [ -e " + folder.file("second") + " ]; then printf ok; else touch " +
                                          folder.file("second") + "; kill -6 $$; fi",
                                      "printf ok"));
  EXPECT_EQ(probe_verdict({.name = "ComesAgain"}, DotProduct::VnniAvx512, {.cache_folder = folder.file("cache")}), "");
  EXPECT_EQ(support::list_folder(folder.file("cache/probes")).size(), 1U);
}

// A process that may use less memory than the machine has learns nothing about the machine.
TEST(Probe, WhereMemoryIsLimitedNoFaultIsCertain) {
  const support::TempDir folder;
  const support::ScopedVariable probe("GGUF_FUSE_PROBE", probe_script(folder, "kill -6 $$", "printf ok"));
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_DATA, &before), 0);
  const rlimit limited{rlim_t{1} << 40, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_DATA, &limited), 0);
  EXPECT_NE(probe_verdict({.name = "Limited"}, DotProduct::VnniAvx512, {.cache_folder = folder.file("cache")}), "");
  ASSERT_EQ(setrlimit(RLIMIT_DATA, &before), 0);
  EXPECT_FALSE(std::filesystem::exists(folder.file("cache")));
}

TEST(Probe, WithoutTheProgramOnlyTheKnownIsUsed) {
  const support::TempDir folder;  // a folder may be executable, and is no program
  const support::ScopedVariable probe("GGUF_FUSE_PROBE", folder.path().string());
  const DeviceInfo known{.platform = "Portable Computing Language", .driver = "3.1+debian"};
  const DeviceInfo newer{.platform = "Portable Computing Language", .driver = "6.0"};
  const DeviceInfo other{.platform = "NVIDIA CUDA", .driver = "3.1"};
  EXPECT_EQ(probe_verdict(known, DotProduct::VnniAvx512, {}), "");
  EXPECT_EQ(probe_verdict(known, DotProduct::VnniAvx, {}), "");
  EXPECT_THAT(probe_verdict(known, DotProduct::Dp4a, {}), HasSubstr("not found"));
  EXPECT_THAT(probe_verdict(newer, DotProduct::VnniAvx512, {}), HasSubstr("not found"));
  EXPECT_THAT(probe_verdict(other, DotProduct::VnniAvx512, {}), HasSubstr("not found"));
}

TEST(Probe, TheRealOneAgreesWithTheTable) {
  ASSERT_TRUE(std::filesystem::exists(support::program_folder() / "gguf-fuse-probe"));
  const DeviceInfo info = support::test_device();
  const auto proposed = decide_profile(info, host_cpu(), {}, [](DotProduct) { return std::string(); });
  if (proposed.dot == DotProduct::None || proposed.dot == DotProduct::KhrInteger) {
    GTEST_SKIP() << "nothing to probe on " << info.name;
  }
  EXPECT_EQ(probe_verdict(info, proposed.dot, {.cache_folder = {}}), "");
}

TEST(Probe, WhatADeviceCannotDoIsFoundOut) {
  const DeviceInfo info = support::test_device();
  // No device speaks both x86 and PTX.
  const DotProduct foreign = info.type == DeviceType::Gpu ? DotProduct::VnniAvx512 : DotProduct::Dp4a;
  EXPECT_NE(probe_verdict(info, foreign, {.cache_folder = {}}), "");
  EXPECT_EQ(*run_probe(info, DotProduct::None), "");  // the plain one has to work everywhere
  EXPECT_THAT(*run_probe(info, DotProduct::KhrInteger), HasSubstr("no probe"));
}

}  // namespace
}  // namespace gguf_fuse::kernels
