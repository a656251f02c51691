# shellcheck shell=bash
# kind: its own release where that is in reach, else built from its module.
title="kind $1" sources=(download.sh golang.sh)
version=$1

build() {
  if download_program "https://kind.sigs.k8s.io/dl/$version/kind-linux-$arch" "${kind_sha256[$version-$arch]}" "$out/kind"; then
    echo downloaded >"$out/how"
  else
    go_programs sigs.k8s.io/kind "$version" kind=sigs.k8s.io/kind
  fi
}
