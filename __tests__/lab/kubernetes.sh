# shellcheck shell=bash
# Programs from the module k8s.io/kubernetes, which names its libraries by local path and as v0.0.0: outside its own tree
# they are the published modules (1.34.4's are v0.34.4). The version that is required is part of what Go's build cache
# goes by, so it is the same wherever they are used.

# Makes this folder a module that builds what k8s.io/kubernetes builds, from the same versions of everything. It may
# require another module: those versions stay as they are, so what is built shares with Kubernetes what both are made
# from, and that is compiled only once.
kubernetes_module() { # VERSION [MODULE@VERSION]
  local source libraries=v0.${1#v1.} pins
  source=$(go mod download -json "k8s.io/kubernetes@$1" | jq -r .Dir)
  sed -E -e 's#^module .*#module lab#' -e "s#^(\s*k8s.io/\S+) v0\.0\.0\$#\1 $libraries#" \
    -e "s#^(\s*)(k8s.io/\S+) => \./staging/.*#\1\2 => \2 $libraries#" "$source/go.mod" >go.mod
  install -m 644 "$source/go.sum" go.sum
  go_require "k8s.io/kubernetes@$1"
  [[ $# -eq 2 ]] || return 0
  mapfile -t pins < <(go mod edit -json | jq -r '([.Replace[].Old.Path] | INDEX(.)) as $replaced |
    .Require[] | select($replaced[.Path] == null) | "-replace=\(.Path)=\(.Path)@\(.Version)"')
  go mod edit "${pins[@]}"
  go_require "$2"
}

# The linker's flags that tell a component its version; kubeadm and the kubelet go by it.
kubernetes_flags() { # VERSION
  local minor=${1#v1.} package=k8s.io/component-base/version
  minor=${minor%%.*}
  echo "-X $package.gitVersion=$1 -X $package.gitMajor=1 -X $package.gitMinor=$minor" \
    "-X $package.gitTreeState=clean -X $package.gitCommit=unknown -X $package.buildDate=2026-01-01T00:00:00Z"
}
