# shellcheck shell=bash
# The commands of a node, served by serve.sh.

# Prints the administrator's kubeconfig that kubeadm wrote, and nothing before kubeadm has written it.
command_kubeconfig() {
  # The last of the kubeconfig files that kubeadm writes.
  [[ -s /etc/kubernetes/scheduler.conf ]] || return 0
  # From Kubernetes 1.29 on, admin.conf has no permissions until kubeadm has bound it to a role.
  if [[ -s /etc/kubernetes/super-admin.conf ]]; then
    cat /etc/kubernetes/super-admin.conf
  else
    cat /etc/kubernetes/admin.conf
  fi
}

command_route() { # POD_SUBNET GATEWAY
  local family=-4
  [[ $1 != *:* ]] || family=-6
  ip "$family" route replace "$1" via "$2"
}

# Starts to unpack images in the background, which containerd otherwise does for the first pod of an image. After a failure
# containerd tries again for that pod, and the pod shows the error.
command_unpack() { # DIGEST...
  {
    local snapshotter digest
    snapshotter=$(sed -n 's/^ *snapshotter = "\([a-z-]*\)"$/\1/p;T;q' /etc/containerd/config.toml)
    for digest; do
      ctr --namespace k8s.io snapshots unpack --snapshotter "$snapshotter" "$digest"
    done
  } </dev/null >/dev/null 2>&1 &
}
