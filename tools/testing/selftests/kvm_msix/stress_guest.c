// SPDX-License-Identifier: GPL-2.0-only
/*
 * stress_test's guest. Each vCPU owns every nr_cpus-th vector, and does cycles
 * on one of its vectors: mask, settle, look, program, look again, unmask.
 *
 * To settle, every vCPU that is a target of the vector exits once with interrupts
 * enabled: a message that was sent before has set a bit in the vCPU's APIC, and the
 * vCPU takes the interrupt before the next instruction. After mask and settle the
 * counts do not change, whatever the other parties do.
 *
 * A vCPU never waits for an interrupt, only for a vCPU or a thread of the VMM
 * that does not wait for the waiter. stress_books.c finds a lost event.
 */
#include "stress.h"

struct stress_guest stress_guest;

#define S	stress_guest

/* Only bit 0 of Vector Control acts; the other bits keep what the guest stores. */
#define CTRL_JUNK	0xff00u

static u32 this_cpu(void)
{
	return guest_this_cpu()->index;
}

static u64 random_number(void)
{
	return msix_random(&S.cpu[this_cpu()].random);
}

static bool one_in(u32 n)
{
	return random_number() % n == 0;
}

void stress_guest_irq(struct ex_regs *regs)
{
	u32 x = regs->vector, cpu = this_cpu();
	u32 v = (x - STRESS_IRQ) / STRESS_MSGS, msg = (x - STRESS_IRQ) % STRESS_MSGS;

	if (stress_target(v, msg, S.nr_cpus) != cpu)
		WRITE_ONCE(S.cpu[cpu].stray, x);
	else
		WRITE_ONCE(S.irqs[x], S.irqs[x] + 1);
	wrmsr(APIC_BASE_MSR + (APIC_EOI >> 4), 0);
}

/* Exit, without an access to the BAR. */
static void take_interrupts(void)
{
	u32 eax, ebx, ecx, edx;

	cpuid(0, &eax, &ebx, &ecx, &edx);
	asm volatile("pause" : : : "memory");
}

static void answer_flushes(void)
{
	u32 me = this_cpu(), i;
	u64 asked;

	for (i = 0; i <= GUEST_MAX_CPUS; i++) {
		asked = READ_ONCE(S.flush[i][me]);
		if (READ_ONCE(S.flushed[i][me]) == asked)
			continue;
		take_interrupts();
		WRITE_ONCE(S.flushed[i][me], asked);
	}
}

/* One turn of a loop that waits; yields the CPU to other threads. */
static void relax(void)
{
	int i;

	answer_flushes();
	for (i = 0; i < 20; i++)
		asm volatile("pause" : : : "memory");
	mmio_write32(STRESS_YIELD, 0);
}

static void settle(u64 cpus)
{
	u32 me = this_cpu(), i;

	for (i = 0; i < S.nr_cpus; i++)
		if (cpus >> i & 1 && i != me)
			WRITE_ONCE(S.flush[me][i], S.flush[me][i] + 1);
	if (cpus >> me & 1)
		take_interrupts();
	for (i = 0; i < S.nr_cpus; i++)
		while (cpus >> i & 1 && i != me && READ_ONCE(S.flushed[me][i]) != S.flush[me][i])
			relax();
}

/*
 * Accesses to the table at its current address: an access that exits to the VMM
 * came too late, had no effect, and is repeated. put() returns true if the table
 * may be memory at the address: see msix_set_addr().
 */
static bool put(u32 offset, u32 width, u64 val)
{
	u64 *missed = &S.cpu[this_cpu()].missed, before, table;

	do {
		before = READ_ONCE(*missed);
		table = READ_ONCE(S.table);
		if (width == 8)
			mmio_write64(table + offset, val);
		else
			mmio_write32(table + offset, val);
	} while (READ_ONCE(*missed) != before);
	return S.mapped && !(table % PAGE_SIZE);
}

static u32 get(u32 offset)
{
	u64 *missed = &S.cpu[this_cpu()].missed, before;
	u32 val;

	do {
		before = READ_ONCE(*missed);
		val = mmio_read32(READ_ONCE(S.table) + offset);
	} while (READ_ONCE(*missed) != before);
	return val;
}

static u64 get_pba(void)
{
	u64 *missed = &S.cpu[this_cpu()].missed, before, val;

	do {
		before = READ_ONCE(*missed);
		val = mmio_read64(READ_ONCE(S.pba));
	} while (READ_ONCE(*missed) != before);
	return val;
}

static bool is_pending(u32 v)
{
	return get_pba() >> v & 1;
}

static u32 field(u32 v, u32 offset)
{
	return v * ENTRY_SIZE + offset;
}

