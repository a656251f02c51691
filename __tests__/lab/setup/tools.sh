# shellcheck shell=bash
# Programs that the store of the lab holds, on PATH.

set_up_tool() { # TOOL
  local program=${1%@*} path result=there
  path=$(path_of "$1")
  if [[ ! -d $path ]]; then
    await_target "$1"
    result=$(cat "$path/how" 2>/dev/null || echo built)
  fi
  link_program "$path/$program"
  found "${1#*@}" "$result"
}

# In one step: another script may be starting the program just now.
link_program() { # FILE
  local link=$KIND_ACTION_CACHE/bin/${1##*/}
  [[ $(readlink "$link") == "$1" ]] && return
  ln -s "$1" "$link.$$"
  mv -T "$link.$$" "$link"
}
