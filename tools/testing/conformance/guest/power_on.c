// SPDX-License-Identifier: GPL-2.0-only
/* 1, 23: the state after power-on and after resets. */
#include "point.h"
#include "power_on.h"

#define EXP_DEVCAP	4
#define  DEVCAP_FLR	BIT(28)
#define EXP_DEVCTL	8
#define  DEVCTL_FLR	BIT(15)

static struct state at_power_on;

void look(struct state *s)
{
	u32 v, field;

	*s = (struct state) { .control = message_control() };
	for (v = 0; v < fn.nr; v++) {
		s->unmasked += !(entry_read(v, CONTROL) & MASKED);
		for (field = ADDRESS; field < CONTROL; field += 4)
			s->messages += entry_read(v, field) != 0;
	}
	for (v = 0; v < fn.nr; v++)
		s->pending += pending(v);
}

void look_at_power_on(void)
{
	look(&at_power_on);
}

static void check_control(const struct state *s)
{
	expect("Enable", 0, s->control & MSIX_ENABLE);
	expect("Function Mask", 0, s->control & MSIX_MASK);
}

static void check_masked(const struct state *s)
{
	expect("vectors that are not masked", 0, s->unmasked);
}

static void check_messages(const struct state *s)
{
	expect("addresses and data that are not 0", 0, s->messages);
}

static void check_pending(const struct state *s)
{
	expect("pending bits", 0, s->pending);
}

/* Checks after power-on or a reset of the machine, and after an FLR. */
#define DEFINE_CHECK(what)						\
static void power_on_##what(void)					\
{									\
	check_##what(&at_power_on);					\
}									\
static void flr_##what(void)						\
{									\
	struct state s;							\
									\
	make_dirty();							\
	function_level_reset();						\
	look(&s);							\
	check_##what(&s);						\
	start_again();							\
}

/*
 * Use vector 0 and leave it pending, leave vector 1 unmasked, and set Function
 * Mask.
 */
void make_dirty(void)
{
	if (device->raise) {
		unmask(0);
		expect_works(0);
		mask(0);
		make_pending(0);
	}
	if (fn.nr > 1)
		unmask(1);
	set_message_control(MSIX_ENABLE | MSIX_MASK);
}

/* Reset the function, and restore its BARs and Command, which are lost. */
static void function_level_reset(void)
{
	u8 exp = find_capability(CAP_ID_EXP);
	u16 command = config_read16(PCI_COMMAND);
	unsigned int i;

	/* 6.6.2: with no transactions under way */
	set_command(0, COMMAND_MASTER);
	config_write16(exp + EXP_DEVCTL,
		       config_read16(exp + EXP_DEVCTL) | DEVCTL_FLR);
	take_for(100000);
	for (i = 0; i < 6; i++)
		if (fn.bars[i].size)
			write_bar(i, fn.bars[i].addr);
	config_write16(PCI_COMMAND, command);
}

static void start_again(void)
{
	if (device->start)
		expect("the device starts", 1, device->start());
	tidy();
}

bool has_flr(void)
{
	u8 exp = find_capability(CAP_ID_EXP);

	return exp && config_read(exp + EXP_DEVCAP) & DEVCAP_FLR;
}

DEFINE_CHECK(control)
DEFINE_CHECK(masked)
DEFINE_CHECK(messages)
DEFINE_CHECK(pending)

static void flr_no_stale_message(void)
{
	make_dirty();
	function_level_reset();
	set_message_control(MSIX_ENABLE);
	set_own_message(0);
	unmask(0);
	expect_none("interrupts by what was pending before");
	mask(0);
	start_again();
	unmask(0);
	expect_works(0);
}

const struct point power_on_points[] = {
	{ "1.1 power-on: Enable and Function Mask are 0", 0, power_on_control },
	{ "1.2 power-on: every vector is masked", 0, power_on_masked },
	{ "1.3 power-on: addresses and data are 0 (choice)", 0,
	  power_on_messages },
	{ "1.4 power-on: no pending bit is set", 0, power_on_pending },
	{ }
};

const struct point reset_points[] = {
	{ "23.1 function-level reset: Enable and Function Mask are 0", FLR,
	  flr_control },
	{ "23.2 function-level reset: every vector is masked", FLR,
	  flr_masked },
	{ "23.3 function-level reset: addresses and data are 0 (choice)", FLR,
	  flr_messages },
	{ "23.4 function-level reset: no pending bit is set", FLR,
	  flr_pending },
	{ "23.5 function-level reset: nothing from before is sent later",
	  FLR | EVENTS, flr_no_stale_message },
	{ }
};

const struct point reboot_points[] = {
	{ "23.6 reset of the machine: Enable and Function Mask are 0", 0,
	  power_on_control },
	{ "23.7 reset of the machine: every vector is masked", 0,
	  power_on_masked },
	{ "23.8 reset of the machine: addresses and data are 0 (choice)", 0,
	  power_on_messages },
	{ "23.9 reset of the machine: no pending bit is set", 0,
	  power_on_pending },
	{ }
};
