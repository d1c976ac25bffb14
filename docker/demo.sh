#!/usr/bin/env bash
# scimbridge over a sample company, from nothing: a Debian machine with Rust is enough.
#
# Installs what is missing, builds, starts a private slapd with 1,000 people and the bridge on SQLite,
# shows the main path with real requests, and serves until Ctrl-C. It can be run again at any time.
#
# Environment: SCIMBRIDGE_DEMO_DIR  where the state is kept (default: target/demo/state)
#              KEEP=1               keep the bridge's database of the last run
#              DEMO_ONCE=1          stop after showing
#              DEMO_PEOPLE=1000     how many people the company has
#              DEMO_PROFILE=demo    the cargo profile to build with
set -euo pipefail
export LC_ALL=C
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
profile=${DEMO_PROFILE:-demo}
people=${DEMO_PEOPLE:-1000}
case ${CARGO_TARGET_DIR:-/} in /*) ;; *) export CARGO_TARGET_DIR=$PWD/$CARGO_TARGET_DIR ;; esac
case ${SCIMBRIDGE_DEMO_DIR:-/} in /*) ;; *) SCIMBRIDGE_DEMO_DIR=$PWD/$SCIMBRIDGE_DEMO_DIR ;; esac
cd "$root"

die() { printf '\ndemo.sh: %s\n' "$*" >&2; exit 1; }
heading() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
[ -t 1 ] || heading() { printf '\n== %s\n' "$*"; }

# --- what the machine needs

"$root/docker/install.sh" slapd ldap-utils curl gcc libc6-dev ca-certificates ||
  die "some packages are missing; see above"
if ! command -v cargo >/dev/null && [ -e "$HOME/.cargo/env" ]; then . "$HOME/.cargo/env"; fi
command -v cargo >/dev/null || die "cargo is missing: install Rust 1.95 or newer"

# --- the program

heading "Building scimbridge (profile $profile; the first time takes some minutes)"
begin=$SECONDS
# Cargo itself says where it put the program.
built=$(cargo build --locked --profile "$profile" --bin scimbridge \
  --message-format json-render-diagnostics) || die "the build failed"
scimbridge=$(printf '%s\n' "$built" | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
[ -x "$scimbridge" ] || die "cargo built no program"
echo "$scimbridge, $((SECONDS - begin)) s"

# --- one demonstration per directory, and nothing left of one that was killed

dir=${SCIMBRIDGE_DEMO_DIR:-$(dirname "$scimbridge")/state}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
exec 8>"$dir/lock"
flock -n 8 || die "another demonstration runs in $dir; set SCIMBRIDGE_DEMO_DIR to another directory"

bridge=
stop_bridge() { # PID
  kill "$1" 2>/dev/null || return 0
  for _ in $(seq 200); do kill -0 "$1" 2>/dev/null || return 0; sleep 0.05; done
  kill -KILL "$1" 2>/dev/null || true
}
finish() {
  local code=$?
  trap '' INT TERM
  if [ -n "$bridge" ]; then stop_bridge "$bridge"; wait "$bridge" 2>/dev/null || true; fi
  rm -f "$dir/bridge.pid"
  "$root/docker/slapd.sh" stop "$dir/slapd" || true
  [ -z "${serving:-}" ] || { echo; echo "Stopped. The state is in $dir."; code=0; }
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

old=$(cat "$dir/bridge.pid" 2>/dev/null || true)
if [ -n "$old" ] && tr '\0' '\n' <"/proc/$old/cmdline" 2>/dev/null | grep -qxF "$dir/scimbridge.toml"; then
  stop_bridge "$old"
fi
[ -n "${KEEP:-}" ] || rm -f "$dir/scimbridge.db" "$dir/scimbridge.db-wal" "$dir/scimbridge.db-shm" "$dir/runs"
run=$(($(cat "$dir/runs" 2>/dev/null || echo 0) + 1))
echo "$run" >"$dir/runs"

# --- the directory

heading "A directory with $people people"
if [ "$dir/company" -ot docker/company.rs ] || [ ! -x "$dir/company" ]; then
  rustc --edition 2024 -O docker/company.rs -o "$dir/company"
fi
"$dir/company" "$people" >"$dir/company.ldif"
ldap=$("$root/docker/slapd.sh" start "$dir/slapd" "$dir/company.ldif" 8>&-) || die "slapd does not start"
echo "slapd (OpenLDAP) at $ldap, base ou=people,dc=example,dc=org"
echo "look into it:  ldapsearch -x -H $ldap -D cn=reader,ou=services,dc=example,dc=org -w secret -b dc=example,dc=org '(uid=amelie.dubois)'"

# --- the configuration

heading "The configuration: $dir/scimbridge.toml"
"$scimbridge" token new --name demo >"$dir/token.new" || die "no token was made"
digest=$(grep -oE '[0-9a-f]{64}' "$dir/token.new" | head -n 1)
# The token is the one word whose SHA-256 the table holds.
token=
for word in $(tr '"' ' ' <"$dir/token.new"); do
  [ "$(printf %s "$word" | sha256sum)" != "$digest  -" ] || token=$word
done
rm -f "$dir/token.new"
[ -n "$token" ] || die "scimbridge token new printed no token that fits its digest"
printf 'header = "Authorization: Bearer %s"\n' "$token" >"$dir/curl"
chmod 600 "$dir/curl"
cat >"$dir/scimbridge.toml" <<CONF
[server]
listen = "127.0.0.1:0"

[store]
url = "sqlite:scimbridge.db"

[[tenant]]
name = "acme"

[[tenant.token]]
name = "demo"
sha256 = "$digest"
permissions = ["users:*", "groups:read"]

[[tenant.repository]]
id = "corp"
urls = ["$ldap"]
bind_dn = "cn=reader,ou=services,dc=example,dc=org"
bind_password = "secret"
base = "ou=people,dc=example,dc=org"
filter = "(objectClass=inetOrgPerson)"
mapping = "openldap"
CONF
sed 's/^/   /' "$dir/scimbridge.toml"

heading "scimbridge check"
"$scimbridge" check --config "$dir/scimbridge.toml" || die "the check found something broken"

# --- the bridge

heading "scimbridge serve"
"$scimbridge" serve --config "$dir/scimbridge.toml" >"$dir/out" 2>"$dir/log" 8>&- &
bridge=$!
echo "$bridge" >"$dir/bridge.pid"
url=
for _ in $(seq 600); do
  url=$(sed -n 's/^listening on //p' "$dir/out")
  [ -z "$url" ] || break
  kill -0 "$bridge" 2>/dev/null || { tail -n 20 "$dir/log" >&2; die "the bridge does not start"; }
  sleep 0.05
done
[ -n "$url" ] || die "the bridge does not say where it listens; see $dir/log"
base=$url/scim/acme/v2
echo "listening on $url; its log is $dir/log"
echo "Below, \$BASE is $base, and every request has the header Authorization: Bearer \$TOKEN."

# Shows a curl command and runs it; the answer is in $dir/answer and, laid flat, in $dir/flat.
ask() { # STATUS ARGUMENTS
  local expected=$1 word shown=
  shift
  for word in "$@"; do
    case $word in
      "$base"*) word="\$BASE${word#"$base"}" ;;
      *[!A-Za-z0-9_=/.-]*) word="'$word'" ;;
    esac
    shown="$shown $word"
  done
  printf '$ curl%s\n' "$shown"
  status=$(curl -sS --noproxy '*' -K "$dir/curl" -o "$dir/answer" -w '%{http_code}' "$@") ||
    die "the bridge does not answer; see $dir/log"
  awk -f docker/json.awk "$dir/answer" >"$dir/flat"
  if [ "$status" != "$expected" ]; then
    cat "$dir/answer" >&2
    die "answered $status, not $expected"
  fi
  echo "  $status"
}

# One member of the last answer.
field() { awk -F '\t' -v path="$1" '$1 == path { print $2; exit }' "$dir/flat"; }

# The last answer as a resource, without its schemas; long values are cut.
show_resource() {
  grep -v '^schemas' "$dir/flat" | awk -F '\t' '{
    sub(/^urn:[^\t]*:/, "", $1)
    if (length($2) > 90) $2 = substr($2, 1, 80) "..."
    printf "  %-28s %s\n", $1, $2
  }'
}

# The last answer as a list: who is in it, and what the repositories reported.
show_list() {
  awk -F '\t' '
    function cell(text, width,   seen) {
      seen = text
      gsub(/[\200-\277]/, "", seen)
      while (length(seen) < width) { text = text " "; seen = seen " " }
      return text " "
    }
    function row(a, b, c, d) { print "  " cell(a, 11) cell(b, 20) cell(c, 26) d }
    match($1, /^Resources\.[0-9]+\./) {
      n = substr($1, 11, RLENGTH - 11) + 0
      if (n >= people) people = n + 1
      value[n, substr($1, RLENGTH + 1)] = $2
    }
    $1 == "totalResults" { total = $2 }
    match($1, /Repositories\.[0-9]+\./) {
      report[substr($1, RSTART + 13, RLENGTH - 14) + 0, substr($1, RSTART + RLENGTH)] = $2
    }
    END {
      row("userType", "userName", "displayName", "id")
      for (n = 0; n < people && n < 25; n++)
        row(value[n, "userType"], value[n, "userName"], value[n, "displayName"], value[n, "id"])
      if (people > 25) print "  ... and " people - 25 " more"
      print "  total " total
      for (n = 0; (n, "id") in report; n++)
        print "  repository " report[n, "id"] ": " report[n, "state"] ", found " report[n, "found"]
    }' "$dir/flat"
}

# --- what it does

suffix=
[ "$run" -eq 1 ] || suffix=$run
heading "1. A local user, who is in no directory"
ask 201 -X POST "$base/Users" -H 'Content-Type: application/scim+json' -d "{
  \"schemas\": [\"urn:ietf:params:scim:schemas:core:2.0:User\"],
  \"userName\": \"aurore.dubois$suffix\", \"displayName\": \"Aurore Dubois (visitor)\",
  \"name\": {\"givenName\": \"Aurore\", \"familyName\": \"Dubois\"},
  \"emails\": [{\"type\": \"work\", \"value\": \"aurore$suffix@visitors.example\"}]}"
show_resource

search() {
  ask 200 -G "$base/Users" --data-urlencode 'filter=name.familyName eq "Dubois"' -d searchRepositories=true
  show_list
}
heading "2. Everybody called Dubois: local people and people of the directory in one list"
search
for kind in FTRESS LDAP; do
  grep -q "userType	$kind\$" "$dir/flat" || die "nobody of type $kind is in the list"
done
index=$(awk -F '\t' '$1 ~ /\.userType$/ && $2 == "LDAP" { split($1, part, "."); print part[2]; exit }' "$dir/flat")
id=$(field "Resources.$index.id")
name=$(field "Resources.$index.userName")

heading "3. $name is LDAP: found in the directory, not bound, nothing of that person is stored here"
ask 200 "$base/Users/$id"
show_resource

heading "4. The first write binds $name; the nickname is ours, the rest stays the directory's"
ask 200 -X PATCH "$base/Users/$id" -H 'Content-Type: application/scim+json' -d '{
  "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
  "Operations": [{"op": "replace", "path": "nickName", "value": "Mel"}]}'
show_resource
[ "$(field userType)" = FTRESS_LDAP ] || die "the person is not bound"
[ "$(field id)" = "$id" ] || die "the person has another id now"

heading "5. The same search again: $name is FTRESS_LDAP now, under the same id"
search
awk -F '\t' -v id="$id" '
  $1 ~ /^Resources\.[0-9]+\.(id|userType)$/ { split($1, part, "."); value[part[2], part[3]] = $2; last = part[2] }
  END { for (n = 0; n <= last; n++) if (value[n, "id"] == id && value[n, "userType"] == "FTRESS_LDAP") exit 0; exit 1 }
' "$dir/flat" || die "the list does not show the person as FTRESS_LDAP"

heading "Now you"
cat <<TXT
BASE=$base
TOKEN=$token
curl -H "Authorization: Bearer \$TOKEN" "\$BASE/Users?count=3"
curl -H "Authorization: Bearer \$TOKEN" -G "\$BASE/Users" -d searchRepositories=true --data-urlencode 'filter=userName eq "u0000042"'
curl -H "Authorization: Bearer \$TOKEN" -G "\$BASE/Users" -d searchRepositories=true --data-urlencode 'filter=emails.value sw "weiss" and title co "Engineer"'
curl "\$BASE/ServiceProviderConfig"
TXT

[ -z "${DEMO_ONCE:-}" ] || exit 0
echo
echo "Serving until Ctrl-C."
serving=1
wait "$bridge" && code=0 || code=$?
serving=
bridge=
tail -n 20 "$dir/log" >&2
die "the bridge ended by itself with code $code"
