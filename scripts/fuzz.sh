#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# fuzz.sh SECONDS [FUZZER...]: runs the fuzzers of the fuzz preset, all when none is named, starting from the committed corpus.
# New inputs go to build/fuzz/found/FUZZER, crashes and logs to build/fuzz/found. Prints a line a fuzzer; of one that
# failed, what it found.
set -euo pipefail
cd "$(dirname "$0")/.."

export seconds=${1:?usage: $0 SECONDS [FUZZER...]}
shift
if [ "$#" = 0 ]; then
  for fuzzer in build/fuzz/bin/*_fuzzer; do set -- "$@" "$(basename "$fuzzer")"; done
fi
fuzz_one() {
  found=build/fuzz/found/$1
  mkdir -p "$found"
  if "build/fuzz/bin/$1" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -dict=tests/fuzz/gguf.dict -artifact_prefix="$found-" "$found" "tests/fuzz/corpus/$1" >"$found.log" 2>&1; then
    echo "$1: $(sed -n 's/^stat::number_of_executed_units: //p' "$found.log") runs, nothing found"
    return
  fi
  echo "$1: failed, and its log is $found.log"
  grep -v '^#\|^"' "$found.log" | tail -n 40
  return 1
}
export -f fuzz_one
# shellcheck disable=SC2016  # the inner shell expands it
printf '%s\0' "$@" | xargs -0 -P "$(nproc)" -n 1 bash -euc 'fuzz_one "$1"' fuzz
