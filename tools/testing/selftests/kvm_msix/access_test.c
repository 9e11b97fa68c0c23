// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads and writes of table and PBA by a guest, in every width and place.
 * Numbers are those of kvm_msix-semantics.rst. Unless a test enables MSI-X, MSI-X
 * is disabled: an entry may have any contents, and no message is sent.
 */
#include "kselftest_harness.h"
#include "kvm_msix_util.h"

static u64 all_ones(u32 width)
{
	return ~0ull >> (64 - width * 8);
}

FIXTURE(access) {
	struct msix_vm *m;
	struct msix_dev d;
	u64 table_end;
	u64 pba_end;
	u32 entries[3];	/* the entries to try */
};

FIXTURE_VARIANT(access) {
	u32 nr;
	u64 table;
	u64 pba;
};

/* 2: the smallest table. */
FIXTURE_VARIANT_ADD(access, one) {
	.nr = 1,
	.table = 0,
	.pba = 0x800,
};

/* 3: only 8-byte aligned, an entry on two pages, the PBA on the table's page. */
FIXTURE_VARIANT_ADD(access, unaligned) {
	.nr = 447,		/* entry 223 is on both pages */
	.table = 0x5208,
	.pba = 0x6e00,
};

/* 2: the largest. */
FIXTURE_VARIANT_ADD(access, largest) {
	.nr = 2048,
	.table = 0x8000,
	.pba = 0x10010,
};

FIXTURE_SETUP(access)
{
	self->m = msix_vm_create(1, NULL);
	self->d = msix_create(self->m->vm, variant->nr, 0);
	msix_set_addr(&self->d, BAR_GPA + variant->table, BAR_GPA + variant->pba);
	self->table_end = self->d.table + variant->nr * ENTRY_SIZE;
	self->pba_end = self->d.pba + msix_pba_size(variant->nr);
	self->entries[1] = variant->nr / 2;
	self->entries[2] = variant->nr - 1;
	self->m->mmio_answer = 0x8877665544332211;
}

FIXTURE_TEARDOWN(access)
{
	close(self->d.fd);
	msix_vm_free(self->m);
}

/* Fill the table with different values, and return them. */
static struct msix_state *paint(struct msix_dev *d)
{
	struct msix_state *s = msix_state_alloc(d->nr);
	u32 i, f;

	for (i = 0; i < d->nr; i++)
		for (f = 0; f < 4; f++)
			s->entry[i][f] = 0x10203040 * (f + 1) + 0x10101 * i;
	TEST_ASSERT(!__msix_set_state(d->fd, s), "SET_STATE");
	return s;
}

static bool state_is(struct msix_dev *d, struct msix_state *want)
{
	struct msix_state *s = msix_get_state(d->fd, d->nr);
	bool equal = msix_state_equal(s, want);

	msix_state_free(s);
	return equal;
}

/* 1: the state after power-on, as the guest and GET_STATE see it. */
TEST_F(access, reset)
{
	struct msix_state *s = msix_get_state(self->d.fd, self->d.nr);
	int i;

	EXPECT_TRUE(msix_state_is_reset(s));
	for (i = 0; i < ARRAY_SIZE(self->entries); i++) {
		EXPECT_EQ(0, guest_read(self->m, entry_gpa(&self->d, self->entries[i], 0), 8));
		EXPECT_EQ((u64)MASKED << 32,
			  guest_read(self->m, entry_gpa(&self->d, self->entries[i], 8), 8));
	}
	for (i = 0; i < msix_pba_size(self->d.nr); i += 8)
		EXPECT_EQ(0, guest_read(self->m, self->d.pba + i, 8));
	EXPECT_EQ(0, self->m->nr_exits);
	msix_state_free(s);
}

/*
 * 5, 8: every aligned access of every width to every field. A write stores all
 * its bits, a read returns them, and no other byte changes.
 */
TEST_F(access, aligned)
{
	struct msix_state *s = paint(&self->d);
	u32 width, off, n = 0;
	u64 val, gpa;
	u8 *bytes;
	int i;

	for (i = 0; i < ARRAY_SIZE(self->entries); i++) {
		bytes = (u8 *)s->entry[self->entries[i]];
		for (width = 1; width <= 8; width *= 2) {
			for (off = 0; off < ENTRY_SIZE; off += width) {
				gpa = entry_gpa(&self->d, self->entries[i], off);
				val = 0;
				memcpy(&val, bytes + off, width);
				EXPECT_EQ(val, guest_read(self->m, gpa, width));

				val = 0x9e3779b97f4a7c15 * ++n & all_ones(width);
				memcpy(bytes + off, &val, width);
				guest_write(self->m, gpa, width, val);
				EXPECT_EQ(val, guest_read(self->m, gpa, width));
				EXPECT_TRUE(state_is(&self->d, s)) {
					TH_LOG("entry %u + %u, width %u", self->entries[i], off,
					       width);
				}
			}
		}
	}
	EXPECT_EQ(0, self->m->nr_exits);
	msix_state_free(s);
}

