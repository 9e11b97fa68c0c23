// SPDX-License-Identifier: GPL-2.0-only
/* 14, 15, 16: Function Mask and Enable. */
#include "point.h"

static void function_mask_holds(void)
{
	unmask(0);
	set_message_control(MSIX_ENABLE | MSIX_MASK);
	raise(0);
	expect("pending bit", 1, pending_until(0));
	expect_none("interrupts");
}

static void function_mask_is_apart(void)
{
	unmask(0);
	set_message_control(MSIX_ENABLE | MSIX_MASK);
	expect("Vector Control, unmasked", 0, entry_read(0, CONTROL));
	expect("Vector Control, masked", MASKED, entry_read(1, CONTROL));
	set_message_control(MSIX_ENABLE);
	expect("Vector Control, unmasked, later", 0, entry_read(0, CONTROL));
	expect("Vector Control, masked, later", MASKED, entry_read(1, CONTROL));
}

static void function_unmask_sends(void)
{
	unmask(0);
	unmask(1);
	set_message_control(MSIX_ENABLE | MSIX_MASK);
	make_pending(0);
	make_pending(1);
	make_pending(2);
	set_message_control(MSIX_ENABLE);
	take_until(irq_of(0), 1);
	take_until(irq_of(1), 1);
	take_for(quiet_us());
	expect("interrupts of one unmasked", 1, taken(irq_of(0)));
	expect("interrupts of the other", 1, taken(irq_of(1)));
	expect("interrupts of the masked one", 0, taken(irq_of(2)));
	expect("pending bits", BIT(2), rd32(pba_addr()) & 7);
}

static void unmask_under_function_mask(void)
{
	make_pending(0);
	set_message_control(MSIX_ENABLE | MSIX_MASK);
	unmask(0);
	expect_none("interrupts");
	expect("pending bit", 1, pending(0));
	set_message_control(MSIX_ENABLE);
	expect_one("interrupts, both unmasked", 0);
	expect("pending bit, both unmasked", 0, pending(0));
}

static void pending_survives_masks(void)
{
	u32 i;

	unmask(0);
	set_message_control(MSIX_ENABLE | MSIX_MASK);
	make_pending(0);
	for (i = 0; i < 3; i++) {
		mask(0);
		set_message_control(MSIX_ENABLE);
		expect("pending bit, vector masked", 1, pending(0));
		set_message_control(MSIX_ENABLE | MSIX_MASK);
		unmask(0);
		expect("pending bit, function masked", 1, pending(0));
	}
	expect_none("interrupts");
	set_message_control(MSIX_ENABLE);
	expect_one("interrupts, unmasked", 0);
}

static void pending_survives_disable(void)
{
	make_pending(0);
	set_message_control(0);
	expect_none("interrupts, disabled");
	set_message_control(MSIX_ENABLE);
	expect_none("interrupts, enabled");
	expect("pending bit", 1, pending(0));
	unmask(0);
	expect_one("interrupts, unmasked", 0);
	expect("pending bit, unmasked", 0, pending(0));
}

static void unmask_while_disabled(void)
{
	make_pending(0);
	set_message_control(0);
	unmask(0);
	expect_none("interrupts, disabled");
	set_message_control(MSIX_ENABLE);
	expect_one("interrupts, enabled", 0);
}

static void disabled_sends_nothing(void)
{
	unmask(0);
	expect_works(0);
	set_message_control(0);
	raise(0);
	expect_none("interrupts");
	if (device->calm)
		device->calm();
}

static void disable_keeps_entries(void)
{
	unmask(0);
	set_message(1, 0xfee01230, 0x4321);
	set_message_control(0);
	expect("Vector Control", 0, entry_read(0, CONTROL));
	expect("data", irq_of(0), entry_read(0, DATA));
	expect("another's address", 0xfee01230, entry_read(1, ADDRESS));
	set_message_control(MSIX_ENABLE);
	expect("Vector Control, enabled", 0, entry_read(0, CONTROL));
	expect("another's Vector Control, enabled", MASKED,
	       entry_read(1, CONTROL));
	expect("another's data, enabled", 0x4321, entry_read(1, DATA));
}

static void enable_again(void)
{
	u32 i;

	unmask(0);
	for (i = 0; i < 5; i++) {
		expect_works(0);
		set_message_control(0);
		set_message_control(MSIX_ENABLE);
	}
	expect_works(0);
}

static void set_up_while_disabled(void)
{
	set_message_control(0);
	set_message(0, MSI_ADDRESS | apic_id() << 12, irq_of(3));
	unmask(0);
	set_message_control(MSIX_ENABLE);
	raise(0);
	expect_one("interrupts", 3);
}

static void only_three_bits(void)
{
	u16 size = message_control() & MSIX_SIZE;

	set_message_control(MSIX_ENABLE | MSIX_MASK | 0x3fff);
	expect("Message Control", MSIX_ENABLE | MSIX_MASK | size,
	       message_control());
	set_message_control(MSIX_ENABLE);
	expect("Message Control", MSIX_ENABLE | size, message_control());
}

const struct point mask_points[] = {
	{ "14.1 Function Mask: an event sets the pending bit and sends nothing",
	  EVENTS, function_mask_holds },
	{ "14.2 it changes no mask bit", TWO_VECTORS, function_mask_is_apart },
	{ "14.3 clearing it sends what is pending and unmasked, nothing else",
	  EVENTS | THREE_VECTORS, function_unmask_sends },
	{ "14.4 a vector unmasked under it sends when it is cleared", EVENTS,
	  unmask_under_function_mask },
	{ "15.1 pending bits survive changes of both masks", EVENTS,
	  pending_survives_masks },
	{ "15.2 pending bits survive Enable 0 (choice)", EVENTS,
	  pending_survives_disable },
	{ "15.3 a pending vector unmasked while disabled sends when enabled (choice)",
	  EVENTS, unmask_while_disabled },
	{ "16.1 Enable 0: nothing is sent", EVENTS, disabled_sends_nothing },
	{ "16.2 Enable 0: entries keep their contents", TWO_VECTORS,
	  disable_keeps_entries },
	{ "16.3 Enable 0: an event sets the pending bit (choice)", IMPOSSIBLE,
	  NULL },
	{ "16.4 vectors work after Enable 0 and 1", EVENTS, enable_again },
	{ "16.5 a vector set up while disabled works", EVENTS,
	  set_up_while_disabled },
	{ "16.6 Table Size cannot be written", 0, only_three_bits },
	{ }
};
