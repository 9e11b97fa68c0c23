// SPDX-License-Identifier: GPL-2.0-only
/*
 * 13 of kvm_msix-semantics.rst: masks against events, with books. Three parties:
 * a vCPU that masks and unmasks, the target vCPU that gets the interrupts (the same
 * vCPU, or another that does nothing else), and a thread that is the device.
 */
#include <sched.h>

#include "kselftest_harness.h"
#include "race.h"

#define ROUNDS	1000
#define CYCLES	2000
#define BROADCASTS	400

/* Shared by guest and device. */
static u64 masked_round;	/* the last round that the guest has masked for */
static u64 done_round;	/* the last round whose events the device has sent */
static u64 round_events;	/* the number of events in done_round */
static u64 flush;	/* request: vCPUs in wait_for_stop() take their interrupts */
static u64 flushed[2];	/* the last flush that vCPU i has answered */

static void wait_for_stop(void)
{
	u64 *done = &flushed[guest_this_cpu()->index], asked;

	while (!READ_ONCE(stop)) {
		asked = READ_ONCE(flush);
		if (*done != asked) {
			take_interrupts();
			WRITE_ONCE(*done, asked);
		}
		asm volatile("pause");
	}
	GUEST_DONE();
}

static void guest_idle(void)
{
	guest_init();
	WRITE_ONCE(idle_ready, 1);
	wait_for_stop();
}

/*
 * Exact rounds: after the mask is read back, the device has k events, 0 to 3. No
 * message arrives before the unmask, the PBA tells whether k is 0, and the unmask sends
 * one message if not.
 */
static void guest_rounds(void)
{
	u64 round, end, expected = 0;

	guest_init_masker();
	for (round = 1; round <= ROUNDS; round++) {
		mmio_write32(CONTROL, MASKED);
		GUEST_ASSERT_EQ(mmio_read32(CONTROL), MASKED);
		WRITE_ONCE(masked_round, round);
		for (end = deadline(); READ_ONCE(done_round) != round;)
			GUEST_ASSERT(rdtsc() < end);

		GUEST_ASSERT_EQ(pba(), READ_ONCE(round_events) ? 1 : 0);
		GUEST_ASSERT_EQ(READ_ONCE(irqs), expected);
		expected += !!READ_ONCE(round_events);
		mmio_write32(CONTROL, 0);
		for (end = deadline(); READ_ONCE(irqs) < expected;)
			GUEST_ASSERT(rdtsc() < end);
		GUEST_ASSERT_EQ(pba(), 0);
		GUEST_ASSERT_EQ(READ_ONCE(irqs), expected);
	}
	WRITE_ONCE(stop, 1);
	GUEST_DONE();
}

/* In every eighth cycle, wait for an event to be latched: some cycles must have one. */
static void wait_for_latch(u64 cycle)
{
	u64 i = cycle % 8, end = deadline();

	while (!pba() && (!(cycle % 8) || --i))
		GUEST_ASSERT(rdtsc() < end);
}

static void unmask_and_wait(u64 cycle)
{
	u64 before = READ_ONCE(irqs), end = deadline();

	mmio_write32(CONTROL, 0);
	/* One interrupt is the latched event's; others may be earlier messages, taken late. */
	while (cycle % 8 == 4 && READ_ONCE(irqs) < before + 4)
		GUEST_ASSERT(rdtsc() < end);
	/* In guest memory the bit is cleared late: do not count it in the next cycle. */
	while (cycle % 8 == 7 && pba())
		GUEST_ASSERT(rdtsc() < end);
	WRITE_ONCE(cycles_done, cycle);
}

/*
 * A message sent before the mask is in the APIC's IRR. The exit for the read back makes
 * this vCPU, whose interrupts are on, take the interrupt. If the table is guest memory,
 * the read does not exit: exit for another reason.
 */
static void mask_own(void)
{
	mmio_write32(CONTROL, MASKED);
	GUEST_ASSERT_EQ(mmio_read32(CONTROL), MASKED);
	if (late_messages)
		take_interrupts();
}

/* Free running: the device never stops. No message arrives from mask to unmask. */
static void guest_cycles(void)
{
	u64 cycle, before;

	guest_init_masker();
	for (cycle = 1; cycle <= CYCLES; cycle++) {
		mask_own();
		before = READ_ONCE(irqs);
		wait_for_latch(cycle);
		GUEST_ASSERT(READ_ONCE(irqs) - before <= late_messages);
		GUEST_ASSERT_EQ(mmio_read32(CONTROL), MASKED);
		GUEST_ASSERT(READ_ONCE(irqs) - before <= late_messages);
		unmask_and_wait(cycle);
	}
	wait_for_stop();
}

/*
 * The module sends messages to all vCPUs from a work: a mask waits until the work
 * has sent a message that is in flight.
 */
static void guest_broadcasts(void)
{
	u64 *taken = &guest_this_cpu()->irqs[VEC];
	u64 cycle, before, end;

	guest_init_masker();
	for (cycle = 1; cycle <= BROADCASTS; cycle++) {
		mask_own();
		before = READ_ONCE(*taken);
		for (end = deadline(); !pba();)
			GUEST_ASSERT(rdtsc() < end);
		GUEST_ASSERT(READ_ONCE(*taken) - before <= late_messages);
		mmio_write32(CONTROL, 0);
		for (end = deadline(); READ_ONCE(*taken) == before;)
			GUEST_ASSERT(rdtsc() < end);
		WRITE_ONCE(cycles_done, cycle);
	}
	wait_for_stop();
}

/*
 * As guest_cycles(), with another vCPU as the target, which may take interrupts sent
 * before the mask late. Only the counters show whether a message was sent after the mask.
 */
