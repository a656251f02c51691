# shellcheck shell=bash
# etcd, with the libraries of Kubernetes (the same versions as its own).
title="etcd $1" sources=(golang.sh kubernetes.sh) pins=("${kubernetes_of[current]}")
version=$1

build() {
  kubernetes_module "${kubernetes_of[current]}" "go.etcd.io/etcd/server/v3@$version"
  go_build '-s -w' etcd=go.etcd.io/etcd/server/v3
}
