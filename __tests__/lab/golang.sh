# shellcheck shell=bash
# Programs from published Go modules: the registry that is in reach where a container registry is not.

command -v go >/dev/null || { echo "Go is not installed, and $title is built with it: https://go.dev/dl" >&2 && exit 1; }

# GOFLAGS: a module of the lab's own requires the published one, and Go fills in the rest (as published: nothing of
# the program's own dependencies is newer than its authors chose). The same flags everywhere: they are part of what
# Go's build cache goes by, and a warm cache is the difference between 11 minutes and one.
export CGO_ENABLED=0 GOTOOLCHAIN=local GOWORK=off GOFLAGS='-mod=mod -buildvcs=false'

# Builds the packages of one module.
go_programs() { # MODULE VERSION PROGRAM=PACKAGE...
  go_module "$1@$2"
  shift 2
  go_build '-s -w' "$@"
}

# Makes this folder a module that requires others.
go_module() { # MODULE@VERSION...
  go mod init lab
  go get "$@"
}

# Puts one of the lab's own programs into the module in this folder.
add_program() { # NAME
  install -D -m 644 "$lab/programs/$1/main.go" "$1/main.go"
}

# Builds packages, in a folder with a go.mod, as $out/PROGRAM.
go_build() { # LINKER_FLAGS PROGRAM=PACKAGE...
  local flags=$1 program
  shift
  go list -deps "${@#*=}" >/dev/null # downloads what they are made from, beside another's compiling
  # What shares packages is built one after the other: at once, each would compile them for itself. (The file
  # `waiting` keeps a thing that only waits out of the progress line.)
  touch ../waiting
  (
    flock 7
    rm ../waiting && touch ../title
    for program in "$@"; do
      go build -trimpath -ldflags "$flags" -o "$out/${program%%=*}" "${program#*=}"
    done
  ) 7>"$store/.making/${shares_with:-go}.lock"
}
