// SPDX-License-Identifier: GPL-2.0-only
/*
 * Measure accesses to an MSI-X table in a guest without an operating system: the
 * count includes the access and the work of host and VMM, but no walk of guest page
 * tables. The guest uses the function's first vector.
 */
#include "bare.h"

#define LOOPS		499

static void do_nothing(void)
{
}

static void read_control(void)
{
	read_table(CONTROL);
}

static void mask_unmask(void)
{
	write_table(CONTROL, 1);
	read_table(CONTROL);
	write_table(CONTROL, 0);
}

/* As Linux, including reads back. */
static void change_affinity(void)
{
	write_table(CONTROL, 1);
	read_table(CONTROL);
	write_table(ADDRESS_LO, 0xfee00000);
	write_table(ADDRESS_HI, 0);
	write_table(DATA, 0x40);
	write_table(CONTROL, 0);
	read_table(CONTROL);
}

static void measure(const char *name, void (*what)(void))
{
	static unsigned int sorted[LOOPS];
	unsigned int i, j, ticks;

	what();
	for (i = 0; i < LOOPS; i++) {
		ticks = -(unsigned int)__builtin_ia32_rdtsc();
		what();
		ticks += (unsigned int)__builtin_ia32_rdtsc();
		for (j = i; j && sorted[j - 1] > ticks; j--)
			sorted[j] = sorted[j - 1];
		sorted[j] = ticks;
	}
	print_cost(name, sorted[0], sorted[LOOPS / 2]);
}

/* Return: whether the table stores what is written. */
static int use_vector(void)
{
	set_control(ENABLE);
	write_table(ADDRESS_LO, 0xfee00000);
	write_table(ADDRESS_HI, 0);
	write_table(DATA, 0x40);
	write_table(CONTROL, 0);
	return read_table(DATA) == 0x40;
}

void bare_main(void)
{
	print("e2e: ready\n");
	if (find_function() && use_vector()) {
		measure("nothing", do_nothing);
		measure("read", read_control);
		measure("mask_unmask", mask_unmask);
		measure("affinity", change_affinity);
		print("e2e: done reboot\n");
	} else {
		print("no function with MSI-X\n");
	}
	reboot();
}
