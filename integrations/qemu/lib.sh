# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the scripts here have in common: Debian's source packages of QEMU, and what is added to them. Sourced, never run.

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
top=$(cd -- "$here/../.." && pwd -P)
# shellcheck source=tools/testing/lab/lib.sh
. "$top/tools/testing/lab/lib.sh"

say() { printf 'qemu: %s\n' "$*" >&2; }

uapi=$top/include/uapi/linux/kvm_msix.h

# The series of QEMU that there are patches for, and which Debian has each. Of sid's it is not the newest: what is newer
# has no source on the mirrors.
declare -A suites=([7.2]=bookworm [10.0]=trixie [10.2]=sid)

# use_series SERIES: sets $series, $patches, and $version of its newest source package. From then on, apt is asked about
# its Debian.
# shellcheck disable=SC2034
use_series() {
	local state
	series=$1
	[[ ${suites[$series]-} ]] || die "there are no patches for QEMU $series, but for ${!suites[*]}"
	choose_patches
	state=$(apt_state)
	version=$(<"$(cached "apt/${suites[$series]}-qemu-$series-$state" source_version)")
	use_suite "${suites[$series]}"
}

source_version() {
	use_suite "${suites[$series]}" deb-src
	apt-cache "${apt[@]}" showsrc --only-source qemu | sed -n "s/^Version: \(1:$series[.+].*\)/\1/p" | sort -V |
		tail -n 1 >"$1"
	[[ -s $1 ]] || die "the mirror has no source of QEMU $series for $suite; name one that has in apt's sources"
}

# The source package's files, in directory $1.
fetch_source() {
	use_suite "${suites[$series]}" deb-src
	mkdir "$1"
	say "fetching the source package of QEMU $version, some 40 MB ..."
	(cd "$1" && apt-get "${apt[@]}" source -qq --download-only --only-source "qemu=$version") ||
		die "could not fetch the source package. If the mirror has a newer one by now: apt-get update"
}

# Print the directory with the source package's files.
source_package() { cached "qemu/source-${version//[:~]/.}" fetch_source; }

# add SRC: put the new files into the unpacked source.
add() {
	cp "$here"/kvm-msix.[ch] "$here/$series/kvm-msix-compat.h" "$1/hw/vfio/"
	cp "$uapi" "$1/linux-headers/linux/"
}

# adds SUBJECT DIR: a patch with those of the new files that go to DIR; the rest of its message is on stdin.
adds() {
	local tmp
	tmp=$(mktemp -d)
	mkdir -p "$tmp"/{a,b}/{hw/vfio,linux-headers/linux}
	add "$tmp/b"
	cat <<-END
		From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001
		From: kvm_msix <kvm_msix@localhost>
		Date: Sat, 28 Nov 2026 00:00:00 +0000
		Subject: [PATCH] $1

		$(cat)
		---
	END
	(cd "$tmp" && diff -ruN "a/$2" "b/$2") |
		sed -E '/^diff /d; s/^(\+\+\+ [^\t]+)\t.*/\1/; s|^--- .*|--- /dev/null|' || true
	rm -rf "$tmp"
}

# Set $patches to those of $series that are kept here, in their order. A series may have one of its own in place of one
# for all. The new files come before the hooks, which are the last patch and each series' own.
choose_patches() {
	local patch own
	patches=()
	for patch in "$here"/000[12]-*.patch; do
		own=$here/$series/${patch##*/}
		[[ ! -e $own ]] || patch=$own
		patches+=("$patch")
	done
	patches+=("$here/$series"/0005-*.patch)
}

# series_to DIR: put all patches there.
series_to() {
	cp "${patches[@]}" "$1/"
	adds 'linux-headers: add kvm_msix' linux-headers >"$1/0003-linux-headers-add-kvm_msix.patch" <<-'END'
		It is the uapi header of a module that is not part of Linux.
	END
	adds 'vfio/pci: have an MSI-X table in the kernel' hw \
		>"$1/0004-vfio-pci-have-an-MSI-X-table-in-the-kernel.patch" <<-'END'
		The table and the PBA of an assigned device, in the kernel by kvm_msix, and what
		is left to QEMU then. Nothing uses it yet. Its license is kvm_msix's.
	END
}

# What is added, for a digest. Comments do not change the binary, and the module's header is all comments.
additions() {
	local file
	sed -s '1,/^---$/d' "${patches[@]}"
	for file in "$here"/kvm-msix.[ch] "$here/$series/kvm-msix-compat.h" "$uapi"; do
		gcc -fpreprocessed -dD -E -P "$file" | tr -s '\n'
	done
}

failed() {
	tail -n 30 "$1" >&2
	die "could not build QEMU; the whole log is $1. If something is missing: $lab_dir/setup"
}

progress() {
	awk -F '[][/]' '/^\[/ && $2 >= next_one { printf "qemu: compiling, %d of %d\n", $2, $3; next_one = $2 + 150; fflush() }'
}
