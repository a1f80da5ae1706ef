#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# nightly.sh: what takes too long for every change, after a build of the preset release. Now: every program under every
# shortage of tests/cli/shortage_test.cpp (half an hour), all schedules of tests/runtime/engine_schedule_test.cpp all
# values of tests/runtime/hostile_tiny_test.cpp (a minute), and mixtures fused while loading with the kernels for GPUs.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/common.sh
. scripts/common.sh
GGUF_FUSE_WHOLE_GRID=1 step "every shortage" build/release/bin/cli_tests --gtest_filter='*Shortage*'
GGUF_FUSE_WHOLE_GRID=1 POCL_DEVICES="pthread pthread" step "schedules and values" build/release/bin/runtime_tests \
  --gtest_filter='*EngineSchedules*:HostileTinyModels.*'
GGUF_FUSE_TEST_STYLE=group POCL_DEVICES="pthread pthread" step "mixtures by GPU kernels" build/release/bin/runtime_tests \
  --gtest_filter='*Mixtures.FusedWhileLoading*'