static u32 target(u32 v)
{
	return stress_target(v, S.vec[v].msg, S.nr_cpus);
}

/*
 * Check that the interrupts since the last look are messages that the vector had
 * since then, and at most one late message.
 */
static void look(u32 v)
{
	struct stress_vec *vec = &S.vec[v];
	u64 now, late = 0;
	u32 msg;

	for (msg = 0; msg < STRESS_MSGS; msg++) {
		now = READ_ONCE(S.irqs[stress_irq(v, msg)]);
		if (vec->late & ~vec->allowed & BIT(msg))
			late += now - vec->seen[msg];
		else if (!(vec->allowed & BIT(msg)))
			GUEST_ASSERT_EQ(now, vec->seen[msg]);
		vec->seen[msg] = now;
	}
	__GUEST_ASSERT(late <= 1, "vector %u: %lu messages after its mask", v, late);
	S.cpu[this_cpu()].lates += late;
	if (late)
		vec->late = 0;
	vec->allowed = 0;
}

/* Settle the targets of the vector's message, and of messages that may be late. */
static void settle_vector(u32 v)
{
	struct stress_vec *vec = &S.vec[v];
	u64 cpus = BIT(target(v));
	u32 msg;

	for (msg = 0; msg < STRESS_MSGS; msg++)
		if (vec->late & BIT(msg))
			cpus |= BIT(stress_target(v, msg, S.nr_cpus));
	settle(cpus);
	look(v);
}

/* After a fence no message is in flight: take all interrupts, and clear @late. */
static void look_at_all(u32 v)
{
	settle_vector(v);
	S.vec[v].late = 0;
}

/*
 * A write, to memory or not, has stopped the messages @stopped, which may be late
 * from now on. If one of @stopped was sent, a message that was late before has come:
 * the kernel sends a vector's messages one after the other.
 */
static void look_after_stop(u32 v, u64 stopped, bool memory)
{
	settle_vector(v);
	S.vec[v].late = memory ? S.vec[v].late | stopped : 0;
}

/* Write address and data in different ways; the vector is masked meanwhile. */
static void program(u32 v, u32 msg)
{
	u32 data = stress_irq(v, msg), dest = MSI_ADDR(stress_target(v, msg, S.nr_cpus));
	u32 ctrl = MASKED | (random_number() & CTRL_JUNK);
	bool data_first = one_in(2);

	if (data_first)
		put(field(v, ENTRY_DATA), 4, data);
	if (one_in(2)) {
		put(field(v, ENTRY_ADDR_LO), 8, dest);
	} else {
		put(field(v, ENTRY_ADDR_HI), 4, 0);
		put(field(v, ENTRY_ADDR_LO), 4, dest);
	}
	if (!data_first && one_in(2))
		put(field(v, ENTRY_DATA), 8, (u64)ctrl << 32 | data);
	else if (!data_first)
		put(field(v, ENTRY_DATA), 4, data);
	S.vec[v].msg = msg;
	S.vec[v].programmed = 1;
}

/* Unmask, alone or in one write with new data, which the next message has. */
static void unmask(u32 v)
{
	struct stress_vec *vec = &S.vec[v];
	u32 ctrl = random_number() & CTRL_JUNK;

	if (one_in(2)) {
		vec->msg ^= one_in(2);
		vec->allowed = BIT(vec->msg);
		put(field(v, ENTRY_DATA), 8, (u64)ctrl << 32 | stress_irq(v, vec->msg));
	} else {
		vec->allowed = BIT(vec->msg);
		put(field(v, ENTRY_CTRL), 4, ctrl);
	}
	vec->masked = 0;
}

/* Change the data while unmasked: after the write, only the new data are sent. */
static void change_live(u32 v)
{
	struct stress_vec *vec = &S.vec[v];
	u64 stopped = BIT(vec->msg);
	bool memory;

	vec->msg ^= 1;
	vec->allowed |= BIT(vec->msg);
	memory = put(field(v, ENTRY_DATA), 4, stress_irq(v, vec->msg));
	if (one_in(2)) {
		look_after_stop(v, stopped, memory);
		vec->allowed = BIT(vec->msg);
	}
	S.cpu[this_cpu()].lives++;
}

/* Have the device do a burst. Returns true if the PBA's bit must now be *pending. */
static bool burst(u32 v, bool *pending)
{
	struct stress_vec *vec = &S.vec[v];
	u64 taken = stress_irqs_of(&S, v) + vec->credit;

	__GUEST_ASSERT(taken <= vec->expected, "vector %u: %lu interrupts of %lu", v, taken,
		       vec->expected);
	/* Start no new burst before the interrupt of the last burst has come. */
	if (taken != vec->expected)
		return false;
	WRITE_ONCE(vec->burst, vec->burst + 1);
	while (READ_ONCE(vec->burst_done) != vec->burst)
		relax();
	vec->expected += !!READ_ONCE(vec->burst_events);
	*pending = READ_ONCE(vec->burst_events);
	return !*pending || READ_ONCE(vec->burst_bound);
}

