# shellcheck shell=bash
# containerd, its shim and its client.
title="containerd $1" sources=(golang.sh)
version=$1

build() {
  local module=github.com/containerd/containerd
  [[ $version == v1.* ]] || module=$module/v2
  go_programs "$module" "$version" containerd="$module/cmd/containerd" ctr="$module/cmd/ctr" \
    containerd-shim-runc-v2="$module/cmd/containerd-shim-runc-v2"
}
