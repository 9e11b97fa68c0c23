#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Check for the tools that build the tests; name the Debian package of a missing
# tool. Called by the Makefile.

probe=$O/probe

fail() {
	echo "tools/testing/kvm_msix: $1" >&2
	exit 1
}

# need PACKAGE COMPILER-AND-FLAGS...: build and run standard input.
need() {
	package=$1
	shift
	if ! "$@" -x c - -o "$probe" 2>"$probe.log"; then
		cat "$probe.log" >&2
		fail "cannot build with '$*': install $package"
	fi
	if ! ./noaslr.sh "$probe" >"$probe.log" 2>&1; then
		cat "$probe.log" >&2
		fail "what '$*' builds does not run here"
	fi
}

# Run $probe by a path with a slash, for a relative O=.
case $probe in
/*) ;;
*) probe=./$probe ;;
esac

command -v "$CC" >/dev/null || fail "no $CC: install gcc"
command -v "$CLANG" >/dev/null || fail "no $CLANG: install clang"
clang_major=$("$CLANG" -dumpversion | cut -d. -f1)
gcc_major=$("$CC" -dumpversion | cut -d. -f1)

need "libc6-dev and linux-libc-dev" "$CC" <<'END'
#include <linux/pci_regs.h>
#include <stdio.h>
int main(void) { return PCI_MSIX_ENTRY_SIZE != 16; }
END
need "libgcc-$gcc_major-dev (libasan, libubsan)" \
	"$CC" -fsanitize=address,undefined <<'END'
int main(void) { return 0; }
END
need "libgcc-$gcc_major-dev (libtsan)" "$CC" -fsanitize=thread <<'END'
int main(void) { return 0; }
END
need "libclang-rt-$clang_major-dev" \
	"$CLANG" -fsanitize=address,undefined <<'END'
int main(void) { return 0; }
END
# The fuzzer has its own main(): linking is enough.
if ! echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' |
   "$CLANG" -fsanitize=fuzzer -x c - -o "$probe" 2>"$probe.log"; then
	cat "$probe.log" >&2
	fail "no libFuzzer: install libclang-rt-$clang_major-dev"
fi
rm -f "$probe" "$probe.log"
