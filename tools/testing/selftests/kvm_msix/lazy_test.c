// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_MSIX_CREATE_LAZY: when the guest first unmasks a vector, the write exits
 * to the VMM, after the module has stored it. The VMM binds the vector, and
 * further writes to the vector's entry do not exit.
 */
#include "kselftest_harness.h"
#include "kvm_msix_util.h"

#define NR	100	/* a PBA of two quadwords, 36 bits in the second */
#define VEC(v)	(0x40 + (v))

FIXTURE(lazy) {
	struct msix_vm *m;
	struct msix_dev d;
};

FIXTURE_SETUP(lazy)
{
	self->m = msix_vm_create(1, NULL);
	self->d = msix_create(self->m->vm, NR, KVM_MSIX_CREATE_LAZY);
	msix_set_addr(&self->d, BAR_GPA + 0x1008, BAR_GPA + 0x800);
	msix_control(&self->d, ENABLE);
}

FIXTURE_TEARDOWN(lazy)
{
	close(self->d.fd);
	msix_vm_free(self->m);
}

/* What the VMM finds at the exit of an unmask, and what it binds. */
struct vmm {
	struct msix_dev *d;
	int event;
	int vector;
	bool stored;
};

static void bind_on_exit(struct msix_vm *m, struct mmio_exit *e)
{
	struct vmm *vmm = m->on_exit_data;
	struct msix_state *s = msix_get_state(vmm->d->fd, vmm->d->nr);

	vmm->vector = (e->addr - vmm->d->table) / ENTRY_SIZE;
	vmm->stored = !(s->entry[vmm->vector][ENTRY_CTRL / 4] & MASKED);
	msix_bind_one(vmm->d, vmm->vector, vmm->event, -1);
	msix_state_free(s);
}

TEST_F(lazy, unmask)
{
	struct vmm vmm = { .d = &self->d, .event = event_create(), .vector = -1 };
	struct msix_vm *m = self->m;
	int v = 7;

	m->on_exit = bind_on_exit;
	m->on_exit_data = &vmm;

	/* Reads and other writes of an unbound, masked vector do not exit. */
	entry_program(m, &self->d, v, MSI_ADDR(0), VEC(v));
	entry_mask(m, &self->d, v);
	EXPECT_EQ(VEC(v), entry_read(m, &self->d, v, ENTRY_DATA));
	EXPECT_EQ(0, m->nr_exits);

	/* An event comes before the VMM binds the vector. */
	event_signal(vmm.event);
	guest_write(m, entry_gpa(&self->d, v, ENTRY_CTRL), 4, 0x80);
	ASSERT_EQ(1, m->nr_exits);
	EXPECT_TRUE(m->exit[0].is_write);
	EXPECT_EQ(entry_gpa(&self->d, v, ENTRY_CTRL), m->exit[0].addr);
	EXPECT_EQ(4, m->exit[0].len);
	EXPECT_EQ(0x80, m->exit[0].data);
	EXPECT_EQ(v, vmm.vector);
	EXPECT_TRUE(vmm.stored);
	EXPECT_EQ(1, msix_irqs(m, 0, VEC(v), 1));
	EXPECT_EQ(0x80, entry_read(m, &self->d, v, ENTRY_CTRL));

	/* Bound: only the kernel handles the writes. */
	entry_mask(m, &self->d, v);
	event_signal(vmm.event);
	entry_unmask(m, &self->d, v);
	EXPECT_EQ(2, msix_irqs(m, 0, VEC(v), 2));
	EXPECT_EQ(1, m->nr_exits);

	/* Unbound again, as if the guest gave the vector up: the unmask exits. */
	entry_mask(m, &self->d, v);
	msix_bind_one(&self->d, v, -1, -1);
	vmm.vector = -1;
	entry_unmask(m, &self->d, v);
	EXPECT_EQ(2, m->nr_exits);
	EXPECT_EQ(v, vmm.vector);
	EXPECT_EQ(2, msix_irqs(m, 0, VEC(v), 2));
}

/* A write of any width that clears the mask bit exits. */
TEST_F(lazy, unmask_of_every_width)
{
	struct vmm vmm = { .d = &self->d };
	struct msix_vm *m = self->m;
	u32 src[4] = { MSI_ADDR(0), 0, VEC(4), 0 };

	m->on_exit = bind_on_exit;
	m->on_exit_data = &vmm;

	vmm.event = event_create();
	guest_write(m, entry_gpa(&self->d, 0, ENTRY_CTRL), 1, 0);
	ASSERT_EQ(1, m->nr_exits);
	EXPECT_EQ(entry_gpa(&self->d, 0, ENTRY_CTRL), m->exit[0].addr);
	EXPECT_EQ(1, m->exit[0].len);

	vmm.event = event_create();
	guest_write(m, entry_gpa(&self->d, 1, ENTRY_CTRL), 2, 0);
	ASSERT_EQ(2, m->nr_exits);
	EXPECT_EQ(2, m->exit[1].len);

	vmm.event = event_create();
	guest_write(m, entry_gpa(&self->d, 2, ENTRY_DATA), 8, VEC(2));
	ASSERT_EQ(3, m->nr_exits);
	EXPECT_EQ(entry_gpa(&self->d, 2, ENTRY_DATA), m->exit[2].addr);
	EXPECT_EQ(8, m->exit[2].len);
	EXPECT_EQ(VEC(2), m->exit[2].data);
	EXPECT_EQ(2, vmm.vector);
	EXPECT_TRUE(vmm.stored);

	/* REP MOVS goes on after the exit. */
	vmm.event = event_create();
	guest_movs(m, entry_gpa(&self->d, 4, 0), 4, 4, src);
	ASSERT_EQ(4, m->nr_exits);
	EXPECT_EQ(entry_gpa(&self->d, 4, ENTRY_CTRL), m->exit[3].addr);
	EXPECT_EQ(4, vmm.vector);
	event_signal(vmm.event);
	EXPECT_EQ(1, msix_irqs(m, 0, VEC(4), 1));

	/* A write to the byte beside the mask bit unmasks nothing. */
	guest_write(m, entry_gpa(&self->d, 3, ENTRY_CTRL) + 1, 1, 0);
	EXPECT_EQ(4, m->nr_exits);
}

