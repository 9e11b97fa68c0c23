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

/* The interrupt vectors of messages: each tells whose message it is. */
#define FIRST_IRQ	0x40
#define NR_IRQS		128

u64 entry_at(u32 v);
u32 entry_read(u32 v, u32 field);
void entry_write(u32 v, u32 field, u32 val);

/* The interrupt vector of @v's own message; the next NR_IRQS - 1 differ. */
u8 irq_of(u32 v);
void set_message(u32 v, u32 address, u32 data);
/* Have @v send irq_of(@v) to this CPU. */
void set_own_message(u32 v);
void mask(u32 v);
void unmask(u32 v);
bool pending(u32 v);
/* Wait until the pending bit is set; false: waited for long in vain. */
bool pending_until(u32 v);

/* If a masked vector is pending, have its message sent; mask the vector again. */
void drain(u32 v);

u16 message_control(void);
/* Enable and Function Mask. */
void set_message_control(u16 bits);

/* A kind of device, and how to make it signal. */
struct device {
	const char *name;
	u32 id;
	/* Make the device ready to signal; may leave MSI-X enabled, bits pending. */
	bool (*start)(void);
	/* Signal one event of one vector. */
	void (*raise)(u32 v);
	/* The same, with memory decode off. */
	void (*raise_by_io)(u32 v);
	/* Wait until MSI-X may be disabled. */
	void (*settle)(void);
	/* Drop the events that the device wants to signal while MSI-X is disabled. */
	void (*calm)(void);
	/* A read-only register in the BAR of the table, and its value. */
	u32 reg;
	u32 reg_mask;
	u32 reg_value;
};

extern const struct device e1000e, ivshmem, nvme, xhci, megasas;

/* The kind of the function on trial; NULL: unknown. */
extern const struct device *device;
bool find_device(void);

#endif /* CONFORMANCE_MSIX_H */
