// SPDX-License-Identifier: GPL-2.0-only
/* Devices with a layout of interest, which the guest does not make signal. */
#include "msix.h"

/* HCIVERSION 1.0, CAPLENGTH 64. */
const struct device xhci = {
	.name = "qemu-xhci",
	.id = 0x000d1b36,
	.reg = 0,
	.reg_mask = 0xffffffff,
	.reg_value = 0x01000040,
};

/* MFI firmware state: ready, in the outbound scratch pad. */
const struct device megasas = {
	.name = "megasas",
	.id = 0x00601000,
	.reg = 0xb0,
	.reg_mask = 0xf0000000,
	.reg_value = 0xb0000000,
};
