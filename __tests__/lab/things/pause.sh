# shellcheck shell=bash
# The program of every pod's sandbox. In Go because the lab needs Go anyway, and no C compiler.
title=pause sources=(golang.sh programs/pause/main.go)

build() {
  go mod init lab
  add_program pause
  go_build '-s -w' pause=./pause
}
