/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For race_test and chase_test: a function with one vector; two vCPUs; and the counts
 * that guest and device share. A vCPU masks the vector; the same vCPU or the other
 * gets the interrupts.
 *
 * A test includes kselftest_harness.h first.
 */
#ifndef SELFTEST_KVM_MSIX_RACE_H
#define SELFTEST_KVM_MSIX_RACE_H

#include <pthread.h>

#include "kvm_msix_util.h"

#define TABLE	BAR_GPA
#define PBA	(BAR_GPA + 0x800)
#define CONTROL	(TABLE + ENTRY_CTRL)
#define VEC	0x40	/* and VEC + 1 */
#define PATIENCE_S	60

/* Shared by guest and device. */
static u64 cycles_done;
static u64 idle_ready;
static u64 stop;

/*
 * How many messages may arrive after a mask. If the table is guest memory, a message
 * whose sending began before the store of the mask can still arrive.
 */
static u64 late_messages;

/* The time by which an awaited message must have arrived. */
static inline u64 deadline(void)
{
	return rdtsc() + PATIENCE_S * 1000 * guest_tsc_khz;
}

static inline u64 pba(void)
{
	return mmio_read64(PBA);
}

/*
 * Interrupts of the one vector, in guest memory where both vCPUs see the count. (The
 * counts of guest_irq_handler() are per vCPU.)
 */
static u64 irqs;
static u64 irqs_of[2];	/* the same by message: VEC, VEC + 1 */

static inline void count_irq(struct ex_regs *regs)
{
	u64 *of = &irqs_of[regs->vector - VEC];

	WRITE_ONCE(*of, *of + 1);
	WRITE_ONCE(irqs, irqs + 1);
	guest_irq_handler(regs);
}

/* Exit with interrupts enabled: on reentry the vCPU takes all interrupts sent before. */
static inline void take_interrupts(void)
{
	u32 eax, ebx, ecx, edx;

	cpuid(0, &eax, &ebx, &ecx, &edx);
	asm volatile("pause" : : : "memory");
}

/* A message to a vCPU whose APIC is not enabled yet would be lost. */
static inline void guest_init_masker(void)
{
	u64 end;

	guest_init();
	for (end = deadline(); !READ_ONCE(idle_ready);)
		GUEST_ASSERT(rdtsc() < end);
}

struct race_vm {
	struct msix_vm *m;
	struct msix_dev d;
	pthread_t thread[2];
	u64 signalled;
	int event;
	int other;	/* a second eventfd */
	u32 target;	/* the index of the vCPU that gets the interrupts */
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

	self->r.m = msix_vm_create(0, NULL);
	vm_install_exception_handler(self->r.m->vm, VEC, count_irq);
	vm_install_exception_handler(self->r.m->vm, VEC + 1, count_irq);
	self->r.d = msix_create(self->r.m->vm, 1, 0);
	self->r.event = event_create();
	self->r.other = event_create();
	self->r.target = variant->target;
	msix_set_addr(&self->r.d, TABLE, PBA);
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

static inline void start(struct race_vm *r, void *masker, void *other)
{
	int i;

	msix_vm_add_cpu(r->m, 0, masker);
	msix_vm_add_cpu(r->m, 1, other);
	for (i = 1; i >= 0; i--)
		TEST_ASSERT(!pthread_create(&r->thread[i], NULL, msix_vcpu_thread, r->m->vcpu[i]),
			    "pthread_create");
}

static inline void finish(struct race_vm *r)
{
	WRITE_ONCE(*GUEST_VAR(r->m, stop), 1);
	pthread_join(r->thread[0], NULL);
	pthread_join(r->thread[1], NULL);
}

static inline void wait_for_count(u64 *count, u64 want)
{
	time_t end = time(NULL) + PATIENCE_S;

	while (READ_ONCE(*count) < want) {
		TEST_ASSERT(time(NULL) < end, "%lu, not %lu", READ_ONCE(*count), want);
		usleep(20);
	}
}

/* Check the relations between the counters, which hold exactly when no event comes. */
static inline void check_counters(struct __test_metadata *_metadata, struct race_vm *r,
				  u64 irqs_taken)
{
	u64 events = kvm_msix_counter("events"), latched = kvm_msix_counter("latched");
	u64 coalesced = kvm_msix_counter("coalesced"), released = kvm_msix_counter("released");
	u64 delivered = kvm_msix_counter("delivered"), dropped = kvm_msix_counter("dropped");
	u64 posted = events_posted();

	TH_LOG("%lu events: %lu latched, %lu coalesced; %lu released; %lu delivered, %lu taken",
	       events, latched, coalesced, released, delivered, irqs_taken);
	if (posted)
		TH_LOG("and %lu posted", posted);
	EXPECT_EQ(r->signalled, events + posted);
	EXPECT_EQ(0, dropped);
	EXPECT_EQ(latched, released + msix_pending(&r->d, 0));
	EXPECT_EQ(delivered, events - latched - coalesced + released);
	/* Two messages may be one interrupt (IRR), never the other way round. */
	EXPECT_LE(irqs_taken, delivered + posted);
}

#endif /* SELFTEST_KVM_MSIX_RACE_H */
