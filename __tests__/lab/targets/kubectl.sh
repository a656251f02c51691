# shellcheck shell=bash
# kubectl: its own release where that is in reach, else built from its module.
title="kubectl $1" pins=("${kubernetes_relatives[@]}")
sources=(download.sh golang.sh kubernetes.sh)
version=$1 package=k8s.io/kubernetes/cmd/kubectl

fetch() {
  local url=https://dl.k8s.io/release/$version/bin/linux/$arch/kubectl
  if fetch_file "$url.sha256" sha256 && download_program "$url" "$(head -c 64 sha256)" "$out/kubectl"; then
    echo downloaded >"$out/how"
  else
    kubernetes_module "$version"
    go_download "$package"
  fi
}

build() {
  [[ -f $out/how ]] || go_build "$(kubernetes_flags "$version")" "$package"
}
