#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Run a program at fixed addresses if allowed: sanitizers of older compilers fail
# with the address randomization of newer kernels, and on one machine the fuzzer tries
# the same inputs each time only at fixed addresses.
if setarch -R true 2>/dev/null; then
	exec setarch -R "$@"
fi
exec "$@"
