#!/bin/sh
# Fetches Asterisk for tests: `fetch-asterisk.sh FOLDER`. Debian packages with everything they need, libc included,
# are unpacked into FOLDER/root; nothing is installed and no maintainer script runs, so no root is needed.
# apt is given a state of its own; the mirror is the one that this host's own sources name.
set -eu
folder=$1
suites="forky sid" # bookworm and trixie have no Asterisk
wanted="asterisk asterisk-core-sounds-en-gsm asterisk-moh-opsound-gsm"
work=$folder.new

mirror=$(apt-get --print-uris update 2>/dev/null | sed -n "s,^'\(.*/debian/*\)/dists/[^/]*/InRelease'.*,\1,p" | head -n 1)
if [ -z "$mirror" ]; then
  echo "this host's own sources of apt name no Debian mirror" >&2
  exit 1
fi
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
rm -rf "$work"
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/root"
: >"$work/status"
cat >"$work/apt.conf" <<END
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$work/lists";
Dir::State::status "$work/status";
Dir::Cache "$work/cache";
APT::Install-Recommends "0";
APT::Sandbox::User "";
APT::Keep-Downloaded-Packages "true";
Acquire::Languages "none";
Debug::NoLocking "1";
#clear DPkg::Post-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
END

fetch() { # the mirror has this suite, and the suite has what is wanted
  echo "deb [signed-by=$keyring] $mirror $1 main" >"$work/sources.list"
  APT_CONFIG=$work/apt.conf apt-get --quiet=2 update &&
    APT_CONFIG=$work/apt.conf apt-get --quiet=2 --yes --download-only install $wanted >/dev/null
}

for suite in $suites; do
  if fetch "$suite"; then
    for package in "$work"/cache/archives/*.deb; do
      dpkg-deb --fsys-tarfile "$package" | tar --extract --directory "$work/root" --keep-directory-symlink \
        --no-same-owner --exclude=./usr/share/doc --exclude=./usr/share/man --exclude=./usr/share/locale \
        --exclude=./usr/share/perl* --exclude=./usr/lib/*/perl*
    done
    dpkg-deb --field "$work"/cache/archives/asterisk_*.deb Package Version >"$work/control"
    rm -rf "$work/cache" "$work/lists" "$work/status"
    rm -rf "$folder"
    mv "$work" "$folder" # whole, or not at all
    echo "Asterisk of Debian $suite is in $folder"
    exit 0
  fi
done
echo "no Asterisk at $mirror in: $suites" >&2
exit 1
