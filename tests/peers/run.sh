#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# run.sh [BIN]: converts models with the programs in BIN (build/release/bin), compares what llama.cpp computes from them
# before and after, bit for bit, and measures both. Builds llama-cpp-python on the first run (about 10 minutes).
# Prints Markdown tables; exits with 1 when anything differs.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
bin=$(cd "${1:-$root/build/release/bin}" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gguf-fuse
smollm2=$cache/models/smollm2-135m-instruct-q4_1.gguf
gemma3=$cache/models/gemma-3-270m-it-q4_k_m.gguf

# llama.cpp, from the sdist, so that it is built for this processor.
packages=(llama-cpp-python==0.3.36 numpy==1.26.4)
venv=$cache/peers
ready() {
  [ -x "$venv/bin/python" ] || return
  "$venv/bin/python" -c 'import llama_cpp, numpy; assert llama_cpp.__version__ == "0.3.36"' 2>/dev/null
}
prepare() {
  mkdir -p "$cache"
  exec 9>"$cache/peers.lock"
  flock 9
  if ready; then return; fi
  echo "peers: building ${packages[0]} (about 10 minutes)" >&2
  rm -rf "$venv"
  python3 -m venv --without-pip "$venv"
  python3 -m pip --python "$venv/bin/python" install --quiet --disable-pip-version-check --no-binary llama-cpp-python \
    "${packages[@]}" >&2
  ready
}
prepare
"$root/scripts/models.sh"

work=$(mktemp -d "${TMPDIR:-/tmp}/gguf-fuse-peers.XXXXXX")
trap 'rm -rf "$work"' EXIT
failed=0
logits() { "$venv/bin/python" "$root/tests/peers/logits.py" "$@" || failed=1; }

# fused IN OUT TENSOR...: converts and makes sure that the tensors named are there.
fused() {
  local in=$1 out=$2 tensor
  shift 2
  "$bin/gguf-fuse" convert --quiet "$in" "$out"
  "$bin/gguf-fuse" inspect --tensors "$out" >"$work/tensors"
  for tensor in "$@"; do
    if ! grep -q "$tensor" "$work/tensors"; then
      echo "peers: $out has no $tensor" >&2
      failed=1
    fi
  done
}

table() {
  local bars=${2//[!|]/}
  printf '\n%s\n\n| %s |\n|%s---|\n' "$1" "$2" "${bars//|/---|}"
}

fused "$smollm2" "$work/smollm2.gguf" attn_qkv
fused "$gemma3" "$work/gemma3.gguf" attn_qkv
for kind in llama granite_swa; do
  "$bin/gguf-upcycle" "$smollm2" "$work/$kind.gguf" --arch "$kind" --experts 8
done
fused "$work/llama.gguf" "$work/llama.fused.gguf" attn_qkv
fused "$work/granite_swa.gguf" "$work/granite_swa.fused.gguf" attn_qkv ffn_gate_up_exps

header='model | logits | of them different | relative difference | greedy text | verdict'
table 'The upcycled mixtures against the dense model (no weight changed, but the sums have another order):' "$header"
for kind in llama granite_swa; do
  logits close "$smollm2" "$work/$kind.gguf" --label "SmolLM2 x 8, $kind"
done

table 'Before and after fusing, in llama.cpp:' "$header"
logits same "$smollm2" "$work/smollm2.gguf" --label 'SmolLM2 135M Q4_1'
logits same "$gemma3" "$work/gemma3.gguf" --label 'Gemma 3 270M Q4_K_M'
for kind in llama granite_swa; do
  logits same "$work/$kind.gguf" "$work/$kind.fused.gguf" --label "SmolLM2 x 8, $kind"
done
for architecture in $("$bin/gguf-random-model" --list); do
  "$bin/gguf-random-model" "$architecture" "$work/random.gguf" --layers 4 --vocabulary 260
  rc=0
  "$bin/gguf-fuse" convert --quiet --strict "$work/random.gguf" "$work/random.fused.gguf" 2>"$work/errors" || rc=$?
  case $rc in
    0) logits same "$work/random.gguf" "$work/random.fused.gguf" --label "random $architecture" ;;
    4) echo "| random $architecture | | | | | nothing to fuse |" ;;
    *) cat "$work/errors" >&2; failed=1 ;;
  esac
  rm -f "$work"/random*.gguf
done

table 'Tokens per second of processor time, one thread, alternating runs:' \
  'model | what | before | after | after / before, median (least .. most)'
logits speed "$smollm2" "$work/smollm2.gguf" --label 'SmolLM2 135M Q4_1'
logits speed "$gemma3" "$work/gemma3.gguf" --label 'Gemma 3 270M Q4_K_M'
logits speed "$work/granite_swa.gguf" "$work/granite_swa.fused.gguf" --label 'SmolLM2 x 8, granite_swa'
exit "$failed"