static void guest_cycles_remote(void)
{
	u64 cycle;

	guest_init_masker();
	for (cycle = 1; cycle <= CYCLES; cycle++) {
		mmio_write32(CONTROL, MASKED);
		wait_for_latch(cycle);
		unmask_and_wait(cycle);
	}
	wait_for_stop();
}

/*
 * 7: a reader sees both halves of an 8-byte write or neither. Each of two vCPUs writes
 * the same value to both halves of an address, and reads the address.
 */
static void guest_torn(void)
{
	u64 i, val, step;

	guest_init();
	step = x2apic_read_reg(APIC_ID) + 1;
	for (i = 0; i < CYCLES * 2; i++) {
		val = (i * 4 + step) << 8;
		mmio_write64(TABLE, val << 32 | val);
		val = mmio_read64(TABLE);
		GUEST_ASSERT_EQ(val >> 32, val & 0xffffffff);
	}
	GUEST_DONE();
}

/* Have a vCPU that is in wait_for_stop() take all interrupts that were sent to it. */
static void flush_cpu(struct race_vm *r, u32 cpu)
{
	u64 *asked = GUEST_VAR(r->m, flush);

	WRITE_ONCE(*asked, *asked + 1);
	wait_for_count(&(*GUEST_VAR(r->m, flushed))[cpu], *asked);
}

static void signal_event(struct race_vm *r)
{
	event_signal(r->event);
	r->signalled++;
}

TEST_F_TIMEOUT(race, rounds, 300)
{
	u64 *masked = GUEST_VAR(self->r.m, masked_round);
	u64 round, k, i, expected = 0;

	start(&self->r, guest_rounds, guest_idle);
	for (round = 1; round <= ROUNDS; round++) {
		while (READ_ONCE(*masked) != round)
			sched_yield();
		k = (round * 7 + round / 16) % 4;
		for (i = 0; i < k; i++)
			signal_event(&self->r);
		expected += !!k;
		WRITE_ONCE(*GUEST_VAR(self->r.m, round_events), k);
		__sync_synchronize();
		WRITE_ONCE(*GUEST_VAR(self->r.m, done_round), round);
	}
	pthread_join(self->r.thread[0], NULL);
	pthread_join(self->r.thread[1], NULL);
	EXPECT_EQ(expected, *GUEST_VAR(self->r.m, irqs));
	EXPECT_GE(expected, ROUNDS / 2);
	if (kvm_msix_has_counters()) {
		check_counters(_metadata, &self->r, expected);
		EXPECT_EQ(expected, kvm_msix_counter("delivered"));
		EXPECT_EQ(expected, kvm_msix_counter("latched"));
		EXPECT_EQ(self->r.signalled - expected, kvm_msix_counter("coalesced"));
	}
}

TEST_F_TIMEOUT(race, free_running, 300)
{
	u64 *cycles = GUEST_VAR(self->r.m, cycles_done);
	u64 *taken = GUEST_VAR(self->r.m, irqs);
	u64 before;
	int i;

	*GUEST_VAR(self->r.m, late_messages) = msix_mapped();
	start(&self->r, variant->target ? guest_cycles_remote : guest_cycles, guest_idle);
	/* Signal in bursts: each kicks the target out of the guest, which needs to run. */
	while (READ_ONCE(*cycles) < CYCLES) {
		for (i = 0; i < 8; i++)
			signal_event(&self->r);
		usleep(20);
	}

	/* The vector stays unmasked: each latched event has been sent. */
	EXPECT_FALSE(msix_pending(&self->r.d, 0));
	/* After the last message has arrived, one more event is one more message. */
	flush_cpu(&self->r, variant->target);
	before = READ_ONCE(*taken);
	signal_event(&self->r);
	for (i = 0; i < 10000 && READ_ONCE(*taken) == before; i++)
		usleep(1000);
	EXPECT_EQ(before + 1, READ_ONCE(*taken));
	finish(&self->r);
	EXPECT_EQ(before + 1, READ_ONCE(*taken));
	EXPECT_LE(*taken, self->r.signalled);
	if (kvm_msix_has_counters()) {
		check_counters(_metadata, &self->r, *taken);
		/* The race took place: events came while masked and while unmasked. */
		EXPECT_GE(kvm_msix_counter("latched"), CYCLES / 8);
		EXPECT_GT(kvm_msix_counter("delivered"), kvm_msix_counter("released"));
	}
}

TEST_F_TIMEOUT(race, broadcasts, 300)
{
	u64 *cycles = GUEST_VAR(self->r.m, cycles_done);
	struct msix_state *s;
	u32 i;

	if (variant->target)
		SKIP(return, "once is enough");
	s = msix_get_state(self->r.d.fd, 1);
	s->entry[0][0] = MSI_ADDR(0xff);
	ASSERT_EQ(0, __msix_set_state(self->r.d.fd, s));
	msix_state_free(s);
	*GUEST_VAR(self->r.m, late_messages) = msix_mapped();
	start(&self->r, guest_broadcasts, guest_idle);
	for (i = 0; READ_ONCE(*cycles) < BROADCASTS; i++) {
		signal_event(&self->r);
		if (i % 4 == 0)
			usleep(20);
	}
	/* The vector stays unmasked: each latched event has been sent. */
	EXPECT_FALSE(msix_pending(&self->r.d, 0));
	finish(&self->r);
	if (kvm_msix_has_counters())
		check_counters(_metadata, &self->r, 0);
}

/* The entry stays masked, so no message goes to the torn addresses. */
TEST_F(race, torn)
{
	start(&self->r, guest_torn, guest_torn);
	pthread_join(self->r.thread[0], NULL);
	pthread_join(self->r.thread[1], NULL);
	EXPECT_EQ(0, self->r.m->nr_exits);
}

KVM_MSIX_TEST_MAIN
