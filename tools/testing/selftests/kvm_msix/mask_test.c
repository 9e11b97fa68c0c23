// SPDX-License-Identifier: GPL-2.0-only
/*
 * Masks, pending bits and Message Control, against a guest that counts its
 * interrupts. Numbers are those of kvm_msix-semantics.rst.
 */
#include "kselftest_harness.h"
#include "kvm_msix_util.h"

#define NR	4
#define VEC(v)	(0x40 + (v))
#define NEW	0x80

FIXTURE(mask) {
	struct msix_vm *m;
	struct msix_dev d;
	int event[NR];
	u64 sent[256];	/* interrupts expected by now */
};

/* Enabled, bound, entry v with message VEC(v) for vCPU 0, and masked. */
FIXTURE_SETUP(mask)
{
	self->m = msix_vm_create(1, NULL);
	self->d = msix_create(self->m->vm, NR, 0);
	msix_start(self->m, &self->d, VEC(0), self->event);
}

FIXTURE_TEARDOWN(mask)
{
	EXPECT_NOTHING_ELSE(self->m, self->sent);
	close(self->d.fd);
	msix_vm_free(self->m);
}

/* n more interrupts on vector. */
#define EXPECT_SENT(vector, n) EXPECT_MORE_IRQS(self->m, self->sent, vector, n)

/* Check the pending bit as the guest and the VMM see it. */
#define EXPECT_PENDING(v, is)							\
do {										\
	u32 _v = (v);								\
	bool _is = (is);							\
										\
	EXPECT_EQ(_is, pba_read(self->m, &self->d, _v));			\
	EXPECT_EQ(_is, msix_pending(&self->d, _v));				\
} while (0)

TEST_F(mask, unmasked_event_is_sent)
{
	int i;

	entry_unmask(self->m, &self->d, 0);
	for (i = 0; i < 10; i++) {
		event_signal(self->event[0]);
		EXPECT_SENT(VEC(0), 1);
		EXPECT_PENDING(0, false);
	}
}

/* 10, 11 */
TEST_F(mask, masked_event_is_latched_once)
{
	event_signal(self->event[1]);
	EXPECT_SENT(VEC(1), 0);
	EXPECT_PENDING(1, true);
	EXPECT_EQ(2, guest_read(self->m, self->d.pba, 8));
	event_signal(self->event[1]);
	event_signal(self->event[1]);
	EXPECT_PENDING(1, true);
	EXPECT_EQ(2, guest_read(self->m, self->d.pba, 8));

	entry_unmask(self->m, &self->d, 1);
	EXPECT_SENT(VEC(1), 1);
	EXPECT_PENDING(1, false);

	/* Again, to see that the first round left nothing behind. */
	entry_mask(self->m, &self->d, 1);
	event_signal(self->event[1]);
	EXPECT_SENT(VEC(1), 0);
	EXPECT_PENDING(1, true);
	entry_unmask(self->m, &self->d, 1);
	EXPECT_SENT(VEC(1), 1);
}

/* 11: the message is that of the moment of the unmask, not of the event. */
TEST_F(mask, unmask_sends_the_new_message)
{
	event_signal(self->event[0]);
	entry_write(self->m, &self->d, 0, ENTRY_DATA, NEW);
	entry_unmask(self->m, &self->d, 0);
	EXPECT_SENT(NEW, 1);
	EXPECT_SENT(VEC(0), 0);
}

/* 7: data and control in one 8-byte write. */
TEST_F(mask, unmask_with_data)
{
	event_signal(self->event[0]);
	guest_write(self->m, entry_gpa(&self->d, 0, ENTRY_DATA), 8, NEW);
	EXPECT_SENT(NEW, 1);
	EXPECT_PENDING(0, false);
}

/* 12 */
TEST_F(mask, nothing_pending_nothing_sent)
{
	entry_unmask(self->m, &self->d, 0);
	entry_unmask(self->m, &self->d, 0);
	entry_mask(self->m, &self->d, 0);
	entry_mask(self->m, &self->d, 0);
	entry_unmask(self->m, &self->d, 0);
	EXPECT_SENT(VEC(0), 0);
	EXPECT_PENDING(0, false);

	/* An event sent is not sent again. */
	event_signal(self->event[0]);
	EXPECT_SENT(VEC(0), 1);
	entry_unmask(self->m, &self->d, 0);
	entry_mask(self->m, &self->d, 0);
	entry_unmask(self->m, &self->d, 0);
	EXPECT_SENT(VEC(0), 0);

	/* Masking a masked vector does not lose its pending bit. */
	entry_mask(self->m, &self->d, 0);
	event_signal(self->event[0]);
	entry_mask(self->m, &self->d, 0);
	EXPECT_PENDING(0, true);
	entry_unmask(self->m, &self->d, 0);
	EXPECT_SENT(VEC(0), 1);
}

