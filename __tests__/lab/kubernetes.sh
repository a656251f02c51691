# shellcheck shell=bash
# Programs from the module k8s.io/kubernetes, which names its libraries by local path and as v0.0.0: outside its own tree
# they are the published modules (1.34.4's are v0.34.4).

# Makes this folder a module that builds what k8s.io/kubernetes builds, and its relatives, all from the versions of
# everything that k8s.io/kubernetes requires. The module is the same for each of them: what Go's build cache goes by holds
# also the version that was required, and so what they have in common is compiled only once.
kubernetes_module() { # VERSION
  local source libraries=v0.${1#v1.} relative pins
  source=$(go mod download -json "k8s.io/kubernetes@$1" | jq -r .Dir)
  sed -E -e 's#^module .*#module lab#' -e "s#^(\s*k8s.io/\S+) v0\.0\.0\$#\1 $libraries#" \
    -e "s#^(\s*)(k8s.io/\S+) => \./staging/.*#\1\2 => \2 $libraries#" "$source/go.mod" >go.mod
  install -m 644 "$source/go.sum" go.sum
  mapfile -t pins < <(go mod edit -json | jq -r '([.Replace[].Old.Path] | INDEX(.)) as $replaced |
    .Require[] | select($replaced[.Path] == null) | "-replace=\(.Path)=\(.Path)@\(.Version)"')
  go mod edit "${pins[@]}"
  go_require "k8s.io/kubernetes@$1"
  for relative in "${kubernetes_relatives[@]}"; do go_require "$relative"; done
  go list -m all >/dev/null # settles the versions, whichever packages are then asked for
}

# The linker's flags that tell a component its version; kubeadm and the kubelet go by it.
kubernetes_flags() { # VERSION
  local minor=${1#v1.} package=k8s.io/component-base/version
  minor=${minor%%.*}
  echo "-X $package.gitVersion=$1 -X $package.gitMajor=1 -X $package.gitMinor=$minor" \
    "-X $package.gitTreeState=clean -X $package.gitCommit=unknown -X $package.buildDate=2026-01-01T00:00:00Z"
}
