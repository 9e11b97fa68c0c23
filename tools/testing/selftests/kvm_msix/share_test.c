// SPDX-License-Identifier: GPL-2.0-only
/*
 * 27 of kvm_msix-semantics.rst: several eventfds for one vector, by
 * KVM_MSIX_BIND_ADD and KVM_MSIX_BIND_REMOVE. chase_test uses both flags while events
 * arrive; lazy_test and mapped_lazy_test test lazy functions, post_test tests posted
 * interrupts.
 */
#include "kselftest_harness.h"
#include "kvm_msix_util.h"

#define NR	2
#define VEC	0x60
#define GSI	64

FIXTURE(share) {
	struct msix_vm *m;
	struct msix_dev d;
	int fd;		/* self->d.fd */
	int a, b;	/* eventfds of vector 0 */
	int free;	/* an eventfd without a vector */
	u64 irqs[256];	/* counted so far, by vector */
};

/* Vector 0 is enabled, unmasked and bound to eventfds a and b. */
FIXTURE_SETUP(share)
{
	self->m = msix_vm_create(1, NULL);
	self->d = msix_create(self->m->vm, NR, 0);
	self->fd = self->d.fd;
	self->a = event_create();
	self->b = event_create();
	self->free = event_create();
	msix_set_addr(&self->d, BAR_GPA, BAR_GPA + 0x800);
	msix_bind_one(&self->d, 0, self->a, -1);
	ASSERT_EQ(0, __msix_add(self->fd, 0, self->b));
	msix_control(&self->d, ENABLE);
	entry_program(self->m, &self->d, 0, MSI_ADDR(0), VEC);
	entry_unmask(self->m, &self->d, 0);
}

FIXTURE_TEARDOWN(share)
{
	EXPECT_EQ(0, self->m->nr_exits);
	close(self->d.fd);
	msix_vm_free(self->m);
	close(self->a);
	close(self->b);
	close(self->free);
}

/* The guest has had @n interrupts since the last EXPECT_IRQS(). */
#define EXPECT_IRQS(n) EXPECT_MORE_IRQS(self->m, self->irqs, VEC, n)

/* Is the eventfd bound to no vector? A signal then stays in the eventfd. */
static bool keeps_signal(int event)
{
	event_signal(event);
	return event_drain(event) == 1;
}

TEST_F(share, unmasked)
{
	event_signal(self->a);
	EXPECT_IRQS(1);
	event_signal(self->b);
	EXPECT_IRQS(1);
	event_signal(self->a);
	EXPECT_IRQS(1);
	EXPECT_FALSE(pba_read(self->m, &self->d, 0));
}

/* Masked events of both eventfds are one pending bit and one message. */
TEST_F(share, masked)
{
	entry_mask(self->m, &self->d, 0);
	event_signal(self->a);
	EXPECT_TRUE(pba_read(self->m, &self->d, 0));
	event_signal(self->b);
	event_signal(self->a);
	EXPECT_TRUE(msix_pending(&self->d, 0));
	EXPECT_EQ(0, event_drain(self->a) + event_drain(self->b));
	EXPECT_IRQS(0);
	entry_unmask(self->m, &self->d, 0);
	EXPECT_IRQS(1);
	EXPECT_FALSE(pba_read(self->m, &self->d, 0));
	if (kvm_msix_has_counters() && !events_posted()) {
		EXPECT_EQ(3, kvm_msix_counter("events"));
		EXPECT_EQ(1, kvm_msix_counter("latched"));
		EXPECT_EQ(2, kvm_msix_counter("coalesced"));
		EXPECT_EQ(1, kvm_msix_counter("released"));
		EXPECT_EQ(1, kvm_msix_counter("delivered"));
	}

	/* The pending bit stays when the eventfd is removed. */
	entry_mask(self->m, &self->d, 0);
	event_signal(self->b);
	ASSERT_EQ(0, __msix_remove(self->fd, 0, self->b));
	EXPECT_TRUE(pba_read(self->m, &self->d, 0));
	entry_unmask(self->m, &self->d, 0);
	EXPECT_IRQS(1);
}

