#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# check_names.sh [FOLDER]: one name, one definition. Two types, or two inline functions, of one name with external linkage in one
# program are undefined behaviour that no compiler and no linker reports: their members (implicit destructors and moves, too) get
# one symbol each, and the linker keeps either. Looks at all of the repository, or at a copy of it in FOLDER. First it has to find
# what two small files define twice.
set -euo pipefail
cd "${1:-$(dirname "$0")/..}"

# definitions FOLDER...: "name<tab>file:line" of each type and function defined there. What stands in functions and in unnamed
# namespaces has no linkage, static functions and macros neither; a function's name is its signature.
definitions() {
  find "$@" -type f \( -name '*.cpp' -o -name '*.hpp' -o -name '*.h' -o -name '*.inc' \) -print0 2>/dev/null |
    sort -z | xargs -0 -r ctags --languages=C++ --language-force=C++ --kinds-C++=csugf --fields=+sSnZfK --fields-C++=+{template} --extras=+q-F \
      -D 'GGUF_FUSE_EXPORT=' --output-format=json --sort=no -f - |
    python3 -c '
import json, re, sys

def types(signature):  # without the names of the parameters, but with what stands behind them, such as const
    parameters, _, behind = signature.rpartition(")")
    return ",".join(re.sub(r"\s*\b\w+\s*(=.*)?$", "", one) for one in parameters.strip("()").split(",")) + behind

for line in sys.stdin:
    tag = json.loads(line)
    name, kind = tag.get("name", ""), tag.get("kind")
    if tag.get("_type") != "tag" or "::" not in name or "__anon" in name or tag.get("scopeKind") == "function":
        continue
    if kind == "function" and (tag.get("file") or "template" in tag):
        continue
    print(name + ("(" + types(tag["signature"]) + ")" if kind == "function" and "signature" in tag else ""), tag["path"] + ":" + str(tag["line"]), sep="\t")
'
}

bad=0
# unique WHAT FOLDER...: no two definitions of one name in these folders, which become one program.
unique() {
  local what=$1 all twice
  shift
  all=$(definitions "$@" | sort -u)
  if [ -z "$all" ]; then
    echo "no types were found in $what: does ctags work?"
    bad=1
  fi
  twice=$(cut -f1 <<<"$all" | uniq -d)
  while read -r name; do
    [ -n "$name" ] || continue
    printf '%s is defined more than once in %s:\n%s\n' "$name" "$what" "$(awk -F'\t' -v name="$name" '$1 == name {print $2}' <<<"$all")"
    bad=1
  done <<<"$twice"
}

# A check that finds nothing proves nothing: this has to be found.
example=$(mktemp -d)
trap 'rm -rf "$example"' EXIT
echo 'namespace n { struct Twice { int a; }; inline int twice(int a) { return a; } }' >"$example/a.hpp"
echo 'namespace n { namespace { struct Own {}; } class Twice { long b; }; inline int twice(int b) { return -b; } }' >"$example/b.hpp"
found=$(unique "the example" "$example" | grep -c 'is defined more than once')
[ "$found" = 2 ] || { echo "of two names that are defined twice, $found were found: does ctags work?"; exit 1; }

libraries=(loader fuse kernels jinja runtime)
unique "gguf-fuse" "${libraries[@]}" cli/shared cli/fuse
for program in run bench; do
  unique "gguf-$program" "${libraries[@]}" cli/shared cli/engine "cli/$program"
done
for room in tests/*/; do
  [ -n "$(find "$room" -name '*_test.cpp' -print -quit)" ] || continue
  unique "the tests of $(basename "$room")" "${libraries[@]}" tests/support/*.* tests/support/runtime tests/support/reference "$room"
done
exit "$bad"
