# shellcheck shell=bash
# A small crictl: cri-tools is in no registry of modules.
title="crictl (of Kubernetes $1)" pins=("${kubernetes_relatives[@]}")
sources=(golang.sh kubernetes.sh programs/crictl/main.go)
version=$1

fetch() {
  kubernetes_module "$version"
  add_program crictl
  go_download ./crictl
}

build() { go_build '' ./crictl; }
