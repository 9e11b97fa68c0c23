// SPDX-License-Identifier: GPL-2.0-only
/*
 * What messages do, in a guest of two or three vCPUs, compared with
 * KVM_SIGNAL_MSI of the same address and data. Numbers are those of
 * kvm_msix-semantics.rst.
 */
#include "kselftest_harness.h"
#include "kvm_msix_util.h"

#define NR	4
#define VEC	0x60
#define BIG_ID	300	/* more than 8 bits */

FIXTURE(deliver) {
	struct msix_vm *m;
	struct msix_dev d;
	int event;
};

/* Entry 0 enabled, unmasked and bound. */
FIXTURE_SETUP(deliver)
{
	self->m = msix_vm_create(2, NULL);
	self->d = msix_create(self->m->vm, NR, 0);
	self->event = event_create();
	msix_set_addr(&self->d, BAR_GPA, BAR_GPA + 0x800);
	msix_bind_one(&self->d, 0, self->event, -1);
	msix_control(&self->d, ENABLE);
	entry_program(self->m, &self->d, 0, MSI_ADDR(0), VEC);
	entry_unmask(self->m, &self->d, 0);
}

FIXTURE_TEARDOWN(deliver)
{
	EXPECT_EQ(0, self->m->nr_exits);
	close(self->d.fd);
	msix_vm_free(self->m);
}

/* KVM_SIGNAL_MSI. */
static void signal_msi(struct kvm_vm *vm, u64 addr, u32 data)
{
	struct kvm_msi msi = { .address_lo = addr, .address_hi = addr >> 32, .data = data };

	TEST_ASSERT(ioctl(vm->fd, KVM_SIGNAL_MSI, &msi) >= 0, "KVM_SIGNAL_MSI: %s",
		    strerror(errno));
}

/*
 * 21: fixed and lowest priority, physical and logical, with and without
 * redirection hint, to one vCPU, several, all and none.
 */
TEST_F(deliver, as_signal_msi)
{
	static const u32 dests[] = { 0, 1, 2, 3, 7, 0xff };
	static const u32 modes[] = { 0, 1 };
	static const u32 flags[] = {
		0, MSI_LOGICAL, MSI_REDIRECT, MSI_LOGICAL | MSI_REDIRECT,
	};
	u64 want[2], before[2], total = 0;
	u32 i, j, k, cpu, addr, data;

	for (i = 0; i < ARRAY_SIZE(dests); i++) {
		for (j = 0; j < ARRAY_SIZE(modes); j++) {
			for (k = 0; k < ARRAY_SIZE(flags); k++) {
				/* Not in the SDM: hostile_message_test sends this message. */
				if (dests[i] == 0xff && flags[k] == MSI_REDIRECT)
					continue;
				addr = MSI_ADDR(dests[i]) | flags[k];
				data = MSI_MODE(modes[j]) | VEC;

				for (cpu = 0; cpu < 2; cpu++)
					before[cpu] = msix_irqs(self->m, cpu, VEC, 0);
				signal_msi(self->m->vm, addr, data);
				for (cpu = 0; cpu < 2; cpu++) {
					want[cpu] = msix_irqs(self->m, cpu, VEC, 0) - before[cpu];
					total += want[cpu];
				}

				entry_program(self->m, &self->d, 0, addr, data);
				event_signal(self->event);
				for (cpu = 0; cpu < 2; cpu++) {
					before[cpu] += want[cpu];
					EXPECT_EQ(want[cpu],
						  msix_irqs(self->m, cpu, VEC,
							    before[cpu] + want[cpu]) -
						  before[cpu]) {
						TH_LOG("address %#x data %#x vCPU %u", addr, data,
						       cpu);
					}
				}
			}
		}
	}
	/* KVM_SIGNAL_MSI did send interrupts. */
	EXPECT_GE(total, 24);
}

/* 21: what the modes mean, spelled out. */
TEST_F(deliver, destinations)
{
	/* Physical, vCPU 1. */
	entry_write(self->m, &self->d, 0, ENTRY_ADDR_LO, MSI_ADDR(1));
	event_signal(self->event);
	EXPECT_EQ(1, msix_irqs(self->m, 1, VEC, 1));
	EXPECT_EQ(0, msix_irqs(self->m, 0, VEC, 0));

	/* Logical: x2APIC cluster 0, members 0 and 1. */
	entry_write(self->m, &self->d, 0, ENTRY_ADDR_LO, MSI_ADDR(3) | MSI_LOGICAL);
	event_signal(self->event);
	EXPECT_EQ(2, msix_irqs(self->m, 1, VEC, 2));
	EXPECT_EQ(1, msix_irqs(self->m, 0, VEC, 1));

	/* Lowest priority: one of the members. */
	entry_write(self->m, &self->d, 0, ENTRY_DATA, MSI_MODE(1) | VEC);
	event_signal(self->event);
	guest_nop(self->m);
	EXPECT_EQ(4, msix_irqs(self->m, 0, VEC, 0) + msix_irqs(self->m, 1, VEC, 0));

	/* NMI: has no vector. */
	entry_program(self->m, &self->d, 0, MSI_ADDR(1), MSI_MODE(4));
	event_signal(self->event);
	EXPECT_EQ(1, msix_irqs(self->m, 1, NMI_VECTOR, 1));
	EXPECT_EQ(0, msix_irqs(self->m, 0, NMI_VECTOR, 0));
	EXPECT_EQ(4, msix_irqs(self->m, 0, VEC, 0) + msix_irqs(self->m, 1, VEC, 0));
}

