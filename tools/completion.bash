# Completion of brume in bash: install puts it where bash finds it, or source it. The program itself
# says which commands and options there are.
_brume() {
  local word=${COMP_WORDS[COMP_CWORD]} words=
  if ((COMP_CWORD == 1)); then
    words=$(brume --help | sed -n '/^Subcommands:/,$ s/^  \([a-z]\+\) .*/\1/p')
  elif [[ $word == -* ]]; then
    words=$(brume "${COMP_WORDS[1]}" --help | grep -o -- '--[a-z-]\+')
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o default -F _brume brume
