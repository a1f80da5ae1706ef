# SPDX-License-Identifier: MIT
# bash completion for gguf-bench

_gguf_bench() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
  COMPREPLY=()
  # bash takes --output=md for three words
  if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD - 2]}; fi

  case $prev in
    -m | --model)
      # folders are kept, so that one can walk down to a model
      local IFS=$'\n'
      compopt -o filenames 2> /dev/null
      COMPREPLY=($(compgen -d -- "$cur") $(compgen -f -X '!*.gguf' -- "$cur") $(compgen -f -X '!*.gguf.gz' -- "$cur"))
      return
      ;;
    -ctk | --cache-type-k | -ctv | --cache-type-v) COMPREPLY=($(compgen -W 'f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 iq4_nl' -- "$cur")) && return ;;
    --fuse) COMPREPLY=($(compgen -W 'auto on off' -- "$cur")) && return ;;
    -lm | --load-mode) COMPREPLY=($(compgen -W 'auto mmap dio none' -- "$cur")) && return ;;
    --activations) COMPREPLY=($(compgen -W 'auto q8 f32' -- "$cur")) && return ;;
    --style) COMPREPLY=($(compgen -W 'auto vector group' -- "$cur")) && return ;;
    --dot) COMPREPLY=($(compgen -W 'auto none vnni-avx512 vnni-avx khr-integer dp4a' -- "$cur")) && return ;;
    -o | --output) COMPREPLY=($(compgen -W 'md csv json jsonl' -- "$cur")) && return ;;
    -p | --n-prompt | -n | --n-gen | -pg | -d | --n-depth | -r | --repetitions | -b | --batch-size | -ub | \
      --ubatch-size | -dev | --device | -ts | --tensor-split | -ot | --override-tensor | -ncmoe | \
      --n-cpu-moe | -t | --threads) return ;;
  esac
  COMPREPLY=($(compgen -W '-m -p -n -pg -d -r -b -ub -ctk -ctv -dev -ts -t -ot -cmoe -ncmoe -lm -muge -mqkv -o -v
    --model --n-prompt --n-gen --n-depth --load --repetitions --warmup --no-warmup --batch-size --ubatch-size
    --cache-type-k --cache-type-v --device --tensor-split --threads --override-tensor --cpu-moe --n-cpu-moe
    --fuse --merge-up-gate-experts --no-merge-up-gate-experts --merge-qkv --no-merge-qkv --load-mode --mmap --no-mmap
    --activations --style --dot --output --verbose
    --list-devices --list-llama-flags --help --version' -- "$cur"))
}

complete -F _gguf_bench gguf-bench
