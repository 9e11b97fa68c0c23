// SPDX-License-Identifier: GPL-2.0-only
/*
 * Vectors with a GSI: KVM's own ways to inject by GSI - an irqfd, and
 * KVM_IRQ_LINE, which injects at once - find the guest's message as the GSI's
 * route while the vector may send, and no route otherwise.
 */
#include "kselftest_harness.h"
#include "kvm_msix_util.h"

#define NR	512
#define VEC	0x50
#define GSI	50
#define OTHER	60	/* a GSI of the VMM's */

FIXTURE(gsi) {
	struct msix_vm *m;
	struct msix_dev d;
	int event;
};

/* Vector 0 has the GSI, and an unmasked entry. */
FIXTURE_SETUP(gsi)
{
	self->m = msix_vm_create(1, NULL);
	self->d = msix_create(self->m->vm, NR, 0);
	self->event = event_create();
	msix_set_addr(&self->d, BAR_GPA, BAR_GPA + 0x4000);
	msix_control(&self->d, ENABLE);
	entry_program(self->m, &self->d, 0, MSI_ADDR(0), VEC);
	entry_unmask(self->m, &self->d, 0);
	msix_bind_one(&self->d, 0, -1, GSI);
}

FIXTURE_TEARDOWN(gsi)
{
	EXPECT_EQ(0, self->m->nr_exits);
	EXPECT_FALSE(msix_pending(&self->d, 0));
	close(self->d.fd);
	msix_vm_free(self->m);
}

/* Inject by @gsi; returns how many interrupts on @vector come of it. */
static u64 pulse(struct msix_vm *m, u32 gsi, u8 vector)
{
	u64 before = READ_ONCE(m->cpu[0]->irqs[vector]);

	kvm_irq_pulse(m->vm, gsi);
	guest_nop(m);
	return READ_ONCE(m->cpu[0]->irqs[vector]) - before;
}

/*
 * If an irqfd has no route, KVM hands the event to a work, which looks for a
 * route again. Deassigning the irqfd waits for the work.
 */
static void flush_irqfd(struct msix_vm *m, int event, u32 gsi)
{
	vm_irqfd(m->vm, event, gsi, KVM_IRQFD_FLAG_DEASSIGN);
	vm_irqfd(m->vm, event, gsi, 0);
}

/* Signal the irqfd, which consumes the signal; returns the interrupts. */
static u64 by_irqfd(struct msix_vm *m, int event, u8 vector, u64 want)
{
	u64 before = msix_irqs(m, 0, vector, 0);

	event_signal(event);
	if (!want)
		flush_irqfd(m, event, GSI);
	TEST_ASSERT(!event_drain(event), "nobody consumed the signal");
	return msix_irqs(m, 0, vector, before + want) - before;
}

#define EXPECT_IRQFD(vector, n)							\
do {										\
	u64 _n = (n);								\
										\
	EXPECT_EQ(_n, by_irqfd(self->m, self->event, vector, _n));			\
} while (0)

/*
 * Does KVM post the interrupt of an irqfd, and leave the interrupt posted when the
 * GSI loses its route? KVM up to 6.16 does: see "Limits" in kvm_msix.rst. The VM of
 * this experiment has nothing of kvm_msix.
 */
static bool irqfd_stays_posted(void)
{
	struct kvm_irq_routing_entry route = msi_route(OTHER, MSI_ADDR(0), VEC);
	struct msix_vm *m = msix_vm_create(1, NULL);
	int event = event_create();
	bool stays;

	TEST_ASSERT_EQ(__kvm_set_gsi_routing(m->vm, 1, &route), 0);
	vm_irqfd(m->vm, event, OTHER, 0);
	TEST_ASSERT_EQ(__kvm_set_gsi_routing(m->vm, 0, &route), 0);
	stays = event_is_posted(event);
	/* Deassigning ends the posting only if there is a route. */
	TEST_ASSERT_EQ(__kvm_set_gsi_routing(m->vm, 1, &route), 0);
	vm_irqfd(m->vm, event, OTHER, KVM_IRQFD_FLAG_DEASSIGN);
	close(event);
	msix_vm_free(m);
	return stays;
}

