# shellcheck shell=bash
# The steps of script/bootstrap. A step is a function, run with its output in a log: a line tells what came of it and how
# long it took; every 15 seconds of a long one, another tells what it is at.

logs=$KIND_ACTION_CACHE/log
# What a step's function, which runs in a process of its own, says to the one that prints. A new folder in each run: a
# function may have outlived the run before, if that was killed.
answers=

begin_steps() {
  mkdir -p "$logs"
  rm -rf "$KIND_ACTION_CACHE"/answers.*
  answers=$(mktemp -d "$KIND_ACTION_CACHE/answers.XXXXXX")
}

# Runs a function as a step, and ends the script when it fails.
step() { # NAME VERSION FUNCTION [ARG...]
  local name=$1 version=$2 log=$logs/${1// /-}.log started=${EPOCHREALTIME/./} status=0 result=
  shift 2
  rm -f "$answers"/{result,problem,failed-logs}
  export KIND_ACTION_FAILED_LOGS=$answers/failed-logs
  # Process groups of their own (set -m), so that all they started can be ended with them. The lock of this run (9) is
  # not theirs: a daemon started here would hold it for as long as it lives.
  set -m
  ("$@") >"$log" 2>&1 </dev/null 9>&- &
  job=$!
  report_progress "$name $version" 9>&- &
  reporter=$!
  set +m
  wait "$job" || status=$?
  end_group "$reporter"
  if [[ $status -eq 0 ]]; then
    [[ ! -f $answers/result ]] || IFS=$'\t' read -r version result <"$answers/result"
    step_line "$name" "$version" "$started" "${result:+($result)}"
  else
    end_group "$job"
    step_line "$name" "$version" "$started" FAILED
    explain_failure "$log" >&2
    exit 1
  fi
  job='' reporter=''
}

# Says, in a step's function, what was found or made.
found() { # VERSION RESULT
  printf '%s\t%s\n' "$1" "$2" >"$answers/result"
}

# Ends a step's function with a problem that the reader can solve: the log is not shown then.
give_up() { # TEXT...
  printf '%s\n' "$@" >"$answers/problem"
  exit 1
}

# Starts a command that later steps wait for.
start_ahead() { # COMMAND...
  set -m
  (unset KIND_ACTION_FAILED_LOGS && "$@") >"$logs/ahead.log" 2>&1 </dev/null 9>&- &
  ahead=$!
  set +m
}

# For the trap of the script that runs steps.
end_steps() {
  end_group "${ahead:-}"
  end_group "${reporter:-}"
  end_group "${job:-}"
  rm -rf "$answers"
}

end_group() { # PROCESS_GROUP
  [[ -n $1 ]] || return 0
  kill -TERM -- "-$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

step_line() { # NAME VERSION STARTED NOTE
  local tenths=$(((${EPOCHREALTIME/./} - $3) / 100000))
  printf '%-13s %-37s %4d.%d s  %s\n' "$1" "$2" $((tenths / 10)) $((tenths % 10)) "$4"
}

explain_failure() { # LOG
  local log=$1
  if [[ -f $answers/problem ]]; then
    sed 's/^/  /' "$answers/problem"
    return
  fi
  # The log of what failed first, where the step was making several things.
  [[ ! -f $answers/failed-logs ]] || read -r log <"$answers/failed-logs"
  echo "  the last lines of $log:"
  tail -n 20 "$log" | cut -c 1-300 | sed 's/^/    /'
}

report_progress() { # STEP
  local started=$SECONDS making
  while sleep 15 && kill -0 $$ 2>/dev/null; do
    making=$(being_made)
    echo "… $1: ${making:+building $making, }$((SECONDS - started)) s"
  done
}

# The things of the lab that are being made, each with its time so far: the longest four, when there are more.
being_made() {
  local thing title since list=()
  for thing in "$store"/.making/*/; do
    thing=${thing%/}
    # Not what waits for another, nor what a run that was ended has left: its lock is free.
    if [[ -f $thing/waiting ]] || flock -n "$thing.lock" true; then continue; fi
    # Each is gone when it is done, at any moment.
    if title=$(cat "$thing/title" 2>/dev/null) && since=$(stat -c %Y "$thing/title" 2>/dev/null); then
      list+=("$((EPOCHSECONDS - since)) $title")
    fi
  done
  [[ ${#list[@]} -gt 0 ]] || return 0
  printf '%s\n' "${list[@]}" | sort -rn | sed -E -e 's/^([0-9]+) (.*)/\2 (\1 s)/' -e "5s/.*/$((${#list[@]} - 4)) more/" -e '5q' |
    paste -sd, | sed 's/,/, /g'
}
