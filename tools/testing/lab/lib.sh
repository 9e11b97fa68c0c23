# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the lab's scripts have in common: messages, and the cache. Sourced, never run.
#
# stdout has results only; messages go to stderr. An entry of the cache is either complete or absent: it is built under
# a lock as NAME.partial and then renamed. So an interrupted run leaves nothing that a later run could take for
# complete, and two runs at once build an entry once. The builder inherits the lock, and so holds the lock until it
# ends.

set -Eeuo pipefail
shopt -s inherit_errexit

lab_dir=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
lab_cache=${KVM_MSIX_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/kvm_msix}

# Exit statuses of the lab itself; a command in the lab should keep away from them.
# shellcheck disable=SC2034
readonly LAB_E_BOOT=120 LAB_E_TIMEOUT=121 LAB_E_DIRTY=122 LAB_E_SETUP=123

# The command line of a Linux guest. The lab's CPU may take a guest's interrupt between STI and HLT; the guest then sleeps
# until the next one. With nohz=off, the next one is near.
# shellcheck disable=SC2034
readonly LAB_GUEST_CMDLINE='console=ttyS0 loglevel=5 panic=-1 nohz=off'

say() { printf 'lab: %s\n' "$*" >&2; }
die() { say "error: $*"; exit "$LAB_E_SETUP"; }

# A failed command that die has not explained is shown with its place.
trap '(($? == LAB_E_SETUP)) || say "error: ${BASH_SOURCE[0]##*/}, line $LINENO: $BASH_COMMAND"' ERR

# The comment on top of a script is its help text.
usage() { sed -n '4,/^$/ s/^# \{0,1\}//p' "$0"; }

need() {
	local tool
	for tool; do
		command -v "$tool" >/dev/null || die "$tool is missing; run $lab_dir/setup"
	done
}

# digest: print a hash of stdin, which names content in the cache.
digest() { sha256sum | cut -c1-16; }

# cached NAME BUILDER [ARG...]: print the path of NAME in the cache. If NAME is not there, call BUILDER ARG... PATH,
# which makes the file or directory PATH; BUILDER's stdout goes to stderr. Do not call cached in a condition, where set
# -e has no effect.
cached() {
	local path=$lab_cache/$1 fd
	shift
	if [[ ! -e $path ]]; then
		mkdir -p "${path%/*}"
		exec {fd}>"$path.lock"
		if ! flock --nonblock "$fd"; then
			say "waiting for another run that makes ${path##*/} ..."
			flock "$fd"
		fi
		if [[ ! -e $path ]]; then
			rm -rf -- "$path.partial"
			("$@" "$path.partial") >&2 </dev/null
			[[ -e $path.partial ]] || die "could not make $path"
			mv -T -- "$path.partial" "$path"
		fi
		rm -f -- "$path.lock"
		exec {fd}>&-
	fi
	printf '%s\n' "$path"
}

# build_module SERIES [ARG]...: build kvm_msix.ko for that kernel by make with ARGs. Set $module to its path, and also
# what the script `kernel` prints: KVER, KDIR, KMAKE and the rest. Can be called in a condition.
build_module() {
	local top=${lab_dir%/tools/testing/lab} kernel
	kernel=$("$lab_dir/kernel" "$1") || return
	eval "$kernel"
	say "building kvm_msix.ko for ${KVER:?} ..."
	"${KMAKE[@]}" -s -C "$top" KDIR="${KDIR:?}" "${@:2}" module >&2 || return
	# shellcheck disable=SC2034
	module=$top/build/$KVER/drivers/virt/kvm_msix/kvm_msix.ko
}

# This machine's release of Debian.
# shellcheck disable=SC2034
host_suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)

# The release of Debian that apt is asked about, and apt's options for that: none for this machine's; set by use_suite.
suite='' apt=()

# use_suite bookworm|trixie|sid [deb-src]: from here on, ask apt about this suite (trixie with its backports), with
# sources and lists apart from this machine's; with deb-src, ask about source packages instead. The lists are fetched
# again when this machine's lists change.
use_suite() {
	local state lists
	suite=$1
	state=$(apt_state)
	lists=$(cached "apt/$suite-lists${2:+-$2}-$state" fetch_lists "${2:-deb}")
	apt_in "$lists"
}

apt_in() {
	apt=(-o "Dir::Etc::SourceList=$1/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$1/lists"
		-o "Dir::State::Status=$1/status" -o "Dir::Cache=$1/cache" -o APT::Sandbox::User=root)
}

