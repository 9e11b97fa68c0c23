/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Test Anything Protocol: a point is a run of tap_check() calls that tap_point()
 * ends. A failed check prints the expected and the seen value before the point.
 */
#ifndef _KVM_MSIX_TEST_TAP_H
#define _KVM_MSIX_TEST_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#ifndef __printf
#define __printf(a, b)	__attribute__((__format__(printf, a, b)))
#endif

/* Diagnostics of one point; a broken loop must not print thousands. */
#define TAP_MAX_DIAGNOSTICS	5

static unsigned int tap_points, tap_failed_points, tap_failed_checks;

static inline void tap_plan(unsigned int points)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("1..%u\n", points);
}

/* Compare the seen value with the expected value; @format names the value. */
static inline __printf(3, 4) bool
tap_check(unsigned long long expected, unsigned long long seen,
	  const char *format, ...)
{
	va_list args;

	if (expected == seen)
		return true;
	if (tap_failed_checks++ >= TAP_MAX_DIAGNOSTICS)
		return false;
	printf("# ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf(": expected %#llx, seen %#llx\n", expected, seen);
	return false;
}

static inline void tap_point(const char *number, const char *name)
{
	bool failed = tap_failed_checks;

	if (tap_failed_checks > TAP_MAX_DIAGNOSTICS)
		printf("# %u more\n", tap_failed_checks - TAP_MAX_DIAGNOSTICS);
	printf("%s %u - semantics %s: %s\n", failed ? "not ok" : "ok",
	       ++tap_points, number, name);
	tap_failed_points += failed;
	tap_failed_checks = 0;
}

static inline int tap_exit(void)
{
	return tap_failed_points != 0;
}

#endif /* _KVM_MSIX_TEST_TAP_H */
