# shellcheck shell=bash
# lab.json: what is set up, for the tests (read by lab.ts). What another set has left is in it as well, and what no set has
# brought is not.

write_manifest() {
  local manifest=$KIND_ACTION_CACHE/lab.json
  jq --null-input \
    --argjson kind "$(tool_entry kind "$kind")" \
    --argjson kubectl "$(tool_entry kubectl "$kubectl")" \
    --argjson current "$(node_image_entry current)" \
    --argjson old "$(node_image_entry old)" \
    --argjson loadBalancer "$(image_entry load-balancer-image)" \
    --argjson registry "$(image_entry registry-image)" \
    --argjson testImage "$(image_entry busybox-image)" \
    --arg source "$source" '{
      $kind, $kubectl, nodeImages: {$current, $old}, $loadBalancer, $registry, $testImage, built: ($source == "built")
    } | del(.. | nulls)' >"$manifest.next"
  mv "$manifest.next" "$manifest"
  found "$source images" "$manifest"
}

tool_entry() { # PROGRAM VERSION
  local path=$KIND_ACTION_CACHE/bin/$1 sha256
  sha256=$(sha256sum <"$path")
  jq --null-input --arg version "$2" --arg path "$path" --arg sha256 "${sha256%% *}" '{$version, $path, $sha256}'
}

node_image_entry() { # FLAVOUR
  local image=${name_of[node-image@$1]} kubernetes=${kubernetes_of[$1]}
  [[ $source == built ]] || { image=${published_image_of[node-image@$1]} kubernetes=${published_kubernetes_of[$1]}; }
  if is_there "node-image@$1"; then
    jq --null-input --arg image "$image" --arg kubernetes "$kubernetes" '{$image, $kubernetes}'
  else
    echo null
  fi
}

image_entry() { # IMAGE
  if is_there "$1"; then jq --null-input --arg name "${name_of[$1]}" '$name'; else echo null; fi
}
