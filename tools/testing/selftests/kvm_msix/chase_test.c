// SPDX-License-Identifier: GPL-2.0-only
/*
 * 13 of kvm_msix-semantics.rst: masks against a device that never rests and has a CPU
 * of its own, as in race_test, but each cycle also changes the message, and checks
 * that what comes after an unmask is the new message only. In some tests the VMM is a
 * fourth party, which writes Message Control or rebinds, or the vector has two
 * eventfds (27) and the device has two threads.
 */
#include <sched.h>

#include "kselftest_harness.h"
#include "race.h"

#define GSI	64
#define CHASES	100
#define SETTLE	0x30	/* of lower priority than VEC: taken last */

/* Shared by guest and device. */
static u64 target;	/* index of the vCPU that gets the interrupts */
static u64 asked;	/* request: the target takes its interrupts */
static u64 answered;	/* the last request that the target has answered */
static u64 settled;	/* number of requests since the cycles are done */
static u64 settled_last;	/* there are no more requests */
static u64 target_ended;

static void answer_irq(struct ex_regs *regs)
{
	WRITE_ONCE(answered, READ_ONCE(asked));
	wrmsr(APIC_BASE_MSR + (APIC_EOI >> 4), 0);
}

/* Halt between interrupts, to leave the CPUs to the other threads. */
static void guest_target(void)
{
	guest_init();
	WRITE_ONCE(idle_ready, 1);
	while (target && !READ_ONCE(settled_last))
		asm volatile("sti; hlt; cli" : : : "memory");
	WRITE_ONCE(target_ended, 1);
	GUEST_DONE();
}

static void wake_target(void)
{
	x2apic_write_reg(APIC_ICR, target << 32 | APIC_DM_FIXED | SETTLE);
}

/* Wait until the target has taken all interrupts that were sent. */
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
	/* The target may take the interrupt before it halts. */
	while (target && !READ_ONCE(target_ended))
		wake_target();
	GUEST_DONE();
}

static u64 taken(u32 msg)
{
	return READ_ONCE(irqs_of[msg]);
}

/*
 * Provoke the errors of two threads that look at a vector at once, with two messages in
 * turn. Each unmask finds an event pending. From mask to unmask no message arrives;
 * after the unmask the new message arrives, and never the old; while the vector is
 * unmasked no bit is pending.
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
		/* In guest memory the module sees the unmask late. */
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

/* Unmask once; the VMM masks and unmasks the function. */
static void guest_chased(void)
{
	guest_init_masker();
	mmio_write32(CONTROL, 0);
	settle_until_stop();
}

/* The device, while a vCPU is in guest_chase(). */
struct chase {
	struct race_vm *r;
	bool rebind;	/* the VMM rebinds; the device signals both eventfds */
	bool exact;	/* the device waits for each event's interrupt */
	bool share;	/* both eventfds are bound; with @rebind the VMM removes and adds them */
	bool stop;
	pthread_t thread;
	pthread_t second;	/* signals the other eventfd, if @share and not @exact */
};

/*
 * If there are two CPUs, give the last to the device alone: a thread on the device's CPU
 * runs only while the device does not signal, and so never races with an event.
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

static void chase_start(struct race_vm *r, void *guest)
{
	vm_install_exception_handler(r->m->vm, SETTLE, answer_irq);
	*GUEST_VAR(r->m, target) = r->target;
	keep_apart(false);
	start(r, guest, guest_target);
}

static bool two_threads(const struct chase *c)
{
	return c->share && !c->exact;
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
		event_signal(c->rebind && !two_threads(c) && i % 3 == 0 ? c->r->other :
									c->r->event);
		__sync_fetch_and_add(&c->r->signalled, 1);
		/* Let the threads that the signals interrupt run. */
		if (i % 64 == 0)
			sched_yield();
	}
	return NULL;
}

/* Run on the vCPUs' CPUs, so that both eventfds are signalled at the same time. */
static void *second_thread(void *arg)
{
	struct chase *c = arg;
	u32 i;

	keep_apart(false);
	for (i = 0; !READ_ONCE(c->stop); i++) {
		event_signal(c->r->other);
		__sync_fetch_and_add(&c->r->signalled, 1);
		if (i % 8 == 0)
			usleep(20);
	}
	return NULL;
}

/* Remove and add the eventfds in turn; at least one stays bound. */
static void share_step(struct chase *c, u32 i)
{
	int event = i / 2 % 2 ? c->r->other : c->r->event;
	int fd = c->r->d.fd;

	TEST_ASSERT_EQ(i % 2 ? __msix_add(fd, 0, event) : __msix_remove(fd, 0, event), 0);
}

