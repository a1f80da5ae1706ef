#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# load.sh [FOLDER] [BIN]: how long gguf-run loads mixtures of 3.2 and 6.4 GB, fused while loading and as they are in the file,
# with the file in the page cache and without, and in how much memory. FOLDER (in the cache) gets the mixtures, which stay for
# the next run. BIN holds the programs (build/release/bin). ROUNDS=5 alternating rounds. IK_LLAMA_CLI names ik_llama.cpp's
# llama-cli, to be measured beside on a mixture it can merge. Prints Markdown tables; no time makes it fail.
set -euo pipefail
# shellcheck source=bench/common.sh
. "$(dirname "$0")/common.sh"
folder=${1:-$cache/bench}
bin=$(cd "${2:-$root/build/release/bin}" && pwd)

"$root/scripts/models.sh"
mixtures=()
mixture "$bin" "$folder" granite_swa 64 4 && mixtures+=("$made")
mixture "$bin" "$folder" granite_swa 128 8 && mixtures+=("$made")
if [ "${#mixtures[@]}" = 0 ]; then exit 1; fi
peer=()
if [ -n "${IK_LLAMA_CLI-}" ]; then
  mixture "$bin" "$folder" qwen3moe 64 4
  peer=(--peer "$IK_LLAMA_CLI" --peer-model "$made")
fi

keep_memory
python3 "$root/bench/load.py" --ours "$bin/gguf-run" --rounds "${ROUNDS:-5}" "${peer[@]}" "${mixtures[@]}"
