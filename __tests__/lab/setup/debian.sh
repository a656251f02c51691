# shellcheck shell=bash
# Programs of the machine that are missing, from Debian's or Ubuntu's packages.

set_up_debian_packages() {
  local packages
  mapfile -t packages < <(missing_packages)
  if [[ ${#packages[@]} -eq 0 ]]; then
    found "of the system" there
    return
  fi
  if ! command -v apt-get || [[ $EUID -ne 0 ]]; then
    give_up "Missing on this machine: ${packages[*]} (Debian's names of them)." \
      "Install them, with root's rights: apt-get install ${packages[*]}"
  fi
  export DEBIAN_FRONTEND=noninteractive
  # The lists of packages are fetched where there are none, or old ones.
  apt_install "${packages[@]}" || { apt-get -q update || true && apt_install "${packages[@]}"; }
  found "of the system" "installed ${packages[*]}"
}

apt_install() { # PACKAGE...
  apt-get install -y -q -o DPkg::Lock::Timeout=120 "$@"
}

missing_packages() {
  local program
  for program in "${system_programs[@]}"; do command -v "$program" >/dev/null || echo "$program"; done
  docker_answers || command -v dockerd >/dev/null || echo docker.io
  [[ $set_up == demo ]] || is_made "zizmor@$zizmor" || python3 -m pip --version >/dev/null 2>&1 || echo python3-pip
  if ! command -v debootstrap >/dev/null && ! is_made "debian@$debian" && ! registry_in_reach; then
    echo debootstrap debian-archive-keyring | tr ' ' '\n' # the keyring: for Ubuntu, which has no need of it otherwise
  fi
}
