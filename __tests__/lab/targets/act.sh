# shellcheck shell=bash
# nektos/act, which runs workflows without GitHub.
title="act $1" sources=(golang.sh)
version=$1 module=github.com/nektos/act

fetch() { go_fetch "$module@$version" "$module"; }
build() { go_build '' "$module"; }
