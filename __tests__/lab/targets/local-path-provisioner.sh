# shellcheck shell=bash
# What makes the volumes of kind's default storage class, with the libraries of Kubernetes.
title="local-path-provisioner $1" pins=("${kubernetes_of[current]}" "${kubernetes_relatives[@]}")
sources=(golang.sh kubernetes.sh)
version=$1 module=github.com/rancher/local-path-provisioner

fetch() {
  kubernetes_module "${kubernetes_of[current]}"
  go_download "$module"
}

build() { go_build '' "$module"; }
