# shellcheck shell=bash
# The CNI plugins that kind's node images hold.
title="CNI plugins $1" sources=(golang.sh)
version=$1

build() {
  local module=github.com/containernetworking/plugins
  go_programs "$module" "$version" host-local="$module/plugins/ipam/host-local" \
    loopback="$module/plugins/main/loopback" ptp="$module/plugins/main/ptp" portmap="$module/plugins/meta/portmap"
}
