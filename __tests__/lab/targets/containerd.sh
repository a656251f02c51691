# shellcheck shell=bash
# containerd, its shim and its client.
title="containerd $1" sources=(golang.sh)
version=$1 module=github.com/containerd/containerd
[[ $version == v1.* ]] || module=$module/v2
programs=("$module"/cmd/{containerd,ctr,containerd-shim-runc-v2})

fetch() { go_fetch "$module@$version" "${programs[@]}"; }
build() { go_build '' "${programs[@]}"; }
