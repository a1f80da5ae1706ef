#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# pairs.sh BEFORE [AFTER]: whether a build is slower than another one: speed of prompts (pp512), of single tokens (tg128) and of
# loading, of SmolLM2, Gemma 3 and a mixture of 8 experts, and of loading and converting a mixture of 3.2 GB, by the programs in
# the folders BEFORE and AFTER (build/release/bin), in alternating pairs. PAIRS=20 says how many. Prints a Markdown table; no time
# makes it fail. The build to compare with:
#   git worktree add ../before COMMIT && cd ../before && cmake --preset release && cmake --build --preset release
set -euo pipefail
# shellcheck source=bench/common.sh
. "$(dirname "$0")/common.sh"
before=$(cd "${1:?which build? pairs.sh BEFORE [AFTER]}" && pwd)
after=$(cd "${2:-$root/build/release/bin}" && pwd)

"$root/scripts/models.sh"
mixture "$after" "$cache/bench" granite_swa 8 1
small=$made
mixture "$after" "$cache/bench" granite_swa 64 8
keep_memory
python3 "$root/bench/pairs.py" --pairs "${PAIRS:-20}" --large "$made" "$before" "$after" "$smollm2" "$gemma3" "$small"
