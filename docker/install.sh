#!/usr/bin/env bash
# Installs from Debian what is missing of the packages named, and nothing else: install.sh slapd curl …
#
# Nothing that it installs starts by itself: a slapd of the system's own would listen on all addresses,
# and a PostgreSQL cluster of the system's own would be made only to run.
# As another user than root it names what is missing, and stops.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C DEBIAN_FRONTEND=noninteractive

# Whether what the package is needed for is there, however it came.
present() {
  case $1 in
    postgresql) compgen -G '/usr/lib/postgresql/*/bin/initdb' || command -v initdb ;;
    slapd) command -v slapd && [ -e /etc/ldap/schema/core.schema ] ;;
    ldap-utils) command -v ldapsearch && command -v ldapmodify ;;
    gcc) command -v cc ;;
    libc6-dev) [ -e /usr/include/stdio.h ] ;;
    ca-certificates) [ -e /etc/ssl/certs/ca-certificates.crt ] ;;
    389-ds-base) command -v ns-slapd && [ -e /usr/share/dirsrv/data/template-dse.ldif ] ;;
    samba-ad-provision) [ -e /usr/share/samba/setup/provision.ldif ] ;;
    samba-dsdb-modules) compgen -G '/usr/lib/*/samba/ldb/samldb.so' ;;
    python3-samba) [ -e /usr/lib/python3/dist-packages/samba/__init__.py ] ;;
    *) command -v "$1" ;;
  esac >/dev/null
}

find_missing() {
  missing=()
  for package in "$@"; do present "$package" || missing+=("$package"); done
}

find_missing "$@"
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo "missing packages: ${missing[*]}; as root: apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi
if ! command -v apt-get >/dev/null; then
  echo "missing: ${missing[*]}; this machine has no apt-get to install them with" >&2
  exit 1
fi

# One at a time: whoever ends first must not take the policy away from the other.
exec 9>/var/lock/scimbridge-install
flock 9
find_missing "$@"
[ ${#missing[@]} -gt 0 ] || exit 0
echo "installing ${missing[*]}"

policy=/usr/sbin/policy-rc.d
saved=
clusters=/etc/postgresql-common/createcluster.d/scimbridge.conf
restore() {
  rm -f "$clusters"
  if [ -n "$saved" ]; then mv -f "$saved" "$policy"; elif [ -n "${ours:-}" ]; then rm -f "$policy"; fi
}
trap restore EXIT
trap 'exit 1' INT TERM HUP
if [ "$("$policy" slapd start >/dev/null 2>&1; echo $?)" != 101 ]; then
  if [ -e "$policy" ]; then saved=$policy.before-scimbridge; mv -f "$policy" "$saved"; fi
  ours=1
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
elif grep -qs '^# scimbridge' "$policy"; then
  ours=1 # left behind by one that was killed
fi
[ -z "${ours:-}" ] || printf '# scimbridge: for the time of an installation\n' >>"$policy"

if [[ " ${missing[*]} " = *" postgresql "* ]]; then
  mkdir -p "${clusters%/*}"
  echo "create_main_cluster = off" >"$clusters"
fi

log=$(mktemp)
# The lists have a lock of their own, for which apt-get does not wait.
updated=
for _ in $(seq 60); do
  if apt-get -q update >"$log" 2>&1; then updated=1; break; fi
  grep -q 'Could not get lock' "$log" || break
  sleep 5
done
# Without fresh lists the old ones may do.
[ -n "$updated" ] || { echo "apt-get update failed:" >&2; tail -n 5 "$log" >&2; }
if ! apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "${missing[@]}" >"$log" 2>&1; then
  tail -n 15 "$log" >&2
  echo "apt-get could not install ${missing[*]}; all it said is in $log" >&2
  exit 1
fi
rm -f "$log"
find_missing "$@"
[ ${#missing[@]} -eq 0 ] || { echo "still missing after the installation: ${missing[*]}" >&2; exit 1; }
