/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interrupts and time. The CPU takes interrupts only in the functions here that
 * say so; at any other time they wait in the local APIC, which holds one of each
 * vector.
 */
#ifndef CONFORMANCE_IRQ_H
#define CONFORMANCE_IRQ_H

#include "cpu.h"

#define NMI		2
#define MSI_ADDRESS	0xfee00000u

/* From boot.S. */
extern char entries[];

void irq_init(void);

/* How often an interrupt was taken. */
u64 taken(u8 vector);
void forget_taken(void);
/* Of all vectors but the timer's. */
u64 taken_in_all(void);

/* Take what the local APIC holds. */
void take(void);
/* Take interrupts for a time. */
void take_for(u64 us);
/* Until a vector was taken @n times; false: in vain for a long time. */
bool take_until(u8 vector, u64 n);
/* Until an interrupt of the local APIC's timer says that so much has passed. */
void take_until_timer(u64 us);

/* The local APIC's id and logical id; in x2APIC mode from then on. */
bool has_x2apic(void);
void enter_x2apic(void);
u32 apic_id(void);
u32 apic_logical_id(void);

u64 ticks_per_us(void);
/* A moment that is so far away, for after(). */
u64 in_us(u64 us);
bool after(u64 moment);

/*
 * How long to wait for what should come, and for what should not: by the slowest
 * event that was seen.
 */
u64 long_us(void);
u64 quiet_us(void);
void set_slowest_us(u64 us);

#endif /* CONFORMANCE_IRQ_H */
