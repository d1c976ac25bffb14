#!/usr/bin/env bash
# Feeds arbitrary input to the parsers for a while, each target beginning with its seeds: fuzz.sh [TARGET...]
#
# Works with the stable toolchain. Fails when a target panics or takes too long; the input that did it is
# kept below fuzz/artifacts. Environment: FUZZ_SECONDS (60, of each target), CARGO_TARGET_DIR.
set -euo pipefail
export LC_ALL=C RUSTC_BOOTSTRAP=1
case ${CARGO_TARGET_DIR:-/} in /*) ;; *) export CARGO_TARGET_DIR=$PWD/$CARGO_TARGET_DIR ;; esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! command -v cargo >/dev/null && [ -e "$HOME/.cargo/env" ]; then . "$HOME/.cargo/env"; fi
target=${CARGO_TARGET_DIR:-$PWD/target}
seconds=${FUZZ_SECONDS:-60}
[ $# -gt 0 ] || set -- $(cd fuzz/seeds && ls)

docker/install.sh gcc g++ libc6-dev
tool=$target/tools/bin/cargo-fuzz
if [ "$("$tool" --version 2>/dev/null)" != "cargo-fuzz 0.13.2" ]; then
  cargo install --locked --quiet --force --root "$target/tools" --version 0.13.2 cargo-fuzz
fi

export CARGO_TARGET_DIR=$target/fuzz
"$tool" build --fuzz-dir fuzz
passed=0 failed=0
for name in "$@"; do
  corpus=$target/fuzz/corpus/$name
  mkdir -p "$corpus" "fuzz/artifacts/$name"
  # One file each, as libFuzzer wants it; what it found itself earlier is kept.
  number=0
  while IFS= read -r line; do
    number=$((number + 1))
    printf %s "$line" >"$corpus/seed-$number"
  done <"fuzz/seeds/$name"
  if "$tool" run --fuzz-dir fuzz "$name" "$corpus" -- -max_total_time="$seconds" -max_len=4096 -timeout=5 \
    -print_final_stats=1 -verbosity=0 -artifact_prefix="fuzz/artifacts/$name/"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "fuzz.sh: $name fails"
  fi
done
echo "fuzz: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
