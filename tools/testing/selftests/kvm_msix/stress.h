/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the three parties of stress_test. The guest (stress_guest.c)
 * masks, programs and unmasks; the device (stress_device.c) signals eventfds
 * from several threads; meanwhile the VMM (stress_test.c) does everything that
 * a VMM can do to a function. stress_books.c checks whether the sums are right.
 *
 * A vector v sends one of four messages. Each message of each vector has its
 * own interrupt vector x, and goes to exactly one vCPU: an interrupt shows its
 * vector v and its message. An interrupt at another vCPU mixes two messages.
 *
 * The device treats three kinds of vectors differently:
 *  - EXACT: the device signals an event only after the guest has taken the last
 *    event as an interrupt. Each event is at any time in exactly one place.
 *  - BURST: the device signals 0 to 3 events while the guest has the vector
 *    masked and waits. Together the events are one interrupt, or none.
 *  - FREE: all threads signal, as fast as possible. Interrupts are no more than
 *    signals; and after each signal comes an interrupt, or the event is pending
 *    or in the eventfd.
 * No vector sends an interrupt between the acknowledgment of a mask and the
 * unmask.
 *
 * With msix_mapped(), some of the table's addresses are guest memory. When a mask
 * is written there, one message that the vector had until then may be in flight,
 * and arrive once. After a fence, which is an ioctl that takes the vectors' locks,
 * no message is in flight.
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

/* Registers in the BAR that the VMM emulates: each access exits. */
#define STRESS_CONTROL	(BAR_GPA + 0x1f000)	/* 1: Function Mask */
#define STRESS_YIELD	(BAR_GPA + 0x1f008)
#define STRESS_FENCE	(BAR_GPA + 0x1f010)	/* on return, no message is in flight */

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

/**
 * struct stress_vec - The test's books of a vector
 * @msg: the message in the entry
 * @programmed: the entry has a message
 * @masked: the guest has left the vector masked
 * @allowed: bit n: message n may have come since @seen
 * @late: bit n: message n may be in flight; at most one message is
 * @seen: interrupts by message, at the last look
 * @expected: BURST: how many interrupts there must be in the end
 * @credit: what the VMM adds to the interrupts: events that a reset discarded,
 *	less the VMM's own injections; changed while the guest is at the gate
 * @burst: number of the burst that the guest asks for; the vector is masked
 * @burst_done: number of the burst that the device has finished
 * @burst_events: number of events in the finished burst
 * @burst_bound: the vector was bound to the eventfd of the finished burst
 *
 * The guest writes the fields up to @expected, and @burst; the device writes
 * the last three.
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
 * struct stress_cpu - State of a vCPU, which writes all but @missed
 * @random: the vCPU's PRNG
 * @missed: accesses to the BAR that reached the VMM; written by the VMM
 * @stray: an interrupt vector that belongs to another vCPU; 0: none
 * @gate: number of the gate at which the vCPU waits
 * @pba: the PBA, read at the gate
 * @pba_asked: the value of @ask_pba that @pba answers
 * @cycles, @lives, @probes: how often the vCPU has done each
 * @lates: messages that were in flight when the vector was masked
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
 * struct stress_guest - State in the guest's memory
 * @nr_cpus: number of vCPUs
 * @mapped: msix_mapped()
 * @stop: the vCPUs must end
 * @gate: closed if odd: vCPUs gather at the gate between two cycles
 * @resets: changes when the table is reset to the state after power-on
 * @table, @pba: where table and PBA are
 * @old_table: where the table was before
 * @moves: odd while the table moves
 * @ask_pba: changes when vCPU 0 must read the PBA
 * @hush: no function masks and no fences: no ioctl that looks at all vectors
 * @beats: roughly the number of signals; shows that the device's threads run
 * @fmasks: number of function masks by vCPU 0
 * @flush: changes when vCPU or VMM i asks vCPU j to take all interrupts
 * @flushed: the value of @flush that vCPU j has last obeyed
 * @irqs: interrupts by interrupt vector
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
