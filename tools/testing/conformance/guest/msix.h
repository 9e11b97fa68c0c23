/* SPDX-License-Identifier: GPL-2.0-only */
/* Table, PBA and Message Control of the function, and its events. */
#ifndef CONFORMANCE_MSIX_H
#define CONFORMANCE_MSIX_H

#include "irq.h"
#include "pci.h"

/* An entry. */
#define ADDRESS		0
#define ADDRESS_HIGH	4
#define DATA		8
#define CONTROL		12
#define  MASKED		1u
#define ENTRY_LEN	16

/* A message's interrupt vector is here, so that it says whose it is. */
#define FIRST_IRQ	0x40
#define NR_IRQS		128

u64 entry_at(u32 v);
u32 entry_read(u32 v, u32 field);
void entry_write(u32 v, u32 field, u32 val);

/* The interrupt of a vector; of neighbours, different ones. */
u8 irq_of(u32 v);
void set_message(u32 v, u32 address, u32 data);
/* To this CPU, as irq_of(@v). */
void set_own_message(u32 v);
void mask(u32 v);
void unmask(u32 v);
bool pending(u32 v);
/* Until the pending bit is set; false: in vain for a long time. */
bool pending_until(u32 v);

/* The vector is masked: let go of what is pending. */
void drain(u32 v);

u16 message_control(void);
/* Enable and Function Mask. */
void set_message_control(u16 bits);

/* The kind of device, and how it is made to signal. */
struct device {
	const char *name;
	u32 id;
	/* Make it ready to signal. It may leave MSI-X enabled, and pending bits. */
	bool (*start)(void);
	/* One event of one vector. */
	void (*raise)(u32 v);
	/* The same, with memory decode off. */
	void (*raise_by_io)(u32 v);
	/* Wait until MSI-X may be disabled. */
	void (*settle)(void);
	/* Let go of what it wants to signal while MSI-X is disabled. */
	void (*calm)(void);
	/* A read-only register in the BAR of the table, and its value. */
	u32 reg;
	u32 reg_mask;
	u32 reg_value;
};

extern const struct device e1000e, ivshmem, nvme, xhci, megasas;

/* Of the function; NULL: unknown. */
extern const struct device *device;
bool find_device(void);

#endif /* CONFORMANCE_MSIX_H */
