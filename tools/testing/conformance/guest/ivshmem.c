// SPDX-License-Identifier: GPL-2.0-only
/*
 * QEMU's ivshmem-doorbell: a write to the Doorbell register raises a vector of
 * any peer; the device counts as a peer of its own.
 */
#include "msix.h"

#define IV_POSITION	0x8
#define DOORBELL	0xc

static u32 own_id;

static void ivshmem_raise(u32 v)
{
	wr32(bar_addr(0) + DOORBELL, own_id << 16 | v);
}

/* The server sends the device its id, then an eventfd for each vector. */
static bool ivshmem_start(void)
{
	u32 last = fn.nr - 1;
	u64 end = in_us(10 * long_us());

	do {
		own_id = rd32(bar_addr(0) + IV_POSITION);
		if (after(end))
			return false;
	} while (own_id == 0xffffffff);

	set_message_control(MSIX_ENABLE);
	set_own_message(last);
	unmask(last);
	do {
		ivshmem_raise(last);
		take_for(20000);
		if (after(end))
			return false;
	} while (!taken(irq_of(last)));
	take_for(20000);
	mask(last);
	return true;
}

const struct device ivshmem = {
	.name = "ivshmem-doorbell",
	.id = 0x11101af4,
	.start = ivshmem_start,
	.raise = ivshmem_raise,
};
