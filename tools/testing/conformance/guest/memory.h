/* SPDX-License-Identifier: GPL-2.0-only */
/* The guest's memory, for C and assembler. */
#ifndef CONFORMANCE_MEMORY_H
#define CONFORMANCE_MEMORY_H

/* A 64-bit BAR is moved to 16 GiB, where 1 GiB is mapped. */
#define HIGH_GIB	16
#define HIGH_BASE	0x400000000

/* Bytes of an interrupt's entry point. */
#define ENTRY_SIZE	16

/*
 * RAM that nothing uses. Taken for an MSI's address, its destination, bits
 * 19:12, is 0, the only CPU.
 */
#define SCRATCH		0x700000

#endif /* CONFORMANCE_MEMORY_H */
