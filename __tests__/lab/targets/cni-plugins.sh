# shellcheck shell=bash
# The CNI plugins that kind's node images hold.
title="CNI plugins $1" sources=(golang.sh)
version=$1 module=github.com/containernetworking/plugins
plugins=("$module"/plugins/{ipam/host-local,main/loopback,main/ptp,meta/portmap})

fetch() { go_fetch "$module@$version" "${plugins[@]}"; }
build() { go_build '' "${plugins[@]}"; }