# suite_sources: print the sources of $suite, from the mirrors that apt uses for this machine's Debian.
suite_sources() {
	local targets main security
	# shellcheck disable=SC2016
	targets=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages')
	main=$(sed -n "s/ $host_suite main\$//p" <<<"$targets" | sort -u | head -n 1)
	security=$(sed -n "s/ $host_suite-security main\$//p" <<<"$targets" | sort -u | head -n 1)
	[[ $main && $security ]] ||
		die "no mirror is known: the lab needs Debian with its security suite among apt's sources"
	echo "deb $main $suite main"
	[[ $suite == sid ]] || echo "deb $security $suite-security main"
	[[ $suite != trixie ]] || echo "deb $main $suite-backports main"
}

fetch_lists() {
	mkdir -p "$2/lists/partial" "$2/cache/archives/partial"
	suite_sources | sed "s/^deb /$1 /" >"$2/sources.list"
	: >"$2/status"
	apt_in "$2"
	update_lists
}

update_lists() {
	say "updating apt's package lists${suite:+ of $suite} ..."
	apt-get "${apt[@]}" update -q || die "apt-get update failed${suite:+ for $suite}; run it as root: apt-get update"
}

# package FIELD PACKAGE...: print FIELD of the version that apt would install, one line for each PACKAGE that apt has.
package() {
	local field=$1
	shift
	{ apt-cache "${apt[@]}" show --no-all-versions "$@" 2>/dev/null || true; } | sed -n "s/^$field: //p"
}

# apt_state: print a hash of the state of apt's lists and sources. Apt's answers change only when the hash does.
apt_state() {
	{ find /etc/apt /var/lib/apt/lists -type f -printf '%p %s %T@\n' 2>/dev/null || true; } | LC_ALL=C sort | digest
}

# know PACKAGE...: print the path of a file that has Version: and Depends: of each PACKAGE. Apt takes most of a second
# to answer, so an answer is kept until apt's lists or sources change.
know() {
	local state
	state=$(apt_state)
	cached "apt/${suite:+$suite-}$1-$(digest <<<"$*")-$state" ask_apt "$@"
}

# Package lists may be absent on a fresh machine.
ask_apt() {
	local out=${*: -1}
	set -- "${@:1:$#-1}"
	if ! apt-cache "${apt[@]}" show --no-all-versions "$@" >/dev/null 2>&1; then
		update_lists
		apt-cache "${apt[@]}" show --no-all-versions "$@" >/dev/null ||
			die "apt does not know $*; the lab needs Debian 12 with its security suite among apt's sources"
	fi
	apt-cache "${apt[@]}" show --no-all-versions "$@" | grep -E '^(Package|Version|Depends):' >"$out"
}

# fetch_package PACKAGE: fetch PACKAGE's .deb into the cache, and print its path.
fetch_package() {
	cached "deb/$1_$(package Version "$1" | tr ':~' '..').deb" download_package "$1"
}

download_package() {
	local dir=$2.dir size
	size=$(package Size "$1")
	[[ $size ]] || die "apt has no package $1${suite:+ in $suite} now; if its lists are old: apt-get update"
	say "fetching $1, $((size / 1000000 + 1)) MB ..."
	rm -rf -- "$dir"
	mkdir "$dir"
	(cd "$dir" && apt-get "${apt[@]}" download -qq -o APT::Sandbox::User=root "$1") ||
		die "could not fetch $1; if the mirror has a newer one by now: apt-get update"
	mv -- "$dir"/*.deb "$2"
	rmdir "$dir"
}

# bring_libraries DIR ROOT: replace the QEMU in DIR/bin, which was built for ROOT, another Debian, by a program that runs
# this QEMU with the libraries and the loader of ROOT, and with the firmware in DIR/share.
bring_libraries() {
	local binary=$1/bin/qemu-system-x86_64 file
	mkdir -p "$1/lib"
	"$lab_dir/in-debian" "$2" ldd "$binary" | grep -o '/[^ ]*' |
		while read -r file; do cp -L "$2$file" "$1/lib/"; done
	mv "$binary" "$1/lib/"
	cat >"$binary" <<-'END'
		#!/bin/sh
		dir=${0%/bin/*}
		exec "$dir/lib/ld-linux-x86-64.so.2" --library-path "$dir/lib" "$dir/lib/qemu-system-x86_64" \
			-L "$dir/share/qemu" "$@"
	END
	chmod +x "$binary"
	"$binary" --version || die "$binary does not run on this machine"
}
