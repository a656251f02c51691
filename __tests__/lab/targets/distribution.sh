# shellcheck shell=bash
# The registry that the image registry:3 holds.
title="distribution $1" sources=(golang.sh programs/registry/main.go)
version=$1 module=github.com/distribution/distribution/v3

fetch() {
  go mod init lab
  go_require "$module@$version"
  add_program registry
  go_download ./registry
}

build() { go_build "-X $module/version.version=$version" ./registry; }
