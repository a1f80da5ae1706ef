#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# pairs.sh BEFORE [AFTER]: whether a build is slower than another one: speed of prompts (pp512) and of single tokens (tg128), of
# loading a mixture of 3.2 GB and of converting it, by the programs in the folders BEFORE and AFTER (build/release/bin), in
# alternating pairs. PAIRS=20 says how many. Prints a Markdown table; no time makes it fail. The build to compare with:
#   git worktree add ../before COMMIT && cd ../before && cmake --preset release && cmake --build --preset release
set -euo pipefail
# shellcheck source=bench/common.sh
. "$(dirname "$0")/common.sh"
before=$(cd "${1:?which build? pairs.sh BEFORE [AFTER]}" && pwd)
after=$(cd "${2:-$root/build/release/bin}" && pwd)

"$root/scripts/models.sh"
mixture "$after" "$cache/bench" granite_swa 64 8
keep_memory
python3 "$root/bench/pairs.py" --pairs "${PAIRS:-20}" --model "$smollm2" --mixture "$made" "$before" "$after"