/* 6: misaligned, within the table and within one page. */
TEST_F(access, misaligned)
{
	struct msix_state *s = paint(&self->d);
	bool counted = kvm_msix_has_counters();
	u64 before = counted ? kvm_msix_counter("rejected") : 0;
	u32 width, off, tries = 0;

	for (width = 2; width <= 8; width *= 2) {
		for (off = 1; off + width <= ENTRY_SIZE; off++) {
			if (off % width == 0)
				continue;
			EXPECT_EQ(all_ones(width),
				  guest_read(self->m, self->d.table + off, width));
			guest_write(self->m, self->d.table + off, width, 0x5a5a5a5a5a5a5a5a);
			tries += 2;
		}
	}
	/* The same in the PBA, which has at least 8 bytes. */
	for (off = 1; off < 4; off++) {
		EXPECT_EQ(all_ones(4), guest_read(self->m, self->d.pba + off, 4));
		guest_write(self->m, self->d.pba + off, 4, ~0u);
		tries += 2;
	}
	EXPECT_TRUE(state_is(&self->d, s));
	EXPECT_EQ(0, self->m->nr_exits);
	if (counted)
		EXPECT_EQ(before + tries, kvm_msix_counter("rejected"));
	msix_state_free(s);
}

/* An access outside of table and PBA must exit to the VMM, unchanged. */
static void outside(struct __test_metadata *_metadata, struct msix_vm *m, u64 gpa,
		    u32 width)
{
	u64 val = 0xc0ffee0123456789 & all_ones(width);

	msix_vm_forget_exits(m);
	EXPECT_EQ(m->mmio_answer & all_ones(width), guest_read(m, gpa, width));
	guest_write(m, gpa, width, val);
	ASSERT_EQ(2, m->nr_exits) {
		TH_LOG("%u bytes at %#lx", width, gpa);
	}
	EXPECT_FALSE(m->exit[0].is_write);
	EXPECT_EQ(gpa, m->exit[0].addr);
	EXPECT_EQ(width, m->exit[0].len);
	EXPECT_TRUE(m->exit[1].is_write);
	EXPECT_EQ(gpa, m->exit[1].addr);
	EXPECT_EQ(width, m->exit[1].len);
	EXPECT_EQ(val, m->exit[1].data);
}

/* 9: the bytes on either side of table and PBA, in all widths. */
TEST_F(access, beside)
{
	struct msix_state *s = paint(&self->d);
	u64 places[] = { self->d.table - 8, self->table_end, self->d.pba - 8, self->pba_end };
	u32 width, i, off;

	for (i = 0; i < ARRAY_SIZE(places); i++)
		for (width = 1; width <= 8; width *= 2)
			for (off = 0; off < 8; off += width)
				outside(_metadata, self->m, places[i] + off, width);
	EXPECT_TRUE(state_is(&self->d, s));
	msix_state_free(s);
}

/*
 * 6, 9: across an end of table or PBA. Such an access is not within a range
 * that the module has registered with KVM, and so exits to the VMM as a whole.
 */
TEST_F(access, across_the_end)
{
	struct msix_state *s = paint(&self->d);
	u64 ends[] = { self->d.table, self->table_end, self->d.pba, self->pba_end };
	u32 width, i, off;

	for (i = 0; i < ARRAY_SIZE(ends); i++) {
		/* KVM splits an access at a page boundary: it is not across. */
		if (!(ends[i] & 0xfff))
			continue;
		for (width = 2; width <= 8; width *= 2)
			for (off = 1; off < width; off++)
				outside(_metadata, self->m, ends[i] - off, width);
	}
	EXPECT_TRUE(state_is(&self->d, s));

	/* KVM splits 16 bytes in two: the kernel answers the inner half. */
	msix_vm_forget_exits(self->m);
	guest_write16(self->m, self->table_end - 8, 0x0123456789abcdef, 0xfedcba9876543210);
	ASSERT_EQ(1, self->m->nr_exits);
	EXPECT_TRUE(self->m->exit[0].is_write);
	EXPECT_EQ(self->table_end, self->m->exit[0].addr);
	EXPECT_EQ(8, self->m->exit[0].len);
	EXPECT_EQ(0xfedcba9876543210, self->m->exit[0].data);
	s->entry[self->d.nr - 1][2] = 0x89abcdef;
	s->entry[self->d.nr - 1][3] = 0x01234567;
	EXPECT_TRUE(state_is(&self->d, s));
	msix_state_free(s);
}

