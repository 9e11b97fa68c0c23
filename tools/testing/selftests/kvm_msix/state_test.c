// SPDX-License-Identifier: GPL-2.0-only
/*
 * Save, restore, reset. Numbers are those of kvm_msix-semantics.rst.
 */
#include "kselftest_harness.h"
#include "kvm_msix_util.h"

#define NR	6
#define VEC(v)	(0x40 + (v))

FIXTURE(state) {
	struct msix_vm *m;
	struct msix_dev d;
	int event[NR];
};

/* Enabled and bound, entry v with VEC(v), masked. */
FIXTURE_SETUP(state)
{
	self->m = msix_vm_create(1, NULL);
	self->d = msix_create(self->m->vm, NR, 0);
	msix_start(self->m, &self->d, VEC(0), self->event);
}

FIXTURE_TEARDOWN(state)
{
	EXPECT_EQ(0, self->m->nr_exits);
	close(self->d.fd);
	msix_vm_free(self->m);
}

static void set_state(struct msix_dev *d, struct msix_state *s)
{
	int err = __msix_set_state(d->fd, s);

	TEST_ASSERT(!err, "KVM_MSIX_SET_STATE: %s", strerror(err));
}

/* Save, and close the old function. */
static struct msix_state *save(struct msix_dev *d)
{
	struct msix_state *s = msix_get_state(d->fd, d->nr);

	close(d->fd);
	return s;
}

/* The rest of the steps in the uapi header: CREATE, SET_STATE, SET_ADDR, BIND. */
static void restore(struct msix_vm *m, struct msix_dev *d, struct msix_state *s, int *event)
{
	struct msix_state *back;
	int i;

	*d = msix_create(m->vm, s->nr, 0);
	set_state(d, s);
	msix_set_addr(d, BAR_GPA, BAR_GPA + 0x800);
	for (i = 0; i < s->nr; i++)
		msix_bind_one(d, i, event[i], -1);
	back = msix_get_state(d->fd, s->nr);
	TEST_ASSERT(msix_state_equal(s, back), "GET_STATE after SET_STATE");
	msix_state_free(back);
}

/*
 * 24: vector 0 masked, 1 masked and pending, 2 unmasked, 3 pending with its
 * mask bit clear under the Function Mask, 4 as after reset, 5 with all bits.
 */
TEST_F(state, save_restore)
{
	struct msix_state *s;
	int i;

	entry_unmask(self->m, &self->d, 2);
	event_signal(self->event[1]);
	entry_unmask(self->m, &self->d, 3);
	msix_control(&self->d, ENABLE | FUNCTION_MASK);
	event_signal(self->event[3]);
	entry_program(self->m, &self->d, 4, 0, 0);
	guest_write16(self->m, entry_gpa(&self->d, 5, 0), ~0ull, ~0ull);

	s = save(&self->d);
	EXPECT_EQ(ENABLE | FUNCTION_MASK, s->control);
	EXPECT_EQ(1 << 1 | 1 << 3, s->pba[0]);
	EXPECT_EQ(MSI_ADDR(0), s->entry[0][0]);
	EXPECT_EQ(VEC(0), s->entry[0][2]);
	EXPECT_EQ(MASKED, s->entry[0][3]);
	EXPECT_EQ(0, s->entry[2][3]);
	EXPECT_EQ(~0u, s->entry[5][0] & s->entry[5][1] & s->entry[5][2] & s->entry[5][3]);

	restore(self->m, &self->d, s, self->event);
	for (i = 0; i < NR; i++)
		EXPECT_EQ(0, msix_irqs(self->m, 0, VEC(i), 0));
	EXPECT_EQ(1 << 1 | 1 << 3, guest_read(self->m, self->d.pba, 8));
	EXPECT_EQ(VEC(1), entry_read(self->m, &self->d, 1, ENTRY_DATA));

	msix_control(&self->d, ENABLE);
	EXPECT_EQ(1, msix_irqs(self->m, 0, VEC(3), 1));
	EXPECT_EQ(0, msix_irqs(self->m, 0, VEC(1), 0));
	EXPECT_EQ(0, msix_irqs(self->m, 0, VEC(2), 0));
	entry_unmask(self->m, &self->d, 1);
	EXPECT_EQ(1, msix_irqs(self->m, 0, VEC(1), 1));
	entry_unmask(self->m, &self->d, 0);
	EXPECT_EQ(0, msix_irqs(self->m, 0, VEC(0), 0));
	EXPECT_EQ(0, guest_read(self->m, self->d.pba, 8));

	/* The new function delivers events. */
	for (i = 0; i < 4; i++) {
		u64 sent = self->m->cpu[0]->irqs[VEC(i)] + 1;

		event_signal(self->event[i]);
		EXPECT_EQ(sent, msix_irqs(self->m, 0, VEC(i), sent));
	}
	msix_state_free(s);
}

