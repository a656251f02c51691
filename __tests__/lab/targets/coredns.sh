# shellcheck shell=bash
# CoreDNS, with the libraries of Kubernetes: its own, of another release, would be compiled once more.
title="CoreDNS $1" pins=("${kubernetes_of[current]}" "${kubernetes_relatives[@]}")
sources=(golang.sh kubernetes.sh programs/coredns/main.go)
version=$1

fetch() {
  kubernetes_module "${kubernetes_of[current]}"
  add_program coredns
  go_download ./coredns
}

build() { go_build '' ./coredns; }
