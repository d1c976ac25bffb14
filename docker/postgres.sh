#!/usr/bin/env bash
# A private PostgreSQL on loopback, for tests and for trying things out.
#
#   postgres.sh start DIR    starts it, waits until it answers, prints its URL; the same again for one
#                            that runs already or was stopped or killed
#   postgres.sh stop DIR     stops the one that was started in DIR, and nothing else
#   postgres.sh run DIR      starts it, prints its URL, and waits until its own standard input ends;
#                            then stops it and removes all that it made
#
# Environment: PORT: a free one is picked where unset, and kept in DIR/port. TLS=1: makes a private CA
# (DIR/ca.pem) and takes connections with TLS and without.
#
# PostgreSQL refuses to run as root: for root it runs as the user postgres, or as nobody. Where that
# user may not enter DIR, the data are below /tmp, and DIR/place says where. The database sorts by the
# rules of American English where PostgreSQL can do so without help, so that whatever relies on the
# order of bytes has to say so. Commits reach the system and not the disk: they outlast a killed
# server, and not a power failure. Roles: scimbridge (may create databases), postgres; both "secret".
set -euo pipefail
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin

die() { echo "postgres.sh: $*" >&2; exit 1; }
[ $# -eq 2 ] || die "usage: postgres.sh start DIR | stop DIR | run DIR"
action=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1 || true)
if [ -z "$bin" ]; then
  initdb=$(command -v initdb) || die "PostgreSQL is missing; as root: docker/install.sh postgresql"
  bin=$(dirname "$initdb")
fi
user=
if [ "$(id -u)" -eq 0 ]; then
  user=nobody
  if id postgres >/dev/null 2>&1; then user=postgres; fi
fi
# As the server's user, from a directory that everybody may be in.
as() (
  cd /
  if [ -n "$user" ]; then exec runuser -u "$user" -- "$@"; fi
  exec "$@"
)

place=$(cat "$dir/place" 2>/dev/null || true)

server() { as "$bin/pg_ctl" -D "$place/data" "$@"; }

# Whether it runs: not what its pid file says, since a process that was killed keeps its number until
# somebody has waited for it.
running() {
  local pid
  pid=$(head -n 1 "$place/data/postmaster.pid" 2>/dev/null) && [ -n "$pid" ] || return 1
  tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF "$place/data"
}

stop() {
  [ -n "$place" ] && running || return 0
  server -m fast -t 20 -w stop >/dev/null 2>&1 || server -m immediate -t 10 -w stop >/dev/null 2>&1 || true
}

# A directory that the server's user may write to.
find_place() {
  [ -z "$place" ] || return 0
  place=$dir/server
  mkdir -p "$place"
  if [ -n "$user" ]; then chown "$user" "$place"; fi
  chmod 700 "$place"
  if ! as test -w "$place"; then
    rmdir "$place"
    place=$(as mktemp -d /tmp/scimbridge-postgres.XXXXXXXX)
  fi
  echo "$place" >"$dir/place"
}

create() {
  [ ! -e "$place/created" ] || return 0
  as rm -rf "$place/data"
  local locale=(--encoding=UTF8 --locale=C)
  if "$bin/initdb" --help | grep -q icu-locale; then
    locale=(--encoding=UTF8 --locale=C --locale-provider=icu --icu-locale=en-US)
  fi
  echo secret | as tee "$place/password" >/dev/null
  as "$bin/initdb" -D "$place/data" -U postgres --pwfile="$place/password" --auth=scram-sha-256 \
    --no-sync "${locale[@]}" >"$dir/initdb.log" 2>&1 ||
    { tail -n 5 "$dir/initdb.log" >&2; die "initdb failed; see $dir/initdb.log"; }
  as tee -a "$place/data/postgresql.conf" >/dev/null <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
shared_buffers = 64MB
fsync = off
full_page_writes = off
logging_collector = off
CONF
  if [ -n "${TLS:-}" ]; then certificates; fi
  as touch "$place/created"
}

certificates() {
  local key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes) made=$dir/tls
  mkdir -p "$made"
  {
    openssl req -x509 "${key[@]}" -days 3650 -subj "/CN=Example CA" -keyout "$made/ca.key" -out "$dir/ca.pem"
    openssl req "${key[@]}" -subj "/CN=localhost" -keyout "$made/server.key" -out "$made/server.csr"
    printf 'subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n' >"$made/server.ext"
    openssl x509 -req -in "$made/server.csr" -CA "$dir/ca.pem" -CAkey "$made/ca.key" -CAcreateserial \
      -days 3650 -extfile "$made/server.ext" -out "$made/server.pem"
  } >"$dir/openssl.log" 2>&1 || die "openssl failed; see $dir/openssl.log"
  as tee "$place/data/server.crt" <"$made/server.pem" >/dev/null
  (umask 077; as tee "$place/data/server.key" <"$made/server.key" >/dev/null)
  echo "ssl = on" | as tee -a "$place/data/postgresql.conf" >/dev/null
}

ask() { PGPASSWORD=secret "$bin/psql" -q -X -h 127.0.0.1 -p "$1" -U postgres -d postgres -tAc "$2" </dev/null; }

# After the first start.
furnish() {
  [ "$(ask "$1" "SELECT COUNT(*) FROM pg_database WHERE datname = 'scimbridge'")" = 0 ] || return 0
  ask "$1" "CREATE ROLE scimbridge LOGIN CREATEDB PASSWORD 'secret'"
  ask "$1" "CREATE DATABASE scimbridge OWNER scimbridge"
}

start() {
  local port given
  find_place
  create
  given=${PORT:-$(cat "$dir/port" 2>/dev/null || true)}
  if ! running; then
    as rm -f "$place/data/postmaster.pid"
    for attempt in $(seq 40); do
      # Below the range that the kernel hands out to clients; the server itself says whether it is free.
      port=${given:-$((10240 + (RANDOM * 32768 + RANDOM) % 22000))}
      if server -o "-p $port" -l "$place/log" -w -t 30 start >/dev/null 2>&1 </dev/null; then
        echo "$port" >"$dir/port"
        break
      fi
      # What a killed server leaves behind goes in a moment; a port of the last time is kept to.
      sleep 0.25
      [ "$attempt" -lt 40 ] || { tail -n 5 "$place/log" >&2; die "PostgreSQL does not start; see $place/log"; }
    done
  fi
  port=$(cat "$dir/port")
  furnish "$port"
  echo "postgres://scimbridge:secret@127.0.0.1:$port/scimbridge"
}

case $action in
  start) start ;;
  stop) stop ;;
  run)
    # Whoever ends the tests from a terminal must not end this before it has cleaned up.
    trap '' INT TERM HUP
    start
    exec >/dev/null
    while read -r _; do :; done
    stop
    if [ -n "$place" ]; then as rm -rf "$place/data" "$place/log" "$place/password" "$place/created"; fi
    rm -rf "$place" "$dir"
    ;;
  *) die "unknown action $action" ;;
esac
