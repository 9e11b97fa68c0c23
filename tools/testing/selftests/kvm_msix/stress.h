/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * stress_test: what its three parties share. The guest (stress_guest.c) masks,
 * programs and unmasks; the device (stress_device.c) signals eventfds from
 * several threads; the VMM (stress_test.c) does everything that it can do to a
 * function meanwhile. stress_books.c says whether the sums are right.
 *
 * A vector v sends one of four messages. Each message of each vector has a
 * vector number x of the local APICs of its own, and exactly one vCPU that it
 * goes to: an interrupt tells which vector sent it, and by which message. What
 * arrives elsewhere was put together from two messages.
 *
 * There are three kinds of vectors, by what the device does:
 *  - EXACT: it signals one event and no other before that one was taken as an
 *    interrupt. Each event is at any time in exactly one place.
 *  - BURST: it signals 0 to 3 events while the guest has the vector masked and
 *    waits. Together they are one interrupt, or none.
 *  - FREE: all threads signal, as fast as they can. Interrupts are no more than
 *    signals; and after each signal comes an interrupt, or it is pending, or in
 *    the eventfd.
 * No interrupt of any comes from when a mask is acknowledged to the unmask.
 *
 * With msix_mapped() some of the places where the VMM puts the table are guest
 * memory. There, one message may be on its way when the mask is written, of those
 * that the vector could have had till then: it comes once, or not. After a fence,
 * which is an ioctl that takes the vectors' locks, it is as anywhere else.
 */
#ifndef SELFTEST_KVM_MSIX_STRESS_H
#define SELFTEST_KVM_MSIX_STRESS_H

#include "kvm_msix_util.h"

#define STRESS_NR	48
#define STRESS_MSGS	4
#define STRESS_IRQS	(STRESS_NR * STRESS_MSGS)
#define STRESS_IRQ	0x30	/* the first vector's first message */
#define STRESS_VMM_IRQ	0xf0	/* the VMM's own route */
#define STRESS_HOST	GUEST_MAX_CPUS	/* the VMM, where vCPUs are counted */

/* Registers of the VMM's in the BAR: exits, always. */
#define STRESS_CONTROL	(BAR_GPA + 0x1f000)	/* 1: Function Mask */
#define STRESS_YIELD	(BAR_GPA + 0x1f008)
#define STRESS_FENCE	(BAR_GPA + 0x1f010)	/* what was being sent has been */

enum stress_kind { FREE, BURST, EXACT };

static inline enum stress_kind stress_kind(u32 v)
{
	return v / (STRESS_NR / 3);
}

/* Messages 2n and 2n+1 differ in data only. */
static inline u32 stress_target(u32 v, u32 msg, u32 nr_cpus)
{
	u32 first = v / 4 % nr_cpus;

	return msg < 2 ? first : (first + 1 + v % (nr_cpus - 1)) % nr_cpus;
}

static inline u32 stress_irq(u32 v, u32 msg)
{
	return STRESS_IRQ + v * STRESS_MSGS + msg;
}

/* splitmix64 */
static inline u64 stress_random(u64 *state)
{
	u64 z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/**
 * struct stress_vec - What is known of a vector
 * @msg: the message it is programmed with; the guest's
 * @programmed: it has a message; the guest's
 * @masked: as it was left; the guest's
 * @allowed: bit n: message n may have come since @seen; the guest's
 * @late: bit n: message n may be on its way, and then no other is; the guest's
 * @seen: interrupts by message, at the last look; the guest's
 * @expected: BURST: interrupts that there must be in the end; the guest's
 * @credit: what the VMM adds to the interrupts: events that a reset discarded,
 *	less the VMM's own injections; changed while the guest is at the gate
 * @burst: masked, the device shall act; the guest's
 * @burst_done: it has; the device's, as the next two
 * @burst_events: that often
 * @burst_bound: and the vector was bound to that eventfd
 */
struct stress_vec {
	u64 msg;
	u64 programmed;
	u64 masked;
	u64 allowed;
	u64 late;
	u64 seen[STRESS_MSGS];
	u64 expected;
	u64 credit;
	u64 burst;
	u64 burst_done;
	u64 burst_events;
	u64 burst_bound;
};

/**
 * struct stress_cpu - A vCPU's own, and what others tell it
 * @random: its PRNG
 * @missed: accesses of the BAR that reached the VMM; the VMM's
 * @stray: a vector number that should not have come here; 0: none
 * @gate: it is at the gate that was closed by this number
 * @pba: what it reads in the PBA, at the gate
 * @pba_asked: in answer to this
 * @cycles, @lives, @probes: what it has done
 * @lates: messages that were on their way when their vector was masked
 */
struct stress_cpu {
	u64 random;
	u64 missed;
	u64 stray;
	u64 gate;
	u64 pba;
	u64 pba_asked;
	u64 cycles;
	u64 lives;
	u64 probes;
	u64 lates;
};

/**
 * struct stress_guest - In the guest's memory
 * @nr_cpus: number of vCPUs
 * @mapped: msix_mapped()
 * @stop: leave
 * @gate: closed if odd: vCPUs gather there between two cycles
 * @resets: a change says: the table is as after power-on
 * @table, @pba: where they are
 * @old_table: where the table was before
 * @moves: odd: the table moves
 * @ask_pba: a change: vCPU 0 shall read the PBA
 * @hush: no function masks now, nor fences: no ioctl that looks at all vectors
 * @beats: the device's threads live: signals, more or less
 * @fmasks: vCPU 0's function masks
 * @flush: of vCPU or VMM i to vCPU j: take your interrupts
 * @flushed: it has
 * @irqs: interrupts
 * @cpu: vCPUs
 * @vec: vectors
 */
struct stress_guest {
	u64 nr_cpus;
	u64 mapped;
	u64 stop;
	u64 gate;
	u64 resets;
	u64 table;
	u64 pba;
	u64 old_table;
	u64 moves;
	u64 ask_pba;
	u64 hush;
	u64 beats;
	u64 fmasks;
	u64 flush[GUEST_MAX_CPUS + 1][GUEST_MAX_CPUS];
	u64 flushed[GUEST_MAX_CPUS + 1][GUEST_MAX_CPUS];
	u64 irqs[256];
	struct stress_cpu cpu[GUEST_MAX_CPUS];
	struct stress_vec vec[STRESS_NR];
};

extern struct stress_guest stress_guest;

void stress_guest_main(void);
void stress_guest_irq(struct ex_regs *regs);

/* Interrupts of a vector; @g may be the guest's or the VMM's view. */
static inline u64 stress_irqs_of(const struct stress_guest *g, u32 v)
{
	u64 sum = 0;
	u32 msg;

	for (msg = 0; msg < STRESS_MSGS; msg++)
		sum += READ_ONCE(g->irqs[stress_irq(v, msg)]);
	return sum;
}

static inline u64 stress_irqs(const struct stress_guest *g)
{
	u64 sum = 0;
	u32 v;

	for (v = 0; v < STRESS_NR; v++)
		sum += stress_irqs_of(g, v);
	return sum;
}

#endif /* SELFTEST_KVM_MSIX_STRESS_H */
