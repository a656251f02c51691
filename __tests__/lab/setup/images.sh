# shellcheck shell=bash
# The images of the lab in the Docker daemon: the published ones, by digest, where their registry is in reach; else
# those that the lab builds.

# Answered by the registry itself, within 5 seconds: on some networks something else answers every connection.
registry_in_reach() {
  local answer=$answers/registry
  if [[ ! -f $answer ]] && command -v curl >/dev/null; then
    curl -s --max-time 5 -o /dev/null -D "$answer" https://registry-1.docker.io/v2/ || true
  fi
  grep -qE '^HTTP/[0-9.]+ (200|401)' "$answer" 2>/dev/null &&
    grep -qi '^docker-distribution-api-version: *registry/2' "$answer"
}

# Whether images are pulled or built. What is there already decides; only where nothing is, the network is asked.
source_of_images() { # prints published|built
  if is_pulled "${images[0]}"; then
    echo published
  elif ! is_made "${images[0]}" && registry_in_reach; then
    echo published
  else
    echo built
  fi
}

set_up_published_image() { # IMAGE
  local reference=${published_image_of[$1]} result=there
  if ! is_pulled "$1"; then
    docker pull "$reference" || docker pull "$reference" # registries have bad moments
    result=pulled
  fi
  # A node image's name tells its version, which is another than the lab's; it is used by its digest.
  [[ $1 == node-image@* ]] || docker tag "$reference" "${name_of[$1]}"
  found "${reference::-52}" "$result" # with 12 digits of the digest
}

set_up_built_image() { # IMAGE
  local path result=loaded
  if is_loaded "$1"; then
    found "${name_of[$1]}" there
    return
  fi
  path=$(path_of "$1")
  if [[ ! -d $path ]]; then
    await_target "$1"
    result=built
  fi
  zstd -dc "$path/image.tar.zst" | docker load
  # The image of the lab that had the name until now has none any more.
  docker image prune --force --filter label=kind-action-lab.key
  found "${name_of[$1]}" "$result"
}

# Whether the daemon holds an image from where images come.
is_there() { # IMAGE
  if [[ $source == published ]]; then is_pulled "$1"; else is_loaded "$1"; fi
}

is_pulled() { # IMAGE
  docker image inspect "${published_image_of[$1]}" >/dev/null 2>&1
}

# Whether the daemon holds the very image that the lab would build.
is_loaded() { # IMAGE
  local key
  key=$(docker image inspect --format '{{index .Config.Labels "kind-action-lab.key"}}' "${name_of[$1]}" 2>/dev/null) &&
    [[ $key == "$(key_of "$1")" ]]
}
