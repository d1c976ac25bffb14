#!/usr/bin/env bash
# A private Samba AD DC on a loopback address of its own, for the tests of Active Directory.
#
#   samba.sh start DIR LDIF    makes a domain in DIR with LDIF loaded, starts its LDAP server, waits until
#                              it answers, prints its URL; one that runs already is left alone
#   samba.sh stop DIR          stops the one that was started in DIR, and nothing else
#
# Needs root: the ports of a domain controller (389, 636, 3268) are compiled in, so that each gets an
# address 127.89.0.N instead of a port; a lock, held while it runs, keeps others from the address.
# The domain is DC=ad,DC=example,DC=org with Administrator@ad.example.org, "Passw0rd-Admin"; DIR/ca.pem
# signed the certificate. LDIF adds to it, in one transaction. ADDRESS: the address to take.
set -euo pipefail
export LC_ALL=C LDAPNOINIT=1 PATH=$PATH:/usr/sbin:/sbin

die() { echo "samba.sh: $*" >&2; exit 1; }
[ $# -ge 2 ] || die "usage: samba.sh start DIR LDIF | stop DIR"
action=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)

# The process of the pid file, only while it is really the samba of this directory: it gives itself
# another command line, but stays where it was started.
running() {
  local pid
  pid=$(cat "$dir/samba.pid" 2>/dev/null) && [ -n "$pid" ] || return 1
  [ "$(readlink "/proc/$pid/cwd")" = "$dir" ] || return 1
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
  rm -f "$dir/samba.pid"
}

certificates() {
  {
    openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=Example AD CA" -keyout "$dir/ca.key" -out "$dir/ca.pem"
    openssl req -newkey rsa:2048 -nodes -subj "/CN=dc1.ad.example.org" -keyout "$dir/server.key" -out "$dir/server.csr"
    printf 'subjectAltName=DNS:dc1.ad.example.org,DNS:localhost,IP:%s\nextendedKeyUsage=serverAuth\n' "$1" >"$dir/server.ext"
    openssl x509 -req -in "$dir/server.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial \
      -days 3650 -extfile "$dir/server.ext" -out "$dir/server.pem"
    chmod 600 "$dir/server.key"
  } >"$dir/openssl.log" 2>&1 || die "openssl failed; see $dir/openssl.log"
}

configuration() {
  cat <<CONF
[global]
  netbios name = DC1
  realm = AD.EXAMPLE.ORG
  workgroup = EXAMPLE
  server role = active directory domain controller
  server services = ldap
  interfaces = $1/8
  bind interfaces only = yes
  ldap server require strong auth = no
  tls enabled = yes
  tls keyfile = $dir/server.key
  tls certfile = $dir/server.pem
  tls cafile = $dir/ca.pem
  private dir = $dir/private
  state directory = $dir/state
  cache directory = $dir/cache
  lock directory = $dir/lock
  pid directory = $dir/run
  ncalrpc dir = $dir/ncalrpc
  binddns dir = $dir/bind-dns
  log file = $dir/log/samba
  logging = file
CONF
}

# The domain and then LDIF, in one transaction and with passwords: no server runs yet. Files that it
# would share (SYSVOL) need rights that only a file server can set, and are left without.
provision() {
  /usr/bin/python3 - "$dir" "$1" "$2" <<'PY'
import logging
import sys
import ldb
from samba.auth import system_session
from samba.dsdb import DS_DOMAIN_FUNCTION_2008_R2
from samba.param import LoadParm
from samba.provision import provision
from samba.samdb import SamDB

directory, address, ldif = sys.argv[1:]
parameters = LoadParm()
parameters.load(directory + "/etc/first.conf")
provision(
    logging.getLogger(), system_session(), smbconf=directory + "/etc/first.conf", targetdir=directory,
    realm="AD.EXAMPLE.ORG", domain="EXAMPLE", hostname="dc1", hostip=address, serverrole="dc",
    adminpass="Passw0rd-Admin", dns_backend="NONE", dom_for_fun_level=DS_DOMAIN_FUNCTION_2008_R2,
    lp=parameters, skip_sysvolacl=True, batch_mode=True)
parameters = LoadParm()
parameters.load(directory + "/etc/first.conf")
parameters.set("private dir", directory + "/private")
sam = SamDB(url=directory + "/private/sam.ldb", session_info=system_session(), lp=parameters)
sam.transaction_start()
for kind, entry in sam.parse_ldif(open(ldif, encoding="utf-8").read()):
    if kind == ldb.CHANGETYPE_MODIFY:
        sam.modify(entry)
    else:
        sam.add(entry)
sam.transaction_commit()
PY
}

domain() {
  local address=$1 ldif=$2
  rm -rf "$dir"/{etc,private,state,cache,bind-dns,run,lock,log,ncalrpc,loaded}
  mkdir -p "$dir"/{etc,cache,lock,run,log,ncalrpc}
  printf '[global]\n  netbios name = DC1\n' >"$dir/etc/first.conf"
  certificates "$address"
  provision "$address" "$ldif" >"$dir/provision.log" 2>&1 ||
    { tail -n 5 "$dir/provision.log" >&2; die "no domain was made of $ldif; see $dir/provision.log"; }
  configuration "$address" >"$dir/etc/smb.conf"
  echo "$address" >"$dir/loaded"
}

answers() { ldapsearch -x -H "ldap://$1" -s base -b '' 1.1 >/dev/null 2>&1; }

# Takes the first address that nobody holds; file descriptor 9 holds it from then on.
take_address() {
  local number
  mkdir -p /run/lock/scimbridge-samba
  for number in ${ADDRESS:+"${ADDRESS##*.}"} $(seq 1 250); do
    exec 9>"/run/lock/scimbridge-samba/$number"
    if flock -n 9; then address=127.89.0.$number; return; fi
    [ -z "${ADDRESS:-}" ] || die "the address $ADDRESS is taken"
  done
  die "every address is taken"
}

start() {
  local ldif=$1 address
  [ "$(id -u)" -eq 0 ] || die "only root may listen on port 389"
  if running >/dev/null; then echo "ldap://$(cat "$dir/loaded")"; return; fi
  # A domain stays at its address: its certificate names it.
  ADDRESS=$(cat "$dir/loaded" 2>/dev/null || echo "${ADDRESS:-}")
  take_address
  [ -e "$dir/loaded" ] || domain "$address" "$ldif"
  # It inherits the lock, and gives the address back when it ends, however it ends.
  cd "$dir"
  setsid samba -s "$dir/etc/smb.conf" -F --no-process-group -M single -d1 </dev/null >"$dir/log/output" 2>&1 &
  echo $! >"$dir/samba.pid"
  for _ in $(seq 300); do
    running >/dev/null || break
    if answers "$address"; then echo "ldap://$address"; return; fi
    sleep 0.05
  done
  tail -n 5 "$dir/log/samba" "$dir/log/output" >&2 || true
  stop
  die "samba does not answer at $address; see $dir/log"
}

case $action in
  start) [ $# -eq 3 ] || die "usage: samba.sh start DIR LDIF"; start "$3" ;;
  stop) stop ;;
  *) die "unknown action $action" ;;
esac
