# shellcheck shell=bash
# Programs from the module k8s.io/kubernetes, which names its libraries by local path: outside its own tree they are
# the published modules (1.34.4's are v0.34.4).

# Makes this folder a module that builds what k8s.io/kubernetes builds, from the same versions of everything. It may
# require more: what is then built shares with Kubernetes what both are made from, and compiles it only once.
kubernetes_module() { # VERSION [MODULE@VERSION...]
  local source libraries=v0.${1#v1.}
  shares_with=kubernetes-$1
  source=$(go mod download -json "k8s.io/kubernetes@$1" | jq -r .Dir)
  sed -E -e 's#^module .*#module lab#' -e "s#^(\s*)(k8s.io/\S+) => \./staging/.*#\1\2 => \2 $libraries#" "$source/go.mod" >go.mod
  install -m 644 "$source/go.sum" go.sum
  go mod edit -require "k8s.io/kubernetes@$1"
  shift
  [[ $# -eq 0 ]] || go get "$@"
}

# The linker's flags that tell a component its version; kubeadm and the kubelet go by it.
kubernetes_flags() { # VERSION
  local minor=${1#v1.} package=k8s.io/component-base/version
  minor=${minor%%.*}
  echo "-s -w -X $package.gitVersion=$1 -X $package.gitMajor=1 -X $package.gitMinor=$minor" \
    "-X $package.gitTreeState=clean -X $package.gitCommit=unknown -X $package.buildDate=2026-01-01T00:00:00Z"
}
