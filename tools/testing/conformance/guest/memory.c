// SPDX-License-Identifier: GPL-2.0-only
/* What the compiler may call. */
#include "cpu.h"

void *memset(void *to, int c, size_t n);
void *memcpy(void *to, const void *from, size_t n);

void *memset(void *to, int c, size_t n)
{
	void *p = to;

	asm volatile("rep stosb" : "+D" (p), "+c" (n) : "a" (c) : "memory");
	return to;
}

void *memcpy(void *to, const void *from, size_t n)
{
	rep_movsb((u64)to, from, n);
	return to;
}
