# shellcheck shell=bash
# What kind puts before several control planes. It starts Envoy from bash, and writes its configuration with cp and mv.
title=${name_of[load-balancer-image]} pins=("$title") sources=(image.sh) needs=("debian@$debian" "envoy@$envoy")

build() {
  unpack_debian debian
  bare_root debian root
  for program in bash sh cat chmod cp ls mkdir mv rm sleep tee; do
    copy_program debian root "$program" "/bin/$program"
  done
  install -D "$(path_of "envoy@$envoy")/envoy" debian/usr/local/bin/envoy
  copy_program debian root envoy
  mkdir -p root/home/envoy
  image_archive root "$title" '{"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"]}'
}