/* 8: only bit 0 of Vector Control acts, whatever the width of the write. */
TEST_F(mask, reserved_control_bits)
{
	u64 ctrl = entry_gpa(&self->d, 0, ENTRY_CTRL);

	event_signal(self->event[0]);
	guest_write(self->m, ctrl, 4, 0xffffffff);
	guest_write(self->m, ctrl + 1, 1, 0);
	guest_write(self->m, ctrl + 2, 2, 0);
	EXPECT_PENDING(0, true);
	EXPECT_SENT(VEC(0), 0);
	guest_write(self->m, ctrl, 4, 0xfffffffe);
	EXPECT_SENT(VEC(0), 1);
	EXPECT_EQ(0xfffffffe, guest_read(self->m, ctrl, 4));

	guest_write(self->m, ctrl, 1, 0xff);
	event_signal(self->event[0]);
	EXPECT_SENT(VEC(0), 0);
	EXPECT_EQ(0xffffffff, guest_read(self->m, ctrl, 4));
	guest_write(self->m, ctrl, 2, 0xfffe);
	EXPECT_SENT(VEC(0), 1);
}

/* 14 */
TEST_F(mask, function_mask)
{
	int i;

	entry_unmask(self->m, &self->d, 0);
	entry_unmask(self->m, &self->d, 1);
	msix_control(&self->d, ENABLE | FUNCTION_MASK);
	EXPECT_EQ(0, entry_read(self->m, &self->d, 0, ENTRY_CTRL));
	EXPECT_EQ(MASKED, entry_read(self->m, &self->d, 2, ENTRY_CTRL));

	for (i = 0; i < 3; i++) {
		event_signal(self->event[i]);
		EXPECT_SENT(VEC(i), 0);
		EXPECT_PENDING(i, true);
	}
	/* Unmasked under the Function Mask: not yet. */
	event_signal(self->event[3]);
	entry_unmask(self->m, &self->d, 3);
	EXPECT_SENT(VEC(3), 0);

	msix_control(&self->d, ENABLE);
	EXPECT_SENT(VEC(0), 1);
	EXPECT_SENT(VEC(1), 1);
	EXPECT_SENT(VEC(2), 0);
	EXPECT_SENT(VEC(3), 1);
	EXPECT_PENDING(0, false);
	EXPECT_PENDING(1, false);
	EXPECT_PENDING(2, true);
	EXPECT_PENDING(3, false);
	EXPECT_EQ(0, entry_read(self->m, &self->d, 0, ENTRY_CTRL));
	EXPECT_EQ(MASKED, entry_read(self->m, &self->d, 2, ENTRY_CTRL));

	entry_unmask(self->m, &self->d, 2);
	EXPECT_SENT(VEC(2), 1);
}

/* 16 */
TEST_F(mask, enable)
{
	entry_unmask(self->m, &self->d, 0);
	msix_control(&self->d, 0);
	event_signal(self->event[0]);
	EXPECT_SENT(VEC(0), 0);
	EXPECT_PENDING(0, true);
	EXPECT_EQ(MSI_ADDR(0), entry_read(self->m, &self->d, 0, ENTRY_ADDR_LO));
	EXPECT_EQ(VEC(0), entry_read(self->m, &self->d, 0, ENTRY_DATA));
	EXPECT_EQ(0, entry_read(self->m, &self->d, 0, ENTRY_CTRL));
	/* The bits beside Enable do not enable. */
	msix_control(&self->d, 0x3fff);
	EXPECT_SENT(VEC(0), 0);
	msix_control(&self->d, ENABLE);
	EXPECT_SENT(VEC(0), 1);
	EXPECT_PENDING(0, false);
	msix_control(&self->d, ENABLE);
	EXPECT_SENT(VEC(0), 0);
}

