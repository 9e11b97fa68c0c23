// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_MSIX_BIND refuses bad arguments, and changes nothing when it does. deliver_test
 * and gsi_test test what bound vectors do.
 */
#include "kselftest_harness.h"
#include "kvm_msix_util.h"
#include "witness.h"

FIXTURE(bind) {
	struct witness w;
};

FIXTURE_SETUP(bind)
{
	witness_create(&self->w);
}

FIXTURE_TEARDOWN(bind)
{
	witness_check(&self->w);
}

TEST_F(bind, range)
{
	static const u32 bad[][2] = {
		{ 0, 0 },
		{ WITNESS_NR, 0 },
		{ WITNESS_NR, 1 },
		{ 0, WITNESS_NR + 1 },
		{ WITNESS_NR - 1, 2 },
		{ UINT32_MAX, 1 },
		{ UINT32_MAX, 2 },
		{ 1, UINT32_MAX },
		{ 2, 1u << 31 },
	};
	struct kvm_msix_binding v[WITNESS_NR + 1];
	int i;

	memset(v, 0xff, sizeof(v));
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		EXPECT_EQ(EINVAL, __msix_bind(self->w.d.fd, bad[i][0], bad[i][1], v));
	EXPECT_EQ(EFAULT, __msix_bind(self->w.d.fd, 0, 1, NULL));
	EXPECT_EQ(EFAULT, __msix_bind(self->w.d.fd, 0, WITNESS_NR, (void *)-4096l));
	EXPECT_EQ(0, __msix_bind(self->w.d.fd, 1, WITNESS_NR - 1, v));
}

TEST_F(bind, eventfd)
{
	int fd = self->w.d.fd, mine = event_create(), other, again;
	struct kvm_msix_binding twice[] = { { mine, -1 }, { mine, -1 } };

	EXPECT_EQ(EBADF, __msix_bind_one(fd, 1, INT_MAX, -1));
	EXPECT_EQ(EINVAL, __msix_bind_one(fd, 1, self->w.vm->fd, -1));
	EXPECT_EQ(EINVAL, __msix_bind_one(fd, 1, fd, -1));

	/* A KVM irqfd has the eventfd. */
	vm_irqfd(self->w.vm, mine, 20, 0);
	EXPECT_EQ(EBUSY, __msix_bind_one(fd, 1, mine, -1));
	vm_irqfd(self->w.vm, mine, 20, KVM_IRQFD_FLAG_DEASSIGN);

	/* A vector of this or another function has the eventfd, also by a duplicate fd. */
	EXPECT_EQ(EBUSY, __msix_bind_one(fd, 1, self->w.event, -1));
	again = dup(self->w.event);
	EXPECT_EQ(EBUSY, __msix_bind_one(fd, 1, again, -1));
	close(again);
	EXPECT_EQ(EBUSY, __msix_bind(fd, 1, 2, twice));
	ASSERT_EQ(0, __msix_create(self->w.vm->fd, 1, 0, &other));
	EXPECT_EQ(EBUSY, __msix_bind_one(other, 0, self->w.event, -1));
	close(other);

	/* Bind the vector's own eventfd again: each event still counts once. */
	EXPECT_EQ(0, __msix_bind_one(fd, 0, self->w.event, -1));
	EXPECT_EQ(0, __msix_bind_one(fd, 1, mine, -1));
	EXPECT_EQ(0, __msix_bind_one(fd, 1, -1, -1));
	event_signal(mine);
	EXPECT_EQ(1, event_drain(mine));
	close(mine);
}

/* Before 6.17 KVM accepts a bound eventfd, but the vector gets the events first. */
TEST_F(bind, irqfd_afterwards)
{
	int err = __vm_irqfd(self->w.vm, self->w.event, 20, 0);

	EXPECT_TRUE(!err || err == EBUSY);
	event_signal(self->w.event);
	EXPECT_TRUE(msix_pending(&self->w.d, 0));
	msix_reset(&self->w.d);
	EXPECT_EQ(0, __msix_set_state(self->w.d.fd, self->w.before));
}

