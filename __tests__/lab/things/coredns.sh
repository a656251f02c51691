# shellcheck shell=bash
title="CoreDNS $1" sources=(golang.sh programs/coredns/main.go)
version=$1

build() {
  go_module "github.com/coredns/coredns@$version"
  add_program coredns
  go_build '-s -w' coredns=./coredns
}