TEST_F(share, remove)
{
	ASSERT_EQ(0, __msix_remove(self->fd, 0, self->a));
	EXPECT_TRUE(keeps_signal(self->a));
	event_signal(self->b);
	EXPECT_IRQS(1);
	EXPECT_EQ(ENOENT, __msix_remove(self->fd, 0, self->a));
	/* Another vector may bind the eventfd; vector 0 can then not remove it. */
	ASSERT_EQ(0, __msix_bind_one(self->fd, 1, self->a, -1));
	EXPECT_EQ(ENOENT, __msix_remove(self->fd, 0, self->a));
	ASSERT_EQ(0, __msix_remove(self->fd, 0, self->b));
	EXPECT_TRUE(keeps_signal(self->b));
	EXPECT_IRQS(0);
	event_signal(self->a);
	EXPECT_TRUE(msix_pending(&self->d, 1));
}

/* Without a flag, BIND replaces all eventfds of the vector. */
TEST_F(share, replace)
{
	ASSERT_EQ(0, __msix_add(self->fd, 0, self->free));
	msix_bind_one(&self->d, 0, self->b, -1);
	EXPECT_TRUE(keeps_signal(self->a));
	EXPECT_TRUE(keeps_signal(self->free));
	event_signal(self->b);
	EXPECT_IRQS(1);

	ASSERT_EQ(0, __msix_add(self->fd, 0, self->a));
	msix_bind_one(&self->d, 0, self->free, -1);
	EXPECT_TRUE(keeps_signal(self->a));
	EXPECT_TRUE(keeps_signal(self->b));
	event_signal(self->free);
	EXPECT_IRQS(1);

	ASSERT_EQ(0, __msix_add(self->fd, 0, self->a));
	msix_bind_one(&self->d, 0, -1, -1);
	EXPECT_TRUE(keeps_signal(self->a));
	EXPECT_TRUE(keeps_signal(self->free));
	EXPECT_IRQS(0);
}

/* 26: a signal from before BIND_ADD is an event. A second addition does nothing. */
TEST_F(share, add)
{
	event_signal(self->free);
	event_signal(self->free);
	ASSERT_EQ(0, __msix_add(self->fd, 0, self->free));
	EXPECT_EQ(0, event_drain(self->free));
	EXPECT_IRQS(1);
	ASSERT_EQ(0, __msix_add(self->fd, 0, self->free));
	event_signal(self->free);
	EXPECT_IRQS(1);
	ASSERT_EQ(0, __msix_remove(self->fd, 0, self->free));
	EXPECT_TRUE(keeps_signal(self->free));

	/* Add to a vector without an eventfd. */
	ASSERT_EQ(0, __msix_add(self->fd, 1, self->free));
	event_signal(self->free);
	EXPECT_TRUE(msix_pending(&self->d, 1));
	EXPECT_IRQS(0);
}

/* An eventfd of -1 leaves its vector unchanged; a failing call changes no vector. */
TEST_F(share, range)
{
	struct kvm_msix_binding v[NR] = { { -1, -1 }, { self->free, -1 } };
	u32 flags;

	ASSERT_EQ(0, __msix_bind_flags(self->fd, KVM_MSIX_BIND_ADD, 0, NR, v));
	event_signal(self->free);
	EXPECT_TRUE(msix_pending(&self->d, 1));
	event_signal(self->a);
	EXPECT_IRQS(1);
	ASSERT_EQ(0, __msix_bind_flags(self->fd, KVM_MSIX_BIND_REMOVE, 0, NR, v));
	EXPECT_TRUE(keeps_signal(self->free));
	event_signal(self->b);
	EXPECT_IRQS(1);

	v[0].eventfd = self->free;
	v[1].eventfd = self->a;
	EXPECT_EQ(EBUSY, __msix_bind_flags(self->fd, KVM_MSIX_BIND_ADD, 0, NR, v));
	EXPECT_TRUE(keeps_signal(self->free));
	v[0].eventfd = self->b;
	EXPECT_EQ(ENOENT, __msix_bind_flags(self->fd, KVM_MSIX_BIND_REMOVE, 0, NR, v));
	event_signal(self->b);
	EXPECT_IRQS(1);
	for (flags = 0; flags <= KVM_MSIX_BIND_ADD; flags++) {
		v[0].eventfd = self->free;
		v[1].eventfd = self->free;
		EXPECT_EQ(EBUSY, __msix_bind_flags(self->fd, flags, 0, NR, v));
		EXPECT_TRUE(keeps_signal(self->free));
	}
	event_signal(self->a);
	EXPECT_IRQS(1);
}

