# shellcheck shell=bash
# The lab's store. A *target* (a program, a root file system, an image) is made once for each content of its
# recipe, into a folder whose name ends in the key of everything it is made from. What is there under that name
# is never made again, and a change remakes only what depends on it.
#
# A target is called NAME or NAME@OF. Its recipe, targets/NAME.sh, is sourced with OF (a version, or a flavour of the
# node image) as $1, and says
#   title    what to call it to a person
#   sources  the files of this folder that it is made from; those in shell are sourced for fetch and build
#   needs    the targets that it is made from
#   pins     values of versions.sh that it is made with, as far as its name and needs do not hold them
#   fetch    a function that downloads what build uses (none by default); it starts in an empty folder
#   build    a function that fills the folder $out, in the folder in which fetch was; what else is in that is removed then
set -euo pipefail
shopt -s inherit_errexit # a failure inside $(…) is one

lab=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
store=$KIND_ACTION_CACHE/lab
# shellcheck source=__tests__/lab/versions.sh
source "$lab/versions.sh"

# Sets title, sources, needs, pins, fetch and build to those of a target.
recipe() { # TARGET
  local name=${1%%@*} of=
  [[ $1 == *@* ]] && of=${1#*@}
  title=$1 sources=() needs=() pins=()
  fetch() { :; }
  # shellcheck source=/dev/null
  source "$lab/targets/$name.sh" "$of"
}

declare -A keys=() # those that are known

# To ask for a key costs up to a tenth of a second, and script/bootstrap asks often.
remember_keys() { # TARGET...
  local target
  for target in "$@"; do keys[$target]=$(key_of "$target"); done
}

# The hash of all that a target is made from: its name (which holds its version), its recipe, sources and pins, the
# machine's architecture, and the keys of what it needs.
key_of() ( # TARGET
  if [[ -n ${keys[$1]:-} ]]; then
    echo "${keys[$1]}"
    return
  fi
  recipe "$1"
  cd "$lab"
  hash=$({
    echo "$1" "${pins[@]}" "$arch"
    sha256sum "targets/${1%%@*}.sh" "${sources[@]}"
    for need in "${needs[@]}"; do key_of "$need"; done
  } | sha256sum)
  echo "${hash:0:16}"
)

# The folder that a target is in, or will be.
path_of() { # TARGET
  local key
  key=$(key_of "$1")
  echo "$store/$1-$key"
}

is_made() { # TARGET
  local path
  path=$(path_of "$1")
  [[ -d $path ]]
}

# Prints those targets, and those that they need, that are not there: each once, after what it needs.
missing_targets() { # TARGET...
  local -A seen=()
  local target
  for target in "$@"; do missing_target "$target"; done
}

missing_target() { # TARGET; marks what it has seen in the caller's `seen`
  local target=$1 need
  [[ -z ${seen[$target]:-} ]] || return 0
  seen[$target]=yes
  is_made "$target" && return
  for need in $(recipe "$target" && echo "${needs[@]}"); do missing_target "$need"; done
  echo "$target"
}
