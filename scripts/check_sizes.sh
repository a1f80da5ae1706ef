#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# check_sizes.sh: names every source file of more than 400 lines. (clang-tidy watches the length of functions.)
set -euo pipefail
cd "$(dirname "$0")/.."

git ls-files -z '*.cpp' '*.hpp' '*.inc' '*.c' '*.cl' '*.py' '*.sh' '*.cmake' '*CMakeLists.txt' |
  xargs -0 awk 'FNR == 401 { print FILENAME ": more than 400 lines"; bad = 1 } END { exit bad }'
