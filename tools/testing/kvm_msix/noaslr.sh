#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Run a program at fixed addresses where that is allowed: sanitizers of older
# compilers do not get along with the address randomization of newer kernels,
# and the fuzzer then does the same each time.
if setarch -R true 2>/dev/null; then
	exec setarch -R "$@"
fi
exec "$@"
