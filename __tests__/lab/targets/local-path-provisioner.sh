# shellcheck shell=bash
# What makes the volumes of kind's default storage class, with the libraries of Kubernetes.
title="local-path-provisioner $1" sources=(golang.sh kubernetes.sh) pins=("${kubernetes_of[current]}")
version=$1 module=github.com/rancher/local-path-provisioner

fetch() {
  kubernetes_module "${kubernetes_of[current]}" "$module@$version"
  go_download "$module"
}

build() { go_build '' "$module"; }
