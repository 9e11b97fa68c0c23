// SPDX-License-Identifier: GPL-2.0-only
/*
 * stress_test's books, checked while all parties rest: vCPUs at the gate, the
 * device's threads parked, every interrupt taken. Then each event of an EXACT
 * vector is in exactly one place: taken, pending, in an eventfd, or discarded
 * by a reset.
 *
 * The books compare the signals that were written with the interrupts that the
 * guest has counted, and with the counters in debugfs.
 */
#include <poll.h>

#include "stress_vmm.h"

static const char * const counters[STRESS_COUNTERS] = {
	"events", "latched", "coalesced", "released", "delivered", "dropped", "protected", "faults",
};

enum { EVENTS, LATCHED, COALESCED, RELEASED, DELIVERED, DROPPED, PROTECTED, FAULTS };

/* Have every vCPU take all interrupts that were sent. */
void stress_flush(struct stress *s)
{
	u64 *flush = s->g->flush[STRESS_HOST], *flushed = s->g->flushed[STRESS_HOST];
	u32 i;

	for (i = 0; i < s->nr_cpus; i++)
		WRITE_ONCE(flush[i], flush[i] + 1);
	for (i = 0; i < s->nr_cpus; i++)
		stress_wait(READ_ONCE(flushed[i]) == flush[i]);
}

