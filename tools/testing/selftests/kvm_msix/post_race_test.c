// SPDX-License-Identifier: GPL-2.0-only
/*
 * 13 of kvm_msix-semantics.rst: masks against messages that are posted. One message at a
 * time is in flight: a lost message is awaited in vain, a doubled message makes the count
 * too high. The guest masks each vector while the vector is posted, and then several times
 * before, while or after the module posts the vector. After each mask the guest waits until
 * a message is pending. No message that was sent after the mask may arrive during this
 * wait, and no message at all may arrive after the wait.
 */
#include <pthread.h>
#include <sched.h>

#include "kselftest_harness.h"
#include "post.h"

#define STORM_NR	128
#define STORM_PASSES	4
#define STORM_MESSAGES	100000	/* of one vector: far more than the test needs */
#define STORM_TABLE	BAR_GPA
#define STORM_PBA	(BAR_GPA + MAPPED_PBA)

static u64 storm_posted[STORM_NR];	/* as the device reports */
static u64 storm_target;	/* the vector that gets messages, plus one */
static u64 storm_done;
static u64 storm_is_busy;	/* the guest is to do nothing but mask */
static u64 storm_stop;
static u64 storm_patience_us;	/* longest wait before a mask: about when posting is due */
static u64 storm_may_be_late;	/* messages per mask: 1 if the store does not trap */
static u64 storm_late;
static u64 storm_masked[2];	/* masks: of a posted vector, of any */

static u64 storm_random(u64 n)
{
	static u64 seed = 1;

	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (seed >> 33) % n;
}

static void storm_wait(u64 us)
{
	u64 end = rdtsc() + us * guest_tsc_khz / 1000;

	while (rdtsc() < end)
		asm volatile("pause");
}

static void storm_mask(u64 v)
{
	u64 control = STORM_TABLE + v * ENTRY_SIZE + ENTRY_CTRL;
	u64 *irqs = &guest_this_cpu()->irqs[VEC(v)], before;

	mmio_write32(control, MASKED);
	GUEST_ASSERT_EQ(MASKED, mmio_read32(control));
	before = READ_ONCE(*irqs);
	while (!(mmio_read64(STORM_PBA + v / 64 * 8) >> v % 64 & 1) &&
	       READ_ONCE(*irqs) - before <= storm_may_be_late)
		asm volatile("pause");
	storm_wait(storm_random(200));
	mmio_read32(control);
	if (READ_ONCE(*irqs) - before > storm_may_be_late)
		storm_late++;
	mmio_write32(control, 0);
}

/*
 * Mask all vectors, as fast as possible. In guest memory each store keeps all vectors of
 * the page from being posted: mask all vectors, then rest until the module may post them.
 * Each rest is twice as long as the last, as the module doubles the time for which a vector
 * must be left alone.
 */
static void mask_until_stop(void)
{
	u64 rest_us = 4 * QUIET_US, v;

	WRITE_ONCE(storm_target, 1);
	for (v = 0; !READ_ONCE(storm_stop); v = (v + 1) % STORM_NR) {
		if (storm_may_be_late && !v) {
			storm_wait(rest_us);
			rest_us *= 2;
		}
		mmio_write32(STORM_TABLE + v * ENTRY_SIZE + ENTRY_CTRL, MASKED);
		mmio_write32(STORM_TABLE + v * ENTRY_SIZE + ENTRY_CTRL, 0);
		storm_masked[0]++;
	}
	GUEST_DONE();
}

static void guest_storm(void)
{
	u64 pass, v;

	guest_init();
	if (storm_is_busy)
		mask_until_stop();
	for (pass = 0; pass < STORM_PASSES; pass++) {
		for (v = 0; v < STORM_NR; v++) {
			WRITE_ONCE(storm_posted[v], 0);
			WRITE_ONCE(storm_target, v + 1);
			while (!pass && !READ_ONCE(storm_posted[v]))
				asm volatile("pause");
			storm_wait(storm_random(pass ? storm_patience_us : 1000));
			storm_mask(v);
			storm_masked[!!pass]++;
		}
	}
	WRITE_ONCE(storm_done, 1);
	/* Stay to count the last message, which may not have arrived yet. */
	while (!READ_ONCE(storm_stop))
		asm volatile("pause");
	GUEST_DONE();
}

/*
 * Does the message arrive, exactly once? Count sleeps instead of time: while the host holds
 * up the whole machine, time passes, but neither the guest nor this test runs.
 */
static bool storm_arrives(const u64 *irqs, u64 sent)
{
	int yields, ms;

	for (yields = 0; yields < 1000 && READ_ONCE(*irqs) < sent; yields++)
		sched_yield();
	for (ms = 0; ms < PATIENCE_MS && READ_ONCE(*irqs) < sent; ms++)
		usleep(1000);
	return READ_ONCE(*irqs) == sent;
}

/* Print the state of a vector whose message does not arrive. */
static void print_lost(struct msix_dev *d, u64 v, int event, u64 sent, u64 irqs)
{
	printf("# vector %lu: message %lu after %lu that arrived; %sposted, %spending\n", v, sent,
	       irqs, posted(event) ? "" : "not ", msix_pending(d, v) ? "" : "not ");
	printf("# events %lu latched %lu released %lu delivered %lu dropped %lu\n",
	       kvm_msix_counter("events"), kvm_msix_counter("latched"),
	       kvm_msix_counter("released"), kvm_msix_counter("delivered"),
	       kvm_msix_counter("dropped"));
	printf("# device: %llu posted, %llu remapped\n", device_stats().posted,
	       device_stats().remapped);
}

