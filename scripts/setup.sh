#!/bin/sh
# Sets this machine up: Debian packages, npm packages, the build, the guest images. Idempotent; says what it does and why it waits.
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin

packages="slurmctld slurmd slurm-client munge iproute2 nftables dnsmasq-base qemu-system-x86 qemu-utils genisoimage
busybox-static openssh-client cpio kmod util-linux procps sudo mtools syslinux syslinux-common"

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

command -v dpkg-query >/dev/null || fail "this is not Debian: Debian 12 is needed"
command -v node >/dev/null && command -v npm >/dev/null || fail "Node.js 20 or newer with npm is needed, and was not found in PATH"
[ "$(node -p 'parseInt(process.versions.node)')" -ge 20 ] || fail "Node.js 20 or newer is needed, this is $(node --version)"

mkdir -p .cache
exec 9>.cache/setup.lock
flock -n 9 || { say "another set-up is at work in this checkout: waiting for it"; flock -w 900 9 || fail "the other set-up did not end within 15 minutes"; }

missing=
for package in $packages; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
  if [ "$(id -u)" = 0 ]; then as_root=
  elif sudo -n true 2>/dev/null; then as_root="sudo -n"
  else fail "neither root nor passwordless sudo: have an administrator run: apt-get install --no-install-recommends$missing"
  fi
  say "installing Debian packages (this can take a minute):$missing"
  apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300"
  $apt update || fail "apt-get update failed"
  # shellcheck disable=SC2086 # the list is words
  $apt install -y --no-install-recommends $missing >.cache/apt.log 2>&1 || { tail -n 20 .cache/apt.log >&2; fail "apt-get install failed, see .cache/apt.log"; }
fi

lock=$(sha256sum package-lock.json | cut -d ' ' -f 1)
if [ "$(cat node_modules/.lock-digest 2>/dev/null)" != "$lock" ]; then
  say "installing npm packages (package-lock.json has changed, or this is the first time)"
  npm ci --no-audit --no-fund --loglevel=error
  echo "$lock" >node_modules/.lock-digest
fi

sources=$(find src scripts/build.mjs package-lock.json -type f ! -name '*.test.ts' | sort | xargs sha256sum | sha256sum | cut -d ' ' -f 1)
if [ "$(cat dist/.digest 2>/dev/null)" != "$sources" ]; then
  say "building"
  npm run --silent build
  echo "$sources" >dist/.digest
fi

guest/build
