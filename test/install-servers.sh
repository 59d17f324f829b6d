#!/bin/sh
# Installs the real servers and clients that the tests run against; does nothing when all are there.
# dovecot: the legacy server, and the judge of the Maildirs we write; cyrus, courier, mailutils: other
# legacy servers;
# isync, offlineimap, mutt, curl, fetchmail, getmail and mpop: the clients that must not notice anything;
# python3: imaplib and poplib; openssl: certificates.
set -eu

missing=""
need() { # need PACKAGE FILE-OR-COMMAND; `*` may stand in the name of a file
  case "$2" in
    # shellcheck disable=SC2086 # a pattern
    /*) ls $2 >/dev/null 2>&1 || missing="$missing $1" ;;
    *) command -v "$2" >/dev/null 2>&1 || missing="$missing $1" ;;
  esac
}

PATH="$PATH:/usr/sbin:/sbin"
need dovecot-imapd /usr/lib/dovecot/imap
need dovecot-pop3d /usr/lib/dovecot/pop3
need isync mbsync
need offlineimap3 offlineimap
need fetchmail fetchmail
need getmail6 getmail
need mpop mpop
need mutt mutt
need curl curl
need python3 python3
need openssl openssl

# Debian has one IMAP server at a time. The others are unpacked to where test/helpers looks for them,
# and what they need is installed.
unpacked=/var/cache/mailferry-tests
to_unpack=""
for server in cyrus courier mailutils; do
  [ -d "$unpacked/$server" ] || to_unpack="$to_unpack $server"
done
cyrus="cyrus-common cyrus-imapd cyrus-pop3d"
need libical3 "/usr/lib/*/libical.so.3"
need libicu72 "/usr/lib/*/libicui18n.so.72"
need libjansson4 "/usr/lib/*/libjansson.so.4"
need libkrb5-3 "/usr/lib/*/libkrb5.so.3"
need libpcre3 "/usr/lib/*/libpcreposix.so.3"
need libpq5 "/usr/lib/*/libpq.so.5"
need libsasl2-2 "/usr/lib/*/libsasl2.so.2"
need libsasl2-modules "/usr/lib/*/sasl2/libplain.so"
need libsqlite3-0 "/usr/lib/*/libsqlite3.so.0"
need libssl3 "/usr/lib/*/libssl.so.3"
need libwrap0 "/usr/lib/*/libwrap.so.0"
need libxapian30 "/usr/lib/*/libxapian.so.30"
need libxml2 "/usr/lib/*/libxml2.so.2"
courier="courier-base courier-imap courier-pop courier-authlib gamin libgamin0"
need libcourier-unicode4 "/usr/lib/*/libcourier-unicode.so.4"
need libgdbm6 "/usr/lib/*/libgdbm.so.6"
need libglib2.0-0 "/usr/lib/*/libglib-2.0.so.0"
need libidn12 "/usr/lib/*/libidn.so.12"
mailutils="mailutils-imap4d mailutils-pop3d libmailutils9 libmu-dbm9 libnss-wrapper"
need libgsasl18 "/usr/lib/*/libgsasl.so.18"
need libgssapi-krb5-2 "/usr/lib/*/libgssapi_krb5.so.2"
need libkyotocabinet16v5 "/usr/lib/*/libkyotocabinet.so.16"
need libldap-2.5-0 "/usr/lib/*/libldap-2.5.so.0"
need libmariadb3 "/usr/lib/*/libmariadb.so.3"
need libnsl2 "/usr/lib/*/libnsl.so.2"

[ -n "$missing$to_unpack" ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  if [ -n "$missing" ]; then
    echo "The tests need these Debian packages (or the same programs from elsewhere):$missing" >&2
    echo "Install them, for example with: sudo apt-get install --no-install-recommends$missing" >&2
  fi
  for server in $to_unpack; do
    eval "packages=\$$server"
    echo "The tests need these Debian packages, unpacked (dpkg -x) in $unpacked/$server: $packages" >&2
  done
  exit 1
fi

echo "Installing for the tests:$missing$to_unpack" >&2

# The packages would start their daemons on the standard ports; the tests start private ones.
policy=/usr/sbin/policy-rc.d
made=""
trap 'rm -rf $made' EXIT
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  made="$policy"
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
if [ -n "$missing" ]; then
  # shellcheck disable=SC2086 # a list of words
  apt-get install -y -qq --no-install-recommends $missing
fi

for server in $to_unpack; do
  eval "packages=\$$server"
  mkdir -p "$unpacked"
  folder=$(mktemp -d "$unpacked/.unpacking-XXXXXX")
  made="$made $folder"
  # shellcheck disable=SC2086 # a list of words
  (cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root $packages)
  for package in "$folder"/*.deb; do
    dpkg -x "$package" "$folder/$server"
  done
  # Whole, or not there at all.
  mv -T "$folder/$server" "$unpacked/$server"
  rm -rf "$folder"
done
