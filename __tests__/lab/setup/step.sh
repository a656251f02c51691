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
  rm -f "$answers"/{result,problem,failed-log}
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

# Starts the command that makes targets, for which later steps wait.
start_ahead() { # COMMAND...
  set -m
  KIND_ACTION_FAILED_LOGS=$answers/failed-logs "$@" >"$logs/ahead.log" 2>&1 </dev/null 9>&- &
  ahead=$!
  set +m
}

# Waits, in a step's function, until a target is made.
await_target() { # TARGET
  local path
  path=$(path_of "$1")
  while [[ ! -d $path ]]; do
    # A process that ended without it has failed.
    if ! kill -0 "${ahead:-}" 2>/dev/null && [[ ! -d $path ]]; then
      # The log of what failed first.
      head -n 1 "$answers/failed-logs" >"$answers/failed-log" || echo "$logs/ahead.log" >"$answers/failed-log"
      exit 1
    fi
    sleep 0.2
  done
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
  [[ ! -f $answers/failed-log ]] || log=$(<"$answers/failed-log")
  echo "  the last lines of $log:"
  tail -n 20 "$log" | cut -c 1-300 | sed 's/^/    /'
}

report_progress() { # STEP
  local started=$SECONDS left
  while sleep 15 && kill -0 $$ 2>/dev/null; do
    left=$(what_is_left)
    echo "… $1 ($((SECONDS - started)) s)${left:+, $left}"
  done
}