static bool holds_event(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* Where events of a vector may be. */
struct place {
	u64 taken;
	bool pending;
	int in_eventfd;
};

static struct place look_for_events(struct stress *s, const struct msix_state *state, u32 v)
{
	return (struct place) {
		.taken = stress_irqs_of(s->g, v),
		.pending = state->pba[v / 64] >> v % 64 & 1,
		.in_eventfd = holds_event(s->event[v][0]) + holds_event(s->event[v][1]),
	};
}

static bool may_send(const struct msix_state *state, u32 v)
{
	return state->control == ENABLE && !(state->entry[v][ENTRY_CTRL / 4] & MASKED);
}

/* The PBA as the guest reads it. */
static u64 guest_pba(struct stress *s)
{
	struct stress_guest *g = s->g;

	WRITE_ONCE(g->ask_pba, g->ask_pba + 1);
	stress_wait(READ_ONCE(g->cpu[0].pba_asked) == g->ask_pba);
	return g->cpu[0].pba;
}

static bool sends_later(struct stress *s)
{
	u64 pending = guest_pba(s);
	u32 v;

	for (v = 0; v < STRESS_NR && s->control == ENABLE; v++)
		if (pending & BIT(v) && !s->g->vec[v].masked)
			return true;
	return false;
}

/*
 * Wait until all messages were sent and taken. The kernel notices an unmask in
 * guest memory a little later. Until then, do not call GET_STATE, which would send a
 * message that the kernel has missed. Afterwards, GET_STATE waits for a message whose
 * pending bit is clear but which is not sent yet.
 */
void stress_rest(struct stress *s)
{
	if (msix_mapped()) {
		stress_wait(!sends_later(s));
		msix_state_free(msix_get_state(s->d.fd, STRESS_NR));
	}
	stress_flush(s);
}

static void audit_free(struct stress *s, u32 v, struct place p)
{
	u64 credit = s->g->vec[v].credit, n = 0;
	struct stress_thread *t;

	TEST_ASSERT(p.taken + credit <= s->signalled[v], "vector %u: %lu interrupts, %lu signals",
		    v, p.taken + credit, s->signalled[v]);
	for (t = s->device; t < s->device + STRESS_THREADS; t++) {
		n += t->owes[v];
		TEST_ASSERT(!t->owes[v] || p.taken > t->before[v] || p.pending || p.in_eventfd,
			    "vector %u: the last signal of thread %u is lost; %lu interrupts", v,
			    t->index, p.taken);
	}
	TEST_ASSERT(!p.pending || n, "vector %u: pending without a signal", v);
	if (!p.pending && !p.in_eventfd)
		for (t = s->device; t < s->device + STRESS_THREADS; t++)
			t->owes[v] = false;
}

/*
 * Books that do not balance: say what the module has counted, too. If "delivered"
 * has grown as the signals have, KVM or the emulator has lost or doubled an
 * interrupt.
 */
static void fail_audit(struct stress *s, u32 v, struct place p, u64 expected)
{
	static const char * const names[] = {
		"events", "latched", "coalesced", "released", "delivered", "dropped",
	};
	int fd = msix_stats_fd(&s->d);
	u32 i;

	ksft_print_msg("vector %u when the function was created: %lu signals, %lu interrupts\n",
		       v, s->born[v].signalled, s->born[v].taken);
	ksft_print_msg("at the last audit: %lu signals, %lu interrupts + %lu\n",
		       s->audited[v].signalled, s->audited[v].taken, s->audited[v].credit);
	for (i = 0; i < ARRAY_SIZE(names); i++)
		ksft_print_msg("%s %lu\n", names[i], msix_stat(fd, names[i], v));
	TEST_FAIL("%s vector %u: %lu interrupts + %lu, %i pending, %i in eventfds, of %lu",
		  stress_kind(v) == EXACT ? "exact" : "burst", v, p.taken, s->g->vec[v].credit,
		  p.pending, p.in_eventfd, expected);
}

static struct stress_sums sums_of(struct stress *s, u32 v)
{
	return (struct stress_sums) {
		.signalled = s->signalled[v],
		.taken = stress_irqs_of(s->g, v),
		.credit = s->g->vec[v].credit,
	};
}

static void audit_vector(struct stress *s, const struct msix_state *state, u32 v)
{
	struct stress_vec *vec = &s->g->vec[v];
	struct place p = look_for_events(s, state, v);
	u64 places = p.pending + p.in_eventfd;
	u64 expected = stress_kind(v) == EXACT ? s->signalled[v] : vec->expected;
	const u32 *entry = state->entry[v];

	TEST_ASSERT(!p.pending || !may_send(state, v), "vector %u: pending, and may send", v);
	TEST_ASSERT(!(entry[ENTRY_CTRL / 4] & MASKED) == !vec->masked, "vector %u: its mask", v);
	if (vec->programmed) {
		TEST_ASSERT_EQ(entry[ENTRY_ADDR_LO / 4],
			       MSI_ADDR(stress_target(v, vec->msg, s->nr_cpus)));
		TEST_ASSERT_EQ(entry[ENTRY_ADDR_HI / 4], 0);
		TEST_ASSERT_EQ(entry[ENTRY_DATA / 4], stress_irq(v, vec->msg));
	}
	TEST_ASSERT(s->bound[v] < 0 || !holds_event(s->event[v][s->bound[v]]),
		    "vector %u: an event in a bound eventfd", v);
	if (stress_kind(v) == FREE)
		audit_free(s, v, p);
	else if (p.taken + vec->credit + places != expected)
		fail_audit(s, v, p, expected);
	s->audited[v] = sums_of(s, v);
}

static void count(struct stress *s, u64 sum[STRESS_COUNTERS])
{
	int i;

	for (i = 0; i < STRESS_COUNTERS; i++)
		sum[i] = s->retired[i] + kvm_msix_counter(counters[i]);
}

static u64 all_signals(struct stress *s)
{
	u64 sum = 0;
	u32 v;

	for (v = 0; v < STRESS_NR; v++)
		sum += s->signalled[v];
	return sum;
}

static void audit_counters(struct stress *s)
{
	u64 sum[STRESS_COUNTERS], irqs;

	if (!kvm_msix_has_counters())
		return;
	count(s, sum);
	TEST_ASSERT_EQ(sum[EVENTS] - sum[LATCHED] - sum[COALESCED] + sum[RELEASED],
		       sum[DELIVERED] + sum[DROPPED]);
	TEST_ASSERT_EQ(sum[DROPPED], 0);
	/* Several signals of an unbound eventfd become one event at BIND. */
	TEST_ASSERT(sum[EVENTS] <= all_signals(s), "%lu events, %lu signals", sum[EVENTS],
		    all_signals(s));
	/* Two messages may be one interrupt. */
	irqs = stress_irqs(s->g) - s->gsi_sent;
	TEST_ASSERT(irqs <= sum[DELIVERED], "%lu interrupts, %lu messages", irqs, sum[DELIVERED]);
}

static void audit_strays(struct stress *s)
{
	u32 i, x;

	for (i = 0; i < s->nr_cpus; i++) {
		TEST_ASSERT(!s->g->cpu[i].stray, "interrupt 0x%lx on vCPU %u is nobody's message",
			    s->g->cpu[i].stray, i);
		for (x = 0x20; x < 0x100; x++)
			TEST_ASSERT(!s->m->cpu[i]->irqs[x] || x == STRESS_VMM_IRQ,
				    "interrupt 0x%x on vCPU %u is nobody's", x, i);
	}
	TEST_ASSERT_EQ(s->m->cpu[0]->irqs[STRESS_VMM_IRQ], s->vmm_sent);
}

void stress_audit(struct stress *s)
{
	struct msix_state *state;
	u32 v;

	stress_rest(s);
	state = msix_get_state(s->d.fd, STRESS_NR);
	TEST_ASSERT_EQ(state->control, s->control);
	TEST_ASSERT_EQ(guest_pba(s), state->pba[0]);
	for (v = 0; v < STRESS_NR; v++)
		audit_vector(s, state, v);
	audit_strays(s);
	audit_counters(s);
	msix_state_free(state);
}

/*
 * After a reset: the reset has discarded each event that is nowhere else. Returns
 * the vectors of discarded events, except of FREE vectors, which allow no count.
 */
u64 stress_discard(struct stress *s)
{
	struct msix_state *state = msix_get_state(s->d.fd, STRESS_NR);
	u64 expected, taken, discarded = 0;
	struct place p;
	u32 v, i;

	for (v = 0; v < STRESS_NR; v++) {
		p = look_for_events(s, state, v);
		expected = stress_kind(v) == EXACT ? s->signalled[v] : s->g->vec[v].expected;
		taken = p.taken + s->g->vec[v].credit;
		if (stress_kind(v) == FREE)
			for (i = 0; i < STRESS_THREADS; i++)
				s->device[i].owes[v] = p.pending || p.in_eventfd;
		else if (taken + p.pending + p.in_eventfd + 1 == expected)
			discarded |= BIT(v);
		s->g->vec[v].credit += discarded >> v & 1;
	}
	msix_state_free(state);
	return discarded;
}

/*
 * Inject by the vectors' GSIs. If a vector has a GSI and may send, the GSI has a
 * route, and the injection is an interrupt; else the injection has no effect.
 */
void stress_pulse(struct stress *s)
{
	struct msix_state *state = msix_get_state(s->d.fd, STRESS_NR);
	struct stress_vec *vec;
	u64 before, sent;
	bool route;
	u32 v, i;

	for (v = 0; v < STRESS_NR; v++) {
		if (stress_gsi(v) == STRESS_NO_GSI || s->bound[v] < 0)
			continue;
		route = s->gsis && may_send(state, v);
		vec = &s->g->vec[v];
		before = stress_irqs_of(s->g, v);
		sent = READ_ONCE(s->g->irqs[stress_irq(v, vec->msg)]);
		kvm_irq_pulse(s->m->vm, stress_gsi(v));
		stress_flush(s);
		TEST_ASSERT(stress_irqs_of(s->g, v) == before + route,
			    "vector %u: %lu interrupts by its GSI, which has %s route", v,
			    stress_irqs_of(s->g, v) - before, route ? "a" : "no");
		if (!route)
			continue;
		TEST_ASSERT_EQ(READ_ONCE(s->g->irqs[stress_irq(v, vec->msg)]), sent + 1);
		/* The interrupt is not an event of the device. */
		vec->credit--;
		s->gsi_sent++;
		for (i = 0; i < STRESS_THREADS; i++)
			s->device[i].before[v]++;
	}
	msix_state_free(state);
}

/* Keep the counters of a function that is about to be closed; the next one is new. */
void stress_retire(struct stress *s)
{
	u32 v;

	if (kvm_msix_has_counters())
		count(s, s->retired);
	for (v = 0; v < STRESS_NR; v++)
		s->born[v] = sums_of(s, v);
}

void stress_report(struct stress *s)
{
	u64 cycles = 0, lives = 0, probes = 0, lates = 0, sum[STRESS_COUNTERS];
	u32 i;

	for (i = 0; i < s->nr_cpus; i++) {
		cycles += s->g->cpu[i].cycles;
		lives += s->g->cpu[i].lives;
		probes += s->g->cpu[i].probes;
		lates += s->g->cpu[i].lates;
	}
	ksft_print_msg("%lu cycles, %lu live changes, %lu probes, %lu function masks\n", cycles,
		       lives, probes, s->g->fmasks);
	ksft_print_msg("%lu signals, %lu interrupts, %lu of them by GSI\n", all_signals(s),
		       stress_irqs(s->g), s->gsi_sent);
	if (!kvm_msix_has_counters())
		return;
	count(s, sum);
	ksft_print_msg("%lu events: %lu latched, %lu coalesced; %lu released, %lu delivered\n",
		       sum[EVENTS], sum[LATCHED], sum[COALESCED], sum[RELEASED], sum[DELIVERED]);
	if (!msix_mapped())
		return;
	ksft_print_msg("%lu messages after a mask, pages protected %lu times, %lu faults\n", lates,
		       sum[PROTECTED], sum[FAULTS]);
	/* In each lap the pages are protected, and a store faults. */
	TEST_ASSERT(sum[PROTECTED] >= s->laps && sum[FAULTS] >= s->laps,
		    "only that in %u laps", s->laps);
}
