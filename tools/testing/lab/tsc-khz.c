// SPDX-License-Identifier: GPL-2.0-only
/*
 * Print this machine's TSC frequency in kHz. QEMU's TCG hands the TSC on as it
 * is, so it is the lab's, too, and the lab's kernel need not measure it: on a
 * busy machine, against an emulated timer, it comes out several times too small.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

struct moment {
	uint64_t tsc, ns;
};

/* Both clocks at once: of some readings the one that took the least time. */
static struct moment now(void)
{
	uint64_t least = UINT64_MAX, before, after;
	struct moment now = {};
	struct timespec ts;

	for (int i = 0; i < 100; i++) {
		before = __rdtsc();
		clock_gettime(CLOCK_MONOTONIC, &ts);
		after = __rdtsc();
		if (after - before >= least)
			continue;
		least = after - before;
		now.tsc = before + least / 2;
		now.ns = ts.tv_sec * 1000000000ULL + ts.tv_nsec;
	}
	return now;
}

int main(void)
{
	const struct timespec pause = { .tv_nsec = 50000000 };
	struct moment start, end;

	start = now();
	nanosleep(&pause, NULL);
	end = now();
	printf("%.0f\n", (end.tsc - start.tsc) * 1e6 / (end.ns - start.ns));
	return 0;
}
