# shellcheck shell=bash
# Programs from published Go modules: the registry that is in reach where a container registry is not.

command -v go >/dev/null || { echo "Go is not installed, and $title is built with it: https://go.dev/dl" >&2 && exit 1; }

# GOFLAGS: a module of the lab's own requires the published one, and Go fills in the rest (as published: nothing of
# the program's own dependencies is newer than its authors chose). The same flags everywhere: they are part of what
# Go's build cache goes by. No debug information: nobody debugs these programs, and to make it and to link it takes time.
export CGO_ENABLED=0 GOTOOLCHAIN=local GOWORK=off GOFLAGS='-mod=mod -buildvcs=false -trimpath -gcflags=all=-dwarf=false'

# Makes this folder a module that requires another, and downloads what packages are made from.
go_fetch() { # MODULE@VERSION PACKAGE...
  go mod init lab
  go_require "$1"
  shift
  go_download "$@"
}

# (Not `go get`, which downloads the modules of packages that are never built.)
go_require() { # MODULE@VERSION
  go mod edit -require "$1"
}

go_download() { # PACKAGE...
  go list -deps "$@" >/dev/null
}

# Puts one of the lab's own programs into the module in this folder.
add_program() { # NAME
  install -D -m 644 "$lab/programs/$1/main.go" "$1/main.go"
}

# Builds packages, in a folder with a go.mod, as the programs $out/LAST_PART_OF_PACKAGE.
go_build() { # LINKER_FLAGS PACKAGE...
  local flags=$1
  shift
  go build -ldflags "-s -w $flags" -o "$out/" "$@"
}
