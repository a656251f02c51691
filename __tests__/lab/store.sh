# shellcheck shell=bash
# The lab's store. A *thing* (a program, a root file system, an image) is made once for each content of its
# recipe, into a folder whose name ends in the key of everything it is made from. What is there under that name
# is never made again, and a change remakes only what depends on it.
#
# A thing is called NAME or NAME@OF. Its recipe, things/NAME.sh, is sourced with OF (a version, or a flavour of the
# node image) as $1, and says
#   title    what to call it to a person
#   sources  the files of this folder that it is made from; those in shell are sourced for build
#   needs    the things that it is made from
#   pins     values of versions.sh that it is made with, as far as its name and needs do not hold them
#   build    a function that fills the folder $out; it starts in an empty folder that is thrown away after it
set -euo pipefail
shopt -s inherit_errexit # a failure inside $(…) is one

lab=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
store=$KIND_ACTION_CACHE/lab
# shellcheck source=versions.sh
source "$lab/versions.sh"

# Sets title, sources, needs, pins and build to those of a thing.
recipe() { # THING
  local name=${1%%@*} of=
  [[ $1 == *@* ]] && of=${1#*@}
  title=$1 sources=() needs=() pins=()
  # shellcheck source=/dev/null
  source "$lab/things/$name.sh" "$of"
}

# The hash of all that a thing is made from: its name (which holds its version), its recipe, sources and pins, the
# machine's architecture, and the keys of what it needs.
key_of() ( # THING
  recipe "$1"
  cd "$lab"
  hash=$({
    echo "$1" "${pins[@]}" "$arch"
    sha256sum "things/${1%%@*}.sh" "${sources[@]}"
    for need in "${needs[@]}"; do key_of "$need"; done
  } | sha256sum)
  echo "${hash:0:16}"
)

# The folder that a thing is in, or will be.
path_of() { # THING
  local key
  key=$(key_of "$1")
  echo "$store/$1-$key"
}

is_made() { # THING
  local path
  path=$(path_of "$1")
  [[ -d $path ]]
}
