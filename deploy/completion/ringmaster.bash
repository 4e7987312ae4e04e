# Completion of ringmaster's command line for bash: /usr/share/bash-completion/completions/ringmaster
# Needs nothing of the package bash-completion. For a program of one's own: complete -F _ringmaster PROGRAM

_ringmaster() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local commands='start stop restart reload upgrade status connections kill check doctor help version'
  local command='' i word options=''
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ -z $command && " $commands " == *" $word "* ]]; then
      command=$word
    fi
  done

  case $previous in
    --sort)
      mapfile -t COMPREPLY < <(compgen -W \
        'id worker protocol peer age idle in out messages queue deadline state' -- "$current")
      return
      ;;
    --protocol)
      mapfile -t COMPREPLY < <(compgen -W 'http websocket' -- "$current")
      return
      ;;
    --top | --worker | --peer | --state | --min-idle | --min-age | --min-queue)
      COMPREPLY=()
      return
      ;;
  esac

  if [[ -z $command ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$commands --help --version" -- "$current")
    return
  fi
  if [[ $current == -* ]]; then
    case $command in
      start) options='-d --daemon' ;;
      stop) options='--now' ;;
      reload | upgrade) options='--wait' ;;
      status) options='--json --watch' ;;
      doctor) options='--json' ;;
      connections)
        options='--json --sort --top --worker --peer --protocol --state --min-idle --min-age --min-queue'
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
    return
  fi
  # The configuration: JSON files, and directories on the way to them.
  mapfile -t COMPREPLY < <(compgen -f -X '!*.json' -- "$current"; compgen -d -S / -- "$current")
  compopt -o nospace 2> /dev/null
  if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} != */ ]]; then
    compopt +o nospace 2> /dev/null
  fi
  return 0
}

complete -o filenames -F _ringmaster ringmaster
