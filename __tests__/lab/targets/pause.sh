# shellcheck shell=bash
# The program of every pod's sandbox. In Go because the lab needs Go anyway, and no C compiler.
title=pause sources=(golang.sh programs/pause/main.go)

fetch() {
  go mod init lab
  add_program pause
}

build() { go_build '' ./pause; }
