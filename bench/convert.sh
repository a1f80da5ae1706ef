#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# convert.sh [FOLDER] [BIN]: how long gguf-fuse convert takes beside cp of the same file, and in how much memory.
# FOLDER (in the cache) gets mixtures of 3.2 and 6.4 GB, which stay for the next run; the outputs are removed. BIN holds
# the programs (build/release/bin). ROUNDS=5 alternating rounds. Prints Markdown tables; no time makes it fail.
set -euo pipefail
# shellcheck source=bench/common.sh
. "$(dirname "$0")/common.sh"
folder=${1:-$cache/bench}
bin=$(cd "${2:-$root/build/release/bin}" && pwd)

"$root/scripts/models.sh"
mixtures=()
mixture "$bin" "$folder" granite_swa 64 8 && mixtures+=("$made")
mixture "$bin" "$folder" granite_swa 128 16 && mixtures+=("$made")
if [ "${#mixtures[@]}" = 0 ]; then exit 1; fi

keep_memory
python3 "$root/bench/convert.py" --program "$bin/gguf-fuse" --rounds "${ROUNDS:-5}" "${mixtures[@]}"

if [ -x "$bin/header_bench" ]; then
  printf '\nThe header of Gemma 3 270M (262k tokens):\n\n'
  # In a process of its own for each: the peak of the memory is the process's.
  GGUF_FUSE_BENCH_MODEL=$gemma3 "$bin/header_bench" --benchmark_min_time=0.5
fi
