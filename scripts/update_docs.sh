#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# update_docs.sh [--check] [BIN]: writes into README.md and docs/engines.md the tables that gguf-fuse prints from its own
# rows; with --check only says whether they are current.
set -euo pipefail
cd "$(dirname "$0")/.."

check=''
if [ "${1-}" = --check ]; then check=1; shift; fi
program=${1:-build/release/bin}/gguf-fuse
popular='architecture|---|llama|llama4|mistral3|qwen2|qwen2moe|qwen3|qwen3moe|qwen3next|qwen35moe|gemma2|gemma3|gemma4|gpt-oss|phi3|glm4moe|deepseek2|granitemoe|granite_swa|hunyuan-moe|minimax-m2|ernie4_5-moe'

# insert FILE: replaces what stands between the markers of FILE with standard input.
insert() {
  local file=$1 new
  new=$(mktemp)
  awk -v table="$(cat)" '/<!-- targets:end -->/ { skip = 0 } !skip { print }
    /<!-- targets:begin -->/ { print ""; print table; print ""; skip = 1 }' "$file" >"$new"
  if [ -n "$check" ]; then
    diff -u "$file" "$new" >&2 || { echo "$file is not current: run scripts/update_docs.sh" >&2; rm -f "$new"; return 1; }
  else
    cp "$new" "$file"
  fi
  rm -f "$new"
}
"$program" targets --markdown | insert docs/engines.md
# The columns that matter for these: experts and Q, K, V of each engine.
"$program" targets --markdown | grep -E "^\| ($popular) \|" |
  awk -F'|' -v OFS='|' '{ print "", $2, $3, $6, $7, $9, "" }' | insert README.md
