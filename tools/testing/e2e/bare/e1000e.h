/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The registers by which a guest has an e1000e raise its interrupts: cause v is the
 * card's vector v.
 */

#define NR_MSIX		5

#define CTRL_EXT	0x018
#define  CTRL_EXT_IAME	0x08000000	/* with EIAC: do not mask the causes */
#define ICR		0x0c0
#define ICS		0x0c8
#define IMS		0x0d0
#define EIAC		0x0dc
#define IAM		0x0e0
#define IVAR		0x0e4
#define CAUSE(v)	(1u << (20 + (v)))
#define CAUSES		(0x1fu << 20)
