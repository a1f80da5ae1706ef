#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# check_layers.sh: what the link lines cannot enforce. Rooms include only rooms below them, the libraries never print or end
# the process, and no code but the table asks for an architecture by its name.
set -euo pipefail
cd "$(dirname "$0")/.."

bad=0
# refuse WHAT PATTERN PLACE...: complains about lines of PLACEs that match.
refuse() {
  local what=$1 pattern=$2 found
  shift 2
  found=$(grep -rnE --include='*.cpp' --include='*.hpp' --include='*.inc' "$pattern" "$@") || return 0
  printf '%s:\n%s\n' "$what" "$found"
  bad=1
}

include='#include *["<](\.\./)*(gguf_fuse/)?'
refuse "loader includes a room above it" "${include}(fuse|kernels|runtime|cli)/" loader
refuse "fuse includes a room above it" "${include}(kernels|runtime|cli)/" fuse
refuse "a room below includes what only the program may use" '#include.*(CLI/|nlohmann/)' loader fuse
refuse "a library prints" '#include *<(iostream|print)>|\b(std::)?(f?printf|v?f?puts|putchar|perror)\(|\bfmt::print' loader fuse
refuse "a library ends the process" '\b(std::)?(abort|terminate|exit|_exit|quick_exit)\(|\bassert\(' loader fuse

table=fuse/src/architectures.cpp
names=$(sed -n 's/.*ArchitectureRow{"\([^"]*\)".*/\1/p' "$table" | paste -sd'|')
[ -n "$names" ] || { echo "no architectures found in $table"; exit 1; }
mapfile -t elsewhere < <(find fuse cli -type f ! -path "$table")
refuse "code asks for an architecture by name" "\"($names)\"" "${elsewhere[@]}"
exit "$bad"
