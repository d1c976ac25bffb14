#!/usr/bin/env bash
# Everything that has to hold before a change goes in, from any directory:
# format, lints, unit, property, tidy and integration tests (the latter on SQLite and once more on
# PostgreSQL, but for what no store has a part in), the conformance tools, and the demonstration.
#
# Stops at the first stage that fails. Ends with the line `N passed, N failed`, added up from cargo's
# own `test result:` lines and from those of the conformance tools. Environment:
#   FUZZ=1   arbitrary input for the parsers as well, a minute each
#   FULL=1   what takes long as well: more cases of each property, and the benches
#   CARGO_TARGET_DIR, DEMO_PROFILE (what the tests were built with; with FULL what a user gets)
set -uo pipefail
case ${CARGO_TARGET_DIR:-/} in /*) ;; *) export CARGO_TARGET_DIR=$PWD/$CARGO_TARGET_DIR ;; esac
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
if ! command -v cargo >/dev/null && [ -e "$HOME/.cargo/env" ]; then . "$HOME/.cargo/env"; fi
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}

work=$(mktemp -d)
results=$work/results
: >"$results"

finish() {
  local code=$?
  # What the demonstration left tells why it failed.
  if [ "$code" -ne 0 ] && [ -d "$work/demo" ]; then echo "state and logs of the demonstration: $work/demo"
  else rm -rf "$work/demo"; fi
  awk '/^test result:/ { passed += $4; failed += $6 }
    /^[a-z]+: [0-9]+ passed, [0-9]+ failed$/ { passed += $2; failed += $4 }
    END { printf "%d passed, %d failed\n", passed, failed }' "$results"
  rm -f "$results"
  rmdir "$work" 2>/dev/null
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

stage() { # NAME COMMAND...
  local name=$1 begin=$SECONDS code
  shift
  printf '\n== %s\n' "$name"
  "$@"
  code=$?
  if [ "$code" -ne 0 ]; then
    printf '== %s FAILED with code %d after %d s\n' "$name" "$code" "$((SECONDS - begin))"
    exit 1
  fi
  printf '== %s: %d s\n' "$name" "$((SECONDS - begin))"
}

tests() { cargo test --locked --no-fail-fast 2>&1 | tee -a "$results"; }
tests_on_postgresql() {
  local passed_over=()
  # What has no part in a store. Names are looked for anywhere in a test's own.
  [ -n "${FULL:-}" ] || for tests in directories::{active,agreement,faults,feeds,large,rules,several,tls} \
    hostile:: tls:: slow:: check:: issuer:: harness:: readme::; do
    passed_over+=(--skip "$tests")
  done
  SCIMBRIDGE_TEST_STORE=postgres cargo test --locked --no-fail-fast --test it -- "${passed_over[@]}" 2>&1 |
    tee -a "$results"
}
conformance() { tests/conformance.sh 2>&1 | tee -a "$results"; }
properties() { PROPTEST_CASES=10000 cargo test --locked --lib 2>&1 | tee -a "$results"; }
fuzz() { tests/fuzz.sh 2>&1 | tee -a "$results"; }
demo() {
  local profile=${DEMO_PROFILE:-dev}
  [ -z "${FULL:-}" ] || profile=${DEMO_PROFILE:-demo}
  DEMO_PROFILE=$profile DEMO_ONCE=1 SCIMBRIDGE_DEMO_DIR=$work/demo docker/demo.sh
}

# A Samba domain needs root; without, its tests are passed over.
domain=
if [ "$(id -u)" -eq 0 ] || [ -n "${CI:-}" ]; then domain="samba samba-ad-provision samba-dsdb-modules python3-samba"; fi
# shellcheck disable=SC2086
stage packages docker/install.sh slapd ldap-utils postgresql openssl curl gcc libc6-dev ca-certificates \
  389-ds-base python3 python3-venv $domain
stage format cargo fmt --check
stage lints cargo clippy --locked --all-targets -- -D warnings
stage tests tests
stage "tests on PostgreSQL" tests_on_postgresql
stage conformance conformance
stage demonstration demo
if [ -n "${FULL:-}" ]; then
  stage properties properties
  stage benches cargo bench --locked
fi
if [ -n "${FUZZ:-}" ]; then stage fuzz fuzz; fi
