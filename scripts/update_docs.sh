#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# update_docs.sh [--check] [BIN]: writes into README.md, docs/engines.md and docs/llama_flags.md the tables that the
# programs print from their own rows, what gguf-run runs from its data files, and into docs/errors.md the list of errors;
# with --check only says whether they are current.
set -euo pipefail
cd "$(dirname "$0")/.."

check=''
if [ "${1-}" = --check ]; then check=1; shift; fi
bin=${1:-build/release/bin}
program=$bin/gguf-fuse
for needed in gguf-fuse gguf-run gguf-bench; do
  if [ ! -x "$bin/$needed" ]; then echo "update_docs.sh: there is no $bin/$needed: build the programs first" >&2; exit 1; fi
done
popular='architecture|---|llama|llama4|mistral3|qwen2|qwen2moe|qwen3|qwen3moe|qwen3next|qwen35moe|gemma2|gemma3|gemma4|gpt-oss|phi3|glm4moe|deepseek2|granitemoe|granite_swa|hunyuan-moe|minimax-m2|ernie4_5-moe'

# insert MARK FILE: replaces what stands between the markers MARK:begin and MARK:end of FILE with standard input.
insert() {
  local mark=$1 file=$2 new
  new=$(mktemp)
  awk -v mark="$mark" -v table="$(cat)" '$0 == "<!-- " mark ":end -->" { skip = 0 } !skip { print }
    $0 == "<!-- " mark ":begin -->" { print ""; print table; print ""; skip = 1 }' "$file" >"$new"
  if [ -n "$check" ]; then
    diff -u "$file" "$new" >&2 || { echo "$file is not current: run scripts/update_docs.sh" >&2; rm -f "$new"; return 1; }
  else
    cp "$new" "$file"
  fi
  rm -f "$new"
}

# field FILE NAME DEFAULT: the value of a designated initializer.
field() {
  local value
  value=$(sed -n "s/^[^/]*\.$2 = \([A-Za-z]*::\)\{0,1\}\"\{0,1\}\([^,\"})]*\).*/\2/p" "$1")
  echo "${value:-$3}"
}
runnable() {
  for file in runtime/architectures/*.inc; do field "$file" name ''; done
}
# flags FILE: what else is true of it, apart from what has a column and what only says how a window's layers turn.
flags() {
  local name found=''
  ! grep -q LatentTraits "$1" || found='latent attention'
  while read -r name; do
    found+="${found:+, }${name//_/ }"
  done < <(sed -nE -e 's/Residual::Parallel/parallel blocks = true/' -e 's/Residual::ByKey/parallel blocks by key = true/' \
      -e 's/Residual::ByNorm/parallel blocks without a second norm = true/' -e 's/\.gated = false/.no gate = true/' \
      -e 's/\.pre_norms = false/.no norms before halves = true/' -e 's/\.norm_weights = false/.norms without weights = true/' \
      -e 's/\.(chunk|still_every|window_layers|rotary_layers) = ([0-9]+)/.\1 \2 = true/' -e 'p' "$1" |
    grep -oP '[.=] ?\K[a-z_0-9 ]+(?= = true)' | grep -vxE '(turned_)?head_norm|turned_norm|row_norm|(own_)?head_norms?_if_there|post_norms|local_rope_unscaled|xielu')
  echo "${found:--}"
}
# norm_of_heads FILE: what Q and K go through.
norm_of_heads() {
  if grep -q 'own_head_norms_if_there = true' "$1"; then echo 'each its own, if there'
  elif grep -q 'head_norm_if_there = true' "$1"; then echo 'if there'
  elif grep -q 'turned_head_norm = true' "$1"; then echo 'once turned'
  elif grep -q 'turned_norm = true' "$1"; then echo 'once turned, without weights'
  elif grep -q 'row_norm = true' "$1"; then echo 'all heads at once'
  elif grep -q 'head_norm = true' "$1"; then echo yes
  else echo -; fi
}
runs_table() {
  local file activation pattern window router
  echo '| architecture | rotary embedding | activation | norms | norm of Q and K heads | norms behind a layer'"'"'s halves | layers with a window | router of experts | also |'
  echo '| --- | --- | --- | --- | --- | --- | --- | --- | --- |'
  for file in runtime/architectures/*.inc; do
    pattern=$(field "$file" window_pattern 0)
    window=-
    [ "$pattern" = 0 ] || window="$((pattern - 1)) of $pattern"
    [ "$pattern" != 1 ] || window='as the file says'
    router=-
    ! grep -q MixtureTraits "$file" || router=$(field "$file" gating Softmax)
    activation=$(field "$file" activation Silu)
    ! grep -q 'xielu = true' "$file" || activation=xIELU
    echo "| $(field "$file" name '') | $(field "$file" rope Norm) | $activation | $(field "$file" norm Rms) |" \
      "$(norm_of_heads "$file") | $(field "$file" post_norms -) | $window | $router | $(flags "$file") |"
  done | sed 's/ true / yes /g'
  printf '\nTensor types: %s.\n' "$(grep -ohP '\{"\K[A-Z][A-Z0-9_]*(?=",)' kernels/src/packing_*.cpp | paste -sd, | sed 's/,/, /g')"
}

errors_table() {
  echo '| code | exit | what it says | advice |'
  echo '| --- | --- | --- | --- |'
  sed -n 's/^GGUF_FUSE_ERROR(\([A-Za-z]*\), \([A-Za-z]*\), "\([^"]*\)", "\([^"]*\)")$/| \1 | \2 | \3 | \4 |/p' \
    loader/include/gguf_fuse/loader/error_list.inc |
    sed -e 's/ | Environment | / | 1 | /' -e 's/ | Usage | / | 2 | /' -e 's/ | Malformed | / | 3 | /' \
      -e 's/ | NotFusable | / | 4 | /' -e 's/ | Mismatch | / | 5 | /' -e 's/ | Unsupported | / | 6 | /' \
      -e 's/ | Interrupted | / | 130 | /'
}

errors_table | insert errors docs/errors.md
"$program" targets --markdown | insert targets docs/engines.md
runs_table | insert runs docs/engines.md
for name in gguf-run gguf-bench; do
  "$bin/$name" --list-llama-flags | insert "$name-flags" docs/llama_flags.md
done
# The columns that matter for these: experts and Q, K, V of each engine, and whether gguf-run runs it.
"$program" targets --markdown | grep -E "^\| ($popular) \|" |
  awk -F'|' -v OFS='|' -v runnable="$(runnable | paste -sd' ')" '
    BEGIN { split(runnable, names, " "); for (i in names) runs[names[i]] = 1 }
    { name = $2; gsub(/ /, "", name)
      run = name == "architecture" ? " gguf-run " : name == "---" ? " --- " : name in runs ? " yes " : " - "
      print "", $2, $4, $7, $9, $11, run, "" }' | insert targets README.md
