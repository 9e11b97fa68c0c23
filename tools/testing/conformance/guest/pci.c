// SPDX-License-Identifier: GPL-2.0-only
#include "pci.h"

#define CONFIG_ADDRESS	0xcf8
#define CONFIG_DATA	0xcfc

#define STATUS		0x06
#define STATUS_CAPS	0x10
#define HEADER_TYPE	0x0e
#define BAR_0		0x10
#define CAP_POINTER	0x34

/* q35's window for BARs, between RAM and the I/O APIC. */
#define WINDOW_START	0xc0000000u
#define WINDOW_END	0xfec00000u

struct function fn;

static u32 slot_read(u8 slot, u8 reg)
{
	out32(CONFIG_ADDRESS, 0x80000000u | slot << 11 | (reg & 0xfc));
	return in32(CONFIG_DATA);
}

u32 config_read(u8 reg)
{
	return slot_read(fn.slot, reg);
}

void config_write(u8 reg, u32 val)
{
	out32(CONFIG_ADDRESS, 0x80000000u | fn.slot << 11 | (reg & 0xfc));
	out32(CONFIG_DATA, val);
}

u16 config_read16(u8 reg)
{
	return config_read(reg) >> (reg & 2) * 8;
}

void config_write16(u8 reg, u16 val)
{
	out32(CONFIG_ADDRESS, 0x80000000u | fn.slot << 11 | (reg & 0xfc));
	out16(CONFIG_DATA + (reg & 2), val);
}

u8 find_capability(u8 id)
{
	u8 cap;

	if (!(config_read16(STATUS) & STATUS_CAPS))
		return 0;
	for (cap = config_read(CAP_POINTER) & 0xfc; cap;
	     cap = config_read(cap) >> 8 & 0xfc)
		if ((config_read(cap) & 0xff) == id)
			return cap;
	return 0;
}

void set_command(u16 set, u16 clear)
{
	config_write16(PCI_COMMAND,
		       (config_read16(PCI_COMMAND) & ~clear) | set);
}

void write_bar(unsigned int bar, u64 addr)
{
	fn.bars[bar].addr = addr;
	config_write(BAR_0 + bar * 4, addr);
	if (fn.bars[bar].is_64)
		config_write(BAR_0 + bar * 4 + 4, addr >> 32);
}

u64 size_bar(unsigned int bar)
{
	struct bar *b = &fn.bars[bar];
	u8 reg = BAR_0 + bar * 4;
	u32 low = config_read(reg), high = 0;
	u64 mask;

	config_write(reg, 0xffffffff);
	mask = config_read(reg) & (b->is_io ? ~3u : ~15u);
	config_write(reg, low);
	if (!mask)
		return 0;
	if (b->is_64) {
		high = config_read(reg + 4);
		config_write(reg + 4, 0xffffffff);
		mask |= (u64)config_read(reg + 4) << 32;
		config_write(reg + 4, high);
	} else {
		mask |= 0xffffffff00000000;
	}
	return -mask;
}

static void find_bars(void)
{
	u16 command = config_read16(PCI_COMMAND);
	unsigned int i;
	struct bar *b;
	u32 val;

	set_command(0, COMMAND_IO | COMMAND_MEMORY);
	for (i = 0; i < 6; i++) {
		b = &fn.bars[i];
		val = config_read(BAR_0 + i * 4);
		b->is_io = val & 1;
		b->is_64 = (val & 7) == 4;
		b->size = size_bar(i);
		b->addr = val & (b->is_io ? ~3u : ~15u);
		if (b->is_64) {
			i++;
			b->addr |= (u64)config_read(BAR_0 + i * 4) << 32;
		}
	}
	config_write16(PCI_COMMAND, command);
}

bool find_function(void)
{
	u32 val;

	for (fn.slot = 0; fn.slot < 32; fn.slot++) {
		fn.id = config_read(0);
		if (fn.id == 0xffffffff)
			continue;
		fn.msix = find_capability(CAP_ID_MSIX);
		if (fn.msix)
			break;
	}
	if (fn.slot == 32)
		return false;

	val = config_read(fn.msix + 4);
	fn.table_bar = val & 7;
	fn.table_offset = val & ~7u;
	val = config_read(fn.msix + 8);
	fn.pba_bar = val & 7;
	fn.pba_offset = val & ~7u;
	fn.nr = (config_read16(fn.msix + MSIX_CONTROL) & MSIX_SIZE) + 1;
	find_bars();
	return true;
}

/* Does a BAR begin between these addresses? */
static bool occupied(u64 start, u64 end)
{
	unsigned int slot, i;
	u64 addr;

	for (slot = 0; slot < 32; slot++) {
		if (slot_read(slot, 0) == 0xffffffff)
			continue;
		if (slot_read(slot, HEADER_TYPE - 2) >> 16 & 0x7f)
			continue;
		for (i = 0; i < 6; i++) {
			addr = slot_read(slot, BAR_0 + i * 4);
			if (!(addr & 1) && (addr & ~15ul) >= start &&
			    (addr & ~15ul) < end)
				return true;
		}
	}
	return false;
}

/* No BAR here is larger than 16 MiB: farther below, none can reach @place. */
u64 free_place(u64 size)
{
	const u64 step = 0x1000000;
	u64 place;

	for (place = WINDOW_END & -step; place > WINDOW_START; place -= step)
		if (size <= step && !occupied(place - step, place + step))
			return place;
	return 0;
}

u64 bar_addr(unsigned int bar)
{
	return fn.bars[bar].addr;
}

u64 table_addr(void)
{
	return bar_addr(fn.table_bar) + fn.table_offset;
}

u64 pba_addr(void)
{
	return bar_addr(fn.pba_bar) + fn.pba_offset;
}
