// SPDX-License-Identifier: GPL-2.0-only
/*
 * Intel 82574: five vectors, one for each cause in the Interrupt Cause Set
 * register. The causes clear themselves (EIAC), so that each write is an event.
 */
#include "msix.h"

#define BAR_REGS	0
#define BAR_IO		2

#define CTRL_EXT	0x018
#define  CTRL_EXT_IAME	BIT(27)	/* with EIAC: do not mask the causes */
#define ICR		0x0c0
#define ICS		0x0c8
#define IMS		0x0d0
#define IMC		0x0d8
#define EIAC		0x0dc
#define IVAR		0x0e4
#define CAUSE(v)	BIT(20 + (v))
#define CAUSES		(0x1fu << 20)

/*
 * After an interrupt, EITR holds the vector's next one back for 128 us. Do not
 * let QEMU 7.2's model hold an interrupt back: from then on the vector signals
 * every event twice, in the next guests too, and if the 128 us end while MSI-X
 * is disabled, QEMU aborts. If the machine is busy, the TSC cannot tell that
 * QEMU's timer has fired. A later timer of this guest can: it is one of the
 * same QEMU, or of a machine inside that QEMU.
 */
#define THROTTLE_US	200

static bool throttled;

static void reg_write(u32 reg, u32 val)
{
	wr32(bar_addr(BAR_REGS) + reg, val);
}

static void wait_for_throttle(void)
{
	if (throttled)
		take_until_timer(THROTTLE_US);
	throttled = false;
}

static bool e1000e_start(void)
{
	reg_write(IMC, 0xffffffff);
	reg_write(ICR, 0xffffffff);
	reg_write(CTRL_EXT, CTRL_EXT_IAME);
	reg_write(IVAR, 0x8 | 0x9 << 4 | 0xa << 8 | 0xb << 12 | 0xc << 16);
	reg_write(EIAC, CAUSES);
	reg_write(IMS, CAUSES);
	return true;
}

static void e1000e_raise(u32 v)
{
	wait_for_throttle();
	reg_write(ICS, CAUSE(v));
	throttled = true;
}

static void e1000e_raise_by_io(u32 v)
{
	wait_for_throttle();
	out32(bar_addr(BAR_IO), ICS);
	out32(bar_addr(BAR_IO) + 4, CAUSE(v));
	throttled = true;
}

static void e1000e_calm(void)
{
	wait_for_throttle();
	reg_write(ICR, 0xffffffff);
}

const struct device e1000e = {
	.name = "e1000e",
	.id = 0x10d38086,
	.start = e1000e_start,
	.raise = e1000e_raise,
	.raise_by_io = e1000e_raise_by_io,
	.settle = wait_for_throttle,
	.calm = e1000e_calm,
};
