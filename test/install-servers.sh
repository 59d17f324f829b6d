#!/bin/sh
# Installs the real servers and clients that the tests run against; does nothing when all are there.
# dovecot: the legacy server, and the judge of the Maildirs we write; isync, offlineimap, mutt, curl and
# fetchmail: the clients that must not notice anything; python3: imaplib and poplib; openssl: certificates.
set -eu

missing=""
need() { # need PACKAGE FILE-OR-COMMAND
  case "$2" in
    /*) [ -x "$2" ] || missing="$missing $1" ;;
    *) command -v "$2" >/dev/null 2>&1 || missing="$missing $1" ;;
  esac
}

PATH="$PATH:/usr/sbin:/sbin"
need dovecot-imapd /usr/lib/dovecot/imap
need dovecot-pop3d /usr/lib/dovecot/pop3
need isync mbsync
need offlineimap3 offlineimap
need fetchmail fetchmail
need mutt mutt
need curl curl
need python3 python3
need openssl openssl

[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "The tests need these Debian packages (or the same programs from elsewhere):$missing" >&2
  echo "Install them, for example with: sudo apt-get install --no-install-recommends$missing" >&2
  exit 1
fi

echo "Installing for the tests:$missing" >&2

# The packages would start their daemons on the standard ports; the tests start private ones.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # a list of words
apt-get install -y -qq --no-install-recommends $missing
