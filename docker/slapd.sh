#!/usr/bin/env bash
# A private slapd on loopback, for the demonstration and the tests.
#
#   slapd.sh start DIR LDIF    starts it with LDIF loaded (again only where LDIF changed), waits until
#                              it answers, prints its URL; one that runs already is left alone
#   slapd.sh stop DIR          stops the one that was started in DIR, and nothing else
#
# Environment: SUFFIX (dc=example,dc=org). PORT: a free one is picked where unset, and kept in DIR/port.
# EXTRA: a file of slapd.conf lines that stand before the rights and limits of this file, and so win; those
# that begin with ppolicy_ go to that overlay.
# TLS=1: makes a private CA (DIR/ca.pem) and adds StartTLS, and ldaps on the next port.
# Accounts: cn=admin,SUFFIX (everything) and, from LDIF, cn=reader,ou=services,SUFFIX; both "secret".
set -euo pipefail
export LC_ALL=C LDAPNOINIT=1 PATH=$PATH:/usr/sbin:/sbin

die() { echo "slapd.sh: $*" >&2; exit 1; }
[ $# -ge 2 ] || die "usage: slapd.sh start DIR LDIF | stop DIR"
action=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)
suffix=${SUFFIX:-dc=example,dc=org}

# The process of the pid file, only while it is really the slapd of this directory.
running() {
  local pid
  pid=$(cat "$dir/slapd.pid" 2>/dev/null) && [ -n "$pid" ] || return 1
  tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF "$dir/slapd.conf" || return 1
  echo "$pid"
}

stop() {
  local pid
  if pid=$(running); then
    kill -CONT "$pid" 2>/dev/null || true
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 100); do running >/dev/null || break; sleep 0.05; done
    if running >/dev/null; then kill -KILL "$pid" 2>/dev/null || true; fi
  fi
  rm -f "$dir/slapd.pid"
}

certificates() {
  [ -s "$dir/server.pem" ] && return
  local key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
  {
    openssl req -x509 "${key[@]}" -days 3650 -subj "/CN=Example CA" -keyout "$dir/ca.key" -out "$dir/ca.pem"
    openssl req "${key[@]}" -subj "/CN=localhost" -keyout "$dir/server.key" -out "$dir/server.csr"
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n' >"$dir/server.ext"
    openssl x509 -req -in "$dir/server.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial \
      -days 3650 -extfile "$dir/server.ext" -out "$dir/server.pem"
  } >"$dir/openssl.log" 2>&1 || die "openssl failed; see $dir/openssl.log"
}

configuration() {
  printf 'include /etc/ldap/schema/%s.schema\n' core cosine inetorgperson nis
  cat <<CONF
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload back_monitor
moduleload memberof
moduleload ppolicy
pidfile $dir/slapd.pid
argsfile $dir/slapd.args
loglevel none
sizelimit 500
CONF
  if [ -n "${TLS:-}" ]; then
    printf 'TLSCACertificateFile %s\nTLSCertificateFile %s\nTLSCertificateKeyFile %s\n' \
      "$dir/ca.pem" "$dir/server.pem" "$dir/server.key"
  fi
  cat <<CONF
database monitor
access to * by * read
database mdb
suffix "$suffix"
rootdn "cn=admin,$suffix"
rootpw secret
directory $dir/db
maxsize 4294967296
envflags nosync
index objectClass eq
index uid,employeeNumber,manager,member,memberOf,entryUUID eq
index cn,sn,givenName,displayName,mail eq,sub
CONF
  if [ -n "${EXTRA:-}" ]; then sed '/^ppolicy_/d' "$EXTRA"; fi
  cat <<CONF
access to attrs=userPassword by self write by anonymous auth by * none
access to * by dn.exact="cn=reader,ou=services,$suffix" read by self read by * auth
limits dn.exact="cn=reader,ou=services,$suffix" size=unlimited time=unlimited
overlay memberof
memberof-group-oc groupOfNames
memberof-dangling ignore
overlay ppolicy
ppolicy_default "cn=ppolicy,ou=services,$suffix"
CONF
  if [ -n "${EXTRA:-}" ]; then sed -n '/^ppolicy_/p' "$EXTRA"; fi
}

load() {
  local ldif=$1 sum
  sum=$(cksum <"$ldif")
  if [ "$(cat "$dir/loaded" 2>/dev/null)" = "$sum" ]; then return; fi
  rm -rf "$dir/db" "$dir/loaded"
  mkdir -p "$dir/db"
  slapadd -q -f "$dir/slapd.conf" -b "$suffix" -l "$ldif" >"$dir/slapadd.log" 2>&1 ||
    { tail -n 5 "$dir/slapadd.log" >&2; die "slapadd refused $ldif; see $dir/slapadd.log"; }
  echo "$sum" >"$dir/loaded"
}

answers() { ldapsearch -x -H "ldap://127.0.0.1:$1" -s base -b '' 1.1 >/dev/null 2>&1; }

start() {
  local ldif=$1 port urls given
  if running >/dev/null; then echo "ldap://127.0.0.1:$(cat "$dir/port")"; return; fi
  if [ -n "${TLS:-}" ]; then certificates; fi
  configuration >"$dir/slapd.conf"
  load "$ldif"
  given=${PORT:-$(cat "$dir/port" 2>/dev/null || true)}
  for attempt in $(seq 40); do
    # Below the range that the kernel hands out to clients; slapd itself says whether it is free.
    port=${given:-$((10240 + (RANDOM * 32768 + RANDOM) % 22000))}
    urls="ldap://127.0.0.1:$port/"
    if [ -n "${TLS:-}" ]; then urls="$urls ldaps://127.0.0.1:$((port + 1))/"; fi
    if slapd -f "$dir/slapd.conf" -h "$urls" -s 0 >"$dir/slapd.log" 2>&1 </dev/null; then
      echo "$port" >"$dir/port"
      for _ in $(seq 200); do
        if running >/dev/null && answers "$port"; then echo "ldap://127.0.0.1:$port"; return; fi
        sleep 0.05
      done
      stop
      die "slapd does not answer on port $port; see $dir/slapd.log"
    fi
    # The port of the last time may be somebody else's by now; a port that was asked for is kept to.
    if [ -z "${PORT:-}" ]; then given=; fi
    [ "$attempt" -lt 40 ] && [ -z "${PORT:-}" ] || break
  done
  slaptest -u -f "$dir/slapd.conf" >"$dir/slapd.log" 2>&1 ||
    { tail -n 5 "$dir/slapd.log" >&2; die "slapd refuses $dir/slapd.conf"; }
  die "slapd does not start on $urls: is the port taken?"
}

case $action in
  start) [ $# -eq 3 ] || die "usage: slapd.sh start DIR LDIF"; start "$3" ;;
  stop) stop ;;
  *) die "unknown action $action" ;;
esac
