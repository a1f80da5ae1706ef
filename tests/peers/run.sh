#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# run.sh [BIN]: converts models with the programs in BIN (build/release/bin), compares what llama.cpp computes from them
# before and after, bit for bit, and measures both; compares what gguf-run computes, and what files without a key mean.
# Builds llama.cpp on the first run (about 15 minutes on two cores). Prints Markdown tables; exits with 1 when anything
# differs.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
bin=$(cd "${1:-$root/build/release/bin}" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gguf-fuse
smollm2=$cache/models/smollm2-135m-instruct-q4_1.gguf
gemma3=$cache/models/gemma-3-270m-it-q4_k_m.gguf

# llama.cpp and its Python binding, from one sdist and built once for this processor. The binding is used where it was
# unpacked; it finds the libraries by LLAMA_CPP_LIB_PATH.
version=0.3.36
packages=(numpy==1.26.4 jinja2==3.1.6 markupsafe==3.0.4 diskcache==5.6.3 typing_extensions==4.15.0 gguf==0.19.0 pyyaml==6.0.2)
peers=$cache/peers-$version
python=$peers/venv/bin/python
export PYTHONPATH=$peers/llama_cpp_python-$version LLAMA_CPP_LIB_PATH=$peers/build/bin PYTHONDONTWRITEBYTECODE=1
prepare() {
  mkdir -p "$peers"
  exec 9>"$peers/lock"
  flock 9
  if [ -e "$peers/complete" ]; then return; fi
  echo "peers: building llama.cpp of llama-cpp-python $version (about 15 minutes)" >&2
  rm -rf "$peers/venv" "$PYTHONPATH"
  python3 -m venv --without-pip "$peers/venv"
  python3 -m pip --python "$python" install --quiet --no-deps --disable-pip-version-check "${packages[@]}" >&2
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: --dest "$peers" \
    "llama-cpp-python==$version" >&2
  tar -xzf "$peers/llama_cpp_python-$version.tar.gz" -C "$peers"
  local launcher=()
  if command -v ccache >/dev/null; then launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
  cmake -S "$PYTHONPATH/vendor/llama.cpp" -B "$peers/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON \
    -DLLAMA_BUILD_TESTS=ON -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_UI=OFF \
    -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_MTMD=OFF "${launcher[@]}" >"$peers/build.log" 2>&1
  cmake --build "$peers/build" --target llama test-llama-archs >>"$peers/build.log" 2>&1 ||
    { tail -n 20 "$peers/build.log" >&2; return 1; }
  "$python" -c "import llama_cpp; assert llama_cpp.__version__ == '$version'"
  touch "$peers/complete"
}
prepare
"$root/scripts/models.sh"

work=$(mktemp -d "${TMPDIR:-/tmp}/gguf-fuse-peers.XXXXXX")
trap 'rm -rf "$work"' EXIT
failed=0
compare() { "$python" "$root/tests/peers/$1.py" "${@:2}" || failed=1; }
logits() { compare logits "$@"; }

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
"$bin/gguf-upcycle" "$smollm2" "$work/unstacked.gguf" --arch llama --experts 8 --unstacked
fused "$work/llama.gguf" "$work/llama.fused.gguf" attn_qkv
fused "$work/unstacked.gguf" "$work/unstacked.fused.gguf" attn_qkv ffn_gate_exps ffn_up_exps ffn_down_exps
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
scales=(--scale attn_q=0.25 --scale attn_k=0.25 --scale attn_v=0.25 --scale ffn_down=0.5)
"$bin/gguf-random-model" llama "$work/scaled.gguf" --vocabulary 260 --wide --type NVFP4 "${scales[@]}"
fused "$work/scaled.gguf" "$work/scaled.fused.gguf" attn_qkv.weight attn_qkv.scale
logits same "$work/scaled.gguf" "$work/scaled.fused.gguf" --floats --label 'random llama of NVFP4, with equal scales'
logits same "$work/llama.gguf" "$work/unstacked.fused.gguf" --label 'SmolLM2 x 8, llama, from a tensor for each expert'
for architecture in $("$bin/gguf-random-model" --list); do
  "$bin/gguf-random-model" "$architecture" "$work/random.gguf" --layers 4 --vocabulary 260
  rc=0
  "$bin/gguf-fuse" convert --quiet --strict "$work/random.gguf" "$work/random.fused.gguf" 2>"$work/errors" || rc=$?
  case $rc in
    0) logits same "$work/random.gguf" "$work/random.fused.gguf" --floats --label "random $architecture" ;;
    4) echo "| random $architecture | | | | | nothing to fuse |" ;;
    *) cat "$work/errors" >&2; failed=1 ;;
  esac
  rm -f "$work"/random*.gguf
done

printf '\nOne model of each architecture, written by llama.cpp itself (test-llama-archs -o), fused, run and unfused:\n\n'
mkdir "$work/archs"
"$peers/build/bin/test-llama-archs" -o "$work/archs" -s 1 >"$work/archs.log" 2>&1 || { tail "$work/archs.log" >&2; failed=1; }
mapfile -t runnable < <(sed -n 's/^Architecture{.name = "\([^"]*\)".*/\1/p' "$root"/runtime/architectures/*.inc)
compare archs "$work/archs" --bin "$bin" --runnable "${runnable[@]}"
rm -rf "$work/archs"

printf '\nTiny models of other architectures, and the logits that tests compare with:\n\n'
compare architectures --bin "$bin"

table 'Tiny models without a key, in llama.cpp and in gguf-run:' 'architecture | keys | run, with the same logits | refused by both'
compare keys --bin "$bin"

table 'Tokens per second of processor time, one thread, alternating runs:' \
  'model | what | before | after | after / before, median (least .. most)'
logits speed "$smollm2" "$work/smollm2.gguf" --label 'SmolLM2 135M Q4_1'
logits speed "$gemma3" "$work/gemma3.gguf" --label 'Gemma 3 270M Q4_K_M'
logits speed "$work/granite_swa.gguf" "$work/granite_swa.fused.gguf" --label 'SmolLM2 x 8, granite_swa'
printf '\nChat templates of other models, rendered here and by Jinja2, over 17 conversations each:\n\n'
"$python" "$root/tests/peers/templates.py" "$PYTHONPATH/vendor/llama.cpp/models/templates" "$bin/gguf-render-template" || failed=1
exit "$failed"
