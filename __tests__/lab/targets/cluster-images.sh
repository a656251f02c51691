# shellcheck shell=bash
# The images that run in a cluster, in one archive: every one of them the same single layer, which a node then holds and
# unpacks once.
kubernetes=${kubernetes_of[$1]} node_files=${node_files_of[$1]}
title="the images of Kubernetes $kubernetes" sources=(image.sh kind-module.sh manifests/cni.yaml)
needs=("debian@$debian" "kube@$kubernetes" "etcd@$etcd" "coredns@$coredns" "local-path-provisioner@$local_path" pause)

build() {
  unpack_debian debian
  bare_root debian root
  install_busybox debian root /bin
  add_programs
  add_network_tools
  local reference references images=()
  references=$(cluster_images)
  for reference in $references; do images+=("$reference" "$(config_of "$reference")"); done
  image_archive root "${images[@]}"
}

add_programs() {
  local kube name
  kube=$(path_of "kube@$kubernetes")/kube
  install -D "$kube" root/usr/local/bin/kube
  for name in kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubectl; do
    ln -s kube "root/usr/local/bin/$name"
  done
  install "$(path_of "etcd@$etcd")/etcd" root/usr/local/bin/
  install "$(path_of "local-path-provisioner@$local_path")/local-path-provisioner" root/usr/local/bin/
  install "$(path_of "coredns@$coredns")/coredns" root/
  install "$(path_of pause)/pause" root/
}

# What kube-proxy and the CNI's pod call.
add_network_tools() {
  local tool name
  for tool in xtables-nft-multi nft conntrack ip; do copy_program debian root "$tool" "/usr/sbin/$tool"; done
  for name in iptables ip6tables iptables-save ip6tables-save iptables-restore ip6tables-restore; do
    ln -s xtables-nft-multi "root/usr/sbin/$name"
  done
  # The matches are libraries that iptables loads by name, with libraries of their own: without libm, which `statistic`
  # wants, every update of the rules fails as soon as a service has two endpoints.
  local extensions libraries
  extensions=$(cd debian && echo usr/lib/*-linux-gnu/xtables)
  mkdir -p "root/$extensions"
  cp -a "debian/$extensions/." "root/$extensions"
  mapfile -t libraries < <(cd debian && printf '/%s\n' "$extensions"/*.so)
  copy_libraries debian root "${libraries[@]}"
}

# The references that a cluster of this version asks for.
cluster_images() {
  ln -s "$(path_of "kube@$kubernetes")/kube" kubeadm
  {
    ./kubeadm config images list --kubernetes-version "$kubernetes"
    kind_sandbox_image "$node_files"
    kind_storage_image "$node_files" storageProvisionerImage
    kind_storage_image "$node_files" storageHelperImage
    sed -n 's/^ *image: //p' "$lab/manifests/cni.yaml"
  } | sort -u
}

# Two of them are started by their entrypoint; the manifests of the others give a command.
config_of() { # REFERENCE
  local entrypoint='[]'
  case $1 in
    */pause:*) entrypoint='["/pause"]' ;;
    */coredns:*) entrypoint='["/coredns"]' ;;
  esac
  echo "{\"Entrypoint\": $entrypoint, \"Env\": [\"PATH=/usr/local/bin:/usr/sbin:/usr/bin:/bin\"]}"
}