/* Events between closing and the new BIND are in no state, but not lost. */
TEST_F(state, event_on_the_way)
{
	int none[NR] = { -1, -1, -1, -1, -1, -1 };
	struct msix_state *s;

	entry_unmask(self->m, &self->d, 0);
	s = save(&self->d);
	event_signal(self->event[0]);
	event_signal(self->event[1]);
	restore(self->m, &self->d, s, none);
	EXPECT_EQ(0, msix_irqs(self->m, 0, VEC(0), 0));
	msix_bind_one(&self->d, 0, self->event[0], -1);
	msix_bind_one(&self->d, 1, self->event[1], -1);
	EXPECT_EQ(1, msix_irqs(self->m, 0, VEC(0), 1));
	EXPECT_EQ(0, msix_irqs(self->m, 0, VEC(1), 0));
	EXPECT_TRUE(pba_read(self->m, &self->d, 1));
	entry_unmask(self->m, &self->d, 1);
	EXPECT_EQ(1, msix_irqs(self->m, 0, VEC(1), 1));
	msix_state_free(s);
}

/* A vector that is pending in the new state and may send sends, once. */
TEST_F(state, set_state_delivers)
{
	struct msix_state *s = msix_get_state(self->d.fd, NR);

	s->pba[0] = 1 << 0 | 1 << 1;
	s->entry[0][3] = 0;
	s->entry[2][3] = 0;
	set_state(&self->d, s);
	EXPECT_EQ(1, msix_irqs(self->m, 0, VEC(0), 1));
	EXPECT_EQ(0, msix_irqs(self->m, 0, VEC(1), 0));
	EXPECT_EQ(0, msix_irqs(self->m, 0, VEC(2), 0));
	EXPECT_EQ(1 << 1, guest_read(self->m, self->d.pba, 8));

	/* A pending bit that the new state does not have is gone. */
	s->pba[0] = 0;
	s->entry[1][3] = 0;
	set_state(&self->d, s);
	EXPECT_EQ(0, msix_irqs(self->m, 0, VEC(1), 0));
	EXPECT_EQ(0, guest_read(self->m, self->d.pba, 8));

	/* The masks are the new state's. */
	event_signal(self->event[1]);
	EXPECT_EQ(1, msix_irqs(self->m, 0, VEC(1), 1));
	s->entry[1][3] = MASKED;
	set_state(&self->d, s);
	event_signal(self->event[1]);
	EXPECT_EQ(1, msix_irqs(self->m, 0, VEC(1), 0));
	EXPECT_TRUE(pba_read(self->m, &self->d, 1));
	msix_state_free(s);
}

/* 23: the state is that of 1, and nothing of the old state is ever sent. */
TEST_F(state, reset)
{
	struct msix_state *s;
	int i;

	entry_unmask(self->m, &self->d, 0);
	event_signal(self->event[1]);
	event_signal(self->event[2]);
	entry_unmask(self->m, &self->d, 3);
	msix_control(&self->d, ENABLE | FUNCTION_MASK);
	event_signal(self->event[3]);
	EXPECT_EQ(0xe, guest_read(self->m, self->d.pba, 8));

	msix_reset(&self->d);
	s = msix_get_state(self->d.fd, NR);
	EXPECT_TRUE(msix_state_is_reset(s));
	msix_state_free(s);
	EXPECT_EQ(0, guest_read(self->m, self->d.pba, 8));
	EXPECT_EQ(0, entry_read(self->m, &self->d, 0, ENTRY_ADDR_LO));
	EXPECT_EQ(0, entry_read(self->m, &self->d, 0, ENTRY_DATA));
	EXPECT_EQ(MASKED, entry_read(self->m, &self->d, 0, ENTRY_CTRL));

	msix_control(&self->d, ENABLE);
	for (i = 0; i < NR; i++) {
		entry_program(self->m, &self->d, i, MSI_ADDR(0), VEC(i));
		entry_unmask(self->m, &self->d, i);
	}
	for (i = 0; i < NR; i++)
		EXPECT_EQ(0, msix_irqs(self->m, 0, VEC(i), 0));

	/* Addresses and bindings stayed. */
	for (i = 0; i < NR; i++) {
		event_signal(self->event[i]);
		EXPECT_EQ(1, msix_irqs(self->m, 0, VEC(i), 1));
	}
}

/* GET_STATE changes nothing, and returns any contents that SET_STATE took. */
TEST_F(state, round_trip)
{
	struct msix_dev big = msix_create(self->m->vm, 2048, 0);
	struct msix_state *s = msix_state_alloc(2048), *back;
	u32 i, f, x = 0;

	for (i = 0; i < 2048; i++)
		for (f = 0; f < 4; f++)
			s->entry[i][f] = ++x * 0x9e3779b9;
	for (i = 0; i < 32; i++)
		s->pba[i] = 0x9e3779b97f4a7c15 * (i + 1);

	/* Disabled, so that nothing is sent and all bits stay. */
	s->control = FUNCTION_MASK;
	set_state(&big, s);
	for (i = 0; i < 2; i++) {
		back = msix_get_state(big.fd, 2048);
		EXPECT_TRUE(msix_state_equal(s, back));
		msix_state_free(back);
	}
	close(big.fd);
	msix_state_free(s);
}

KVM_MSIX_TEST_MAIN
