# shellcheck shell=bash
# lab.json: what was set up, for the tests (read by lab.ts).

write_manifest() { # published|built: the source of the images
  local manifest=$KIND_ACTION_CACHE/lab.json
  jq --null-input \
    --argjson kind "$(tool_entry kind "$kind")" \
    --argjson kubectl "$(tool_entry kubectl "$kubectl")" \
    --argjson current "$(node_image_entry current "$1")" \
    --argjson old "$(node_image_entry old "$1")" \
    --arg loadBalancer "${name_of[load-balancer-image]}" \
    --arg registry "${name_of[registry-image]}" \
    --arg testImage "${name_of[busybox-image]}" \
    --arg source "$1" '{
      $kind, $kubectl, nodeImages: {$current, $old}, $loadBalancer, $registry, $testImage, built: ($source == "built")
    }' >"$manifest.next"
  mv "$manifest.next" "$manifest"
  found "$1 images" "$manifest"
}

tool_entry() { # PROGRAM VERSION
  local path=$KIND_ACTION_CACHE/bin/$1 sha256
  sha256=$(sha256sum <"$path")
  jq --null-input --arg version "$2" --arg path "$path" --arg sha256 "${sha256%% *}" '{$version, $path, $sha256}'
}

node_image_entry() { # FLAVOUR SOURCE
  local image=${name_of[node-image@$1]} kubernetes=${kubernetes_of[$1]}
  [[ $2 == built ]] || { image=${published_image_of[node-image@$1]} kubernetes=${published_kubernetes_of[$1]}; }
  jq --null-input --arg image "$image" --arg kubernetes "$kubernetes" '{$image, $kubernetes}'
}
