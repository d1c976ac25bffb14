#!/usr/bin/env bash
# A private 389 Directory Server on loopback, for the tests.
#
#   389ds.sh start DIR LDIF    makes an instance in DIR with LDIF loaded, starts it, waits until it answers,
#                              prints its URL; one that runs already is left alone
#   389ds.sh stop DIR          stops the one that was started in DIR, and nothing else
#
# Environment: SUFFIX (dc=example,dc=org). PORT: a free one is picked where unset, and kept in DIR/port.
# The instance is made from the package's own template and needs neither systemd nor a tool of the system.
# Accounts: "cn=Directory Manager" (everything; "secret") and whoever LDIF holds. memberOf is kept up to
# date; the changelog (cn=changelog) and persistent search are on.
set -euo pipefail
export LC_ALL=C LDAPNOINIT=1 PATH=$PATH:/usr/sbin:/sbin

die() { echo "389ds.sh: $*" >&2; exit 1; }
[ $# -ge 2 ] || die "usage: 389ds.sh start DIR LDIF | stop DIR"
action=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)
suffix=${SUFFIX:-dc=example,dc=org}
templates=/usr/share/dirsrv/data

# The process of the pid file, only while it is really the server of this directory.
running() {
  local pid
  pid=$(cat "$dir/run/slapd.pid" 2>/dev/null) && [ -n "$pid" ] || return 1
  tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF "$dir/conf" || return 1
  echo "$pid"
}

stop() {
  local pid
  if pid=$(running); then
    kill -CONT "$pid" 2>/dev/null || true
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 200); do running >/dev/null || break; sleep 0.05; done
    if running >/dev/null; then kill -KILL "$pid" 2>/dev/null || true; fi
  fi
  rm -f "$dir/run/slapd.pid"
}

# dse.ldif holds the whole configuration; the server goes on to write it.
configuration() {
  local port=$1 changed=$dir/changed.ldif password
  # A password in clear text is refused here.
  password=$( (printf 'secretsalt' | openssl dgst -sha1 -binary; printf 'salt') | base64)
  sed -e "s#%schema_dir%#$dir/conf/schema#; s#%lock_dir%#$dir/lock#; s#%tmp_dir%#$dir/tmp#; s#%cert_dir%#$dir/conf#" \
      -e "s#%ldif_dir%#$dir/tmp#; s#%bak_dir%#$dir/tmp#; s#%run_dir%#$dir/run#; s#%inst_dir%#$dir/run#" \
      -e "s#%log_dir%#$dir/log#; s#%config_dir%#/etc/dirsrv/config#; s#%db_dir%#$dir/db#; s#%db_home_dir%#$dir/db#" \
      -e "s#%db_lib%#bdb#; s#%fqdn%#localhost#; s#%ds_port%#$port#; s#%ds_user%#$user#; s#%rootdn%#cn=Directory Manager#" \
      -e "s#^nsslapd-rootpw:.*#nsslapd-rootpwstoragescheme: SSHA\nnsslapd-rootpw: {SSHA}$password#; s#%ldapi_enabled%#off#; s#%ldapi%#$dir/run/ldapi#; s#%ldapi_autobind%#off#" \
      -e "s#%ds_suffix%#$suffix#; s#%ds_bename%#userRoot#" \
      -e 's#^nsslapd-port:.*#&\nnsslapd-listenhost: 127.0.0.1\nnsslapd-errorlog-level: 16384#' \
      "$templates/template-dse.ldif" >"$changed"
  # The plug-ins that tests rely on.
  awk -v RS= -v ORS='\n\n' '
    /^dn: cn=(MemberOf Plugin|Retro Changelog Plugin|referential integrity postoperation|Content Synchronization),/ {
      sub(/nsslapd-pluginenabled: off/, "nsslapd-pluginenabled: on")
      if (/MemberOf/) $0 = $0 "\nmemberOfAutoAddOC: nsMemberOf"
      if (/Retro/) $0 = $0 "\nnsslapd-attribute: nsuniqueid:targetUniqueId"
    }
    { print }' "$changed" >"$dir/conf/dse.ldif"
  sed -e "s#%ds_suffix%#$suffix#; s#%ds_bename%#userRoot#; s#%db_dir%#$dir/db#" \
    "$templates/template-suffix-db.ldif" >>"$dir/conf/dse.ldif"
  rm -f "$changed"
}

instance() {
  local ldif=$1 port=$2
  rm -rf "$dir"/{conf,lock,tmp,run,log,db,loaded}
  mkdir -p "$dir"/{conf/schema,lock,tmp,run,log,db}
  cp /etc/dirsrv/schema/99user.ldif "$dir/conf/schema/"
  user=$(id -un)
  if [ "$user" = root ]; then user=dirsrv; fi
  configuration "$port"
  cp "$ldif" "$dir/data.ldif"
  if [ "$(id -u)" -eq 0 ]; then chown -R dirsrv: "$dir"/{conf,lock,tmp,run,log,db,data.ldif}; fi
  ns-slapd ldif2db -D "$dir/conf" -n userRoot -i "$dir/data.ldif" >"$dir/load.log" 2>&1 ||
    { tail -n 5 "$dir/load.log" >&2; die "the server refused $ldif; see $dir/load.log"; }
  touch "$dir/loaded"
}

answers() { ldapsearch -x -H "ldap://127.0.0.1:$1" -s base -b '' 1.1 >/dev/null 2>&1; }

start() {
  local ldif=$1 port
  if running >/dev/null; then echo "ldap://127.0.0.1:$(cat "$dir/port")"; return; fi
  for attempt in $(seq 5); do
    port=${PORT:-$(cat "$dir/port" 2>/dev/null || echo $((10240 + (RANDOM * 32768 + RANDOM) % 22000)))}
    if [ ! -e "$dir/loaded" ] || [ "$(cat "$dir/port" 2>/dev/null)" != "$port" ]; then instance "$ldif" "$port"; fi
    echo "$port" >"$dir/port"
    ns-slapd -D "$dir/conf" -i "$dir/run/slapd.pid" >"$dir/server.log" 2>&1 </dev/null || true
    for _ in $(seq 200); do
      if running >/dev/null && answers "$port"; then echo "ldap://127.0.0.1:$port"; return; fi
      if grep -qs 'createprlistensockets.*failed' "$dir/log/errors"; then break; fi
      sleep 0.05
    done
    stop
    [ -z "${PORT:-}" ] || break
    rm -f "$dir/port"
  done
  tail -n 5 "$dir/log/errors" >&2 || true
  die "the server does not answer on port $port; see $dir/log/errors"
}

case $action in
  start) [ $# -eq 3 ] || die "usage: 389ds.sh start DIR LDIF"; start "$3" ;;
  stop) stop ;;
  *) die "unknown action $action" ;;
esac