/* If the VMM binds ahead, no write exits; if it binds late, no event is lost. */
TEST_F(lazy, bound_before)
{
	struct msix_vm *m = self->m;
	int event = event_create(), late = event_create();

	msix_bind_one(&self->d, 0, event, -1);
	entry_program(m, &self->d, 0, MSI_ADDR(0), VEC(0));
	entry_unmask(m, &self->d, 0);
	EXPECT_EQ(0, m->nr_exits);
	event_signal(event);
	EXPECT_EQ(1, msix_irqs(m, 0, VEC(0), 1));

	entry_program(m, &self->d, 1, MSI_ADDR(0), VEC(1));
	entry_unmask(m, &self->d, 1);
	EXPECT_EQ(1, m->nr_exits);
	EXPECT_EQ(0, entry_read(m, &self->d, 1, ENTRY_CTRL));
	event_signal(late);
	msix_bind_one(&self->d, 1, late, -1);
	EXPECT_EQ(1, msix_irqs(m, 0, VEC(1), 1));
}

/* 27: a vector is bound as long as it has an eventfd. */
TEST_F(lazy, several_eventfds)
{
	int event[] = { event_create(), event_create() };
	struct msix_vm *m = self->m;

	ASSERT_EQ(0, __msix_add(self->d.fd, 0, event[0]));
	ASSERT_EQ(0, __msix_add(self->d.fd, 0, event[1]));
	entry_unmask(m, &self->d, 0);
	ASSERT_EQ(0, __msix_remove(self->d.fd, 0, event[0]));
	entry_mask(m, &self->d, 0);
	entry_unmask(m, &self->d, 0);
	entry_mask(m, &self->d, 0);
	EXPECT_EQ(0, m->nr_exits);
	ASSERT_EQ(0, __msix_remove(self->d.fd, 0, event[1]));
	entry_unmask(m, &self->d, 0);
	EXPECT_EQ(1, m->nr_exits);
}

/* Read @width bytes of the PBA; @exits: from the VMM. */
static void expect_pba(struct __test_metadata *_metadata, struct msix_vm *m, u64 gpa,
		       u32 width, bool exits, u64 val)
{
	msix_vm_forget_exits(m);
	EXPECT_EQ(val, guest_read(m, gpa, width)) {
		TH_LOG("%u bytes at %#lx", width, gpa);
	}
	ASSERT_EQ(exits, m->nr_exits);
	if (exits) {
		EXPECT_FALSE(m->exit[0].is_write);
		EXPECT_EQ(gpa, m->exit[0].addr);
		EXPECT_EQ(width, m->exit[0].len);
	}
}

TEST_F(lazy, pba)
{
	struct kvm_msix_binding v[NR];
	struct msix_vm *m = self->m;
	u64 pba = self->d.pba;
	int i;

	m->mmio_answer = 0x1122334455667788;
	expect_pba(_metadata, m, pba, 8, true, 0x1122334455667788);
	expect_pba(_metadata, m, pba + 8, 4, true, 0x55667788);

	/* All but vector 40 bound: reads of the other dwords do not exit. */
	for (i = 0; i < NR; i++) {
		v[i].eventfd = i == 40 ? -1 : event_create();
		v[i].gsi = -1;
	}
	ASSERT_EQ(0, __msix_bind(self->d.fd, 0, NR, v));
	event_signal(v[1].eventfd);
	event_signal(v[64].eventfd);
	event_signal(v[99].eventfd);
	expect_pba(_metadata, m, pba, 4, false, 2);
	expect_pba(_metadata, m, pba + 4, 4, true, 0x55667788);
	expect_pba(_metadata, m, pba, 8, true, 0x1122334455667788);
	expect_pba(_metadata, m, pba + 8, 8, false, 1ull << 35 | 1);

	v[40].eventfd = event_create();
	event_signal(v[40].eventfd);
	msix_bind_one(&self->d, 40, v[40].eventfd, -1);
	expect_pba(_metadata, m, pba, 8, false, 1ull << 40 | 2);
	expect_pba(_metadata, m, pba + 4, 4, false, 1 << 8);

	/* Bits beyond the last vector do not make a read exit. */
	expect_pba(_metadata, m, pba + 12, 4, false, 1 << 3);
}

/* Without the flag, an unbound vector does not exit, and is never pending. */
TEST_F(lazy, not_lazy)
{
	struct msix_dev d = msix_create(self->m->vm, NR, 0);

	msix_set_addr(&d, BAR_GPA + 0x4000, BAR_GPA + 0x5000);
	msix_control(&d, ENABLE);
	entry_program(self->m, &d, 0, MSI_ADDR(0), VEC(0));
	entry_unmask(self->m, &d, 0);
	EXPECT_EQ(0, guest_read(self->m, d.pba, 8));
	EXPECT_EQ(0, self->m->nr_exits);
	close(d.fd);
}

KVM_MSIX_TEST_MAIN
