#!/usr/bin/env bash
# scim2-tester, scim-sanity and scim2-client against the real program: a tenant without a directory, and
# one over a private slapd full of people who are not bound. Everything listens on 127.0.0.1 only.
#
# Prints one line `NAME: N passed, N failed` for each tenant; fails when a check fails.
# Environment: CARGO_TARGET_DIR. The tools are kept in conformance/venv below it.
set -euo pipefail
export LC_ALL=C
case ${CARGO_TARGET_DIR:-/} in /*) ;; *) export CARGO_TARGET_DIR=$PWD/$CARGO_TARGET_DIR ;; esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
if ! command -v cargo >/dev/null && [ -e "$HOME/.cargo/env" ]; then . "$HOME/.cargo/env"; fi

die() { printf 'conformance.sh: %s\n' "$*" >&2; exit 1; }

docker/install.sh slapd ldap-utils gcc libc6-dev ca-certificates python3 python3-venv || exit 1

# --- the tools: as pinned, installed once

tools=${CARGO_TARGET_DIR:-$root/target}/conformance
mkdir -p "$tools"
exec 7>"$tools/lock"
flock 7
pinned=$(sha256sum tests/conformance/requirements.txt)
if [ "$(cat "$tools/installed" 2>/dev/null)" != "$pinned" ]; then
  rm -rf "$tools/venv" "$tools/installed"
  python3 -m venv "$tools/venv" || die "python3 -m venv fails"
  "$tools/venv/bin/pip" --quiet install --disable-pip-version-check --require-hashes \
    --only-binary :all: -r tests/conformance/requirements.txt || die "the tools cannot be installed"
  echo "$pinned" >"$tools/installed"
fi
exec 7>&-

# --- the program

built=$(cargo build --locked --bin scimbridge --example company \
  --message-format json-render-diagnostics) || die "the build failed"
executable() { printf '%s\n' "$built" | sed -n 's#.*"executable":"\([^"]*/'"$1"'\)".*#\1#p' | tail -n 1; }
scimbridge=$(executable scimbridge)
company=$(executable company)
[ -x "$scimbridge" ] && [ -x "$company" ] || die "cargo built no program"

# --- the servers

dir=$(mktemp -d)
bridge=
finish() {
  local code=$?
  if [ -n "$bridge" ]; then kill "$bridge" 2>/dev/null || true; wait "$bridge" 2>/dev/null || true; fi
  "$root/docker/slapd.sh" stop "$dir/slapd" || true
  if [ "$code" -eq 0 ]; then rm -rf "$dir"; else echo "state and logs: $dir" >&2; fi
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$company" 1000 >"$dir/company.ldif"
ldap=$(docker/slapd.sh start "$dir/slapd" "$dir/company.ldif") || die "slapd does not start"
token() { printf "token-of-%s-for-one-run" "$1"; }
tenant() { # NAME
  cat <<CONF
[[tenant]]
name = "$1"
[[tenant.token]]
name = "conformance"
sha256 = "$(token "$1" | sha256sum | cut -d ' ' -f 1)"
permissions = ["admin"]
[[tenant.authenticator_policy]]
id = "AT_TEST"
type = "login"
CONF
}
{
  printf '[server]\nlisten = "127.0.0.1:0"\n[store]\nurl = "sqlite:scimbridge.db"\n'
  tenant local
  tenant corp
  cat <<CONF
[[tenant.repository]]
id = "corp"
urls = ["$ldap"]
bind_dn = "cn=reader,ou=services,dc=example,dc=org"
bind_password = "secret"
base = "ou=people,dc=example,dc=org"
filter = "(objectClass=inetOrgPerson)"
mapping = "openldap"
CONF
} >"$dir/scimbridge.toml"
"$scimbridge" serve --config "$dir/scimbridge.toml" >"$dir/out" 2>"$dir/log" &
bridge=$!
url=
for _ in $(seq 600); do
  url=$(sed -n 's/^listening on //p' "$dir/out")
  [ -z "$url" ] || break
  kill -0 "$bridge" 2>/dev/null || { tail -n 20 "$dir/log" >&2; die "the bridge does not start"; }
  sleep 0.05
done
[ -n "$url" ] || die "the bridge does not say where it listens"

# --- the checks

code=0
check() { "$tools/venv/bin/python" tests/conformance/check.py "$@" || code=1; }
check local "$url/scim/local/v2" "$(token local)"
check corp "$url/scim/corp/v2" "$(token corp)" u0000042
exit "$code"
