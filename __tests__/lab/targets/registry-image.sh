# shellcheck shell=bash
# registry:3, as the published one: the same program, paths, port and volume.
title=${name_of[registry-image]} pins=("$title") sources=(image.sh registry.yml) needs=("debian@$debian" "distribution@$distribution")

build() {
  unpack_debian debian
  bare_root debian root
  install_busybox debian root /bin
  install -D "$(path_of "distribution@$distribution")/registry" root/bin/registry
  install -D -m 644 "$lab/registry.yml" root/etc/distribution/config.yml
  mkdir -p root/var/lib/registry
  image_archive root "$title" '{
    "Entrypoint": ["registry"],
    "Cmd": ["serve", "/etc/distribution/config.yml"],
    "Env": ["PATH=/bin", "OTEL_TRACES_EXPORTER=none"],
    "Volumes": {"/var/lib/registry": {}},
    "ExposedPorts": {"5000/tcp": {}}
  }'
}