FIXTURE(storm) {
	struct msix_vm *m;
	struct msix_dev d;
	int event[STORM_NR];
	u64 sent[STORM_NR];
};

FIXTURE_VARIANT(storm) {
	bool mapped;
};

FIXTURE_VARIANT_ADD(storm, trapped) {
	.mapped = false,
};

FIXTURE_VARIANT_ADD(storm, mapped) {
	.mapped = true,
};

FIXTURE_SETUP(storm)
{
	struct msix_state *s = msix_state_alloc(STORM_NR);
	int i;

	if (!device_open())
		SKIP(return, NO_FAKEPOST);
	if (variant->mapped && !msix_can_map())
		SKIP(return, NO_MMAP);
	self->m = msix_vm_create(1, guest_storm);
	self->d = variant->mapped ? msix_create_mapped(self->m->vm, STORM_NR, 0) :
				    msix_create(self->m->vm, STORM_NR, 0);
	msix_set_addr(&self->d, STORM_TABLE, STORM_PBA);
	for (i = 0; i < STORM_NR; i++) {
		self->event[i] = event_create();
		attach(self->event[i]);
		msix_bind_one(&self->d, i, self->event[i], -1);
		s->entry[i][ENTRY_ADDR_LO / 4] = MSI_ADDR(0);
		s->entry[i][ENTRY_DATA / 4] = VEC(i);
	}
	s->control = ENABLE;
	ASSERT_EQ(0, __msix_set_state(self->d.fd, s));
	msix_state_free(s);
	*GUEST_VAR(self->m, storm_may_be_late) = variant->mapped;
	/* A mapped vector is due later: its page must have been protected for some time. */
	*GUEST_VAR(self->m, storm_patience_us) = (variant->mapped ? 6 : 2) * QUIET_US;
}

FIXTURE_TEARDOWN(storm)
{
	close(self->d.fd);
	close(device);
	msix_vm_free(self->m);
}

TEST_F_TIMEOUT(storm, storm, 600)
{
	u64 *irqs, *target = GUEST_VAR(self->m, storm_target), v, i, sum = 0;
	u64 *done = GUEST_VAR(self->m, storm_done);
	struct fakepost_stats s;
	pthread_t thread;

	/* Post after the first event, so that masks arrive during the switch. */
	msix_set_post_events(1);
	pthread_create(&thread, NULL, msix_vcpu_thread, self->m->vcpu[0]);
	while (!READ_ONCE(*target))
		usleep(100);
	while (!READ_ONCE(*done)) {
		v = READ_ONCE(*target) - 1;
		irqs = &self->m->cpu[0]->irqs[VEC(v)];
		WRITE_ONCE(GUEST_VAR(self->m, storm_posted[0])[v], posted(self->event[v]));
		fire(self->event[v]);
		self->sent[v]++;
		if (!storm_arrives(irqs, self->sent[v])) {
			print_lost(&self->d, v, self->event[v], self->sent[v], *irqs);
			ASSERT_EQ(self->sent[v], READ_ONCE(*irqs));
		}
		/* The guest waits for the vector to be posted, or pending. */
		ASSERT_GT(STORM_MESSAGES, self->sent[v]);
	}
	WRITE_ONCE(*GUEST_VAR(self->m, storm_stop), 1);
	pthread_join(thread, NULL);
	for (i = 0; i < STORM_NR; i++) {
		EXPECT_EQ(self->sent[i], self->m->cpu[0]->irqs[VEC(i)]);
		sum += self->sent[i];
	}
	s = device_stats();
	printf("# %lu messages, %llu posted; %lu masks of posted vectors, %lu others; %lu late\n",
	       sum, s.posted, GUEST_VAR(self->m, storm_masked[0])[0],
	       GUEST_VAR(self->m, storm_masked[0])[1], *GUEST_VAR(self->m, storm_late));
	printf("# %llu switches to posted\n", s.to_posted);
	EXPECT_EQ(0, *GUEST_VAR(self->m, storm_late));
	EXPECT_LT(STORM_NR, s.to_posted);
	EXPECT_LT(0, s.posted);
}

static u64 switches(void)
{
	struct fakepost_stats s = device_stats();

	return s.to_posted + s.to_remapped;
}

/* With a flood of messages and masks there are switches, but not one for each mask. */
TEST_F(storm, busy_guest)
{
	u64 masks = variant->mapped ? STORM_NR : 1000;
	u64 in_turn = variant->mapped ? 1 : EVENTS, before, n, fired = 0;
	double start, time;
	pthread_t thread;

	msix_set_post_events(in_turn);
	*GUEST_VAR(self->m, storm_is_busy) = 1;
	pthread_create(&thread, NULL, msix_vcpu_thread, self->m->vcpu[0]);
	while (!READ_ONCE(*GUEST_VAR(self->m, storm_target)))
		usleep(100);
	start = seconds();
	before = switches();
	while (seconds() - start < 4 ||
	       READ_ONCE(GUEST_VAR(self->m, storm_masked[0])[0]) < masks) {
		fire(self->event[fired++ / in_turn % STORM_NR]);
		/* Each vector in turn is an interrupt: leave the guest time to do more. */
		if (variant->mapped)
			usleep(100);
	}
	time = seconds() - start;
	n = switches() - before;
	WRITE_ONCE(*GUEST_VAR(self->m, storm_stop), 1);
	pthread_join(thread, NULL);
	printf("# %.1f s: %lu masks, %lu messages, %lu switches\n", time,
	       GUEST_VAR(self->m, storm_masked[0])[0], fired, n);
	EXPECT_LT(0, n);
	EXPECT_GE(1000 * time, n);
}

KVM_MSIX_TEST_MAIN
