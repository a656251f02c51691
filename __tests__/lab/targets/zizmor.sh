# shellcheck shell=bash
# zizmor, which looks for security holes in workflows and actions.
title="zizmor $1" sources=(download.sh)
version=$1

fetch() { program_of_wheel zizmor "$version" zizmor "$out/zizmor"; }
build() { :; }
