# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the lab's scripts have in common: messages, and the cache. Sourced, never run.
#
# stdout belongs to results; everything said to people goes to stderr. A thing in the cache is either whole or not
# there: it is built under a lock as NAME.partial and renamed, so an interrupted run leaves nothing that a later one
# could take for real, and two runs at once build it once. What builds inherits the lock, and so holds it to its end.

set -Eeuo pipefail
shopt -s inherit_errexit

lab_dir=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
lab_cache=${KVM_MSIX_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/kvm_msix}

# Exit statuses of the lab itself; a command in the lab should keep away from them.
# shellcheck disable=SC2034
readonly LAB_E_BOOT=120 LAB_E_TIMEOUT=121 LAB_E_DIRTY=122 LAB_E_SETUP=123

say() { printf 'lab: %s\n' "$*" >&2; }
die() { say "error: $*"; exit "$LAB_E_SETUP"; }

# Nothing ends in silence: what die has not explained already is shown where it went wrong.
trap '(($? == LAB_E_SETUP)) || say "error: ${BASH_SOURCE[0]##*/}, line $LINENO: $BASH_COMMAND"' ERR

# The comment on top of a script is its help text.
usage() { sed -n '4,/^$/ s/^# \{0,1\}//p' "$0"; }

need() {
	local tool
	for tool; do
		command -v "$tool" >/dev/null || die "$tool is missing; run $lab_dir/setup"
	done
}

# A name for content: the hash of stdin.
digest() { sha256sum | cut -c1-16; }

# cached NAME BUILDER [ARG...]: print the path of NAME in the cache. If it is not there, BUILDER ARG... PATH makes it as
# PATH, a file or a directory, with its stdout sent to stderr. Not for use in a condition, where set -e has no effect.
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

# package FIELD PACKAGE...: a field of what apt would install now, one line for each PACKAGE.
package() {
	local field=$1
	shift
	apt-cache show --no-all-versions "$@" 2>/dev/null | sed -n "s/^$field: //p"
}

# apt_state: print a name for the state of apt's lists and sources: as long as it stays, apt's answers do.
apt_state() {
	{ find /etc/apt /var/lib/apt/lists -type f -printf '%p %s %T@\n' 2>/dev/null || true; } | LC_ALL=C sort | digest
}

# know PACKAGE...: print the path of a file with apt's word on them, Version: and Depends: of each. Asking takes apt
# most of a second, so its answer is kept for as long as its lists and sources stay as they are.
know() {
	local state
	state=$(apt_state)
	cached "apt/$1-$state" ask_apt "$@"
}

# Package lists may be absent on a fresh machine.
ask_apt() {
	local out=${*: -1}
	set -- "${@:1:$#-1}"
	if ! apt-cache show --no-all-versions "$@" >/dev/null 2>&1; then
		say "updating apt's package lists ..."
		apt-get update -q || die "apt-get update failed; run it as root: apt-get update"
		apt-cache show --no-all-versions "$@" >/dev/null ||
			die "apt does not know $*; the lab needs Debian 12 with its security suite among apt's sources"
	fi
	apt-cache show --no-all-versions "$@" | grep -E '^(Package|Version|Depends):' >"$out"
}

# fetch_package PACKAGE: print the path of its .deb, fetched into the cache.
fetch_package() {
	cached "deb/$1_$(package Version "$1" | tr ':~' '..').deb" download_package "$1"
}

download_package() {
	local dir=$2.dir
	say "fetching $1, $(($(package Size "$1") / 1000000 + 1)) MB ..."
	rm -rf -- "$dir"
	mkdir "$dir"
	(cd "$dir" && apt-get download -qq -o APT::Sandbox::User=root "$1") ||
		die "could not fetch $1; if the mirror has a newer one by now: apt-get update"
	mv -- "$dir"/*.deb "$2"
	rmdir "$dir"
}
