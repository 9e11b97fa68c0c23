// SPDX-License-Identifier: GPL-2.0-only
/*
 * 13 of semantics.md: masks against events, with books. Three parties: a vCPU
 * that masks and unmasks, the vCPU that gets the interrupts (the same one, or
 * another that does nothing else), and a thread of the VMM that is the device.
 * At times the VMM is a fourth: it writes Message Control, or rebinds.
 */
#include <pthread.h>
#include <sched.h>

#include "kselftest_harness.h"
#include "kvm_msix_util.h"

#define TABLE	BAR_GPA
#define PBA	(BAR_GPA + 0x800)
#define CONTROL	(TABLE + ENTRY_CTRL)
#define VEC	0x40	/* and the next one */
#define GSI	64
#define ROUNDS	1000
#define CYCLES	2000
#define CHASES	100
#define SETTLE	0x30	/* of a lower priority: taken last */
#define PATIENCE_S	60

/* Between guest and device. */
static u64 masked_round;	/* the guest has masked for this round */
static u64 done_round;	/* the device has done its part in it */
static u64 round_events;	/* and that many events */
static u64 cycles_done;
static u64 idle_ready;
static u64 stop;
static u64 target;	/* vCPU */
static u64 asked;	/* it shall take its interrupts */
static u64 answered;	/* and has */
static u64 settled;	/* that often, since the cycles are done */
static u64 settled_last;	/* the target is asked no more */

/*
 * Where the table is guest memory: a message whose sending has begun when the
 * mask is written can still arrive, one for each that is being sent.
 */
static u64 late_messages;

/* What must come, must come by then. */
static u64 deadline(void)
{
	return rdtsc() + PATIENCE_S * 1000 * guest_tsc_khz;
}

static u64 pba(void)
{
	return mmio_read64(PBA);
}

/*
 * This test's counter: per vCPU as guest_irq_handler(), but of one vector, and
 * in the guest's own memory where both vCPUs see it.
 */
static u64 irqs;
static u64 irqs_of[2];	/* the same by message */

static void count_irq(struct ex_regs *regs)
{
	u64 *of = &irqs_of[regs->vector - VEC];

	WRITE_ONCE(*of, *of + 1);
	WRITE_ONCE(irqs, irqs + 1);
	guest_irq_handler(regs);
}

static void wait_for_stop(void)
{
	while (!READ_ONCE(stop))
		asm volatile("pause");
	GUEST_DONE();
}

static void guest_idle(void)
{
	guest_init();
	WRITE_ONCE(idle_ready, 1);
	wait_for_stop();
}

/* A message to a vCPU whose APIC is not enabled yet would be lost. */
static void guest_init_masker(void)
{
	u64 end;

	guest_init();
	for (end = deadline(); !READ_ONCE(idle_ready);)
		GUEST_ASSERT(rdtsc() < end);
}

/*
 * Exact rounds: while masked and read back, the device has k events, 0 to 3.
 * Not one arrives, the PBA says whether there was any, and the unmask sends one
 * message, or none.
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

/* Every eighth time the masker waits for what it provokes, so that it happens. */
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
	/* One is the latched one's; the target may be late with some before it. */
	while (cycle % 8 == 4 && READ_ONCE(irqs) < before + 4)
		GUEST_ASSERT(rdtsc() < end);
	WRITE_ONCE(cycles_done, cycle);
}

/*
 * Free running: the device never stops. A message sent before the mask has set
 * the APIC's IRR by then, and this vCPU, whose interrupts are on, has taken it
 * when the read back is done. From then until the unmask: nothing.
 */
