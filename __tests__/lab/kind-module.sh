# shellcheck shell=bash
# What the lab takes from kind's own module, so that its nodes are set up by kind's code and not by a likeness of it.

kind_module() { # VERSION: prints its folder
  GOFLAGS='' go mod download -json "sigs.k8s.io/kind@$1" | jq -r .Dir
}

# kind's manifest for its default storage class: a constant of its Go code, with the images' names put in.
kind_storage_manifest() { # VERSION
  local file
  file=$(kind_module "$1")/pkg/build/nodeimage/const_storage.go
  # shellcheck disable=SC2016 # Go's backticks
  sed -n '/^const defaultStorageManifest = `$/,/^`$/p' "$file" | sed -e '1d' -e '$d' \
    -e "s#\` + storageProvisionerImage + \`#$(kind_storage_image "$1" storageProvisionerImage)#" \
    -e "s#\` + storageHelperImage + \`#$(kind_storage_image "$1" storageHelperImage)#"
}

kind_storage_image() { # VERSION CONSTANT
  sed -n "s/^const $2 = \"\(.*\)\"\$/\1/p" "$(kind_module "$1")/pkg/build/nodeimage/const_storage.go"
}

# The pause image that kind's configuration of containerd names.
kind_sandbox_image() { # VERSION
  sed -nE 's/.*sandbox_image = "(.*)"/\1/p' "$(kind_module "$1")/images/base/files/etc/containerd/config.toml"
}
