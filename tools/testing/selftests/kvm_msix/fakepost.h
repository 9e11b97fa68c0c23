/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * /dev/fakepost: interrupts of a device behind an IOMMU that can post. Each open
 * file is a separate device, which close() removes.
 */
#ifndef FAKEPOST_H
#define FAKEPOST_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Sums over all interrupts of the device, including detached interrupts. */
struct fakepost_stats {
	__u64 posted;		/* messages to an APIC */
	__u64 remapped;		/* messages to the host's handler */
	__u64 to_posted;	/* switches from remapped to posted */
	__u64 to_remapped;	/* switches from posted to remapped */
};

/* The argument is the eventfd that the interrupt's handler signals. */
#define FAKEPOST_ATTACH		_IO('f', 0)
#define FAKEPOST_DETACH		_IO('f', 1)
#define FAKEPOST_FIRE		_IO('f', 2)	/* the device sends its message */
#define FAKEPOST_IS_POSTED	_IO('f', 3)	/* returns 0 or 1 */

#define FAKEPOST_STATS		_IOR('f', 4, struct fakepost_stats)

#endif /* FAKEPOST_H */
