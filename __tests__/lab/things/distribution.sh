# shellcheck shell=bash
# The registry that the image registry:3 holds.
title="distribution $1" sources=(golang.sh programs/registry/main.go)
version=$1

build() {
  go_module "github.com/distribution/distribution/v3@$version"
  add_program registry
  go_build "-s -w -X github.com/distribution/distribution/v3/version.version=$version" registry=./registry
}