TEST_F(share, refused)
{
	static const u32 flags[] = { KVM_MSIX_BIND_ADD, KVM_MSIX_BIND_REMOVE };
	struct kvm_msix_binding v;
	int other, i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		v = (struct kvm_msix_binding) { self->a, GSI };
		EXPECT_EQ(EINVAL, __msix_bind_flags(self->fd, flags[i], 0, 1, &v));
		v = (struct kvm_msix_binding) { self->fd, -1 };
		EXPECT_EQ(EINVAL, __msix_bind_flags(self->fd, flags[i], 0, 1, &v));
		v = (struct kvm_msix_binding) { INT_MAX, -1 };
		EXPECT_EQ(EBADF, __msix_bind_flags(self->fd, flags[i], 0, 1, &v));
		EXPECT_EQ(EINVAL, __msix_bind_flags(self->fd, flags[i], NR, 1, &v));
	}
	v = (struct kvm_msix_binding) { -1, -1 };
	EXPECT_EQ(EINVAL, __msix_bind_flags(self->fd, flags[0] | flags[1], 0, 1, &v));

	/* A vector of this or another function, or a KVM irqfd, has the eventfd. */
	EXPECT_EQ(EBUSY, __msix_add(self->fd, 1, self->b));
	ASSERT_EQ(0, __msix_create(self->m->vm->fd, 1, 0, &other));
	EXPECT_EQ(EBUSY, __msix_add(other, 0, self->b));
	EXPECT_EQ(ENOENT, __msix_remove(other, 0, self->b));
	close(other);
	vm_irqfd(self->m->vm, self->free, 20, 0);
	EXPECT_EQ(EBUSY, __msix_add(self->fd, 0, self->free));
	vm_irqfd(self->m->vm, self->free, 20, KVM_IRQFD_FLAG_DEASSIGN);

	event_signal(self->a);
	EXPECT_IRQS(1);
	event_signal(self->b);
	EXPECT_IRQS(1);
}

/* A vector keeps its GSI while eventfds are added and removed. */
TEST_F(share, gsi)
{
	if (msix_gsi(GSI) != GSI)
		SKIP(return, "a mapped function has no GSI");
	msix_bind_one(&self->d, 0, self->a, GSI);
	ASSERT_EQ(0, __msix_add(self->fd, 0, self->b));
	kvm_irq_pulse(self->m->vm, GSI);
	EXPECT_IRQS(1);
	ASSERT_EQ(0, __msix_remove(self->fd, 0, self->a));
	ASSERT_EQ(0, __msix_remove(self->fd, 0, self->b));
	kvm_irq_pulse(self->m->vm, GSI);
	EXPECT_IRQS(1);
	EXPECT_EQ(EBUSY, __msix_bind_one(self->fd, 1, -1, GSI));
}

/* The number of eventfds is limited for all vectors of a function together. */
TEST_F(share, limit)
{
	struct kvm_msix_info info = { .size = sizeof(info) };
	int dev = msix_open(), last = -1;
	u32 n;

	ASSERT_EQ(0, __msix_ioctl(dev, KVM_MSIX_INFO, &info));
	close(dev);
	/* Closed eventfds count: their vectors keep them alive. */
	for (n = 2; n < 2 * info.max_vectors; n++) {
		if (last >= 0)
			close(last);
		last = event_create();
		ASSERT_EQ(0, __msix_add(self->fd, n % NR, last));
	}
	EXPECT_EQ(ENOSPC, __msix_add(self->fd, 0, self->free));
	EXPECT_EQ(ENOSPC, __msix_bind_one(self->fd, 0, self->free, -1));
	EXPECT_EQ(0, __msix_add(self->fd, 0, self->a));
	EXPECT_TRUE(keeps_signal(self->free));
	event_signal(last);
	EXPECT_TRUE(msix_pending(&self->d, (n - 1) % NR));
	event_signal(self->a);
	EXPECT_IRQS(1);

	ASSERT_EQ(0, __msix_remove(self->fd, (n - 1) % NR, last));
	EXPECT_TRUE(keeps_signal(last));
	EXPECT_EQ(0, __msix_add(self->fd, 0, self->free));
	EXPECT_EQ(ENOSPC, __msix_add(self->fd, 0, last));
	msix_bind_one(&self->d, 1, -1, -1);
	EXPECT_EQ(0, __msix_add(self->fd, 0, last));
	event_signal(last);
	EXPECT_IRQS(1);
	close(last);
}

KVM_MSIX_TEST_MAIN
