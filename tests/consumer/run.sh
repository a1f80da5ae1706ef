#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# run.sh BUILD_DIR: installs a build into a temporary prefix, builds the consumer against it with CMake and with pkg-config,
# and runs both on a model of one tensor.
set -euo pipefail

build=$(readlink -f "$1")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix

check() {
  local found expected
  expected="gguf-fuse $(pkg-config --modversion gguf_fuse): 1 tensors"
  found=$("$@")
  [ "$found" = "$expected" ] || { printf 'expected "%s", found "%s"\n' "$expected" "$found" >&2; exit 1; }
}

# Magic, version 3, one tensor, no keys; "x", one dimension of 32, F32, offset 0; padding to 64 bytes; the data.
{
  printf 'GGUF\3\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
  printf '\1\0\0\0\0\0\0\0x\1\0\0\0\40\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
  head -c 7 /dev/zero
  head -c 128 /dev/zero
} >"$work/one.gguf"

cmake --install "$build" --prefix "$prefix" >/dev/null
# Installed files may be moved: nothing in them may name the place they were built or first installed in.
mv "$prefix" "$work/moved"
prefix=$work/moved
if grep -rIl -e "$build" -e "$work/prefix" "$prefix"; then
  echo "the files above name the place they were built in" >&2
  exit 1
fi
libdir=$(dirname "$(find "$prefix" -name gguf_fuse.pc)")
export PKG_CONFIG_PATH=$libdir${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
export LD_LIBRARY_PATH=$libdir/..${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

cmake -G Ninja -S "$here" -B "$work/cmake" -DCMAKE_PREFIX_PATH="$prefix" >/dev/null
cmake --build "$work/cmake" >/dev/null
check "$work/cmake/consumer" "$work/one.gguf"

# shellcheck disable=SC2046  # the flags are a list
g++ -std=c++20 "$here/main.cpp" -o "$work/consumer" $(pkg-config --cflags --libs gguf_fuse)
check "$work/consumer" "$work/one.gguf"

"$prefix/bin/gguf-fuse" --version >/dev/null
for script in bash-completion/completions/gguf-run zsh/site-functions/_gguf-run fish/vendor_completions.d/gguf-run.fish; do
  grep -q -- chat-template "$prefix/share/$script"
done
