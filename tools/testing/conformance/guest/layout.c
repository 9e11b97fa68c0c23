// SPDX-License-Identifier: GPL-2.0-only
/* 2, 9: table and PBA, and what is beside them. */
#include "point.h"

static void table_size(void)
{
	expect("vectors", expected_nr, fn.nr);
}

static u32 pattern(u32 v, u32 field)
{
	return (v * 0x9e3779b1u + field * 0x85ebca6bu) & ~3u;
}

static void entries_are_apart(void)
{
	u32 v, field, wrong = 0;

	set_message_control(0);
	for (v = 0; v < fn.nr; v++)
		for (field = ADDRESS; field < CONTROL; field += 4)
			entry_write(v, field, pattern(v, field));
	for (v = 0; v < fn.nr; v++) {
		for (field = ADDRESS; field < CONTROL; field += 4)
			wrong += entry_read(v, field) != pattern(v, field);
		wrong += entry_read(v, CONTROL) != MASKED;
	}
	expect("fields that do not hold what was written", 0, wrong);
	for (v = 0; v < fn.nr; v++)
		set_message(v, 0, 0);
}

static void one_vector_works(u32 v)
{
	set_own_message(v);
	unmask(v);
	expect_works(v);
	mask(v);
	forget_taken();
	device->raise(v);
	pending_until(v);
	expect("pending bits, masked, in its dword", 1ul << v % 32,
	       rd32(pba_addr() + v / 32 * 4));
	expect_none("interrupts, masked");
	unmask(v);
	expect_one("interrupts of it, unmasked", v);
	mask(v);
}

/* Use the last first: some VMMs set up all vectors below the highest in use. */
static void vectors_work(void)
{
	u32 v;

	for (v = fn.nr - 1; v; v--)
		if (v == fn.nr - 1 || v % 64 == 63 || v % 64 == 0)
			one_vector_works(v);
	one_vector_works(0);
}

static void pba_ends(void)
{
	u64 last = rd32(pba_addr() + (fn.nr / 64) * 8);

	last |= (u64)rd32(pba_addr() + (fn.nr / 64) * 8 + 4) << 32;
	expect("bits of the last quadword that belong to no vector", 0,
	       last >> fn.nr % 64);
}

static void registers(void)
{
	u64 reg = bar_addr(fn.table_bar) + device->reg;

	expect("4 bytes of it", device->reg_value,
	       rd32(reg) & device->reg_mask);
	expect("2 bytes of it", (u16)rd32(reg), rd16(reg));
	expect("1 byte of it", (u8)rd32(reg), rd8(reg));
}

/* The devices that are tried have no register in the gap: it reads as 0. */
static void beside(void)
{
	u64 gap = table_addr() + fn.nr * ENTRY_LEN;
	u32 last = fn.nr - 1;

	expect("8 bytes behind the table", 0, rd64(gap));
	expect("4 bytes", 0, rd32(gap));
	expect("2 bytes", 0, rd16(gap));
	expect("1 byte", 0, rd8(gap));
	set_own_message(last);
	wr64(gap, -1ul);
	wr32(gap, -1u);
	wr16(gap, 0xffff);
	wr8(gap, 0xff);
	expect("8 bytes behind the table, written to", 0, rd64(gap));
	expect("the last entry's data", irq_of(last), entry_read(last, DATA));
	expect("the last entry's Vector Control", MASKED,
	       entry_read(last, CONTROL));
}

const struct point layout_points[] = {
	{ "2.1 Table Size says how many vectors there are", EXPECTED_NR,
	  table_size },
	{ "2.2 every entry holds its own address and data", 0,
	  entries_are_apart },
	{ "2.3 first and last vector, and those at each quadword of the PBA, work",
	  EVENTS, vectors_work },
	{ "2.4 bits of the PBA that belong to no vector are 0", ODD_NR,
	  pba_ends },
	{ "9.1 another register of the table's BAR answers, all sizes", REGISTER,
	  registers },
	{ "9.2 bytes between table and PBA belong to neither, all sizes", GAP,
	  beside },
	{ }
};
