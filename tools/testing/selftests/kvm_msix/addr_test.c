// SPDX-License-Identifier: GPL-2.0-only
/*
 * 22 of kvm_msix-semantics.rst: the table follows the BAR, also while a vCPU
 * accesses the table.
 */
#include <pthread.h>

#include "kselftest_harness.h"
#include "kvm_msix_util.h"

#define NR	4
#define A	BAR_GPA
#define B	(BAR_GPA + 0x8008)
#define PBA_OF(t) ((t) + 0x800)
#define OURS	0x600d600d	/* data of the table's entry 0 */
#define VMMS	0xbadbadbadbadbad

FIXTURE(addr) {
	struct msix_vm *m;
	struct msix_dev d;
};

FIXTURE_SETUP(addr)
{
	self->m = msix_vm_create(1, NULL);
	self->m->mmio_answer = VMMS;
	self->d = msix_create(self->m->vm, NR, 0);
}

FIXTURE_TEARDOWN(addr)
{
	close(self->d.fd);
	msix_vm_free(self->m);
}

/* Does the kernel answer at @gpa? */
static bool answers(struct msix_vm *m, u64 gpa)
{
	msix_vm_forget_exits(m);
	guest_read(m, gpa, 4);
	return !m->nr_exits;
}

TEST_F(addr, moves)
{
	struct msix_vm *m = self->m;
	struct msix_dev *d = &self->d;
	int event = event_create();

	/* No address is set yet. */
	EXPECT_FALSE(answers(m, A));
	EXPECT_FALSE(answers(m, PBA_OF(A)));

	msix_set_addr(d, A, PBA_OF(A));
	EXPECT_TRUE(answers(m, A));
	EXPECT_TRUE(answers(m, PBA_OF(A)));
	EXPECT_FALSE(answers(m, B));
	entry_program(m, d, 0, MSI_ADDR(0), 0x40);
	entry_write(m, d, 3, ENTRY_DATA, OURS);
	msix_bind_one(d, 0, event, -1);
	msix_control(d, ENABLE);
	event_signal(event);

	msix_set_addr(d, B, PBA_OF(B));
	EXPECT_FALSE(answers(m, A));
	EXPECT_FALSE(answers(m, A + NR * ENTRY_SIZE - 4));
	EXPECT_FALSE(answers(m, PBA_OF(A)));
	EXPECT_TRUE(answers(m, B));
	EXPECT_TRUE(answers(m, PBA_OF(B)));
	/* The contents have moved, too. */
	EXPECT_EQ(MSI_ADDR(0), entry_read(m, d, 0, ENTRY_ADDR_LO));
	EXPECT_EQ(OURS, entry_read(m, d, 3, ENTRY_DATA));
	EXPECT_TRUE(pba_read(m, d, 0));

	/* A write to the old place exits to the VMM, and changes nothing. */
	msix_vm_forget_exits(m);
	guest_write(m, A + 3 * ENTRY_SIZE + ENTRY_DATA, 4, 0);
	EXPECT_EQ(1, m->nr_exits);
	EXPECT_EQ(OURS, entry_read(m, d, 3, ENTRY_DATA));

	/* Decode off: table and PBA do not answer, but the function works. */
	msix_set_addr(d, NOWHERE, NOWHERE);
	EXPECT_FALSE(answers(m, A));
	EXPECT_FALSE(answers(m, B));
	EXPECT_FALSE(answers(m, PBA_OF(B)));
	EXPECT_TRUE(msix_pending(d, 0));

	/* The table without the PBA, and vice versa, as in two BARs. */
	msix_set_addr(d, A, NOWHERE);
	EXPECT_TRUE(answers(m, A));
	EXPECT_FALSE(answers(m, PBA_OF(A)));
	msix_set_addr(d, NOWHERE, PBA_OF(B));
	EXPECT_FALSE(answers(m, A));
	EXPECT_TRUE(answers(m, PBA_OF(B)));

	msix_set_addr(d, A, PBA_OF(A));
	entry_unmask(m, d, 0);
	EXPECT_EQ(1, msix_irqs(m, 0, 0x40, 1));
}

