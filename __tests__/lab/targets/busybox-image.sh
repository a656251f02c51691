# shellcheck shell=bash
# A small image for tests: a shell, httpd, nc, wget.
title=${name_of[busybox-image]} pins=("$title") sources=(image.sh) needs=("debian@$debian")

build() {
  unpack_debian debian
  bare_root debian root
  install_busybox debian root /bin
  image_archive root "$title" '{"Cmd": ["sh"], "Env": ["PATH=/bin:/usr/bin"]}'
}
