// SPDX-License-Identifier: GPL-2.0-only
#include "msix.h"

const struct device *device;

u64 entry_at(u32 v)
{
	return table_addr() + v * ENTRY_LEN;
}

u32 entry_read(u32 v, u32 field)
{
	return rd32(entry_at(v) + field);
}

void entry_write(u32 v, u32 field, u32 val)
{
	wr32(entry_at(v) + field, val);
}

u8 irq_of(u32 v)
{
	return FIRST_IRQ + v % NR_IRQS;
}

void set_message(u32 v, u32 address, u32 data)
{
	entry_write(v, ADDRESS, address);
	entry_write(v, ADDRESS_HIGH, 0);
	entry_write(v, DATA, data);
}

void set_own_message(u32 v)
{
	set_message(v, MSI_ADDRESS | apic_id() << 12, irq_of(v));
}

void mask(u32 v)
{
	entry_write(v, CONTROL, MASKED);
}

void unmask(u32 v)
{
	entry_write(v, CONTROL, 0);
}

bool pending(u32 v)
{
	return rd32(pba_addr() + v / 32 * 4) >> v % 32 & 1;
}

bool pending_until(u32 v)
{
	u64 end = in_us(long_us()), again;

	/* Read seldom, so that the emulation of the device gets to run. */
	while (!pending(v)) {
		if (after(end))
			return false;
		for (again = in_us(100); !after(again);)
			relax();
	}
	return true;
}

void drain(u32 v)
{
	set_own_message(v);
	if (!pending(v))
		return;
	unmask(v);
	take_for(quiet_us());
	mask(v);
}

u16 message_control(void)
{
	return config_read16(fn.msix + MSIX_CONTROL);
}

void set_message_control(u16 bits)
{
	if (!(bits & MSIX_ENABLE) && device->settle)
		device->settle();
	config_write16(fn.msix + MSIX_CONTROL, bits);
}

bool find_device(void)
{
	static const struct device * const devices[] = {
		&e1000e, &ivshmem, &nvme, &xhci, &megasas,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(devices); i++)
		if (devices[i]->id == fn.id)
			device = devices[i];
	return device;
}
