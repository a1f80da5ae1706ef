# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Sourced by the scripts that measure files: where things are, mixtures made of SmolLM2, and a machine that keeps its memory.

# shellcheck disable=SC2034  # for whoever sources this
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gguf-fuse
smollm2=$cache/models/smollm2-135m-instruct-q4_1.gguf
# shellcheck disable=SC2034
gemma3=$cache/models/gemma-3-270m-it-q4_k_m.gguf

# mixture BIN FOLDER ARCHITECTURE EXPERTS GIB: makes a mixture in FOLDER unless there is one, and leaves its name in `made`. GIB is
# what it and what is made of it need together.
mixture() {
  made=$2/${3/_/-}-$4.gguf
  if [ -e "$made" ]; then return; fi
  mkdir -p "$2"
  if [ "$(df --output=avail -B1G "$2" | tail -n 1)" -lt "$5" ]; then
    echo "${0##*/}: the mixture of $4 experts is left out: it needs $5 GiB in $2" >&2
    return 1
  fi
  "$1/gguf-upcycle" "$smollm2" "$made" --arch "$3" --experts "$4"
}

# A virtual machine that gives free memory back to its host waits for the host when it is used again, a fifth of a second to ten
# seconds for a file of some gigabytes, whoever writes it. Where that can be switched off, it is for as long as the script runs.
keep_memory() {
  local reporting=/sys/module/page_reporting/parameters/page_reporting_order
  if [ ! -w "$reporting" ]; then return; fi
  # shellcheck disable=SC2064  # expanded now
  trap "echo $(cat "$reporting") >$reporting" EXIT
  echo 11 >"$reporting"
}
