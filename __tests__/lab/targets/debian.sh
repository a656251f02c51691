# shellcheck shell=bash
# The Debian that node images start from, with what kind's own put in (images/base/Dockerfile of kind); the lab's other images
# take programs from it.
title="Debian $1"
release=$1

build() {
  [[ $EUID -eq 0 ]] || { echo "root's rights are needed to build a root file system" >&2 && exit 1; }
  local packages=(
    systemd systemd-sysv dbus              # services
    conntrack iptables nftables iproute2 ethtool util-linux mount kmod # what Kubernetes calls
    libseccomp2 runc pigz e2fsprogs        # what containerd calls
    bash ca-certificates curl jq procps    # what kind calls
    busybox-static                         # the lab's small images
  )
  # In a mount namespace of its own: the /proc that it mounts in there goes with it, however it ends.
  unshare --mount debootstrap --variant=minbase --include="$(IFS=, && echo "${packages[*]}")" "$release" root
  # Half of the size, and nothing that runs reads it.
  rm -rf root/var/cache/apt/* root/var/lib/apt/lists/* root/usr/share/{doc,locale,man}/* root/var/log/*
  # This machine's, as debootstrap leaves them; Docker mounts its own over both.
  : >root/etc/resolv.conf
  : >root/etc/hostname
  tar -C root -c . | zstd -q -T0 -o "$out/root.tar.zst"
}
