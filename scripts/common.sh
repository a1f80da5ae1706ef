# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Sourced by the scripts that run steps, from the repository's root.

cache=${XDG_CACHE_HOME:-$HOME/.cache}/gguf-fuse
# shellcheck disable=SC2034  # for whoever sources this
models=$cache/models
jobs=$(nproc)
logs=${logs:-build/logs}
mkdir -p "$logs"

# With paths relative to this checkout, a compiler cache serves every checkout.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1

# step NAME COMMAND...: one line with the outcome and the time; everything the command prints goes to a log, whose end
# is shown when the command fails.
step() {
  local name=$1 log start=$SECONDS rc=0
  log=${1//[^a-zA-Z0-9 ]/}
  log=$logs/${log// /-}.log
  shift
  printf '%-36s ' "$name"
  "$@" >"$log" 2>&1 </dev/null || rc=$?
  if [ "$rc" = 0 ]; then
    printf 'ok %5d s\n' "$((SECONDS - start))"
  else
    printf 'FAILED (%s) after %d s\n' "$rc" "$((SECONDS - start))"
    tail -n 60 "$log" | sed 's/^/    /'
    printf '    the whole log: %s\n' "$log"
  fi
  return "$rc"
}

# build PRESET [TARGET...]: configures and builds; a change of the presets or of the folders is picked up.
build() {
  local preset=$1
  shift
  cmake --preset "$preset" && cmake --build --preset "$preset" --parallel "$jobs" ${1+--target "$@"}
}
