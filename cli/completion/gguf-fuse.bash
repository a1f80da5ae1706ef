# SPDX-License-Identifier: MIT
# bash completion for gguf-fuse

_gguf_fuse_files() {
  # folders are kept, so that one can walk down to a model
  local IFS=$'\n'
  compopt -o filenames 2> /dev/null
  COMPREPLY+=($(compgen -d -- "$1") $(compgen -f -X '!*.gguf' -- "$1") $(compgen -f -X '!*.gguf.gz' -- "$1"))
}

_gguf_fuse() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
  local commands='convert unfuse plan inspect verify hash targets'
  local select='--target --only --layers'
  local output='--force --dry-run --no-verify --split-max-size --split-max-tensors --keep-split'
  local speed='--threads --max-memory --load-mode'
  local command=convert word
  COMPREPLY=()
  # bash takes --target=both for three words
  if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD - 2]}; fi

  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    if [[ " $commands " == *" $word "* ]]; then
      command=$word
      break
    fi
  done

  case $prev in
    --target) COMPREPLY=($(compgen -W 'llama.cpp ik_llama.cpp gguf-fuse both' -- "$cur")) && return ;;
    --only) COMPREPLY=($(compgen -W 'stack gate-up qkv' -- "$cur")) && return ;;
    --load-mode) COMPREPLY=($(compgen -W 'read mmap dio' -- "$cur")) && return ;;
    --copy) COMPREPLY=($(compgen -W 'auto kernel ring' -- "$cur")) && return ;;
    --layers | -t | --threads | --max-memory | --split-max-size | --split-max-tensors) return ;;
  esac

  if [[ $cur == -* ]]; then
    local options
    case $command in
      convert) options="$select $output --strict $speed --copy --json --quiet" ;;
      unfuse) options="$output --strict $speed --copy --json --quiet" ;;
      plan) options="$select --explain --json" ;;
      inspect) options='--kv --tensors --types --json' ;;
      verify | hash) options="$speed --json --quiet" ;;
      targets) options='--markdown --json' ;;
    esac
    ((COMP_CWORD == 1)) && options+=' --version --help-all'
    COMPREPLY=($(compgen -W "$options --help" -- "$cur"))
    return
  fi
  ((COMP_CWORD == 1)) && COMPREPLY=($(compgen -W "$commands" -- "$cur"))
  [[ $command == targets ]] || _gguf_fuse_files "$cur"
}

complete -F _gguf_fuse gguf-fuse
