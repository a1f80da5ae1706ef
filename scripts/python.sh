#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# python.sh: makes a virtual environment with the reference reader (package gguf) where there is none yet, and prints its Python.
set -euo pipefail

# Named after what it holds, so that a change of versions makes a new one. gguf lists more than its reader and quants import.
packages=(gguf==0.19.0 numpy==1.26.4 pyyaml==6.0.2)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gguf-fuse
venv=$cache/venv-$(printf '%s ' "$(python3 --version)" "${packages[@]}" | sha256sum | cut -c1-12)
mkdir -p "$cache"
exec 9>"$cache/venv.lock"
flock 9
if [ ! -e "$venv/complete" ]; then
  rm -rf "$venv"
  # Debian ships ensurepip in a package of its own; the outer pip does as well.
  python3 -m venv --without-pip "$venv"
  python3 -m pip --python "$venv/bin/python" install --quiet --no-deps --disable-pip-version-check "${packages[@]}" >&2
  "$venv/bin/python" -c 'from gguf import GGUFReader, quants'
  touch "$venv/complete"
fi
printf '%s\n' "$venv/bin/python"
