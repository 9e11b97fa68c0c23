/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interrupts and time. The CPU takes interrupts only in the functions here that
 * say so; at any other time, interrupts wait in the local APIC, which holds one
 * of each vector.
 */
#ifndef CONFORMANCE_IRQ_H
#define CONFORMANCE_IRQ_H

#include "cpu.h"

#define NMI		2
#define MSI_ADDRESS	0xfee00000u

/* From boot.S. */
extern char entries[];

void irq_init(void);

/* How often an interrupt vector was taken since forget_taken(). */
u64 taken(u8 vector);
void forget_taken(void);
/* The same, of all interrupt vectors but the timer's. */
u64 taken_in_all(void);

/* Take the interrupts that the local APIC holds. */
void take(void);
/* Take interrupts for a time. */
void take_for(u64 us);
/* Take interrupts until @vector was taken @n times; false: waited in vain. */
bool take_until(u8 vector, u64 n);
/* Take interrupts until the local APIC's timer says that @us have passed. */
void take_until_timer(u64 us);

/* There is no way back from x2APIC mode. The ids are those of the mode. */
bool has_x2apic(void);
void enter_x2apic(void);
u32 apic_id(void);
u32 apic_logical_id(void);

u64 ticks_per_us(void);
/* The moment @us from now, for after(). */
u64 in_us(u64 us);
bool after(u64 moment);

/*
 * How long to wait for an interrupt that should come, and for one that should
 * not. Both follow from the slowest event that was seen.
 */
u64 long_us(void);
u64 quiet_us(void);
void set_slowest_us(u64 us);

#endif /* CONFORMANCE_IRQ_H */