TEST_F(gsi, irqfd)
{
	if (irqfd_stays_posted())
		SKIP(return, "KVM leaves irqfds posted without a route");
	vm_irqfd(self->m->vm, self->event, GSI, 0);
	EXPECT_IRQFD(VEC, 1);
	EXPECT_IRQFD(VEC, 1);

	/* Masked: no interrupt, and none after the unmask. */
	entry_mask(self->m, &self->d, 0);
	EXPECT_IRQFD(VEC, 0);
	entry_unmask(self->m, &self->d, 0);
	EXPECT_EQ(2, msix_irqs(self->m, 0, VEC, 0));
	EXPECT_IRQFD(VEC, 1);

	/* A new message, while masked and while not. */
	entry_mask(self->m, &self->d, 0);
	entry_write(self->m, &self->d, 0, ENTRY_DATA, VEC + 1);
	EXPECT_IRQFD(VEC + 1, 0);
	entry_unmask(self->m, &self->d, 0);
	EXPECT_IRQFD(VEC + 1, 1);
	entry_write(self->m, &self->d, 0, ENTRY_DATA, VEC + 2);
	EXPECT_IRQFD(VEC + 2, 1);
	EXPECT_EQ(3, msix_irqs(self->m, 0, VEC, 0));
	EXPECT_EQ(1, msix_irqs(self->m, 0, VEC + 1, 0));
}

TEST_F(gsi, irqfd_before_bind)
{
	if (irqfd_stays_posted())
		SKIP(return, "KVM leaves irqfds posted without a route");
	msix_bind_one(&self->d, 0, -1, -1);
	vm_irqfd(self->m->vm, self->event, GSI, 0);
	EXPECT_IRQFD(VEC, 0);
	msix_bind_one(&self->d, 0, -1, GSI);
	EXPECT_IRQFD(VEC, 1);
	msix_bind_one(&self->d, 0, -1, -1);
	EXPECT_IRQFD(VEC, 0);
}

/* A vector with an eventfd and a GSI: both send; only the eventfd latches. */
TEST_F(gsi, eventfd_and_gsi)
{
	msix_bind_one(&self->d, 0, self->event, GSI);
	EXPECT_EQ(1, pulse(self->m, GSI, VEC));
	event_signal(self->event);
	EXPECT_EQ(2, msix_irqs(self->m, 0, VEC, 2));
	entry_mask(self->m, &self->d, 0);
	EXPECT_EQ(0, pulse(self->m, GSI, VEC));
	EXPECT_FALSE(pba_read(self->m, &self->d, 0));
	event_signal(self->event);
	EXPECT_TRUE(pba_read(self->m, &self->d, 0));
	entry_unmask(self->m, &self->d, 0);
	EXPECT_EQ(3, msix_irqs(self->m, 0, VEC, 3));
}

/* Everything that stops the vector removes the route, and undoing it adds it. */
TEST_F(gsi, route_while_it_may_send)
{
	EXPECT_EQ(1, pulse(self->m, GSI, VEC));
	entry_mask(self->m, &self->d, 0);
	EXPECT_EQ(0, pulse(self->m, GSI, VEC));
	entry_unmask(self->m, &self->d, 0);
	EXPECT_EQ(1, pulse(self->m, GSI, VEC));
	msix_control(&self->d, ENABLE | FUNCTION_MASK);
	EXPECT_EQ(0, pulse(self->m, GSI, VEC));
	msix_control(&self->d, 0);
	EXPECT_EQ(0, pulse(self->m, GSI, VEC));
	msix_control(&self->d, ENABLE);
	EXPECT_EQ(1, pulse(self->m, GSI, VEC));
	entry_write(self->m, &self->d, 0, ENTRY_ADDR_LO, 0xfed00000);
	EXPECT_EQ(0, pulse(self->m, GSI, VEC));
	entry_write(self->m, &self->d, 0, ENTRY_ADDR_LO, MSI_ADDR(0));
	EXPECT_EQ(1, pulse(self->m, GSI, VEC));
	msix_reset(&self->d);
	EXPECT_EQ(0, pulse(self->m, GSI, VEC));
	entry_program(self->m, &self->d, 0, MSI_ADDR(0), VEC);
	entry_unmask(self->m, &self->d, 0);
	EXPECT_EQ(0, pulse(self->m, GSI, VEC));
	msix_control(&self->d, ENABLE);
	EXPECT_EQ(1, pulse(self->m, GSI, VEC));
	msix_bind_one(&self->d, 0, -1, -1);
	EXPECT_EQ(0, pulse(self->m, GSI, VEC));
	msix_bind_one(&self->d, 0, -1, GSI);
	EXPECT_EQ(1, pulse(self->m, GSI, VEC));
	EXPECT_EQ(6, self->m->cpu[0]->irqs[VEC]);
}

