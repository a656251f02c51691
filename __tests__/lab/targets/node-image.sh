# shellcheck shell=bash
# A node image as kind builds them (images/base/Dockerfile and pkg/build/nodeimage of its module), without a container
# registry.
kubernetes=${kubernetes_of[$1]} containerd=${containerd_of[$1]} node_files=${node_files_of[$1]}
title=${name_of[node-image@$1]} pins=("$title")
sources=(image.sh kind-module.sh runc-lab manifests/cni.yaml)
needs=("cluster-images@$1" "debian@$debian" "kube@$kubernetes" "containerd@$containerd" "crictl@${kubernetes_of[current]}"
  "cni-plugins@$cni_plugins")
flavour=$1

build() {
  unpack_debian root
  add_kind_files
  set_up_services
  add_programs
  configure_containerd
  add_manifests
  import_cluster_images
  image_archive root "$title" '{
    "Entrypoint": ["/usr/local/bin/entrypoint", "/sbin/init"],
    "Env": ["container=docker"],
    "StopSignal": "SIGRTMIN+3"
  }'
}

add_kind_files() {
  local files
  files=$(kind_module "$node_files")/images/base/files
  # Go's module cache is read-only, and has no file marked executable.
  cp -R --no-preserve=mode "$files/." root/
  chmod 755 root/usr/local/bin/* root/kind/bin/*
  echo -n "$kubernetes" >root/kind/version
}

# As kind: no service but its own, and none that reaches out of the container.
set_up_services() {
  local units=root/lib/systemd/system
  rm -f "$units"/{multi-user,local-fs,basic}.target.wants/* "$units"/sockets.target.wants/*{udev,initctl}* \
    "$units"/sysinit.target.wants/systemd-tmpfiles-setup.service root/etc/systemd/system/*.wants/*
  echo ReadKMsg=no >>root/etc/systemd/journald.conf
  chroot root systemctl --quiet enable kubelet containerd undo-mount-hacks
  chroot root systemctl --quiet mask systemd-binfmt # it would register with the host's kernel
  mkdir -p root/etc/kubernetes/manifests
}

add_programs() {
  local name
  install "$(path_of "containerd@$containerd")"/{containerd,ctr,containerd-shim-runc-v2} root/usr/local/bin/
  install "$(path_of "crictl@${kubernetes_of[current]}")/crictl" root/usr/local/bin/
  install "$lab/runc-lab" root/usr/local/sbin/runc # before Debian's on the PATH
  mkdir -p root/opt/cni/bin
  install "$(path_of "cni-plugins@$cni_plugins")"/* root/opt/cni/bin/
  install "$(path_of "kube@$kubernetes")/kube" root/usr/bin/kube
  for name in kubeadm kubelet kubectl; do ln -s kube "root/usr/bin/$name"; done
}

configure_containerd() {
  # Without CAP_SYS_RESOURCE no container may get a better score than its parent's, which Kubernetes' own want.
  sed -i 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' root/etc/containerd/config.toml
  grep -q 'restrict_oom_score_adj = true' root/etc/containerd/config.toml
  # kind's base spec of a container: containerd's own, with kind's hook and this machine's limits left out.
  root/usr/local/bin/ctr oci spec | jq 'del(.process.rlimits)
    | .hooks.createContainer += [{path: "/kind/bin/mount-product-files.sh"}]' >root/etc/containerd/cri-base.json
}

add_manifests() {
  mkdir -p root/kind/manifests
  install -m 644 "$lab/manifests/cni.yaml" root/kind/manifests/default-cni.yaml
  kind_storage_manifest "$node_files" >root/kind/manifests/default-storage.yaml
  grep -q 'kind: StorageClass' root/kind/manifests/default-storage.yaml
}

# Puts the cluster's images into the node's containerd, which need not run in a container for that: its own program keeps
# its content and its database under root/var. Not unpacked, as in kind's images: a node unpacks what it uses.
import_cluster_images() {
  local containerd_of_node=$PWD/root/usr/local/bin socket=$PWD/containerd.sock daemon
  cat >containerd.toml <<END
version = 2
root = "$PWD/root/var/lib/containerd"
state = "$PWD/state"
# What listens, or writes, beside these two folders.
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime",
  "io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt"]
[grpc]
address = "$socket"
END
  "$containerd_of_node/containerd" --config containerd.toml &
  daemon=$!
  trap 'kill "$daemon"' EXIT
  until "$containerd_of_node/ctr" --address "$socket" version; do
    kill -0 "$daemon"
    sleep 0.1
  done
  zstd -dc "$(path_of "cluster-images@$flavour")/image.tar.zst" |
    "$containerd_of_node/ctr" --address "$socket" --namespace k8s.io images import --platform "linux/$arch" --no-unpack --digests -
  kill "$daemon"
  wait "$daemon"
  trap - EXIT
}
