#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# check_prelude.sh: numbers that the OpenCL kernels share with the host have one place, the table in kernels/src/prelude.cpp. First
# it has to find what a small file does wrong.
set -euo pipefail
cd "$(dirname "$0")/.."

table=kernels/src/prelude.cpp
mapfile -t names < <(sed -nE -e 's/^ +\{"([A-Z0-9_]+)", .*/\1/p' -e 's/.*cache_mask\("([A-Z0-9_]+)", .*/\1/p' "$table")
[ ${#names[@]} -gt 20 ] || { echo "no names found in $table"; exit 1; }
any=$(IFS='|'; echo "${names[*]}")
# What one file does by itself and no host knows of may be a number; what is one for some programs may be 0 or 1 for others.
own='(SUBGROUPS|BLOCK_TILES|PREFETCH_BYTES|SOME|TRELLIS_FIRST)\b|(ROW_STEP|ROW_TILES|SLICES|LANES|VECTORS)\s+[01]\b'
# What holds a number of an enumeration, or flags.
enums='activation|norm|rope|gating|kind|type|flags|ACTIVATION_KIND|CACHE_[KV]'

bad=0
# refuse FOLDER WHAT PATTERN: complains about lines of the .cl files there that match.
refuse() {
  local found
  found=$(grep -rnP --include='*.cl' "$3" "$1") || return 0
  printf '%s:\n%s\n' "$2" "$found"
  bad=1
}

# check FOLDER: complains about what stands in the .cl files there.
check() {
  local name
  for name in "${names[@]}"; do
    grep -rqw --include='*.cl' "$name" "$1" || { echo "no kernel uses this name of $table: $name"; bad=1; }
  done
  refuse "$1" "a kernel gives a name of $table a meaning of its own" "#\s*(define|undef)\s+($any)\b"
  refuse "$1" "a kernel asks whether there is a name that is always there" "#\s*ifn?def\s+($any)\b|\bdefined\s*\(?\s*($any)\b"
  refuse "$1" "a number by hand that belongs into $table" \
    "#\s*define\s+(?!$own)\w+\s+\(?(\d+|0x[0-9a-fA-F]+)[uU]?\)?\s*(//.*)?\$"
  refuse "$1" "an enumeration or flags beside a bare number" "\b($enums)\s*([=!]=|[<>]=?|&(?!&))\s*\d"
  refuse "$1" "a field of the step table by its number" "step_info\[\d"
}

# A check that finds nothing proves nothing: each of these has to be found.
example=$(mktemp -d)
trap 'rm -rf "$example"' EXIT
{
  printf '%s\n' "${names[@]:1}"
  printf '%s\n' '#define NORM_NONE OTHER' '#ifdef NORM_LAYER' '#define NORM_RMS 1u' '#define LANES 64' 'if (norm == 1)' 'step_info[0]'
} >"$example/wrong.cl"
mistakes=$(check "$example" | grep -c 'wrong\.cl:\|no kernel uses')
[ "$mistakes" = 7 ] || { echo "of seven mistakes in a small file, $mistakes were found"; exit 1; }

check kernels/cl
exit "$bad"
