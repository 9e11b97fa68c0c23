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
	u64 size;		/* 0: there is none */
	bool is_io;
	bool is_64;
};

struct function {
	u8 slot;
	u32 id;			/* Device ID, Vendor ID */
	u8 msix;		/* the capability */
	u8 table_bar;
	u8 pba_bar;
	u32 table_offset;
	u32 pba_offset;
	u32 nr;			/* vectors */
	struct bar bars[6];
};

/* The only one that there is. */
extern struct function fn;

u32 config_read(u8 reg);
void config_write(u8 reg, u32 val);
u16 config_read16(u8 reg);
void config_write16(u8 reg, u16 val);

/* Find it, on bus 0: the first with MSI-X. */
bool find_function(void);
/* 0: none */
u8 find_capability(u8 id);

/* Bits of the Command register. */
void set_command(u16 set, u16 clear);

/* The BAR register as the guest writes it, and what the guest knows of it. */
void write_bar(unsigned int bar, u64 addr);
/* What BAR sizing reads, with nothing else changed in the end. */
u64 size_bar(unsigned int bar);
/* Where on bus 0 a memory BAR of that size could be. */
u64 free_place(u64 size);

u64 bar_addr(unsigned int bar);
u64 table_addr(void);
u64 pba_addr(void);

#endif /* CONFORMANCE_PCI_H */
