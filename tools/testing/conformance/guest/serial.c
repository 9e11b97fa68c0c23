// SPDX-License-Identifier: GPL-2.0-only
#include "serial.h"

#define THR	0x3f8
#define FCR	(THR + 2)
#define FCR_ENABLE	0x01
#define LSR	(THR + 5)
#define LSR_THRE	0x20
#define FIFO_LEN	16

/* Write as much as the FIFO holds: each access costs an exit or more. */
void print(const char *s)
{
	u64 len;

	out8(FCR, FCR_ENABLE);
	while (*s) {
		while (!(in8(LSR) & LSR_THRE))
			;
		for (len = 0; s[len] && len < FIFO_LEN; len++)
			;
		rep_out8(THR, s, len);
		s += len;
	}
}

static void put(char c)
{
	const char s[2] = { c };

	print(s);
}

void print_number(u64 n)
{
	if (n >= 10)
		print_number(n / 10);
	put('0' + n % 10);
}

static void print_digits(u64 n)
{
	if (n >= 16)
		print_digits(n / 16);
	put("0123456789abcdef"[n % 16]);
}

void print_hex(u64 n)
{
	print("0x");
	print_digits(n);
}
