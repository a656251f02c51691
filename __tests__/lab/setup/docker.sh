# shellcheck shell=bash
# A Docker daemon: the one that answers, as it is; else one started here.

set_up_docker() {
  if docker_answers; then
    found "$(docker_version)" running
  elif ! command -v dockerd; then
    give_up "No Docker daemon answers ($(docker_problem))." \
      "Install one: Docker Engine, or as root Debian's docker.io (script/bootstrap does that when it is root)."
  elif [[ $EUID -ne 0 ]]; then
    give_up "Docker is installed, but its daemon does not answer to this user ($(docker_problem))." \
      "Start it, and add the user to the group docker; or run script/bootstrap as root."
  else
    start_docker
    found "$(docker_version)" started
  fi
  lab_can_start_nodes || give_up "This machine lacks the capability CAP_SYS_RESOURCE, so its Docker daemon can start a node only with the" \
    "runtime __tests__/lab/runc-lab as its default, and the one that runs has another ($(docker_runtime))." \
    "Stop it, and run script/bootstrap again: it starts one with that runtime."
}

docker_answers() { timeout 10 docker version >/dev/null 2>&1; }
docker_version() { docker version --format '{{.Server.Version}}'; }
docker_runtime() { docker info --format '{{.DefaultRuntime}}'; }
docker_problem() { docker version 2>&1 >/dev/null | tail -n 1; }

start_docker() {
  local log=$logs/dockerd.log deadline=$((SECONDS + 60)) options=()
  if [[ -d /run/systemd/system ]] && has_cap_sys_resource; then
    systemctl start docker
  else
    forget_dead_daemons
    if ! has_cap_sys_resource; then
      # Where it stays as long as the daemon does, whatever becomes of this folder.
      install -m 755 "$lab/runc-lab" "$KIND_ACTION_CACHE/runc-lab"
      options+=(--add-runtime "runc-lab=$KIND_ACTION_CACHE/runc-lab" --default-runtime runc-lab)
    fi
    # A session of its own: it outlives this script, and the terminal.
    setsid dockerd "${options[@]}" >>"$log" 2>&1 </dev/null &
  fi
  until docker_answers; do
    if [[ $SECONDS -ge $deadline ]]; then
      tail -n 20 "$log"
      give_up "dockerd was started, and did not answer within 60 seconds: $log"
    fi
    sleep 0.2
  done
}

# A daemon that was killed leaves its process id in a file. When another process has that id by now, or the dead one
# still waits for its parent, dockerd takes it for a daemon that runs: it refuses to start, or waits for a containerd that
# never answers.
forget_dead_daemons() {
  is_alive dockerd /var/run/docker.pid || rm -f /var/run/docker.pid
  is_alive containerd /var/run/docker/containerd/containerd.pid || rm -f /var/run/docker/containerd/containerd.pid
}

is_alive() { # NAME PID_FILE
  local pid
  pid=$(cat "$2" 2>/dev/null) && [[ $(cat "/proc/$pid/stat" 2>/dev/null) == *"($1) "[!ZX]* ]]
}

has_cap_sys_resource() {
  local bounding
  bounding=$(awk '/^CapBnd/ {print $2}' /proc/self/status)
  ((16#$bounding >> 24 & 1))
}

lab_can_start_nodes() {
  has_cap_sys_resource || [[ $(docker_runtime) == runc-lab ]]
}
