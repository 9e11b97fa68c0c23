# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# TAP for test scripts. Sourced, never run. Each check is one line on stdout, the plan comes last, and the exit status
# is 0 only if every check passes. The output of a check is shown only if the check fails.

tap_count=0 tap_failed=0
echo "TAP version 13"

# tap TEXT COMMAND...: one check, which passes if COMMAND succeeds.
tap() {
	local text=$1 seen
	shift
	tap_count=$((tap_count + 1))
	if seen=$("$@" 2>&1); then
		echo "ok $tap_count - $text"
	else
		echo "not ok $tap_count - $text"
		printf '# %s\n' "${seen//$'\n'/$'\n# '}"
		tap_failed=$((tap_failed + 1))
	fi
}

# tap_skip TEXT WHY: one check that cannot be made here.
tap_skip() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1 # SKIP $2"
}

tap_done() {
	echo "1..$tap_count"
	exit "$((tap_failed > 0))"
}
