// SPDX-License-Identifier: GPL-2.0-only
/* 22: the table follows its BAR. */
#include "point.h"
#include "memory.h"

/* The address that marks an entry. */
#define SIGN_LOW	0x5a5a5a50u
#define SIGN_HIGH	0x6b6b6b6bu

/* The vector whose entry is marked; vector 0 may be the only vector. */
static u32 signed_vector(void)
{
	return fn.nr > 1 ? 1 : 0;
}

static void sign(void)
{
	entry_write(signed_vector(), ADDRESS, SIGN_LOW);
	entry_write(signed_vector(), ADDRESS_HIGH, SIGN_HIGH);
}

static void expect_signed(const char *what)
{
	u32 v = signed_vector();

	expect(what, (u64)SIGN_HIGH << 32 | SIGN_LOW,
	       (u64)entry_read(v, ADDRESS_HIGH) << 32 | entry_read(v, ADDRESS));
}

static void expect_no_answer(const char *what, u64 table)
{
	expect(what, 0, rd32(table + signed_vector() * ENTRY_LEN) == SIGN_LOW);
}

/* All devices here have table and PBA in one BAR. */
static void move(u64 addr, bool decode_off)
{
	if (decode_off)
		set_command(0, COMMAND_MEMORY);
	write_bar(fn.table_bar, addr);
	if (decode_off)
		set_command(COMMAND_MEMORY, 0);
}

static void new_place_answers(u64 to, bool decode_off)
{
	u64 from = bar_addr(fn.table_bar), old = table_addr();

	if (!expect("a place for the BAR is free", 1, !!to))
		return;
	sign();
	move(to, decode_off);
	expect_signed("the entry at the new address");
	expect_no_answer("answers at the old address", old);
	wr32(old + signed_vector() * ENTRY_LEN, ~SIGN_LOW);
	expect_signed("the entry, the old address written to");
	old = table_addr();
	move(from, decode_off);
	expect_signed("the entry, moved back");
	expect_no_answer("answers where it was meanwhile", old);
}

static u64 low_place(void)
{
	return free_place(fn.bars[fn.table_bar].size);
}

static void moves(void)
{
	new_place_answers(low_place(), true);
}

static void moves_while_decoded(void)
{
	new_place_answers(low_place(), false);
}

static void moves_high(void)
{
	new_place_answers(HIGH_BASE, true);
}

static void vectors_move(u64 to)
{
	u64 from = bar_addr(fn.table_bar);

	if (!expect("a place for the BAR is free", 1, !!to))
		return;
	make_pending(0);
	unmask(1);
	move(to, true);
	expect("pending bits at the new address", 1, rd32(pba_addr()) & 3);
	expect_none("interrupts by the move");
	raise(1);
	expect_one("interrupts of the live vector", 1);
	forget_taken();
	unmask(0);
	expect_one("interrupts of the pending vector", 0);
	mask(1);
	make_pending(1);
	expect("pending bits, one masked there", 2, rd32(pba_addr()) & 3);
	move(from, true);
	expect("pending bits, moved back", 2, rd32(pba_addr()) & 3);
	forget_taken();
	unmask(1);
	expect_one("interrupts, moved back", 1);
}

static void live_vectors_move(void)
{
	vectors_move(low_place());
}

static void live_vectors_move_high(void)
{
	vectors_move(HIGH_BASE);
}

static void decode_off(void)
{
	u64 table = table_addr();

	sign();
	set_command(0, COMMAND_MEMORY);
	expect_no_answer("answers with decode off", table);
	wr32(table + signed_vector() * ENTRY_LEN, ~SIGN_LOW);
	set_command(COMMAND_MEMORY, 0);
	expect_signed("the entry, decode on again");
}

static void decode_and_messages(void)
{
	make_pending(1);
	unmask(0);
	set_command(COMMAND_IO, COMMAND_MEMORY);
	device->raise_by_io(0);
	expect_one("interrupts of an unmasked vector", 0);
	forget_taken();
	device->raise_by_io(2);
	expect_none("interrupts of a masked vector");
	set_command(COMMAND_MEMORY, 0);
	pending_until(2);
	expect("pending bits, decode on again", 6, rd32(pba_addr()) & 7);
}

static void sizing(void)
{
	u64 size = fn.bars[fn.table_bar].size;

	sign();
	if (device->raise)
		make_pending(0);
	set_command(0, COMMAND_MEMORY);
	expect("size", size, size_bar(fn.table_bar));
	set_command(COMMAND_MEMORY, 0);
	expect_signed("the entry");
	if (device->raise)
		expect("pending bit", 1, pending(0));
}

const struct point place_points[] = {
	{ "22.1 a moved BAR answers at its new address and not at the old", 0,
	  moves },
	{ "22.2 so it does if moved while it is decoded", 0,
	  moves_while_decoded },
	{ "22.3 above 4 GiB it answers, below no more", BAR_64, moves_high },
	{ "22.4 live and pending vectors survive a move", EVENTS | TWO_VECTORS,
	  live_vectors_move },
	{ "22.5 they do above 4 GiB", EVENTS | TWO_VECTORS | BAR_64,
	  live_vectors_move_high },
	{ "22.6 with memory decode off nothing answers, and nothing is forgotten",
	  0, decode_off },
	{ "22.7 with memory decode off messages are sent and events kept",
	  EVENTS | IO_EVENTS | THREE_VECTORS, decode_and_messages },
	{ "22.8 sizing the BAR changes nothing", 0, sizing },
	{ }
};
