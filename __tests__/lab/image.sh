# shellcheck shell=bash
# Images as archives that `docker load` and `ctr images import` read, made from folders without a daemon: nothing is
# left in one when a build is interrupted, and a daemon that lost an image gets it back from the store.

# Writes $out/image.tar.zst: one layer, and images of it. CONFIG is the `config` of an image (Docker's image
# specification); each also carries the key of the target that is being made, by which script/bootstrap knows that a
# daemon holds this very content.
image_archive() { # FOLDER { REFERENCE CONFIG }...
  local folder=$1 layer config=0 created
  created=$(date --utc +%FT%TZ)
  shift
  mkdir archive
  tar --sort=name --numeric-owner -C "$folder" -cf archive/layer.tar .
  layer=$(sha256sum <archive/layer.tar)
  layer=${layer%% *}
  while [[ $# -gt 0 ]]; do
    config=$((config + 1))
    image_config "$layer" "$created" "$2" >"archive/config-$config.json"
    jq --null-input --arg reference "$1" --arg config "config-$config.json" \
      '{Config: $config, RepoTags: [$reference], Layers: ["layer.tar"]}'
    shift 2
  done | jq --slurp . >archive/manifest.json
  # What describes the images first: a reader of the stream then knows what comes.
  (cd archive && tar -c manifest.json config-*.json layer.tar) | zstd -q -T0 -o "$out/image.tar.zst"
}

image_config() { # LAYER CREATED CONFIG
  jq --null-input --arg arch "$arch" --arg layer "sha256:$1" --arg created "$2" --argjson config "$3" --arg key "$key" '{
      architecture: $arch, os: "linux", created: $created,
      config: ($config | .Labels["kind-action-lab.key"] = $key),
      rootfs: {type: "layers", diff_ids: [$layer]},
      history: [{created: $created, created_by: "kind-action lab"}]
    }'
}

# Copies a program of a root file system into another, with the libraries it is linked to.
copy_program() { # FROM TO PROGRAM [AS]
  local program
  # shellcheck disable=SC2016 # the shell in there expands it
  program=$(PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin chroot "$1" sh -c 'readlink -f "$(command -v "$1")"' sh "$3")
  install -D "$1$program" "$2${4:-$program}"
  copy_libraries "$1" "$2" "$program"
}

# Copies the libraries that files of a root file system are linked to.
copy_libraries() { # FROM TO FILE...
  local from=$1 to=$2 library
  shift 2
  # Of ldd's two forms (`name => /path (address)`, and the loader's `/path (address)`), the path.
  chroot "$from" ldd "$@" | sed -nE 's#^(.* => )?\s*(/[^ ]+) \(.*#\2#p' | sort -u |
    while read -r library; do install -D "$from$library" "$to$library"; done
}

# Puts busybox into a root file system, as every program that it can be.
install_busybox() { # FROM TO FOLDER
  local name
  install -D "$1/bin/busybox" "$2$3/busybox"
  for name in $(chroot "$1" busybox --list); do
    [[ $name == busybox ]] || ln -sf busybox "$2$3/$name"
  done
}

# A root file system as far as every image of the lab has it.
bare_root() { # DEBIAN FOLDER
  mkdir -p "$2"
  install -d -m 755 "$2"/{etc,root,run,bin,usr/bin}
  install -d -m 1777 "$2/tmp"
  echo 'root:x:0:0:root:/root:/bin/sh' >"$2/etc/passwd"
  echo 'root:x:0:' >"$2/etc/group"
  cp -a "$1/etc/ssl" "$2/etc/"
}

# Unpacks the target debian into a folder.
unpack_debian() { # FOLDER
  mkdir -p "$1"
  zstd -dc "$(path_of "debian@$debian")/root.tar.zst" | tar -C "$1" -x
}