/* 22, 25: the route goes with the function, and its GSI is free again. */
TEST_F(gsi, route_goes_with_the_function)
{
	struct kvm_irq_routing_entry mine = msi_route(GSI, MSI_ADDR(0), VEC + 1);

	EXPECT_EQ(1, pulse(self->m, GSI, VEC));
	EXPECT_EQ(EEXIST, __msix_set_gsi_routing(self->d.fd, 1, &mine));
	close(self->d.fd);
	EXPECT_EQ(0, pulse(self->m, GSI, VEC));
	self->d = msix_create(self->m->vm, 1, 0);
	EXPECT_EQ(0, __msix_set_gsi_routing(self->d.fd, 1, &mine));
	EXPECT_EQ(1, pulse(self->m, GSI, VEC + 1));
}

/* A new table that the VMM sets by the module's ioctl keeps the vector's route. */
TEST_F(gsi, vmm_routing)
{
	struct kvm_irq_routing_entry table[] = {
		msi_route(OTHER, MSI_ADDR(0), VEC + 8),
		msi_route(OTHER + 1, MSI_ADDR(0), VEC + 9),
	};
	struct kvm_irq_routing_entry bad[] = {
		msi_route(OTHER, MSI_ADDR(0), VEC + 10),
		msi_route(GSI, MSI_ADDR(0), VEC + 11),
	};

	vm_irqfd(self->m->vm, self->event, GSI, 0);
	ASSERT_EQ(0, __msix_set_gsi_routing(self->d.fd, 2, table));
	EXPECT_EQ(1, pulse(self->m, GSI, VEC));
	EXPECT_IRQFD(VEC, 1);
	EXPECT_EQ(1, pulse(self->m, OTHER, VEC + 8));
	EXPECT_EQ(1, pulse(self->m, OTHER + 1, VEC + 9));

	/* A table that is refused changes nothing. */
	EXPECT_EQ(EEXIST, __msix_set_gsi_routing(self->d.fd, 2, bad));
	EXPECT_EQ(1, pulse(self->m, GSI, VEC));
	EXPECT_EQ(1, pulse(self->m, OTHER, VEC + 8));
	EXPECT_EQ(0, pulse(self->m, OTHER, VEC + 10));

	/* Set while masked: the route is not there, but after the unmask it is. */
	entry_mask(self->m, &self->d, 0);
	ASSERT_EQ(0, __msix_set_gsi_routing(self->d.fd, 1, table));
	EXPECT_EQ(0, pulse(self->m, GSI, VEC));
	EXPECT_EQ(0, pulse(self->m, OTHER + 1, VEC + 9));
	EXPECT_EQ(1, pulse(self->m, OTHER, VEC + 8));
	entry_unmask(self->m, &self->d, 0);
	EXPECT_EQ(1, pulse(self->m, GSI, VEC));

	/* An empty table: only the vector's route is there. */
	ASSERT_EQ(0, __msix_set_gsi_routing(self->d.fd, 0, NULL));
	EXPECT_EQ(1, pulse(self->m, GSI, VEC));
	EXPECT_EQ(0, pulse(self->m, OTHER, VEC + 8));
	EXPECT_IRQFD(VEC, 1);

	/* While the GSI has its route: see irqfd_stays_posted(). */
	vm_irqfd(self->m->vm, self->event, GSI, KVM_IRQFD_FLAG_DEASSIGN);
}

/* Another function's fd can be used, and both functions' routes stay. */
TEST_F(gsi, vmm_routing_by_another_function)
{
	struct kvm_irq_routing_entry table = msi_route(OTHER, MSI_ADDR(0), VEC + 8);
	struct msix_dev b = msix_create(self->m->vm, 1, 0);

	msix_set_addr(&b, BAR_GPA + 0x5000, BAR_GPA + 0x5800);
	msix_control(&b, ENABLE);
	entry_program(self->m, &b, 0, MSI_ADDR(0), VEC + 1);
	entry_unmask(self->m, &b, 0);
	msix_bind_one(&b, 0, -1, GSI + 1);
	ASSERT_EQ(0, __msix_set_gsi_routing(b.fd, 1, &table));
	EXPECT_EQ(1, pulse(self->m, GSI, VEC));
	EXPECT_EQ(1, pulse(self->m, GSI + 1, VEC + 1));
	close(b.fd);
	EXPECT_EQ(1, pulse(self->m, GSI, VEC));
	EXPECT_EQ(0, pulse(self->m, GSI + 1, VEC + 1));
	EXPECT_EQ(1, pulse(self->m, OTHER, VEC + 8));
}

