# shellcheck shell=bash
# Node 24, which the action runs on, and the project's packages.

set_up_node() {
  local version
  version=$(<.node-version)
  if node_is_new_enough "$version"; then
    found "$(node --version)" there
    return
  fi
  command -v npm || give_up "Node $version is wanted, and no npm is here to get it with." \
    "Install Node.js with npm, of any version."
  install_node "$version"
  found "v$version" "from the npm registry"
}

node_is_new_enough() { # VERSION
  local have
  have=$(node --version 2>/dev/null) || return 1
  have=${have#v}
  [[ ${have%%.*} == "${1%%.*}" ]] && printf '%s\n' "$1" "$have" | sort --version-sort --check=quiet
}

# Node's own release, which the npm registry carries as a package.
install_node() { # VERSION
  local version=$1 folder=$KIND_ACTION_CACHE/node-$1 architecture=x64 sha512
  [[ $arch == amd64 ]] || architecture=$arch
  sha512=${node_sha512[$version-$architecture]:-}
  [[ -n $sha512 ]] || give_up "__tests__/lab/versions.sh has no checksum of Node $version (.node-version) for $architecture."
  if [[ ! -x $folder/bin/node ]]; then
    rm -rf "$folder" "$folder".next
    mkdir "$folder.next"
    (cd "$folder.next" && npm pack --loglevel=error "node-linux-$architecture@$version")
    sha512sum --check <<<"$sha512  $folder.next/node-linux-$architecture-$version.tgz"
    tar -C "$folder.next" -xzf "$folder.next/node-linux-$architecture-$version.tgz" --strip-components=1
    rm "$folder.next/node-linux-$architecture-$version.tgz"
    mv "$folder.next" "$folder"
  fi
  link_program "$folder/bin/node"
}

set_up_npm_packages() {
  local stamp=node_modules/.kind-action-lock hash
  hash=$(cat package-lock.json package.json | sha256sum)
  hash=${hash%% *}
  if [[ -f $stamp && $(<"$stamp") == "$hash" ]]; then
    found "lock ${hash:0:12}" there
    return
  fi
  # The cause of a failure once more, at the end of the log: npm's page about its options comes after it.
  npm ci || { sed '/Clean install a project/,$d' "$logs/npm-packages.log" && exit 1; }
  echo "$hash" >"$stamp" # last: an interrupted npm ci is done again
  found "lock ${hash:0:12}" installed
}
