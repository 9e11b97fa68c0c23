// SPDX-License-Identifier: GPL-2.0-only
/*
 * Measure how a guest with much memory disables and enables MSI-X, as at each
 * restart of a driver: the two writes, and the next access to each page of memory,
 * beside another access to each page. A VMM that changes memory slots makes KVM
 * drop all page tables of the VM.
 */
#include "bare.h"

#define LOOPS		3
#define PAGE		4096u
#define FIRST		(16u << 20)

enum { TOUCH, DISABLE_ENABLE, TOUCH_AFTER, NR };

static const char * const names[NR] = {
	[TOUCH] = "touch",
	[DISABLE_ENABLE] = "disable_enable",
	[TOUCH_AFTER] = "touch_after",
};

static u64 figures[NR][LOOPS];

static unsigned int cmos(unsigned char index)
{
	out_byte(0x70, index);
	return in_byte(0x71);
}

/* CMOS has the size of memory above 16 MiB, in units of 64 KiB. */
static unsigned int memory_end(void)
{
	return FIRST + ((cmos(0x34) | cmos(0x35) << 8) << 16);
}

static u64 touch(void)
{
	unsigned int addr, end = memory_end();
	u64 start = now();

	for (addr = FIRST; addr < end; addr += PAGE)
		asm volatile("movb $1, (%0)" : : "r" (addr) : "memory");
	return now() - start;
}

static void measure(unsigned int loop)
{
	u64 start;

	figures[TOUCH][loop] = touch();
	start = now();
	set_control(0);
	set_control(ENABLE);
	figures[DISABLE_ENABLE][loop] = now() - start;
	figures[TOUCH_AFTER][loop] = touch();
}

void bare_main(void)
{
	unsigned int i;

	print("e2e: ready\n");
	if (find_function()) {
		set_control(ENABLE);
		write_table(CONTROL, 0);
		touch();
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
