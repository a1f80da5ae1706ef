#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# test.sh [--quick] [--peers]: sets up what is missing, builds, and runs every test.
#   --quick  leaves out the tests on real models and on Intel's OpenCL driver, and downloads nothing but packages
#   --peers  also builds llama.cpp and compares what it computes from the fused files (adds about 15 minutes)
set -euo pipefail
cd "$(dirname "$0")"

quick='' peers=''
for argument in "$@"; do
  case $argument in
    --quick) quick=1 ;;
    --peers) peers=1 ;;
    *) sed -n '3,5s/^# //p' "$0" >&2; exit 2 ;;
  esac
done

# shellcheck source=scripts/common.sh
. scripts/common.sh
scripts/setup.sh test
selection=()
if [ -n "$quick" ]; then
  selection=(--label-exclude '^real|^python$')
else
  scripts/models.sh
  GGUF_FUSE_PYTHON=$(scripts/python.sh)
  GGUF_FUSE_INTEL_OPENCL=$(scripts/intel_opencl.sh) || true  # it says why, and its tests are not there
  export GGUF_FUSE_PYTHON GGUF_FUSE_INTEL_OPENCL GGUF_FUSE_MODELS=$models
fi
step "build (release)" build release

passed=0 failed=0
report=$PWD/$logs/ctest.xml
rm -f "$report"
step "tests${quick:+ (quick)}" ctest --preset release --parallel "$jobs" --output-junit "$report" "${selection[@]}" || failed=1
count() { sed -n "s/^.*[[:space:]]$1=\"\([0-9]*\)\".*/\1/p;/<testcase/q" "$report" | head -n 1; }
if [ -e "$report" ]; then
  failed=$(count failures)
  skipped=$(($(count skipped) + $(count disabled)))
  passed=$(($(count tests) - failed - skipped))
fi
if [ -n "$peers" ]; then
  if step "peers (llama.cpp)" tests/peers/run.sh; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
fi
echo "$passed passed, $failed failed${skipped:+, $skipped skipped}"
[ "$failed" = 0 ]
