#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Can the tests fail? Put each fault of the file mutants into copies of core.c and
# core.h; each test that the fault names must fail, and no test may fail without a
# fault. Called by the Makefile; with the name of a mutant, runs only that mutant.
#
# Variables in lower case come from the Makefile; some are lists of words.
# shellcheck disable=SC2086,SC2154

dir=$O/mutants/$1

# build TEST COMPILER-AND-FLAGS OBJECTS...: build the mutant with a test. If the
# fault is in the header, build the test's own objects anew, too.
build() {
	test=$1 compile=$2
	shift 2
	objs=
	$compile -w -c "$dir/core.c" -o "$dir/$test-core.o" || return
	for obj; do
		if ! cmp -s "$core/core.h" "$dir/core.h"; then
			src=$(basename "$obj" .o).c
			obj=$dir/$test-${src%.c}.o
			$compile -w -c "$src" -o "$obj" || return
		fi
		objs="$objs $obj"
	done
}

# survives TEST: build the mutant with a test, and run the test; true if the test passes.
survives() {
	case $1 in
	unit)
		build unit "$CC -iquote $dir $unit_flags" $unit_objs &&
		$CC $unit_flags "$dir/unit-core.o" $objs -o "$dir/unit"
		;;
	race)
		build race "$CC -iquote $dir $race_flags" $race_objs &&
		$CC $race_flags "$dir/race-core.o" $objs -o "$dir/race"
		;;
	fuzz)
		build fuzz "$CLANG -iquote $dir $fuzz_flags" $fuzz_objs &&
		$CLANG $fuzz_link_flags "$dir/fuzz-core.o" $objs \
			-o "$dir/fuzz"
		;;
	*)
		false
		;;
	esac >"$dir/$1.log" 2>&1 || {
		verdict="does not build with $1"
		return 0
	}
	verdict="survives $1"
	if [ "$1" = fuzz ]; then
		./noaslr.sh "$dir/fuzz" $input_flags -artifact_prefix="$dir/"
	else
		timeout 60 ./noaslr.sh "$dir/$1"
	fi >>"$dir/$1.log" 2>&1
}

# mutant NAME: print 'ok' or 'not ok' and the fate of the mutant.
mutant() {
	line=$(grep "^$1[[:space:]]" mutants)
	read -r _ tests script <<END
$line
END
	mkdir -p "$dir"
	for file in core.c core.h; do
		sed -E "$script" "$core/$file" >"$dir/$file" || exit 1
	done
	input_flags=$fuzz_mutant_flags
	if [ "$1" = none ]; then
		input_flags=$fuzz_check_flags
		for test in $(echo "$tests" | tr , ' '); do
			if ! survives "$test"; then
				echo "not ok $1: $test fails without a fault"
				return
			fi
		done
		echo "ok $1: no fault, no failure"
		return
	fi
	if cmp -s "$core/core.c" "$dir/core.c" &&
	   cmp -s "$core/core.h" "$dir/core.h"; then
		echo "not ok $1: does not apply, the core has changed"
		return
	fi
	for test in $(echo "$tests" | tr , ' '); do
		if survives "$test"; then
			echo "not ok $1: $verdict"
			return
		fi
	done
	echo "ok $1: killed by $tests"
}

if [ $# -eq 1 ]; then
	# A stack trace of each failure would take longer than the test.
	export ASAN_OPTIONS=symbolize=0 UBSAN_OPTIONS=symbolize=0
	export TSAN_OPTIONS=symbolize=0
	mutant "$1"
	exit
fi

rm -rf "$O/mutants"
names=$(sed -n 's/^\([a-z0-9-]\{1,\}\)[[:space:]].*/\1/p' mutants)
echo "1..$(echo "$names" | wc -l)"
echo "$names" | xargs -P "$JOBS" -n 1 "$0" | awk '
{
	ok = /^ok /
	failed += !ok
	sub(/^(not )?ok /, "")
	print (ok ? "ok " : "not ok ") ++n " - mutant " $0
	fflush()
}
END {
	exit failed || !n
}'