/* Until the guest is done, write the same Message Control again, or rebind. */
static void chase_vmm(struct chase *c, bool control)
{
	u64 *cycles = GUEST_VAR(c->r->m, cycles_done);
	int event[] = { c->r->event, c->r->other, -1 };
	u32 i;

	for (i = 0; READ_ONCE(*cycles) < CHASES; i++) {
		if (control)
			msix_control(&c->r->d, ENABLE);
		else if (c->rebind && c->share)
			share_step(c, i);
		else if (c->rebind)
			msix_bind_one(&c->r->d, 0, event[i % 3], i / 3 % 2 ? msix_gsi(GSI) : -1);
		else
			usleep(1000);
		if (i % 16 == 0)
			usleep(500);
	}
}

/*
 * Wait until the target has taken all interrupts that were sent. Of two requests, the
 * second began after this call.
 */
static void chase_flush(struct chase *c)
{
	u64 *times = GUEST_VAR(c->r->m, settled);

	wait_for_count(times, READ_ONCE(*times) + 2);
}

/* No event is left in an eventfd or the vector, and the GSI sends the last message. */
static void chase_end(struct __test_metadata *_metadata, struct chase *c)
{
	u64 *taken = GUEST_VAR(c->r->m, irqs), before;
	u64 *of_last = &(*GUEST_VAR(c->r->m, irqs_of))[CHASES % 2];
	u32 i;

	WRITE_ONCE(c->stop, true);
	pthread_join(c->thread, NULL);
	if (two_threads(c))
		pthread_join(c->second, NULL);
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
		/* The GSI's interrupt was no event of the vector. */
		--*taken;
	}
	finish(c->r);
	EXPECT_LE(*taken, c->r->signalled);
}

static void chase(struct __test_metadata *_metadata, struct chase *c, bool control)
{
	u64 signals;

	*GUEST_VAR(c->r->m, late_messages) = msix_mapped();
	chase_start(c->r, guest_chase);
	if (c->share)
		TEST_ASSERT_EQ(__msix_add(c->r->d.fd, 0, c->r->other), 0);
	TEST_ASSERT(!pthread_create(&c->thread, NULL, chase_thread, c), "pthread_create");
	if (two_threads(c))
		TEST_ASSERT(!pthread_create(&c->second, NULL, second_thread, c), "pthread_create");
	chase_vmm(c, control);
	chase_end(_metadata, c);
	if (!kvm_msix_has_counters())
		return;
	/* All signals of an unbound eventfd together become one event when it is bound. */
	signals = c->r->signalled;
	if (c->rebind && !c->exact) {
		c->r->signalled = kvm_msix_counter("events") + events_posted();
		EXPECT_LE(c->r->signalled, signals);
	}
	check_counters(_metadata, c->r, *GUEST_VAR(c->r->m, irqs));
	EXPECT_GE(kvm_msix_counter("released"), CHASES);
}

TEST_F_TIMEOUT(race, chase, 300)
{
	struct chase c = { .r = &self->r };

	chase(_metadata, &c, false);
}

/* Message Control is written without a change: the ioctl sends pending events, too. */
TEST_F_TIMEOUT(race, chase_and_control, 300)
{
	struct chase c = { .r = &self->r };

	msix_bind_one(&self->r.d, 0, self->r.event, msix_gsi(GSI));
	chase(_metadata, &c, true);
}

/*
 * Mask by Message Control: when the ioctl returns, no message is in flight. The device
 * is one thread: when it has signalled twice more, a signal from before the return has
 * been handled.
 */
TEST_F_TIMEOUT(race, chase_by_control, 300)
{
	struct chase c = { .r = &self->r };
	u64 *taken = GUEST_VAR(self->r.m, irqs), before;
	int i;

	chase_start(&self->r, guest_chased);
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
 * Rebind to one eventfd, another, or none, each with and without a GSI, while the device
 * signals. Here the device waits until each signal is one interrupt; below, it does not.
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

/* 27: two eventfds are signalled at the same time; each signal is an event. */
TEST_F_TIMEOUT(race, chase_two, 300)
{
	struct chase c = { .r = &self->r, .share = true };

	chase(_metadata, &c, false);
}

/* 27: eventfds are removed and added while the device signals, exact, then free running. */
TEST_F_TIMEOUT(race, chase_and_add, 300)
{
	struct chase c = { .r = &self->r, .rebind = true, .share = true, .exact = true };

	chase(_metadata, &c, false);
}

TEST_F_TIMEOUT(race, chase_and_add_free_running, 300)
{
	struct chase c = { .r = &self->r, .rebind = true, .share = true };

	chase(_metadata, &c, false);
}

KVM_MSIX_TEST_MAIN
