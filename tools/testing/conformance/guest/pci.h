/* SPDX-License-Identifier: GPL-2.0-only */
/* The function on trial: configuration space and BARs. */
#ifndef CONFORMANCE_PCI_H
#define CONFORMANCE_PCI_H

#include "cpu.h"

#define PCI_COMMAND		0x04
#define  COMMAND_IO		0x001
#define  COMMAND_MEMORY		0x002
#define  COMMAND_MASTER		0x004
#define  COMMAND_NO_INTX	0x400
#define CAP_ID_EXP		0x10
#define CAP_ID_MSIX		0x11

#define MSIX_CONTROL		2	/* Message Control, in the capability */
#define  MSIX_SIZE		0x07ff
#define  MSIX_MASK		0x4000	/* Function Mask */
#define  MSIX_ENABLE		0x8000

struct bar {
	u64 addr;
	u64 size;		/* 0: no such BAR */
	bool is_io;
	bool is_64;
};

struct function {
	u8 slot;
	u32 id;			/* Device ID, Vendor ID */
	u8 msix;		/* offset of the capability */
	u8 table_bar;
	u8 pba_bar;
	u32 table_offset;
	u32 pba_offset;
	u32 nr;			/* vectors */
	struct bar bars[6];
};

/* The function on trial. */
extern struct function fn;

u32 config_read(u8 reg);
void config_write(u8 reg, u32 val);
u16 config_read16(u8 reg);
void config_write16(u8 reg, u16 val);

/* Find the first function with MSI-X on bus 0. */
bool find_function(void);
/* Where a capability is in configuration space; 0: absent. */
u8 find_capability(u8 id);

/* Set and clear bits of the Command register. */
void set_command(u16 set, u16 clear);

/* Write the BAR register, and keep @addr in fn.bars. */
void write_bar(unsigned int bar, u64 addr);
/* Size a BAR; the register has its old value afterwards. */
u64 size_bar(unsigned int bar);
/* A free address for a memory BAR of @size on bus 0; 0: none. */
u64 free_place(u64 size);

u64 bar_addr(unsigned int bar);
u64 table_addr(void);
u64 pba_addr(void);

#endif /* CONFORMANCE_PCI_H */
