// SPDX-License-Identifier: GPL-2.0-only
/* 5, 6, 7, 8: what each kind of access does, with the entry of vector 0. */
#include "point.h"

#define LOW	0x33221100u
#define HIGH	0x77665544u
#define DATA_BITS	0xbbaa9988u

/* An entry of different bytes, except in Vector Control, which is MASKED. */
static const u8 bytes[16] = {
	0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
	0x88, 0x99, 0xaa, 0xbb, 0x01, 0x00, 0x00, 0x00,
};

static void fill(void)
{
	entry_write(0, ADDRESS, LOW);
	entry_write(0, ADDRESS_HIGH, HIGH);
	entry_write(0, DATA, DATA_BITS);
	entry_write(0, CONTROL, MASKED);
}

static void expect_entry(u32 low, u32 high, u32 data, u32 control)
{
	expect("address", low, entry_read(0, ADDRESS));
	expect("upper address", high, entry_read(0, ADDRESS_HIGH));
	expect("data", data, entry_read(0, DATA));
	expect("Vector Control", control, entry_read(0, CONTROL));
}

static void dwords(void)
{
	fill();
	expect_entry(LOW, HIGH, DATA_BITS, MASKED);
	entry_write(0, ADDRESS_HIGH, 0);
	expect_entry(LOW, 0, DATA_BITS, MASKED);
	entry_write(0, DATA, ~DATA_BITS);
	expect_entry(LOW, 0, ~DATA_BITS, MASKED);
}

static void qwords(void)
{
	fill();
	expect("address", (u64)HIGH << 32 | LOW, rd64(entry_at(0)));
	expect("data and control", (u64)MASKED << 32 | DATA_BITS,
	       rd64(entry_at(0) + DATA));
	wr64(entry_at(0), (u64)LOW << 32 | HIGH);
	expect_entry(HIGH, LOW, DATA_BITS, MASKED);
	wr64(entry_at(0) + DATA, (u64)MASKED << 32 | LOW);
	expect_entry(HIGH, LOW, LOW, MASKED);
}

static void pba_sizes(void)
{
	make_pending(0);
	make_pending(1);
	expect("4 bytes of the PBA", 3, rd32(pba_addr()));
	expect("8 bytes of the PBA", 3, rd64(pba_addr()));
}

static void pba_small(void)
{
	make_pending(0);
	make_pending(1);
	expect("1 byte of the PBA", 3, rd8(pba_addr()));
	expect("the next byte", 0, rd8(pba_addr() + 1));
	expect("2 bytes of the PBA", 3, rd16(pba_addr()));
}

/* The writes set no reserved bits. */
static void write_bytes(void)
{
	u32 i, want[4];
	u8 val;

	for (i = 0; i < 16; i++) {
		fill();
		want[0] = LOW;
		want[1] = HIGH;
		want[2] = DATA_BITS;
		want[3] = MASKED;
		val = i < CONTROL ? 0xf0 : i == CONTROL;
		((u8 *)want)[i] = val;
		wr8(entry_at(0) + i, val);
		expect_entry(want[0], want[1], want[2], want[3]);
	}
}

static void write_words(void)
{
	u32 i, want[4];
	u16 val;

	for (i = 0; i < 16; i += 2) {
		fill();
		want[0] = LOW;
		want[1] = HIGH;
		want[2] = DATA_BITS;
		want[3] = MASKED;
		val = i < CONTROL ? 0xf0f0 : i == CONTROL;
		((u16 *)want)[i / 2] = val;
		wr16(entry_at(0) + i, val);
		expect_entry(want[0], want[1], want[2], want[3]);
	}
}

static void read_small(void)
{
	u32 i;

	fill();
	for (i = 0; i < 16; i++)
		expect("a byte", bytes[i], rd8(entry_at(0) + i));
	for (i = 0; i < 16; i += 2)
		expect("a word", bytes[i] | bytes[i + 1] << 8,
		       rd16(entry_at(0) + i));
}

