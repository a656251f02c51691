# shellcheck shell=bash
# actionlint, which checks workflows and actions.
title="actionlint $1" sources=(golang.sh)
version=$1 module=github.com/rhysd/actionlint

fetch() { go_fetch "$module@$version" "$module/cmd/actionlint"; }
build() { go_build '' "$module/cmd/actionlint"; }