/* Move over the old place: by half an entry, and the PBA to the old table. */
TEST_F(addr, over_itself)
{
	struct msix_vm *m = self->m;
	struct msix_dev *d = &self->d;

	msix_set_addr(d, A, PBA_OF(A));
	entry_write(m, d, 0, ENTRY_DATA, OURS);
	msix_set_addr(d, A + 8, PBA_OF(A));
	EXPECT_FALSE(answers(m, A));
	EXPECT_EQ(OURS, guest_read(m, A + 8 + ENTRY_DATA, 4));
	msix_set_addr(d, PBA_OF(A), A);
	EXPECT_EQ(OURS, guest_read(m, PBA_OF(A) + ENTRY_DATA, 4));
	EXPECT_EQ(0, guest_read(m, A, 8));
	EXPECT_TRUE(answers(m, A));
	EXPECT_FALSE(answers(m, A + 8));
}

/* If SET_ADDR fails, table and PBA stay where they are. */
TEST_F(addr, failure)
{
	struct msix_vm *m = self->m;
	struct msix_dev other;

	if (msix_mapped())
		SKIP(return, "what lies beside the table is guest memory");
	other = msix_create(m->vm, NR, 0);
	msix_set_addr(&self->d, A, PBA_OF(A));
	msix_set_addr(&other, B, PBA_OF(B));
	entry_write(m, &self->d, 0, ENTRY_DATA, OURS);
	EXPECT_EQ(EEXIST, __msix_set_addr(self->d.fd, B, PBA_OF(A) + 8));
	EXPECT_EQ(EEXIST, __msix_set_addr(self->d.fd, A + 0x100, PBA_OF(B)));
	EXPECT_EQ(EINVAL, __msix_set_addr(self->d.fd, A + 0x100, A + 0x104));
	EXPECT_EQ(OURS, entry_read(m, &self->d, 0, ENTRY_DATA));
	EXPECT_TRUE(answers(m, PBA_OF(A)));
	EXPECT_FALSE(answers(m, PBA_OF(A) + 8));
	EXPECT_FALSE(answers(m, A + 0x100));
	EXPECT_EQ(0, entry_read(m, &other, 0, ENTRY_DATA));
	close(other.fd);
	EXPECT_FALSE(answers(m, B));
}

/*
 * Moves while a vCPU reads. The VMM's thread writes one word, @move: the number
 * of a move, whether it is under way, from where, and to where.
 */
enum place { AT_A, AT_B, AT_NONE, NR_PLACES };

#define MOVE(seq, moving, from, to) ((u64)(seq) << 16 | (moving) << 8 | (from) << 4 | (to))
#define MOVE_IS_ON(move) ((move) >> 8 & 1)
#define MOVE_FROM(move) ((move) >> 4 & 0xf)
#define MOVE_TO(move) ((move) & 0xf)

static u64 move;
static u64 stop;
static u64 reads_settled[NR_PLACES];
static u64 reads_moving;

static bool ours_at(u64 gpa)
{
	u32 val = mmio_read32(gpa + ENTRY_DATA);

	GUEST_ASSERT(val == OURS || val == (u32)VMMS);
	return val == OURS;
}