/* 21: a bad message is dropped and counted, and the entry stays usable. */
TEST_F(deliver, bad_message)
{
	static const struct {
		u64 addr;
		u32 data;
	} bad[] = {
		{ 0, VEC },
		{ 0xfed00000, VEC },
		{ 0xfef00000, VEC },
		{ 0x0ee00000, VEC },
		{ 0x7ee00000, VEC },
		{ MSI_ADDR(0), MSI_MODE(3) | VEC },
		{ MSI_ADDR(0), MSI_MODE(6) | VEC },
		/* No such vCPU: by KVM's fast way, which returns 0, and by KVM's slow way. */
		{ MSI_ADDR(200), VEC },
		{ MSI_ADDR(200) | MSI_REDIRECT, VEC },
	};
	bool counted = kvm_msix_has_counters();
	u64 dropped = 0, sent = 0;
	int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		if (counted)
			dropped = kvm_msix_counter("dropped");
		entry_program(self->m, &self->d, 0, bad[i].addr, bad[i].data);

		/* At the event, and when a latched one is unmasked. */
		event_signal(self->event);
		EXPECT_EQ(sent, msix_irqs(self->m, 0, VEC, 0));
		EXPECT_FALSE(pba_read(self->m, &self->d, 0));
		entry_mask(self->m, &self->d, 0);
		event_signal(self->event);
		EXPECT_TRUE(pba_read(self->m, &self->d, 0));
		entry_unmask(self->m, &self->d, 0);
		EXPECT_TRUE(pba_clears(self->m, &self->d, 0));
		EXPECT_EQ(sent, msix_irqs(self->m, 0, VEC, 0));
		if (counted)
			EXPECT_EQ(dropped + 2, kvm_msix_counter("dropped"));

		/* 11: latched with a bad message, sent with the good one. */
		entry_mask(self->m, &self->d, 0);
		event_signal(self->event);
		entry_program(self->m, &self->d, 0, MSI_ADDR(0), VEC);
		entry_unmask(self->m, &self->d, 0);
		sent++;
		EXPECT_EQ(sent, msix_irqs(self->m, 0, VEC, sent));
		event_signal(self->event);
		sent++;
		EXPECT_EQ(sent, msix_irqs(self->m, 0, VEC, sent));
	}
	EXPECT_EQ(0, msix_irqs(self->m, 1, VEC, 0));
}

/* 26: eventfds that are signalled before they are bound. */
TEST_F(deliver, event_before_bind)
{
	int unmasked = event_create(), masked = event_create(), disabled = event_create();

	entry_program(self->m, &self->d, 1, MSI_ADDR(0), VEC + 1);
	entry_unmask(self->m, &self->d, 1);
	event_signal(unmasked);
	event_signal(unmasked);
	EXPECT_EQ(0, msix_irqs(self->m, 0, VEC + 1, 0));
	msix_bind_one(&self->d, 1, unmasked, -1);
	EXPECT_EQ(1, msix_irqs(self->m, 0, VEC + 1, 1));
	EXPECT_EQ(0, event_drain(unmasked));

	entry_program(self->m, &self->d, 2, MSI_ADDR(0), VEC + 2);
	event_signal(masked);
	msix_bind_one(&self->d, 2, masked, -1);
	EXPECT_EQ(0, msix_irqs(self->m, 0, VEC + 2, 0));
	EXPECT_TRUE(pba_read(self->m, &self->d, 2));
	EXPECT_EQ(0, event_drain(masked));
	entry_unmask(self->m, &self->d, 2);
	EXPECT_EQ(1, msix_irqs(self->m, 0, VEC + 2, 1));

	msix_control(&self->d, 0);
	entry_program(self->m, &self->d, 3, MSI_ADDR(0), VEC + 3);
	entry_unmask(self->m, &self->d, 3);
	event_signal(disabled);
	msix_bind_one(&self->d, 3, disabled, -1);
	EXPECT_TRUE(pba_read(self->m, &self->d, 3));
	EXPECT_EQ(0, msix_irqs(self->m, 0, VEC + 3, 0));
	msix_control(&self->d, ENABLE);
	EXPECT_EQ(1, msix_irqs(self->m, 0, VEC + 3, 1));
}

/* After a vector's eventfd is replaced or unbound, the old eventfd sends nothing. */
TEST_F(deliver, rebind)
{
	int next = event_create();

	msix_bind_one(&self->d, 0, next, -1);
	event_signal(self->event);
	EXPECT_EQ(0, msix_irqs(self->m, 0, VEC, 0));
	EXPECT_EQ(1, event_drain(self->event));
	event_signal(next);
	EXPECT_EQ(1, msix_irqs(self->m, 0, VEC, 1));

	/* A latched event belongs to the vector, not to the eventfd. */
	entry_mask(self->m, &self->d, 0);
	event_signal(next);
	msix_bind_one(&self->d, 0, -1, -1);
	EXPECT_TRUE(pba_read(self->m, &self->d, 0));
	event_signal(next);
	EXPECT_EQ(1, event_drain(next));
	entry_unmask(self->m, &self->d, 0);
	EXPECT_EQ(2, msix_irqs(self->m, 0, VEC, 2));
	EXPECT_FALSE(pba_read(self->m, &self->d, 0));
}

