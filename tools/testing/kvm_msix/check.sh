#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Run all tests, and make one TAP stream of their points. If a program ends early,
# or fails without a failed point, add a failed point. Called by the Makefile.
#
# Variables in lower case come from the Makefile; some are lists of words.
# shellcheck disable=SC2086,SC2154

fuzz() {
	echo "1..1"
	if ./noaslr.sh "$O/core_fuzz" $fuzz_check_flags \
	   -artifact_prefix="$O/" >"$O/core_fuzz.log" 2>&1; then
		sed -n 's/^Done \([0-9]*\) runs.*/ok 1 - fuzz: '\
'core and model agree on \1 inputs/p' "$O/core_fuzz.log"
		return
	fi
	tail -n 50 "$O/core_fuzz.log"
	echo "not ok 1 - fuzz: core and model agree"
}

run() {
	echo "# run $1"
	shift
	"$@" 2>&1
	echo "# exit $?"
}

{
	run core_test ./noaslr.sh "$O/core_test"
	run race_test ./noaslr.sh "$O/race_test"
	run core_fuzz fuzz
	run mutate ./mutate.sh
} | awk '
function point(ok, text) {
	print (ok ? "ok " : "not ok ") ++points " - " text
	if (ok)
		passed++
	else
		failed++
	fflush()
}
/^# run / {
	program = $3
	plan = seen = bad = 0
	next
}
/^# exit / {
	if (seen != plan || !plan || ($3 != 0 && !bad))
		point(0, program ": exit status " $3 " after " seen \
		      " points of " plan)
	next
}
/^1\.\.[0-9]+$/ {
	plan = substr($0, 4) + 0
	next
}
/^(not )?ok [0-9]+ - / {
	ok = !/^not /
	sub(/^(not )?ok [0-9]+ - /, "")
	seen++
	if (!ok)
		bad++
	point(ok, $0)
	next
}
{
	sub(/^#? ?/, "# ")
	print
	fflush()
}
END {
	print "1.." points
	print passed + 0 " passed, " failed + 0 " failed"
	exit failed || !passed
}'
