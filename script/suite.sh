# shellcheck shell=bash
# Sourced by script/check and script/test: runs checks and suites, and counts them.
source script/env

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
passed=0 failed=0

heading() { printf '\n== %s\n' "$*"; }

# A check that passes or fails as a whole.
check() { # NAME COMMAND...
  local name=$1
  shift
  heading "$name"
  if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "FAILED: $name"; fi
}

# A suite of vitest's, which counts by its tests. One that breaks down before it can count has failed once.
suite() { # NAME
  local name=$1 report=$results/$1.json counts
  heading "$name tests"
  node_modules/.bin/vitest run --project "$name" --reporter=default --reporter=json --outputFile="$report"
  local code=$?
  counts=$(node -p 'const r = require(process.argv[1]); `${r.numPassedTests} ${r.numFailedTests + (r.success ? 0 : r.numFailedTests === 0 ? 1 : 0)}`' "$report" 2>/dev/null) || counts="0 1"
  [[ $code -ne 0 && $counts == *" 0" ]] && counts="${counts% *} 1"
  passed=$((passed + ${counts% *}))
  failed=$((failed + ${counts#* }))
}

# What takes seconds.
static_checks() {
  check "lint" node_modules/@biomejs/cli-linux-*/biome check --max-diagnostics=50
  check "types" node_modules/.bin/tsc --noEmit
  check "types of src" node_modules/.bin/tsc --noEmit -p src
  check "imports between folders" script/arrows
  check "names" node script/vocabulary/check.ts
  check "shell scripts" check_shell_scripts
}

check_shell_scripts() {
  git ls-files -z -- '*.sh' script .ci __tests__/lab |
    xargs -0 grep -lE '^#!.*bash|^# shellcheck shell=bash' |
    xargs shellcheck --severity=warning --external-sources &&
    perl -c src/node/scripts/dial-containerd.pl
}

finish() {
  heading "took $SECONDS s"
  echo "$passed passed, $failed failed"
  [[ $failed -eq 0 ]]
}
