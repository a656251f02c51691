# shellcheck shell=bash
# actionlint, which checks workflows and actions.
title="actionlint $1" sources=(golang.sh)
version=$1

build() {
  go_programs github.com/rhysd/actionlint "$version" actionlint=github.com/rhysd/actionlint/cmd/actionlint
}