/* 15: the last of mask bit, Enable and Function Mask to allow it sends. */
TEST_F(mask, last_of_three)
{
	static const u8 order[6][3] = {
		{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
	};
	u32 control;
	int i, j;

	for (i = 0; i < 6; i++) {
		control = FUNCTION_MASK;
		msix_control(&self->d, control);
		entry_mask(self->m, &self->d, 0);
		event_signal(self->event[0]);
		for (j = 0; j < 3; j++) {
			EXPECT_SENT(VEC(0), 0);
			EXPECT_PENDING(0, true);
			switch (order[i][j]) {
			case 0:
				entry_unmask(self->m, &self->d, 0);
				break;
			case 1:
				control |= ENABLE;
				msix_control(&self->d, control);
				break;
			case 2:
				control &= ~FUNCTION_MASK;
				msix_control(&self->d, control);
				break;
			}
		}
		EXPECT_SENT(VEC(0), 1);
		EXPECT_PENDING(0, false);
	}
}

/* 17 */
TEST_F(mask, message_changed_while_unmasked)
{
	entry_unmask(self->m, &self->d, 0);
	entry_write(self->m, &self->d, 0, ENTRY_DATA, NEW);
	EXPECT_SENT(NEW, 0);
	event_signal(self->event[0]);
	EXPECT_SENT(NEW, 1);
	EXPECT_SENT(VEC(0), 0);

	/* Byte by byte as well. */
	guest_write(self->m, entry_gpa(&self->d, 0, ENTRY_DATA), 1, NEW + 1);
	event_signal(self->event[0]);
	EXPECT_SENT(NEW + 1, 1);

	/* An address of no vCPU, and back. */
	entry_write(self->m, &self->d, 0, ENTRY_ADDR_LO, MSI_ADDR(7));
	event_signal(self->event[0]);
	EXPECT_SENT(NEW + 1, 0);
	EXPECT_PENDING(0, false);
	entry_write(self->m, &self->d, 0, ENTRY_ADDR_LO, MSI_ADDR(0));
	EXPECT_SENT(NEW + 1, 0);
	event_signal(self->event[0]);
	EXPECT_SENT(NEW + 1, 1);
}

/* 18 */
TEST_F(mask, two_entries_one_message)
{
	entry_write(self->m, &self->d, 0, ENTRY_DATA, NEW);
	entry_write(self->m, &self->d, 1, ENTRY_DATA, NEW);
	entry_unmask(self->m, &self->d, 0);
	event_signal(self->event[0]);
	EXPECT_SENT(NEW, 1);
	event_signal(self->event[1]);
	EXPECT_SENT(NEW, 0);
	EXPECT_PENDING(0, false);
	EXPECT_PENDING(1, true);
	entry_unmask(self->m, &self->d, 1);
	EXPECT_SENT(NEW, 1);
	entry_mask(self->m, &self->d, 0);
	event_signal(self->event[1]);
	EXPECT_SENT(NEW, 1);
	event_signal(self->event[0]);
	EXPECT_SENT(NEW, 0);
	EXPECT_PENDING(0, true);
}

/* 19: a PBA write neither sets nor clears a bit. */
TEST_F(mask, pba_write)
{
	if (msix_mapped())
		SKIP(return, "the PBA is guest memory: see mapped_test");
	event_signal(self->event[0]);
	guest_write(self->m, self->d.pba, 8, 0);
	EXPECT_PENDING(0, true);
	guest_write(self->m, self->d.pba, 8, 0xf);
	EXPECT_PENDING(1, false);
	entry_unmask(self->m, &self->d, 0);
	entry_unmask(self->m, &self->d, 1);
	EXPECT_SENT(VEC(0), 1);
	EXPECT_SENT(VEC(1), 0);
}

/* 20: if an entry is stored in pieces, the full new message is sent, once. */
TEST_F(mask, whole_entry_stores)
{
	static const u32 widths[] = { 1, 4, 8 };
	u32 src[NR][4], i, v;

	/* A 16-byte store, which KVM splits. */
	event_signal(self->event[0]);
	entry_write(self->m, &self->d, 0, ENTRY_ADDR_LO, 0);
	guest_write16(self->m, self->d.table, MSI_ADDR(0), NEW);
	EXPECT_SENT(NEW, 1);

	for (i = 0; i < ARRAY_SIZE(widths); i++) {
		for (v = 0; v < NR; v++) {
			entry_mask(self->m, &self->d, v);
			entry_program(self->m, &self->d, v, 0, 0);
			event_signal(self->event[v]);
			src[v][0] = MSI_ADDR(0);
			src[v][1] = 0;
			src[v][2] = NEW + 16 * i + v;
			src[v][3] = 0;
		}
		guest_movs(self->m, self->d.table, widths[i], sizeof(src) / widths[i], src);
		for (v = 0; v < NR; v++) {
			EXPECT_SENT(NEW + 16 * i + v, 1);
			EXPECT_PENDING(v, false);
		}
	}
}

KVM_MSIX_TEST_MAIN
