// SPDX-License-Identifier: GPL-2.0-only
/*
 * Measure how long a guest takes to use all vectors of an MSI-X function: as
 * Linux's drivers, which set Enable while all vectors are masked and then unmask
 * each vector, and at once, by Enable while all vectors are unmasked. The former
 * stops after BUDGET ticks, as a VMM's time may grow with the square of the number
 * of vectors; "unmasked" is the number of vectors unmasked by then.
 */
#include "bare.h"

#define LOOPS	3
#define BUDGET	1000000000u

enum { MASKED_ENABLE, UNMASK_EACH, UNMASKED, IN_USE, UNMASKED_ENABLE, NR };

static const char * const names[NR] = {
	[MASKED_ENABLE] = "enable_masked",
	[UNMASK_EACH] = "unmask_each",
	[UNMASKED] = "unmasked",
	[IN_USE] = "in_use",
	[UNMASKED_ENABLE] = "enable_unmasked",
};

static u64 figures[NR][LOOPS];

static void write_control(unsigned int vector, unsigned int val)
{
	write_table(vector * ENTRY_SIZE + CONTROL, val);
}

/* Disable MSI-X; give every vector a message, and mask or unmask every vector. */
static void prepare(unsigned int masked)
{
	unsigned int v;

	set_control(0);
	for (v = 0; v < nr_vectors; v++) {
		write_table(v * ENTRY_SIZE + ADDRESS_LO, 0xfee00000);
		write_table(v * ENTRY_SIZE + ADDRESS_HI, 0);
		write_table(v * ENTRY_SIZE + DATA, 0x40 + v % 128);
		write_control(v, masked);
	}
}

static void measure(unsigned int loop)
{
	unsigned int v;
	u64 start, enabled;

	prepare(1);
	start = now();
	set_control(ENABLE);
	enabled = now();
	for (v = 0; v < nr_vectors && (v % 16 || now() - start < BUDGET); v++)
		write_control(v, 0);
	figures[IN_USE][loop] = now() - start;
	figures[UNMASKED][loop] = v;
	figures[MASKED_ENABLE][loop] = enabled - start;
	figures[UNMASK_EACH][loop] = figures[IN_USE][loop] - (enabled - start);

	prepare(0);
	start = now();
	set_control(ENABLE);
	figures[UNMASKED_ENABLE][loop] = now() - start;
	set_control(0);
}

void bare_main(void)
{
	unsigned int i;

	print("e2e: ready\n");
	if (find_function()) {
		for (i = 0; i < LOOPS; i++)
			measure(i);
		for (i = 0; i < NR; i++)
			print_median(names[i], figures[i], LOOPS);
		print("e2e: done reboot\n");
	} else {
		print("no function with MSI-X\n");
	}
	reboot();
}
