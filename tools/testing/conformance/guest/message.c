// SPDX-License-Identifier: GPL-2.0-only
/* 17, 18, 19, 20, 21: messages, writes to the PBA, and wide stores. */
#include "point.h"
#include "memory.h"

#define NOBODY		0x55u		/* no CPU has this id */
#define LOGICAL		BIT(2)	/* address: destination mode */
#define REDIRECT	BIT(3)	/* address: redirection hint */
#define LOWEST		BIT(8)	/* data: delivery modes */
#define RESERVED_MODE	(3u << 8)
#define NMI_MODE	(4u << 8)
#define LEVEL		(3u << 14)	/* data: level, asserted */

static void data_at_once(void)
{
	unmask(0);
	expect_works(0);
	entry_write(0, DATA, irq_of(3));
	raise(0);
	expect_one("interrupts with the new data", 3);
}

static void address_at_once(void)
{
	unmask(0);
	expect_works(0);
	entry_write(0, ADDRESS, MSI_ADDRESS | NOBODY << 12);
	raise(0);
	expect_no_trace("interrupts in all, addressed to nobody");
	entry_write(0, ADDRESS, MSI_ADDRESS | apic_id() << 12);
	expect_none("interrupts, the address back");
	expect_works(0);
}

static void same_message(void)
{
	set_message(1, MSI_ADDRESS | apic_id() << 12, irq_of(0));
	unmask(1);
	make_pending(0);
	expect("pending bits", 1, rd32(pba_addr()) & 3);
	raise(1);
	expect_one("interrupts of the unmasked one", 0);
	expect("pending bits, later", 1, rd32(pba_addr()) & 3);
	forget_taken();
	unmask(0);
	expect_one("interrupts of the other", 0);
}

/* If a write to the PBA had an effect, do not let later points see it. */
static void undo_pba_writes(void)
{
	wr64(pba_addr(), 0);
}

static void pba_keeps(void)
{
	make_pending(0);
	wr32(pba_addr(), 0);
	expect("pending bits, 0 written", 1, rd32(pba_addr()) & 3);
	wr32(pba_addr(), 0xffffffff);
	expect("pending bits, 1 written", 1, rd32(pba_addr()) & 3);
	wr64(pba_addr(), 0);
	wr64(pba_addr(), -1ul);
	expect("pending bits, 8 bytes written", 1, rd32(pba_addr()) & 3);
	wr16(pba_addr(), 0);
	wr8(pba_addr(), 0xfe);
	expect("pending bits, 2 and 1 bytes written", 1,
	       rd32(pba_addr()) & 3);
	unmask(0);
	expect_one("interrupts, unmasked", 0);
	expect("pending bits, unmasked", 0, rd32(pba_addr()) & 3);
	undo_pba_writes();
}

static void pba_sends_nothing(void)
{
	unmask(0);
	wr32(pba_addr(), 0xffffffff);
	wr64(pba_addr(), -1ul);
	expect_none("interrupts, unmasked");
	mask(0);
	wr32(pba_addr(), 0xffffffff);
	unmask(0);
	expect_none("interrupts at unmask");
	undo_pba_writes();
}

/* New entries of vectors 0 to 2: unmasked, with new data. */
static void new_entries(u32 entries[12])
{
	u32 v;

	for (v = 0; v < 3; v++) {
		entries[v * 4] = MSI_ADDRESS | apic_id() << 12;
		entries[v * 4 + 1] = 0;
		entries[v * 4 + 2] = irq_of(v + 10);
		entries[v * 4 + 3] = 0;
	}
}

static void expect_three(void)
{
	u32 v;

	for (v = 0; v < 3; v++) {
		take_until(irq_of(v + 10), 1);
		expect("interrupts with new data", 1, taken(irq_of(v + 10)));
	}
	take_for(quiet_us());
	expect("interrupts in all", 3, taken_in_all());
	expect("pending bits", 0, rd32(pba_addr()) & 7);
}

static void copy_dwords(void)
{
	u32 entries[12];

	new_entries(entries);
	make_pending(0);
	make_pending(1);
	make_pending(2);
	rep_movsl(table_addr(), entries, 12);
	expect_three();
}

static void copy_qwords(void)
{
	u32 entries[12];

	new_entries(entries);
	make_pending(0);
	make_pending(1);
	make_pending(2);
	rep_movsq(table_addr(), entries, 6);
	expect_three();
}

static void copy_bytes(void)
{
	u32 entries[12];

	new_entries(entries);
	make_pending(0);
	make_pending(1);
	make_pending(2);
	rep_movsb(table_addr(), entries, 48);
	expect_three();
}

static void store_16_bytes(void)
{
	u32 entries[12];

	new_entries(entries);
	make_pending(0);
	wr128(entry_at(0), entries);
	expect_one("interrupts with the new data", 10);
	expect("address", entries[0], entry_read(0, ADDRESS));
	expect("data", entries[2], entry_read(0, DATA));
	expect("Vector Control", 0, entry_read(0, CONTROL));
}

