# shellcheck shell=bash
# etcd, with the libraries of Kubernetes (the same versions as its own).
title="etcd $1" pins=("${kubernetes_of[current]}" "${kubernetes_relatives[@]}")
sources=(golang.sh kubernetes.sh)
version=$1 module=go.etcd.io/etcd/server/v3

fetch() {
  kubernetes_module "${kubernetes_of[current]}"
  go_download "$module"
}

build() {
  go_build '' "$module"
  mv "$out/server" "$out/etcd"
}
