# shellcheck shell=bash
# kind: its own release where that is in reach, else built from its module.
title="kind $1" sources=(download.sh golang.sh)
version=$1 module=sigs.k8s.io/kind

fetch() {
  if download_program "https://kind.sigs.k8s.io/dl/$version/kind-linux-$arch" "${kind_sha256[$version-$arch]}" "$out/kind"; then
    echo downloaded >"$out/how"
  else
    go_fetch "$module@$version" "$module"
  fi
}

build() {
  [[ -f $out/how ]] || go_build '' "$module"
}
