# shellcheck shell=bash
# nektos/act, which runs workflows without GitHub.
title="act $1" sources=(golang.sh)
version=$1

build() {
  go_programs github.com/nektos/act "$version" act=github.com/nektos/act
}