static void guest_reader(void)
{
	static const u64 gpa[] = { [AT_A] = A, [AT_B] = B };
	bool at_a, at_b, at_new, at_old;
	u64 now, i;

	while (!READ_ONCE(stop)) {
		now = READ_ONCE(move);
		if (MOVE_IS_ON(now)) {
			/* The old place is silent before the new one answers. */
			at_new = MOVE_TO(now) != AT_NONE && ours_at(gpa[MOVE_TO(now)]);
			at_old = MOVE_FROM(now) != AT_NONE && ours_at(gpa[MOVE_FROM(now)]);
			if (READ_ONCE(move) != now)
				continue;
			GUEST_ASSERT(!at_new || !at_old);
			WRITE_ONCE(reads_moving, reads_moving + 1);
		} else {
			at_a = ours_at(A);
			at_b = ours_at(B);
			if (READ_ONCE(move) != now)
				continue;
			GUEST_ASSERT_EQ(at_a, MOVE_TO(now) == AT_A);
			GUEST_ASSERT_EQ(at_b, MOVE_TO(now) == AT_B);
			i = MOVE_TO(now);
			WRITE_ONCE(reads_settled[i], reads_settled[i] + 1);
		}
	}
	GUEST_DONE();
}

static void *vcpu_thread(void *arg)
{
	struct msix_vm *m = arg;
	struct ucall uc;

	for (;;) {
		vcpu_run(m->vcpu[0]);
		msix_vm_forget_exits(m);
		if (msix_handle_mmio(m, m->vcpu[0]))
			continue;
		switch (get_ucall(m->vcpu[0], &uc)) {
		case UCALL_ABORT:
			REPORT_GUEST_ASSERT(uc);
			break;
		case UCALL_DONE:
			return NULL;
		default:
			TEST_FAIL("exit reason %u", m->vcpu[0]->run->exit_reason);
		}
	}
}

FIXTURE(moving) {
	struct msix_vm *m;
	struct msix_dev d;
};

FIXTURE_SETUP(moving)
{
	struct msix_state *s = msix_state_alloc(NR);

	self->m = msix_vm_create(1, guest_reader);
	self->m->mmio_answer = VMMS;
	self->d = msix_create(self->m->vm, NR, 0);
	s->entry[0][ENTRY_DATA / 4] = OURS;
	ASSERT_EQ(0, __msix_set_state(self->d.fd, s));
	msix_state_free(s);
}

FIXTURE_TEARDOWN(moving)
{
	close(self->d.fd);
	msix_vm_free(self->m);
}

TEST_F(moving, while_a_vcpu_reads)
{
	static const u8 order[] = { AT_A, AT_B, AT_A, AT_NONE, AT_B, AT_NONE };
	static const u64 gpa[] = { A, B, NOWHERE };
	u64 *word = GUEST_VAR(self->m, move);
	u64 *settled = *GUEST_VAR(self->m, reads_settled);
	int i, spins, from, to = AT_NONE;
	u64 now[NR_PLACES], want;
	pthread_t thread;

	if (msix_mapped())
		SKIP(return, "it is the VMM that moves memory, and in two steps");
	WRITE_ONCE(*word, MOVE(0, 0, AT_NONE, AT_NONE));
	ASSERT_EQ(0, pthread_create(&thread, NULL, vcpu_thread, self->m));
	for (i = 0; i < 600; i++) {
		from = to;
		to = order[i % ARRAY_SIZE(order)];
		WRITE_ONCE(*word, MOVE(i, 1, from, to));
		msix_set_addr(&self->d, gpa[to], to == AT_NONE ? NOWHERE : PBA_OF(gpa[to]));
		WRITE_ONCE(*word, MOVE(i, 0, from, to));

		/* The vCPU reads each place at least once while it is current. */
		want = READ_ONCE(settled[to]) + 1;
		for (spins = 0; READ_ONCE(settled[to]) < want && spins < 20000; spins++)
			usleep(100);
		ASSERT_GE(READ_ONCE(settled[to]), want);
	}
	WRITE_ONCE(*GUEST_VAR(self->m, stop), 1);
	pthread_join(thread, NULL);
	for (i = 0; i < NR_PLACES; i++) {
		now[i] = settled[i];
		EXPECT_GE(now[i], 100);
	}
	TH_LOG("reads: %lu at A, %lu at B, %lu at none, %lu while moving", now[AT_A],
	       now[AT_B], now[AT_NONE], *GUEST_VAR(self->m, reads_moving));
}

KVM_MSIX_TEST_MAIN