/* 5, 20: 16-byte loads and stores, and string moves. */
TEST_F(access, wide)
{
	static const u32 widths[] = { 1, 4, 8 };
	struct msix_state *s = paint(&self->d);
	u32 nr = self->d.nr < 4 ? self->d.nr : 4;
	u32 src[4][4], i, f;
	u64 val[2];

	guest_write16(self->m, self->d.table, 0x1111222233334444, 0x5555666677778888);
	s->entry[0][0] = 0x33334444;
	s->entry[0][1] = 0x11112222;
	s->entry[0][2] = 0x77778888;
	s->entry[0][3] = 0x55556666;
	EXPECT_TRUE(state_is(&self->d, s));
	guest_read16(self->m, self->d.table, val);
	EXPECT_EQ(0x1111222233334444, val[0]);
	EXPECT_EQ(0x5555666677778888, val[1]);

	/* Both halves misaligned: dropped (6). With one vector, one is outside. */
	if (self->d.nr > 1) {
		guest_write16(self->m, self->d.table + 4, 0, 0);
		EXPECT_TRUE(state_is(&self->d, s));
		guest_read16(self->m, self->d.table + 4, val);
		EXPECT_EQ(~0ull, val[0]);
		EXPECT_EQ(~0ull, val[1]);
	}

	for (i = 0; i < ARRAY_SIZE(widths); i++) {
		for (f = 0; f < nr * 4; f++)
			src[f / 4][f % 4] = 0x01020304 * (f + 1) + i;
		memcpy(s->entry[self->d.nr - nr], src, nr * ENTRY_SIZE);
		guest_movs(self->m, entry_gpa(&self->d, self->d.nr - nr, 0), widths[i],
			   nr * ENTRY_SIZE / widths[i], src);
		EXPECT_TRUE(state_is(&self->d, s)) {
			TH_LOG("REP MOVS of width %u", widths[i]);
		}
	}
	EXPECT_EQ(0, self->m->nr_exits);
	msix_state_free(s);
}

/* 2, 19: reads of the PBA in all widths, with bits set; writes change nothing. */
TEST_F(access, pba)
{
	u32 size = msix_pba_size(self->d.nr), last = self->d.nr - 1, width, off;
	int first_event = event_create(), last_event = event_create();
	struct msix_state *s = msix_state_alloc(self->d.nr);
	u64 val;
	u32 i;

	for (i = 0; i < self->d.nr; i++)
		s->entry[i][ENTRY_CTRL / 4] = MASKED;
	msix_bind_one(&self->d, 0, first_event, -1);
	event_signal(first_event);
	s->pba[0] |= 1;
	if (last) {
		msix_bind_one(&self->d, last, last_event, -1);
		event_signal(last_event);
		s->pba[last / 64] |= 1ull << last % 64;
	}

	for (width = 1; width <= 8; width *= 2) {
		for (off = 0; off < size; off += width) {
			/* Try only the two ends of a long PBA. */
			if (off >= 16 && off + 16 < size)
				continue;
			val = 0;
			memcpy(&val, (u8 *)s->pba + off, width);
			EXPECT_EQ(val, guest_read(self->m, self->d.pba + off, width));
			guest_write(self->m, self->d.pba + off, width, 0);
			guest_write(self->m, self->d.pba + off, width, ~0ull);
			EXPECT_EQ(val, guest_read(self->m, self->d.pba + off, width));
		}
	}
	EXPECT_TRUE(state_is(&self->d, s));
	EXPECT_EQ(0, self->m->nr_exits);
	close(first_event);
	close(last_event);
	msix_state_free(s);
}

/*
 * 3: entries on two pages. KVM splits at a page: 4 + 4 bytes that are aligned
 * each, although the 8 are not; 16 bytes as 8 + 8.
 */
FIXTURE(crossing) {
	struct msix_vm *m;
	struct msix_dev d;
};

FIXTURE_VARIANT(crossing) {
	u32 nr;
	u64 table;
	u32 entry;
};

FIXTURE_VARIANT_ADD(crossing, only_entry) {
	.nr = 1,
	.table = 0xff8,
	.entry = 0,
};

FIXTURE_VARIANT_ADD(crossing, in_the_middle) {
	.nr = 300,
	.table = 0x5208,
	.entry = 223,
};

FIXTURE_SETUP(crossing)
{
	self->m = msix_vm_create(1, NULL);
	self->d = msix_create(self->m->vm, variant->nr, 0);
	msix_set_addr(&self->d, BAR_GPA + variant->table, BAR_GPA);
}

FIXTURE_TEARDOWN(crossing)
{
	EXPECT_EQ(0, self->m->nr_exits);
	close(self->d.fd);
	msix_vm_free(self->m);
}

TEST_F(crossing, access)
{
	struct msix_state *s = paint(&self->d);
	u32 i = variant->entry;
	u64 page, val[2];

	page = entry_gpa(&self->d, i, 8);
	ASSERT_EQ(0, page & 0xfff);

	guest_write(self->m, page - 4, 8, 0x1122334455667788);
	s->entry[i][1] = 0x55667788;
	s->entry[i][2] = 0x11223344;
	EXPECT_TRUE(state_is(&self->d, s));
	EXPECT_EQ(0x1122334455667788, guest_read(self->m, page - 4, 8));

	guest_write16(self->m, page - 8, 0x0101010102020202, 0x0303030304040404);
	s->entry[i][0] = 0x02020202;
	s->entry[i][1] = 0x01010101;
	s->entry[i][2] = 0x04040404;
	s->entry[i][3] = 0x03030303;
	EXPECT_TRUE(state_is(&self->d, s));
	guest_read16(self->m, page - 8, val);
	EXPECT_EQ(0x0101010102020202, val[0]);
	EXPECT_EQ(0x0303030304040404, val[1]);
	msix_state_free(s);
}

KVM_MSIX_TEST_MAIN