/* KVM_SET_GSI_ROUTING removes the route until the vector's next change. */
TEST_F(gsi, vmm_routing_behind_our_back)
{
	struct kvm_irq_routing_entry table = msi_route(OTHER, MSI_ADDR(0), VEC + 8);
	struct kvm_irq_routing_entry small = msi_route(GSI / 2, MSI_ADDR(0), VEC + 9);

	EXPECT_EQ(1, pulse(self->m, GSI, VEC));
	ASSERT_EQ(0, __kvm_set_gsi_routing(self->m->vm, 1, &table));
	EXPECT_EQ(0, pulse(self->m, GSI, VEC));
	EXPECT_EQ(1, pulse(self->m, OTHER, VEC + 8));
	entry_mask(self->m, &self->d, 0);
	EXPECT_EQ(0, pulse(self->m, GSI, VEC));
	entry_unmask(self->m, &self->d, 0);
	EXPECT_EQ(1, pulse(self->m, GSI, VEC));
	EXPECT_EQ(1, pulse(self->m, OTHER, VEC + 8));

	/* A table too small for the GSI does no harm; the next one has the route. */
	ASSERT_EQ(0, __kvm_set_gsi_routing(self->m->vm, 1, &small));
	entry_mask(self->m, &self->d, 0);
	entry_unmask(self->m, &self->d, 0);
	EXPECT_EQ(1, pulse(self->m, GSI / 2, VEC + 9));
	ASSERT_EQ(0, __msix_set_gsi_routing(self->d.fd, 1, &table));
	EXPECT_EQ(1, pulse(self->m, GSI, VEC));
	EXPECT_EQ(1, pulse(self->m, OTHER, VEC + 8));
}

/* GSIs beyond KVM's default table, up to the last; other routes stay. */
TEST_F(gsi, beyond_the_table)
{
	static const u32 gsis[] = { 24, 1000, 4095, 63, 64 };
	struct kvm_msix_info info = { .size = sizeof(info) };
	int i, dev = msix_open();

	ASSERT_EQ(0, __msix_ioctl(dev, KVM_MSIX_INFO, &info));
	close(dev);
	for (i = 0; i < ARRAY_SIZE(gsis); i++) {
		if (gsis[i] > info.max_gsi)
			continue;
		msix_bind_one(&self->d, i + 1, -1, gsis[i]);
		entry_program(self->m, &self->d, i + 1, MSI_ADDR(0), VEC + 1 + i);
		EXPECT_EQ(0, pulse(self->m, gsis[i], VEC + 1 + i));
		entry_unmask(self->m, &self->d, i + 1);
		EXPECT_EQ(1, pulse(self->m, gsis[i], VEC + 1 + i));
		EXPECT_EQ(1, pulse(self->m, GSI, VEC));
	}
	for (i = 0; i < ARRAY_SIZE(gsis); i++)
		if (gsis[i] <= info.max_gsi)
			EXPECT_EQ(1, pulse(self->m, gsis[i], VEC + 1 + i));
}

/* Bind all vectors of a large function in one call, then try each of them. */
TEST_F(gsi, hundreds)
{
	struct kvm_msix_binding *v = calloc(NR, sizeof(*v));
	struct msix_state *s = msix_get_state(self->d.fd, NR);
	int i;

	for (i = 0; i < NR; i++) {
		v[i].eventfd = -1;
		v[i].gsi = 100 + i;
		s->entry[i][0] = MSI_ADDR(0);
		s->entry[i][1] = 0;
		s->entry[i][2] = VEC + i % 64;
		s->entry[i][3] = i % 2 ? MASKED : 0;
	}
	ASSERT_EQ(0, __msix_bind(self->d.fd, 0, NR, v));
	EXPECT_EQ(0, pulse(self->m, GSI, VEC));
	ASSERT_EQ(0, __msix_set_state(self->d.fd, s));
	for (i = 0; i < NR; i++)
		EXPECT_EQ(!(i % 2), pulse(self->m, 100 + i, VEC + i % 64));

	msix_control(&self->d, ENABLE | FUNCTION_MASK);
	for (i = 0; i < NR; i += 50)
		EXPECT_EQ(0, pulse(self->m, 100 + i, VEC + i % 64));
	msix_control(&self->d, ENABLE);

	for (i = 0; i < NR; i += 7) {
		entry_unmask(self->m, &self->d, i);
		EXPECT_EQ(1, pulse(self->m, 100 + i, VEC + i % 64));
		entry_mask(self->m, &self->d, i);
		EXPECT_EQ(0, pulse(self->m, 100 + i, VEC + i % 64));
	}

	for (i = 0; i < NR; i++)
		v[i].gsi = -1;
	ASSERT_EQ(0, __msix_bind(self->d.fd, 0, NR, v));
	for (i = 0; i < NR; i += 10)
		EXPECT_EQ(0, pulse(self->m, 100 + i, VEC + i % 64));
	msix_state_free(s);
	free(v);
}

KVM_MSIX_TEST_MAIN
