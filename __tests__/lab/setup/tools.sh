# shellcheck shell=bash
# Programs that the store of the lab holds, on PATH.

tools=("kind@$kind" "kubectl@$kubectl" "act@$act" "actionlint@$actionlint" "zizmor@$zizmor")

set_up_tool() { # TOOL
  local thing=$1 program=${1%@*} path result=there
  path=$(path_of "$thing")
  if [[ ! -d $path ]]; then
    "$lab/make" "$thing"
    result=$(cat "$path/how" 2>/dev/null || echo built)
  fi
  link_program "$path/$program"
  found "${thing#*@}" "$result"
}

# In one step: another script may be starting the program just now.
link_program() { # FILE
  local link=$KIND_ACTION_CACHE/bin/${1##*/}
  [[ $(readlink "$link") == "$1" ]] && return
  ln -s "$1" "$link.$$"
  mv -T "$link.$$" "$link"
}
