/* SPDX-License-Identifier: GPL-2.0-only */
/* The guest's memory, for C and assembler. */
#ifndef CONFORMANCE_MEMORY_H
#define CONFORMANCE_MEMORY_H

/* Where a 64-bit BAR is moved to: 16 GiB, mapped for 1 GiB. */
#define HIGH_GIB	16
#define HIGH_BASE	0x400000000

/* Bytes of an interrupt's entry point. */
#define ENTRY_SIZE	16

/*
 * RAM that nothing uses. As an MSI's address its bits 19:12, which would be the
 * destination, are 0: whoever takes it for one hits the only CPU.
 */
#define SCRATCH		0x700000

#endif /* CONFORMANCE_MEMORY_H */
