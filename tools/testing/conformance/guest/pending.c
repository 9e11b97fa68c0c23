// SPDX-License-Identifier: GPL-2.0-only
/* 10, 11, 12, 13: events, mask bits and pending bits of one vector. */
#include "point.h"

static void masked_event(void)
{
	raise(0);
	expect("pending bit", 1, pending_until(0));
	expect_none("interrupts");
	expect("pending bit, later", 1, pending(0));
}

static void only_its_bit(void)
{
	make_pending(1);
	expect("the first bits of the PBA", 2, rd32(pba_addr()) & 7);
}

static void second_event(void)
{
	make_pending(0);
	raise(0);
	expect_no_trace("interrupts in all, masked");
	expect("pending bit", 1, pending(0));
	unmask(0);
	expect_one("interrupts, unmasked", 0);
	expect("pending bit, unmasked", 0, pending(0));
}

static void unmask_sends_once(void)
{
	make_pending(0);
	unmask(0);
	expect_one("interrupts", 0);
}

static void unmask_clears(void)
{
	make_pending(0);
	unmask(0);
	expect("pending bit", 0, pending(0));
	mask(0);
	expect("pending bit, masked again", 0, pending(0));
}

static void message_of_that_moment(void)
{
	make_pending(0);
	entry_write(0, DATA, irq_of(1));
	unmask(0);
	expect_one("interrupts with the new data", 1);
}

static void nothing_stale(void)
{
	u32 i;

	make_pending(0);
	unmask(0);
	expect_one("interrupts", 0);
	forget_taken();
	for (i = 0; i < 3; i++) {
		mask(0);
		unmask(0);
	}
	expect_none("interrupts afterwards");
}

static void nothing_pending(void)
{
	unmask(0);
	expect_none("interrupts at unmask");
	mask(0);
	unmask(0);
	expect_none("interrupts at a second one");
}

static void nothing_new(void)
{
	mask(0);
	mask(0);
	raise(0);
	pending_until(0);
	mask(0);
	expect_none("interrupts, masked twice");
	unmask(0);
	expect_one("interrupts, unmasked", 0);
	unmask(0);
	unmask(0);
	expect_one("interrupts, unmasked twice", 0);
	forget_taken();
	expect_works(0);
}

static void every_event(void)
{
	u32 i;

	unmask(0);
	for (i = 1; i <= 50; i++) {
		raise(0);
		if (!take_until(irq_of(0), i))
			break;
	}
	take_for(quiet_us());
	expect("interrupts of 50 events", 50, taken(irq_of(0)));
	expect("interrupts in all", 50, taken_in_all());
}

/*
 * An event, and after a varying time the mask write. take() after the mask
 * write takes what was sent until then; an interrupt that comes later is late.
 */
static void race(bool count_late)
{
	const u32 rounds = 50;
	u32 i, before, late = 0, lost = 0, doubled = 0;
	u64 moment;

	for (i = 0; i < rounds; i++) {
		unmask(0);
		forget_taken();
		moment = rdtsc() + slowest_us * ticks_per_us() * i / rounds;
		raise(0);
		while (!after(moment))
			;
		mask(0);
		take();
		before = taken(irq_of(0));
		if (!before)
			pending_until(0);
		take_for(slowest_us);
		late += taken(irq_of(0)) - before;
		unmask(0);
		lost += !take_until(irq_of(0), 1);
		take_for(slowest_us);
		mask(0);
		doubled += taken(irq_of(0)) > 1;
	}
	if (count_late) {
		expect("interrupts after the mask write", 0, late);
	} else {
		expect("events that were lost", 0, lost);
		expect("events that were sent twice", 0, doubled);
	}
}

static void race_late(void)
{
	race(true);
}

static void race_books(void)
{
	race(false);
}

const struct point pending_points[] = {
	{ "10.1 an event while masked sets the pending bit and sends nothing",
	  EVENTS, masked_event },
	{ "10.2 it sets no other pending bit", EVENTS | THREE_VECTORS,
	  only_its_bit },
	{ "10.3 a second one changes nothing", EVENTS, second_event },
	{ "11.1 unmask of a pending vector sends one message", EVENTS,
	  unmask_sends_once },
	{ "11.2 it clears the pending bit", EVENTS, unmask_clears },
	{ "11.3 the message is that of the unmask, not of the event",
	  EVENTS | TWO_VECTORS, message_of_that_moment },
	{ "11.4 it is not sent again", EVENTS, nothing_stale },
	{ "12.1 unmask of a vector that is not pending sends nothing", EVENTS,
	  nothing_pending },
	{ "12.2 mask when masked and unmask when unmasked do nothing", EVENTS,
	  nothing_new },
	{ "12.3 unmasked, each event is one message", EVENTS, every_event },
	{ "13.1 once the mask write is done no message is sent", EVENTS,
	  race_late },
	{ "13.2 no event that races with it is lost or sent twice", EVENTS,
	  race_books },
	{ }
};