/* The VMM may close its fd of the eventfd: the device's fd works, and BIND works. */
TEST_F(deliver, eventfd_closed)
{
	int devices = dup(self->event), next = event_create();

	close(self->event);
	event_signal(devices);
	EXPECT_EQ(1, msix_irqs(self->m, 0, VEC, 1));

	entry_mask(self->m, &self->d, 0);
	event_signal(devices);
	close(devices);
	EXPECT_TRUE(pba_read(self->m, &self->d, 0));
	entry_unmask(self->m, &self->d, 0);
	EXPECT_EQ(2, msix_irqs(self->m, 0, VEC, 2));

	msix_bind_one(&self->d, 0, next, -1);
	event_signal(next);
	EXPECT_EQ(3, msix_irqs(self->m, 0, VEC, 3));
	self->event = next;
}

/* A signal that adds more than one to the counter is one event, as with irqfd. */
TEST_F(deliver, many_at_once)
{
	u64 many = 1000;

	ASSERT_EQ(sizeof(many), write(self->event, &many, sizeof(many)));
	EXPECT_EQ(1, msix_irqs(self->m, 0, VEC, 1));
	EXPECT_EQ(0, event_drain(self->event));
}

/*
 * 21: destination ids above 255. With vCPUs 0, 44 and 300, an id of 300 that
 * lost its high bits is 44, and shows.
 */
FIXTURE(big_id) {
	struct msix_vm *m;
	struct msix_dev d;
	int event;
};

FIXTURE_VARIANT(big_id) {
	u32 flags;
	u64 addr;
	u32 cpu;	/* index of the vCPU that gets the message */
};

FIXTURE_VARIANT_ADD(big_id, address_hi) {
	.addr = (u64)(BIG_ID & ~0xff) << 32 | MSI_ADDR(BIG_ID & 0xff),
	.cpu = 2,
};

FIXTURE_VARIANT_ADD(big_id, address_hi_small_id) {
	.addr = MSI_ADDR(BIG_ID & 0xff),
	.cpu = 1,
};

/* Bits 11:5 of the address are 14:8 of the id. */
FIXTURE_VARIANT_ADD(big_id, ext_dest_id) {
	.flags = KVM_MSIX_CREATE_EXT_DEST_ID,
	.addr = MSI_ADDR(BIG_ID & 0xff) | (BIG_ID >> 8) << 5,
	.cpu = 2,
};

/* Without the flag, these bits mean nothing. */
FIXTURE_VARIANT_ADD(big_id, ext_dest_id_not_offered) {
	.addr = MSI_ADDR(BIG_ID & 0xff) | (BIG_ID >> 8) << 5,
	.cpu = 1,
};

FIXTURE_VARIANT_ADD(big_id, ext_dest_id_small_id) {
	.flags = KVM_MSIX_CREATE_EXT_DEST_ID,
	.addr = MSI_ADDR(BIG_ID & 0xff),
	.cpu = 1,
};

FIXTURE_SETUP(big_id)
{
	if (kvm_check_cap(KVM_CAP_MAX_VCPU_ID) <= BIG_ID)
		SKIP(return, "KVM takes no vCPU id of %i", BIG_ID);
	self->m = msix_vm_create(0, NULL);
	vm_enable_cap(self->m->vm, KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS |
		      KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
	msix_vm_add_cpu(self->m, 0, NULL);
	msix_vm_add_cpu(self->m, BIG_ID & 0xff, NULL);
	msix_vm_add_cpu(self->m, BIG_ID, NULL);
	self->d = msix_create(self->m->vm, 1, variant->flags);
	self->event = event_create();
	msix_set_addr(&self->d, BAR_GPA, BAR_GPA + 0x800);
	msix_bind_one(&self->d, 0, self->event, -1);
	msix_control(&self->d, ENABLE);
}

FIXTURE_TEARDOWN(big_id)
{
	close(self->d.fd);
	msix_vm_free(self->m);
}

TEST_F(big_id, deliver)
{
	u32 cpu;

	entry_program(self->m, &self->d, 0, variant->addr, VEC);
	entry_unmask(self->m, &self->d, 0);
	event_signal(self->event);
	EXPECT_EQ(1, msix_irqs(self->m, variant->cpu, VEC, 1));
	for (cpu = 0; cpu < 3; cpu++)
		EXPECT_EQ(cpu == variant->cpu, msix_irqs(self->m, cpu, VEC, 0));

	/* All address bits are read as written. */
	EXPECT_EQ(variant->addr, guest_read(self->m, entry_gpa(&self->d, 0, 0), 8));
}

KVM_MSIX_TEST_MAIN
