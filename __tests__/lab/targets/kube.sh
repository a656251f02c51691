# shellcheck shell=bash
# Every Kubernetes component in one binary: they are mostly the same code, and a node image holds them twice (as
# programs, and as the images of the control plane), which makes the difference between 690 MB and 1 GB.
title="Kubernetes $1" pins=("${kubernetes_relatives[@]}")
sources=(golang.sh kubernetes.sh programs/kube/main.go)
version=$1

fetch() {
  kubernetes_module "$version"
  add_program kube
  go_download ./kube
}

build() { go_build "$(kubernetes_flags "$version")" ./kube; }
