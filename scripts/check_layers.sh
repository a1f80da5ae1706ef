#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# check_layers.sh: what the link lines cannot enforce. Rooms include only rooms below them and stand in a namespace each, the
# libraries never print or end the process, and no code but the tables asks for an architecture by its name.
set -euo pipefail
cd "$(dirname "$0")/.."

bad=0
# refuse WHAT PATTERN PLACE...: complains about lines of PLACEs that match.
refuse() {
  local what=$1 pattern=$2 found
  shift 2
  found=$(grep -rnP --include='*.cpp' --include='*.hpp' --include='*.inc' "$pattern" "$@") || return 0
  printf '%s:\n%s\n' "$what" "$found"
  bad=1
}

include='#include *["<](\.\./)*(gguf_fuse/)?'
# kernels/probe is a program of its own.
kernels=(kernels/include kernels/src)
libraries=(loader fuse "${kernels[@]}" jinja runtime)
refuse "loader includes a room above it" "${include}(fuse|kernels|jinja|runtime|cli)/" loader
refuse "fuse includes a room above it, or OpenCL's" "${include}(kernels|jinja|runtime|cli)/" fuse
refuse "kernels includes a room that it must not know" "${include}(fuse|jinja|runtime|cli)/" kernels
refuse "jinja includes a room that it must not know" "${include}(fuse|kernels|runtime|cli)/" jinja
refuse "jinja may use the errors of loader, nothing else" "${include}loader/(?!(error|export)\.hpp)" jinja
refuse "kernels may use the types and errors of loader, nothing else" \
  "${include}loader/(?!(tensor_type|error|export)\.hpp)" kernels
refuse "runtime includes a room above it" "${include}cli/" runtime
refuse "the converter includes what runs models" "${include}(kernels|jinja|runtime)/" cli/fuse cli/shared
refuse "OpenCL outside of kernels' sources" '#include *["<](CL|OpenCL)/' loader fuse kernels/include jinja runtime cli
refuse "a library includes what only the programs may use" '#include.*(CLI/|nlohmann/)' "${libraries[@]}"
refuse "a library prints" \
  '#include *<(iostream|print)>|\b(std::)?(f?printf|v?f?puts|putchar|perror)\(|\bfmt::print' "${libraries[@]}"
refuse "a library ends the process" \
  '\b(std::)?(abort|terminate|exit|_exit|_Exit|quick_exit)\(|\bassert\(' "${libraries[@]}"

# A room's things are in its namespace; what all rooms share, the errors, in gguf_fuse.
for room in loader fuse kernels jinja runtime cli; do
  refuse "$room has something outside of its namespace" "^namespace gguf_fuse(?!::$room\b).*\{\$" "$room" --exclude='error.[ch]pp'
done

# Architectures stand in two tables: what can be fused, and what can run.
table=fuse/src/architectures.cpp
names=$(sed -n -e 's/.*ArchitectureRow{"\([^"]*\)".*/\1/p' "$table" | paste -sd'|')
running=$(sed -n -e 's/.*Architecture{\.name = "\([^"]*\)".*/\1/p' runtime/architectures/*.inc | paste -sd'|')
[ -n "$names" ] && [ -n "$running" ] || { echo "no architectures found in $table or runtime/architectures"; exit 1; }
names="\"($names|$running)\""
# Kinds of tokenizers, pre-tokenizers and chat templates are lists of their own, which GGUF fills with the same words.
texts='runtime/(src/text|include/gguf_fuse/runtime)/(tokenizer|pre_tokenizer|chat)[a-z_]*\.[a-z]+'
sources() { find fuse "${kernels[@]}" runtime cli -type f -regextype posix-extended "$@"; }
mapfile -t elsewhere < <(sources ! -path "$table" ! -path 'runtime/architectures/*' ! -regex "$texts")
refuse "code asks for an architecture by name" "$names" "${elsewhere[@]}"
mapfile -t elsewhere < <(sources -regex "$texts")
refuse "what handles text asks for an architecture by name" "(?i)architecture.*$names|$names.*architecture" "${elsewhere[@]}"
exit "$bad"