/* An access that is aligned to half its size only is misaligned, too. */
static void misaligned_writes(void)
{
	u64 entry = entry_at(0);

	fill();
	wr16(entry + 1, 0xffff);
	wr16(entry + 11, 0);
	wr32(entry + 1, 0xffffffff);
	wr32(entry + 2, 0xffffffff);
	wr32(entry + 10, 0);
	wr64(entry + 1, -1ul);
	wr64(entry + 2, -1ul);
	wr64(entry + 4, -1ul);
	wr64(entry + 7, 0);
	expect_entry(LOW, HIGH, DATA_BITS, MASKED);
}

static void misaligned_reads(void)
{
	u64 entry = entry_at(0);

	fill();
	expect("2 bytes at 1", 0xffff, rd16(entry + 1));
	expect("4 bytes at 2", 0xffffffff, rd32(entry + 2));
	expect("8 bytes at 4", -1ul, rd64(entry + 4));
	expect("8 bytes at 1", -1ul, rd64(entry + 1));
	expect_entry(LOW, HIGH, DATA_BITS, MASKED);
}

/* Writes that begin in the table's last 4 bytes and end behind the table. */
static void across_the_end(void)
{
	u32 last = fn.nr - 1;
	u64 end = table_addr() + fn.nr * ENTRY_LEN;

	set_own_message(last);
	mask(last);
	wr64(end - 4, 0);
	wr32(end - 2, 0);
	wr16(end - 1, 0);
	expect("the last Vector Control", MASKED, entry_read(last, CONTROL));
	expect("the last data", irq_of(last), entry_read(last, DATA));
}

static void address_in_one_write(void)
{
	entry_write(0, ADDRESS, 0);
	entry_write(0, ADDRESS_HIGH, 0x1000);
	wr64(entry_at(0), MSI_ADDRESS | apic_id() << 12);
	unmask(0);
	expect_works(0);
}

static void data_with_unmask(void)
{
	make_pending(0);
	wr64(entry_at(0) + DATA, irq_of(1));
	expect_one("interrupts with the new data", 1);
}

static void reserved_bits(void)
{
	entry_write(0, CONTROL, 0xfffffffe);
	expect("Vector Control", 0xfffffffe, entry_read(0, CONTROL));
	entry_write(0, CONTROL, 0xffffffff);
	expect("Vector Control", 0xffffffff, entry_read(0, CONTROL));
}

static void only_bit_0_masks(void)
{
	entry_write(0, CONTROL, 0xffffffff);
	device->raise(0);
	pending_until(0);
	expect_none("interrupts, all bits set");
	entry_write(0, CONTROL, 0xfffffffe);
	expect_one("interrupts, all but bit 0 set", 0);
}

const struct point access_points[] = {
	{ "5.1 dwords of the table hold what is written", 0, dwords },
	{ "5.2 quadwords of the table hold what is written", 0, qwords },
	{ "5.3 dwords and quadwords of the PBA are read",
	  EVENTS | TWO_VECTORS, pba_sizes },
	{ "5.4 a byte write changes no other byte (choice)", 0, write_bytes },
	{ "5.5 a word write changes no other word (choice)", 0, write_words },
	{ "5.6 bytes and words of the table are read (choice)", 0, read_small },
	{ "5.7 bytes and words of the PBA are read (choice)",
	  EVENTS | TWO_VECTORS, pba_small },
	{ "6.1 a misaligned write changes nothing (choice)", 0,
	  misaligned_writes },
	{ "6.2 a misaligned read gives all ones (choice)", 0,
	  misaligned_reads },
	{ "6.3 a misaligned write across the table's end changes nothing in it (choice)",
	  END_IN_PAGE, across_the_end },
	{ "7.1 a quadword write changes both halves of the address", EVENTS,
	  address_in_one_write },
	{ "7.2 a quadword write of data and control unmasks with the new data",
	  EVENTS | TWO_VECTORS, data_with_unmask },
	{ "8.1 reserved bits of Vector Control hold what is written (choice)", 0,
	  reserved_bits },
	{ "8.2 only bit 0 of Vector Control masks", EVENTS, only_bit_0_masks },
	{ }
};
