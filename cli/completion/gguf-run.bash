# SPDX-License-Identifier: MIT
# bash completion for gguf-run

_gguf_run_files() {
  # folders are kept, so that one can walk down to a model
  local IFS=$'\n'
  compopt -o filenames 2> /dev/null
  COMPREPLY+=($(compgen -d -- "$1") $(compgen -f -X '!*.gguf' -- "$1") $(compgen -f -X '!*.gguf.gz' -- "$1"))
}

_gguf_run() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
  COMPREPLY=()
  # bash takes --logits=all for three words
  if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD - 2]}; fi

  case $prev in
    -m | --model) _gguf_run_files "$cur" && return ;;
    -f | --file | -bf | --binary-file | -sysf | --system-prompt-file)
      compopt -o filenames 2> /dev/null
      COMPREPLY=($(compgen -f -- "$cur")) && return
      ;;
    -ctk | --cache-type-k | -ctv | --cache-type-v) COMPREPLY=($(compgen -W 'f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 iq4_nl' -- "$cur")) && return ;;
    -rea | --reasoning) COMPREPLY=($(compgen -W 'auto on off' -- "$cur")) && return ;;
    --fuse) COMPREPLY=($(compgen -W 'auto on off' -- "$cur")) && return ;;
    -lm | --load-mode) COMPREPLY=($(compgen -W 'auto mmap dio none' -- "$cur")) && return ;;
    --activations) COMPREPLY=($(compgen -W 'auto q8 f32' -- "$cur")) && return ;;
    --style) COMPREPLY=($(compgen -W 'auto vector group' -- "$cur")) && return ;;
    --dot) COMPREPLY=($(compgen -W 'auto none vnni-avx512 vnni-avx khr-integer dp4a' -- "$cur")) && return ;;
    --logits) COMPREPLY=($(compgen -W 'last all' -- "$cur")) && return ;;
    -ngl | --gpu-layers | --n-gpu-layers) COMPREPLY=($(compgen -W 'auto all' -- "$cur")) && return ;;
    -p | --prompt | -n | --predict | --n-predict | -c | --ctx-size | -s | --seed | -b | --batch-size | -ub | \
      --ubatch-size | -t | --threads | -dev | --device | -ts | --tensor-split | -ot | \
      --override-tensor | -ncmoe | --n-cpu-moe | -r | --reverse-prompt | --stop | \
      -sys | --system-prompt | --chat-template | --chat-template-kwargs | --keep | --temp | --temperature | --top-k | --top-p | --min-p | \
      --repeat-penalty | --repeat-last-n | --frequency-penalty | --presence-penalty | --tokens) return ;;
  esac

  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W '-m -p -f -n -c -s -b -ub -t -ngl -dev -ts -ot -cmoe -ncmoe -lm -muge -mqkv -ctk -ctv -cnv -no-cnv -sys -sysf -bf -st -r -sp -e -v
      --model --file --prompt --escape --no-escape --conversation --no-conversation --system-prompt --system-prompt-file
      --binary-file --single-turn --simple-io --chat-template --chat-template-file --chat-template-kwargs -rea --reasoning --context-shift --no-context-shift --keep
      --predict --n-predict --ctx-size --reverse-prompt --stop --ignore-eos --seed --repeat-penalty --repeat-last-n
      --frequency-penalty --presence-penalty --top-k --top-p --min-p --temp --temperature --device --tensor-split
      --gpu-layers --n-gpu-layers --override-tensor --cpu-moe --n-cpu-moe --threads
      --fuse --merge-up-gate-experts --no-merge-up-gate-experts --merge-qkv --no-merge-qkv --load-mode --mmap --no-mmap
      --batch-size --ubatch-size --cache-type-k --cache-type-v --activations
      --style --dot --json --display-prompt --no-display-prompt --special --verbose-prompt --perf --no-perf --show-timings
      --no-show-timings --warmup --no-warmup --profile --verbose --log-verbose --tokens --logits --list-devices --list-llama-flags
      --help --usage --version' -- "$cur"))
    return
  fi
  ((COMP_CWORD == 1)) && COMPREPLY=($(compgen -W 'eval tokenize' -- "$cur"))
  _gguf_run_files "$cur"
}

complete -F _gguf_run gguf-run
