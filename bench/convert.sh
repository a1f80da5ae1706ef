#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# convert.sh [FOLDER] [BIN]: how long gguf-fuse convert takes beside cp of the same file, and in how much memory.
# FOLDER (in the cache) gets mixtures of 3.2 and 6.4 GB, which stay for the next run; the outputs are removed. BIN holds
# the programs (build/release/bin). ROUNDS=5 alternating rounds. Prints Markdown tables; no time makes it fail.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gguf-fuse
folder=${1:-$cache/bench}
bin=$(cd "${2:-$root/build/release/bin}" && pwd)
smollm2=$cache/models/smollm2-135m-instruct-q4_1.gguf
gemma3=$cache/models/gemma-3-270m-it-q4_k_m.gguf

"$root/scripts/models.sh"
mkdir -p "$folder"

# mixture EXPERTS GIB: makes a mixture unless there is one; GIB is what it and its output need together.
mixture() {
  local file=$folder/granite-swa-$1.gguf need=$2
  if [ ! -e "$file" ]; then
    if [ "$(df --output=avail -B1G "$folder" | tail -n 1)" -lt "$need" ]; then
      echo "convert.sh: the mixture of $1 experts is left out: it needs $need GiB in $folder" >&2
      return
    fi
    "$bin/gguf-upcycle" "$smollm2" "$file" --arch granite_swa --experts "$1"
  fi
  mixtures+=("$file")
}
mixtures=()
mixture 64 8
mixture 128 16
if [ "${#mixtures[@]}" = 0 ]; then exit 1; fi

# A virtual machine that gives free memory back to its host waits for the host at the next write, a fifth of a second to ten
# seconds for a file of this size, whoever writes it. Where that can be switched off, it is for as long as this runs.
reporting=/sys/module/page_reporting/parameters/page_reporting_order
if [ -w "$reporting" ]; then
  before=$(cat "$reporting")
  trap 'echo "$before" >"$reporting"' EXIT
  echo 11 >"$reporting"
fi

python3 "$root/bench/convert.py" --program "$bin/gguf-fuse" --rounds "${ROUNDS:-5}" "${mixtures[@]}"

if [ -x "$bin/header_bench" ]; then
  printf '\nThe header of Gemma 3 270M (262k tokens):\n\n'
  # In a process of its own for each: the peak of the memory is the process's.
  GGUF_FUSE_BENCH_MODEL=$gemma3 "$bin/header_bench" --benchmark_min_time=0.5
fi