/* Vector 0 is unmasked for the first time since Enable was set. */
static void store_16_bytes_across(void)
{
	u32 entries[12];

	new_entries(entries);
	entries[4] = MSI_ADDRESS | 0xff << 12;
	set_message_control(0);
	set_message_control(MSIX_ENABLE);
	wr128(entry_at(0) + DATA, entries + 2);
	expect("address of the next entry", entries[4], entry_read(1, ADDRESS));
	expect("data", entries[2], entry_read(0, DATA));
	expect("Vector Control", 0, entry_read(0, CONTROL));
	raise(0);
	expect_one("interrupts with the new data", 10);
}

static void try_message(u32 address, u32 data)
{
	set_message(0, address, data);
	unmask(0);
	raise(0);
	expect_one("interrupts", 0);
}

static void physical(void)
{
	try_message(MSI_ADDRESS | apic_id() << 12, irq_of(0));
}

static void logical(void)
{
	try_message(MSI_ADDRESS | apic_logical_id() << 12 | LOGICAL, irq_of(0));
}

static void lowest_priority(void)
{
	try_message(MSI_ADDRESS | apic_logical_id() << 12 | LOGICAL | REDIRECT,
		    irq_of(0) | LOWEST);
}

static void broadcast(void)
{
	try_message(MSI_ADDRESS | 0xff << 12, irq_of(0));
}

static void level(void)
{
	try_message(MSI_ADDRESS | apic_id() << 12, irq_of(0) | LEVEL);
	forget_taken();
	expect_works(0);
}

static void nmi(void)
{
	set_message(0, MSI_ADDRESS | apic_id() << 12, NMI_MODE);
	unmask(0);
	raise(0);
	take_until(NMI, 1);
	take_for(quiet_us());
	expect("NMIs", 1, taken(NMI));
	expect("interrupts in all", 1, taken_in_all());
}

/* No interrupt comes of a message that no APIC takes. */
static void expect_dropped(u32 address, u32 data)
{
	set_message(0, address, data);
	unmask(0);
	raise(0);
	expect_no_trace("interrupts in all");
	mask(0);
	set_own_message(0);
	unmask(0);
	expect_works(0);
}

static void reserved_mode(void)
{
	expect_dropped(MSI_ADDRESS | apic_id() << 12,
		       irq_of(0) | RESERVED_MODE);
}

static void other_addresses(void)
{
	expect_dropped(SCRATCH, irq_of(0));
}

static void not_a_write(void)
{
	wr32(SCRATCH, 0x12345678);
	set_message(0, SCRATCH, irq_of(0));
	unmask(0);
	raise(0);
	wait_for_others();
	expect("memory at the address", 0x12345678, rd32(SCRATCH));
}

static void x2apic_physical(void)
{
	enter_x2apic();
	try_message(MSI_ADDRESS | apic_id() << 12, irq_of(0));
}

/* A logical id is cluster 0 and a bit for each of the cluster's CPUs. */
static void x2apic_logical(void)
{
	enter_x2apic();
	try_message(MSI_ADDRESS | apic_logical_id() << 12 | LOGICAL, irq_of(0));
}

/* The points of x2APIC mode are last: the guest cannot leave that mode. */
const struct point message_points[] = {
	{ "17.1 data written while unmasked hold from then on (choice)", EVENTS,
	  data_at_once },
	{ "17.2 an address written while unmasked holds from then on (choice)",
	  EVENTS, address_at_once },
	{ "18.1 entries with one message are independent",
	  EVENTS | TWO_VECTORS, same_message },
	{ "19.1 writes to the PBA set and clear no bit (choice)", EVENTS,
	  pba_keeps },
	{ "19.2 writes to the PBA send nothing", EVENTS, pba_sends_nothing },
	{ "20.1 REP MOVSD over three pending entries sends each new message once",
	  EVENTS | THREE_VECTORS, copy_dwords },
	{ "20.2 REP MOVSQ does so", EVENTS | THREE_VECTORS, copy_qwords },
	{ "20.3 REP MOVSB does so (choice)", EVENTS | THREE_VECTORS,
	  copy_bytes },
	{ "20.4 a store of 16 bytes sends the whole new message", EVENTS,
	  store_16_bytes },
	{ "20.5 a store of 16 bytes across two entries stores all of them (choice)",
	  EVENTS | TWO_VECTORS, store_16_bytes_across },
	{ "21.1 message: physical destination", EVENTS, physical },
	{ "21.2 message: logical destination, flat", EVENTS, logical },
	{ "21.3 message: lowest priority", EVENTS, lowest_priority },
	{ "21.4 message: broadcast", EVENTS, broadcast },
	{ "21.5 message: level-triggered", EVENTS, level },
	{ "21.6 message: NMI", EVENTS, nmi },
	{ "21.7 message: a reserved mode is no interrupt, the entry stays usable",
	  EVENTS, reserved_mode },
	{ "21.8 message: an address outside 0xfeexxxxx is no interrupt, the entry stays usable",
	  EVENTS, other_addresses },
	{ "21.9 message: nor is it a write to memory (choice)", EVENTS,
	  not_a_write },
	{ "21.10 message: physical destination, x2APIC", EVENTS | X2APIC,
	  x2apic_physical },
	{ "21.11 message: logical destination, x2APIC", EVENTS | X2APIC,
	  x2apic_logical },
	{ }
};