TEST_F(bind, gsi)
{
	struct kvm_msix_binding twice[] = { { -1, 70 }, { -1, 70 } };
	struct kvm_irq_routing_entry route = msi_route(80, MSI_ADDR(0), 0x40);
	struct kvm_msix_info info = { .size = sizeof(info) };
	int fd = self->w.d.fd, dev = msix_open(), other, gsi;

	ASSERT_EQ(0, __msix_ioctl(dev, KVM_MSIX_INFO, &info));
	close(dev);
	EXPECT_EQ(EINVAL, __msix_bind_one(fd, 1, -1, -2));
	EXPECT_EQ(EINVAL, __msix_bind_one(fd, 1, -1, INT_MIN));
	EXPECT_EQ(EINVAL, __msix_bind_one(fd, 1, -1, info.max_gsi + 1));
	EXPECT_EQ(EINVAL, __msix_bind_one(fd, 1, -1, INT_MAX));
	EXPECT_EQ(0, __msix_bind_one(fd, 1, -1, info.max_gsi));

	/* KVM's default table: the pins of PIC and I/O APIC. */
	for (gsi = 0; gsi < 24; gsi++)
		EXPECT_EQ(EEXIST, __msix_bind_one(fd, 1, -1, gsi));
	EXPECT_EQ(0, __msix_bind_one(fd, 1, -1, 24));

	/* Another vector has the GSI. */
	EXPECT_EQ(EBUSY, __msix_bind_one(fd, 2, -1, 24));
	EXPECT_EQ(EBUSY, __msix_bind(fd, 2, 2, twice));
	ASSERT_EQ(0, __msix_create(self->w.vm->fd, 1, 0, &other));
	EXPECT_EQ(EBUSY, __msix_bind_one(other, 0, -1, 24));
	EXPECT_EQ(0, __msix_bind_one(fd, 1, -1, 24));
	/* A new binding of the vector, or the end of the function, frees the GSI. */
	EXPECT_EQ(0, __msix_bind_one(fd, 1, -1, 25));
	EXPECT_EQ(0, __msix_bind_one(other, 0, -1, 24));
	close(other);
	EXPECT_EQ(0, __msix_bind_one(fd, 2, -1, 24));

	/* The VMM has routed the GSI to a message. */
	EXPECT_EQ(0, __msix_set_gsi_routing(fd, 1, &route));
	EXPECT_EQ(EEXIST, __msix_bind_one(fd, 3, -1, 80));
	/* The new routing table has no pins any more. */
	EXPECT_EQ(0, __msix_bind_one(fd, 3, -1, 5));
}

/* A call that fails for one vector binds no vector, and keeps all old bindings. */
TEST_F(bind, all_or_none)
{
	int fd = self->w.d.fd, good = event_create(), other, i;
	struct kvm_msix_binding v[] = {
		{ -1, -1 },	/* would unbind the fixture's vector 0 */
		{ good, 90 },
		{ -1, -1 },	/* replaced by each of bad[] */
	};
	static const struct {
		struct kvm_msix_binding v;
		int err;
	} bad[] = {
		{ { INT_MAX, -1 }, EBADF },
		{ { -1, 5 }, EEXIST },
		{ { -1, 90 }, EBUSY },
		{ { -1, -2 }, EINVAL },
	};

	ASSERT_EQ(0, __msix_create(self->w.vm->fd, 1, 0, &other));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		/* Signals before and after the call stay in the eventfd. */
		v[2] = bad[i].v;
		event_signal(good);
		EXPECT_EQ(bad[i].err, __msix_bind(fd, 0, 3, v));
		event_signal(good);
		EXPECT_EQ(2, event_drain(good));
		EXPECT_EQ(0, __msix_bind_one(other, 0, good, 90));
		EXPECT_EQ(0, __msix_bind_one(other, 0, -1, -1));
	}
	close(other);
	close(good);
}

KVM_MSIX_TEST_MAIN