static void guest_cycles(void)
{
	u64 cycle, before;

	guest_init_masker();
	for (cycle = 1; cycle <= CYCLES; cycle++) {
		mmio_write32(CONTROL, MASKED);
		GUEST_ASSERT_EQ(mmio_read32(CONTROL), MASKED);
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
 * To all vCPUs, by which the module sends from a work: masking waits for what is
 * in flight. This vCPU has then taken it when the read back is done.
 */
static void guest_broadcasts(void)
{
	u64 *taken = &guest_this_cpu()->irqs[VEC];
	u64 cycle, before, end;

	guest_init_masker();
	for (cycle = 1; cycle <= CHASES * 4; cycle++) {
		mmio_write32(CONTROL, MASKED);
		GUEST_ASSERT_EQ(mmio_read32(CONTROL), MASKED);
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
 * With the interrupts elsewhere: the same, but another vCPU may be late in
 * taking what was sent before the mask. That there is no second message after
 * it is what the counters tell.
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

/* An exit with interrupts enabled: what was sent before is taken then. */
static void take_interrupts(void)
{
	u32 eax, ebx, ecx, edx;

	cpuid(0, &eax, &ebx, &ecx, &edx);
	asm volatile("pause" : : : "memory");
}

static void answer_irq(struct ex_regs *regs)
{
	WRITE_ONCE(answered, READ_ONCE(asked));
	wrmsr(APIC_BASE_MSR + (APIC_EOI >> 4), 0);
}

/* It sleeps but for interrupts: the others have the CPUs. */
static void guest_target(void)
{
	guest_init();
	WRITE_ONCE(idle_ready, 1);
	while (target) {
		asm volatile("cli" : : : "memory");
		if (READ_ONCE(settled_last))
			break;
		asm volatile("sti; hlt" : : : "memory");
	}
	GUEST_DONE();
}

static void wake_target(void)
{
	x2apic_write_reg(APIC_ICR, target << 32 | APIC_DM_FIXED | SETTLE);
}

/* All that was sent has been taken. */
static void settle(void)
{
	u64 end = deadline();

	if (!target) {
		take_interrupts();
		return;
	}
	WRITE_ONCE(asked, asked + 1);
	wake_target();
	while (READ_ONCE(answered) != asked)
		GUEST_ASSERT(rdtsc() < end);
}

static void settle_until_stop(void)
{
	while (!READ_ONCE(stop)) {
		settle();
		WRITE_ONCE(settled, settled + 1);
	}
	WRITE_ONCE(settled_last, 1);
	if (target)
		wake_target();
	GUEST_DONE();
}

static u64 taken(u32 msg)
{
	return READ_ONCE(irqs_of[msg]);
}

/*
 * All that goes wrong if two look at a vector at once goes wrong here, with two
 * messages in turn. There is always one pending to unmask. From mask to unmask
 * nothing comes; after it only the new message, and that does come; and while
 * unmasked nothing is pending.
 */
static void guest_chase(void)
{
	u64 cycle, end, old, new;
	u32 msg;

	guest_init_masker();
	for (cycle = 1; cycle <= CHASES; cycle++) {
		msg = cycle % 2;
		mmio_write32(CONTROL, MASKED);
		GUEST_ASSERT_EQ(mmio_read32(CONTROL), MASKED);
		settle();
		old = taken(!msg);
		new = taken(msg);
		mmio_write32(TABLE + ENTRY_DATA, VEC + msg);
		for (end = deadline(); !pba();)
			GUEST_ASSERT(rdtsc() < end);
		settle();
		GUEST_ASSERT(taken(!msg) - old <= late_messages);
		GUEST_ASSERT_EQ(taken(msg), new);

		mmio_write32(CONTROL, 0);
		/* In guest memory that may take a while. */
		for (end = deadline(); late_messages && pba();)
			GUEST_ASSERT(rdtsc() < end);
		GUEST_ASSERT_EQ(pba(), 0);
		for (end = deadline(); taken(msg) == new;)
			GUEST_ASSERT(rdtsc() < end);
		settle();
		GUEST_ASSERT(taken(!msg) - old <= late_messages);
		GUEST_ASSERT_EQ(pba(), 0);
		WRITE_ONCE(cycles_done, cycle);
	}
	settle_until_stop();
}

/* Unmasked; the VMM masks and unmasks the function. */
static void guest_chased(void)
{
	guest_init_masker();
	mmio_write32(CONTROL, 0);
	settle_until_stop();
}

/*
 * 7: the halves of an 8-byte write are seen together. Two vCPUs, each with what
 * it writes in both halves of an address, and each reading it.
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

struct race_vcpu {
	struct msix_vm *m;
	int cpu;
};

static void *vcpu_thread(void *arg)
{
	struct race_vcpu *v = arg;
	struct kvm_vcpu *vcpu = v->m->vcpu[v->cpu];
	struct ucall uc;

	vcpu_run(vcpu);
	switch (get_ucall(vcpu, &uc)) {
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
		break;
	case UCALL_DONE:
		break;
	default:
		TEST_FAIL("exit reason %u (%s)", vcpu->run->exit_reason,
			  exit_reason_str(vcpu->run->exit_reason));
	}
	return NULL;
}

struct race_vm {
	struct msix_vm *m;
	struct msix_dev d;
	struct race_vcpu v[2];
	pthread_t thread[2];
	u64 signalled;
	int event;
	int other;	/* eventfd, for who rebinds */
};

FIXTURE(race) {
	struct race_vm r;
};

FIXTURE_VARIANT(race) {
	u32 target;
};

FIXTURE_VARIANT_ADD(race, same_vcpu) {
	.target = 0,
};

FIXTURE_VARIANT_ADD(race, other_vcpu) {
	.target = 1,
};

FIXTURE_SETUP(race)
{
	struct msix_state *s = msix_state_alloc(1);

	self->r.m = msix_vm_create(0, guest_idle);
	vm_install_exception_handler(self->r.m->vm, VEC, count_irq);
	vm_install_exception_handler(self->r.m->vm, VEC + 1, count_irq);
	vm_install_exception_handler(self->r.m->vm, SETTLE, answer_irq);
	self->r.d = msix_create(self->r.m->vm, 1, 0);
	self->r.event = event_create();
	self->r.other = event_create();
	*GUEST_VAR(self->r.m, target) = variant->target;
	msix_locate(&self->r.d, TABLE, PBA);
	msix_bind_one(&self->r.d, 0, self->r.event, -1);
	s->control = ENABLE;
	s->entry[0][0] = MSI_ADDR(variant->target);
	s->entry[0][2] = VEC;
	s->entry[0][3] = MASKED;
	ASSERT_EQ(0, __msix_set_state(self->r.d.fd, s));
	msix_state_free(s);
}

FIXTURE_TEARDOWN(race)
{
	close(self->r.d.fd);
	msix_vm_free(self->r.m);
}

static void start(struct race_vm *r, void *masker, void *other)
{
	int i;

	msix_vm_add_cpu(r->m, 0, masker);
	msix_vm_add_cpu(r->m, 1, other);
	for (i = 1; i >= 0; i--) {
		r->v[i] = (struct race_vcpu) { r->m, i };
		TEST_ASSERT(!pthread_create(&r->thread[i], NULL, vcpu_thread, &r->v[i]),
			    "pthread_create");
	}
}

static void finish(struct race_vm *r)
{
	WRITE_ONCE(*GUEST_VAR(r->m, stop), 1);
	pthread_join(r->thread[0], NULL);
	pthread_join(r->thread[1], NULL);
}

static void signal_event(struct race_vm *r)
{
	event_signal(r->event);
	r->signalled++;
}

/* What always holds between the counters, and is exact when all is quiet. */
static void check_counters(struct __test_metadata *_metadata, struct race_vm *r,
			   u64 irqs_taken)
{
	u64 events = kvm_msix_counter("events"), latched = kvm_msix_counter("latched");
	u64 coalesced = kvm_msix_counter("coalesced"), kicks = kvm_msix_counter("kicks");
	u64 delivered = kvm_msix_counter("delivered"), dropped = kvm_msix_counter("dropped");

	TH_LOG("%lu events: %lu latched, %lu coalesced; %lu kicks; %lu delivered, %lu interrupts",
	       events, latched, coalesced, kicks, delivered, irqs_taken);
	EXPECT_EQ(r->signalled, events);
	EXPECT_EQ(0, dropped);
	EXPECT_EQ(latched, kicks + msix_pending(&r->d, 0));
	EXPECT_EQ(delivered, events - latched - coalesced + kicks);
	/* Two messages may be one interrupt (IRR), never the other way round. */
	EXPECT_LE(irqs_taken, delivered);
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
	/* In bursts: each kicks the target out of the guest, that has to live too. */
	while (READ_ONCE(*cycles) < CYCLES) {
		for (i = 0; i < 8; i++)
			signal_event(&self->r);
		usleep(20);
	}

	/* Unmasked for good: all that was latched has been sent. */
	EXPECT_FALSE(msix_pending(&self->r.d, 0));
	/* Quiet: the last message, if it is still on the way, arrives. */
	for (i = 0; i < 50; i++)
		usleep(1000);
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
		/* The race has taken place: events came in both states. */
		EXPECT_GE(kvm_msix_counter("latched"), CYCLES / 8);
		EXPECT_GT(kvm_msix_counter("delivered"), kvm_msix_counter("kicks"));
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
	for (i = 0; READ_ONCE(*cycles) < CHASES * 4; i++) {
		signal_event(&self->r);
		if (i % 4 == 0)
			usleep(20);
	}
	/* At rest, after whatever is in flight. */
	EXPECT_FALSE(msix_pending(&self->r.d, 0));
	finish(&self->r);
	if (kvm_msix_has_counters())
		check_counters(_metadata, &self->r, 0);
}

/* The device, while a vCPU is in guest_chase(). */
struct chase {
	struct race_vm *r;
	bool rebind;	/* it signals both eventfds */
	bool exact;	/* it waits for each event's interrupt */
	bool stop;
	pthread_t thread;
};

/*
 * The device has the last CPU for itself, if there are two: who shares it with
 * the device can only run when no event is on its way, and chases nobody.
 */
static void keep_apart(bool device)
{
	int last = sysconf(_SC_NPROCESSORS_ONLN) - 1, i;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	if (device)
		CPU_SET(last, &cpus);
	for (i = 0; i < last && !device; i++)
		CPU_SET(i, &cpus);
	if (last)
		TEST_ASSERT(!sched_setaffinity(0, sizeof(cpus), &cpus), "sched_setaffinity: %s",
			    strerror(errno));
}

static void *chase_thread(void *arg)
{
	struct chase *c = arg;
	u64 *taken = GUEST_VAR(c->r->m, irqs);
	u32 i;

	keep_apart(true);
	for (i = 0; !READ_ONCE(c->stop); i++) {
		if (c->exact && READ_ONCE(*taken) != c->r->signalled) {
			usleep(20);
			continue;
		}
		event_signal(c->rebind && i % 3 == 0 ? c->r->other : c->r->event);
		WRITE_ONCE(c->r->signalled, c->r->signalled + 1);
		/* Those that it interrupts have to live too. */
		if (i % 64 == 0)
			sched_yield();
	}
	return NULL;
}

/* The VMM's part until the guest is done: the same again, or each way to bind. */
static void chase_vmm(struct chase *c, bool control)
{
	u64 *cycles = GUEST_VAR(c->r->m, cycles_done);
	int event[] = { c->r->event, c->r->other, -1 };
	u32 i;

	for (i = 0; READ_ONCE(*cycles) < CHASES; i++) {
		if (control)
			msix_control(&c->r->d, ENABLE);
		else if (c->rebind)
			msix_bind_one(&c->r->d, 0, event[i % 3], i / 3 % 2 ? msix_gsi(GSI) : -1);
		else
			usleep(1000);
		if (i % 16 == 0)
			usleep(500);
	}
}

static void wait_for_count(u64 *count, u64 want)
{
	time_t end = time(NULL) + PATIENCE_S;

	while (READ_ONCE(*count) < want) {
		TEST_ASSERT(time(NULL) < end, "%lu, not %lu", READ_ONCE(*count), want);
		usleep(20);
	}
}

/* What was sent has been taken. The second time began after this was called. */
static void chase_flush(struct chase *c)
{
	u64 *times = GUEST_VAR(c->r->m, settled);

	wait_for_count(times, READ_ONCE(*times) + 2);
}

/* Nothing is left in an eventfd or in the vector, and its GSI has its message. */
static void chase_end(struct __test_metadata *_metadata, struct chase *c)
{
	u64 *taken = GUEST_VAR(c->r->m, irqs), before;
	u64 *of_last = &(*GUEST_VAR(c->r->m, irqs_of))[CHASES % 2];
	u32 i;

	WRITE_ONCE(c->stop, true);
	pthread_join(c->thread, NULL);
	msix_bind_one(&c->r->d, 0, c->r->other, -1);
	msix_bind_one(&c->r->d, 0, c->r->event, msix_gsi(GSI));
	EXPECT_EQ(0, event_drain(c->r->event) + event_drain(c->r->other));
	for (i = 0; i < PATIENCE_S * 1000 && msix_mapped() && msix_pending(&c->r->d, 0); i++)
		usleep(1000);
	EXPECT_FALSE(msix_pending(&c->r->d, 0));
	chase_flush(c);
	if (c->exact)
		EXPECT_EQ(c->r->signalled, READ_ONCE(*taken));

	if (msix_gsi(GSI) == GSI) {
		before = READ_ONCE(*of_last);
		kvm_irq_pulse(c->r->m->vm, GSI);
		chase_flush(c);
		EXPECT_EQ(before + 1, READ_ONCE(*of_last));
		/* That one was no message of the vector's. */
		--*taken;
	}
	finish(c->r);
	EXPECT_LE(*taken, c->r->signalled);
}

static void chase(struct __test_metadata *_metadata, struct chase *c, bool control)
{
	u64 signals;

	*GUEST_VAR(c->r->m, late_messages) = msix_mapped();
	keep_apart(false);
	start(c->r, guest_chase, guest_target);
	TEST_ASSERT(!pthread_create(&c->thread, NULL, chase_thread, c), "pthread_create");
	chase_vmm(c, control);
	chase_end(_metadata, c);
	if (!kvm_msix_has_counters())
		return;
	/* Signals of an eventfd that is not bound are one event later. */
	signals = c->r->signalled;
	if (c->rebind && !c->exact) {
		c->r->signalled = kvm_msix_counter("events");
		EXPECT_LE(c->r->signalled, signals);
	}
	check_counters(_metadata, c->r, *GUEST_VAR(c->r->m, irqs));
	EXPECT_GE(kvm_msix_counter("kicks"), CHASES);
}

TEST_F_TIMEOUT(race, chase, 300)
{
	struct chase c = { .r = &self->r };

	chase(_metadata, &c, false);
}

/* Message Control as it is: what is pending is looked for from there as well. */
TEST_F_TIMEOUT(race, chase_and_control, 300)
{
	struct chase c = { .r = &self->r };

	msix_bind_one(&self->r.d, 0, self->r.event, msix_gsi(GSI));
	chase(_metadata, &c, true);
}

/*
 * By Message Control: when the ioctl has returned nothing is being sent. The
 * device is one thread: what it was at then is done when it has signalled twice.
 */
TEST_F_TIMEOUT(race, chase_by_control, 300)
{
	struct chase c = { .r = &self->r };
	u64 *taken = GUEST_VAR(self->r.m, irqs), before;
	int i;

	keep_apart(false);
	start(&self->r, guest_chased, guest_target);
	TEST_ASSERT(!pthread_create(&c.thread, NULL, chase_thread, &c), "pthread_create");
	wait_for_count(taken, 1);
	for (i = 0; i < CHASES; i++) {
		msix_control(&self->r.d, ENABLE | FUNCTION_MASK);
		chase_flush(&c);
		before = READ_ONCE(*taken);
		wait_for_count(&self->r.signalled, READ_ONCE(self->r.signalled) + 2);
		chase_flush(&c);
		ASSERT_EQ(before, READ_ONCE(*taken));
		ASSERT_TRUE(msix_pending(&self->r.d, 0));
		msix_control(&self->r.d, ENABLE);
		ASSERT_FALSE(msix_pending(&self->r.d, 0));
		wait_for_count(taken, before + 1);
	}
	WRITE_ONCE(c.stop, true);
	pthread_join(c.thread, NULL);
	chase_flush(&c);
	finish(&self->r);
	if (kvm_msix_has_counters())
		check_counters(_metadata, &self->r, *taken);
}

/*
 * To one eventfd, to another, to none, each with a GSI and without, under fire.
 * First each signal is one interrupt; then the device does not wait for it.
 */
TEST_F_TIMEOUT(race, chase_and_rebind, 300)
{
	struct chase c = { .r = &self->r, .rebind = true, .exact = true };

	chase(_metadata, &c, false);
}

TEST_F_TIMEOUT(race, chase_and_rebind_free_running, 300)
{
	struct chase c = { .r = &self->r, .rebind = true };

	chase(_metadata, &c, false);
}

/* The entry is masked all the time, its target but a value it begins with. */
TEST_F_TIMEOUT(race, torn, 120)
{
	start(&self->r, guest_torn, guest_torn);
	pthread_join(self->r.thread[0], NULL);
	pthread_join(self->r.thread[1], NULL);
	EXPECT_EQ(0, self->r.m->nr_exits);
}

KVM_MSIX_TEST_MAIN