static void mask(u32 v)
{
	struct stress_vec *vec = &S.vec[v];
	u32 ctrl = MASKED | (random_number() & CTRL_JUNK);
	bool memory;

	memory = put(field(v, ENTRY_CTRL), 4, ctrl);
	GUEST_ASSERT_EQ(get(field(v, ENTRY_CTRL)), ctrl);
	vec->masked = 1;
	look_after_stop(v, vec->allowed, memory);
	if (vec->late && !READ_ONCE(S.hush) && one_in(2)) {
		mmio_write32(STRESS_FENCE, 0);
		look_at_all(v);
	}
}

static void cycle(u32 v)
{
	bool known = false, pending = false;
	u32 i;

	mask(v);
	if (stress_kind(v) == BURST)
		known = burst(v, &pending);
	if (!S.vec[v].programmed || !one_in(4))
		program(v, random_number() % STRESS_MSGS);
	for (i = random_number() % 4; i; i--)
		relax();
	if (known)
		__GUEST_ASSERT(is_pending(v) == pending, "vector %u: %lu events, PBA 0x%lx", v,
			       S.vec[v].burst_events, get_pba());
	if (one_in(2))
		settle(BIT(target(v)));
	look(v);
	S.cpu[this_cpu()].cycles++;
	if (one_in(8))
		return;
	unmask(v);
	if (one_in(4))
		change_live(v);
}

/* The table answers at its current address, and no longer at the old address. */
static void probe(void)
{
	struct stress_cpu *cpu = &S.cpu[this_cpu()];
	u64 moves = READ_ONCE(S.moves), before = READ_ONCE(cpu->missed), old, new;

	mmio_read32(READ_ONCE(S.old_table));
	old = READ_ONCE(cpu->missed);
	mmio_read32(READ_ONCE(S.table));
	new = READ_ONCE(cpu->missed);
	if (moves & 1 || READ_ONCE(S.moves) != moves)
		return;
	GUEST_ASSERT_EQ(old, before + 1);
	GUEST_ASSERT_EQ(new, old);
	cpu->probes++;
}

/* Mask the function by Message Control while the device goes on signalling. */
static void mask_function(void)
{
	u64 before, beats;

	mmio_write32(STRESS_CONTROL, 1);
	settle(BIT(S.nr_cpus) - 1);
	before = stress_irqs(&S);
	for (beats = READ_ONCE(S.beats); READ_ONCE(S.beats) < beats + 16;)
		relax();
	GUEST_ASSERT_EQ(stress_irqs(&S), before);
	mmio_write32(STRESS_CONTROL, 0);
	WRITE_ONCE(S.fmasks, S.fmasks + 1);
}

/* A reset has masked the vector and cleared its message. */
static void forget(u32 v)
{
	struct stress_vec *vec = &S.vec[v];
	u32 msg;

	for (msg = 0; msg < STRESS_MSGS; msg++)
		vec->seen[msg] = READ_ONCE(S.irqs[stress_irq(v, msg)]);
	vec->allowed = 0;
	vec->late = 0;
	vec->programmed = 0;
	vec->masked = 1;
}

static void gate(u64 *resets)
{
	u32 me = this_cpu(), v;
	u64 closed;

	while ((closed = READ_ONCE(S.gate)) & 1) {
		if (S.cpu[me].gate != closed) {
			take_interrupts();
			WRITE_ONCE(S.cpu[me].gate, closed);
		}
		if (!me && READ_ONCE(S.ask_pba) != S.cpu[0].pba_asked) {
			S.cpu[0].pba = get_pba();
			WRITE_ONCE(S.cpu[0].pba_asked, S.ask_pba);
		}
		relax();
	}
	if (READ_ONCE(S.resets) == *resets)
		return;
	*resets = S.resets;
	for (v = me; v < STRESS_NR; v += S.nr_cpus)
		forget(v);
}

void stress_guest_main(void)
{
	u64 resets = -1;

	guest_init();
	for (;;) {
		gate(&resets);
		if (READ_ONCE(S.stop))
			break;
		answer_flushes();
		if (one_in(8))
			probe();
		if (!this_cpu() && !READ_ONCE(S.hush) && one_in(32))
			mask_function();
		cycle(random_number() % (STRESS_NR / S.nr_cpus) * S.nr_cpus + this_cpu());
	}
	GUEST_DONE();
}
