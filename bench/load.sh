#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# load.sh [FOLDER] [BIN]: how long gguf-run loads mixtures of 3.2 and 6.4 GB, fused while loading and as they are in the file,
# with the file in the page cache and without, and in how much memory. FOLDER (in the cache) gets the mixtures, which stay for
# the next run. BIN holds the programs (build/release/bin). ROUNDS=5 alternating rounds. IK_LLAMA_CLI names ik_llama.cpp's
# llama-cli, to be measured beside on a mixture it can merge. Prints Markdown tables; no time makes it fail.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gguf-fuse
folder=${1:-$cache/bench}
bin=$(cd "${2:-$root/build/release/bin}" && pwd)
smollm2=$cache/models/smollm2-135m-instruct-q4_1.gguf

"$root/scripts/models.sh"
mkdir -p "$folder"

# mixture ARCHITECTURE EXPERTS GIB: makes a mixture unless there is one; GIB is what it needs.
mixture() {
  made=$folder/${1/_/-}-$2.gguf
  if [ -e "$made" ]; then return; fi
  if [ "$(df --output=avail -B1G "$folder" | tail -n 1)" -lt "$3" ]; then
    echo "load.sh: the mixture of $2 experts is left out: it needs $3 GiB in $folder" >&2
    return 1
  fi
  "$bin/gguf-upcycle" "$smollm2" "$made" --arch "$1" --experts "$2"
}
mixtures=()
mixture granite_swa 64 4 && mixtures+=("$made")
mixture granite_swa 128 8 && mixtures+=("$made")
if [ "${#mixtures[@]}" = 0 ]; then exit 1; fi
peer=()
if [ -n "${IK_LLAMA_CLI-}" ]; then
  mixture qwen3moe 64 4
  peer=(--peer "$IK_LLAMA_CLI" --peer-model "$made")
fi

# See convert.sh: a virtual machine that gives free memory back to its host waits for the host when it is used again.
reporting=/sys/module/page_reporting/parameters/page_reporting_order
if [ -w "$reporting" ]; then
  before=$(cat "$reporting")
  trap 'echo "$before" >"$reporting"' EXIT
  echo 11 >"$reporting"
fi

python3 "$root/bench/load.py" --ours "$bin/gguf-run" --rounds "${ROUNDS:-5}" "${peer[@]}" "${mixtures[@]}"
