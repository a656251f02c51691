# shellcheck shell=bash
# What script/bootstrap has to build, and how long that takes.

# What each target adds to the time of a build from nothing, in seconds, on 2 processors (docs/proof/demo-from-nothing.md):
# less than it takes where it is built beside others. The first one compiles Go's standard library for all. An image's
# time holds that in which Docker loads it.
declare -A seconds_of=(
  [act]=17 [actionlint]=3 [busybox-image]=2 [cluster-images]=5 [cni-plugins]=4 [containerd]=45 [coredns]=4 [crictl]=1
  [debian]=20 [distribution]=35 [envoy]=1 [etcd]=8 [kind]=5 [kube]=270 [kubectl]=4 [load-balancer-image]=5
  [local-path-provisioner]=4 [node-image]=35 [pause]=27 [registry-image]=5 [zizmor]=1
)

# Sets missing to the targets that have to be built, in the order in which they are wanted, and missing_paths to their
# folders. Images first: they wait for what takes longest.
find_missing() {
  local wanted=() target
  missing_images=() missing_paths=()
  for target in "${images[@]}"; do is_there "$target" || missing_images+=("$target"); done
  [[ $source == published ]] || wanted=("${missing_images[@]}")
  wanted+=("${tools[@]}")
  mapfile -t missing <<<"$(missing_targets "${wanted[@]}")"
  [[ -n ${missing[0]} ]] || missing=()
  for target in "${missing[@]}"; do missing_paths+=("$(path_of "$target")"); done
}

# Says at the start what there is to do.
say_estimate() {
  [[ $source == built || ${#missing_images[@]} -eq 0 ]] || echo "${#missing_images[@]} images to pull"
  [[ ${#missing[@]} -eq 0 ]] || echo "${#missing[@]} programs and images to build: $(time_left) on $(nproc) processors"
}

# What is left of that, as text; nothing when nothing is. What is being built is named with its time so far: the
# longest four, when there are more.
what_is_left() {
  local index left=0 since building=()
  for index in "${!missing[@]}"; do
    [[ ! -d ${missing_paths[index]} ]] || continue
    left=$((left + 1))
    if since=$(building_since "${missing[index]}"); then
      building+=("$((EPOCHSECONDS - since)) $(recipe "${missing[index]}" && echo "$title")")
    fi
  done
  [[ $left -gt 0 ]] || return 0
  echo "$left of ${#missing[@]} left${building[*]:+: $(longest_first "${building[@]}")}; $(time_left)"
}

longest_first() { # SECONDS_AND_TITLE...
  printf '%s\n' "$@" | sort -rn |
    sed -E -e 's/^([0-9]+) (.*)/\2 (\1 s)/' -e "5s/.*/$(($# - 4)) more/" -e '5q' | paste -sd, | sed 's/,/, /g'
}

# Prints when the build of a target began. Fails when it is not being built.
building_since() { # TARGET
  stat -c %Y "$store/.making/$1/building" 2>/dev/null
}

time_left() {
  local index seconds=0 left since
  for index in "${!missing[@]}"; do
    [[ ! -d ${missing_paths[index]} ]] || continue
    left=${seconds_of[${missing[index]%%@*}]}
    if since=$(building_since "${missing[index]}"); then left=$((left - EPOCHSECONDS + since)); fi
    [[ $left -lt 0 ]] || seconds=$((seconds + left))
  done
  seconds=$((seconds * 2 / $(nproc)))
  if [[ $seconds -lt 60 ]]; then echo "about $seconds s"; else echo "about $(((seconds + 30) / 60)) min"; fi
}
