# shellcheck shell=bash
# CoreDNS, with the libraries of Kubernetes: its own, of another release, would be compiled once more.
title="CoreDNS $1" sources=(golang.sh kubernetes.sh programs/coredns/main.go) pins=("${kubernetes_of[current]}")
version=$1

fetch() {
  kubernetes_module "${kubernetes_of[current]}" "github.com/coredns/coredns@$version"
  add_program coredns
  go_download ./coredns
}

build() { go_build '' ./coredns; }
