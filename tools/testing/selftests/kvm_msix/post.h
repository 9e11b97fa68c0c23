/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The device of post_test and post_race_test, with its interrupts and the IOMMU:
 * tools/testing/lab/fakepost, which tools/testing/posted loads, and which reports
 * where each interrupt goes.
 */
#ifndef SELFTEST_KVM_MSIX_POST_H
#define SELFTEST_KVM_MSIX_POST_H

#include <fcntl.h>
#include <time.h>

#include "fakepost.h"
#include "kvm_msix_util.h"

#define VEC(v)	(0x40 + (v))
/* The module posts a vector after EVENTS events and QUIET_US without a change. */
#define EVENTS	16
#define QUIET_US 10000
#define PATIENCE_MS 60000

#define NO_FAKEPOST "no /dev/fakepost: tools/testing/posted has it"
#define NO_MMAP	"this machine has no KVM_MSIX_CAP_MMAP"

static int device;	/* /dev/fakepost */

static inline bool device_open(void)
{
	device = open("/dev/fakepost", O_RDWR | O_CLOEXEC);
	if (device < 0)
		return false;
	msix_set_post_events(EVENTS);
	return true;
}

static inline int device_ioctl(unsigned long cmd, int event)
{
	int ret = ioctl(device, cmd, (long)event);

	TEST_ASSERT(ret >= 0, "/dev/fakepost: %lx: %s", cmd, strerror(errno));
	return ret;
}

static inline void attach(int event)
{
	device_ioctl(FAKEPOST_ATTACH, event);
}

static inline void detach(int event)
{
	device_ioctl(FAKEPOST_DETACH, event);
}

static inline void fire(int event)
{
	device_ioctl(FAKEPOST_FIRE, event);
}

static inline bool posted(int event)
{
	return device_ioctl(FAKEPOST_IS_POSTED, event);
}

static inline bool wait_posted(int event)
{
	int ms;

	for (ms = 0; ms < PATIENCE_MS && !posted(event); ms++)
		usleep(1000);
	return posted(event);
}

static inline struct fakepost_stats device_stats(void)
{
	struct fakepost_stats s;

	TEST_ASSERT(!ioctl(device, FAKEPOST_STATS, &s), "/dev/fakepost: %s", strerror(errno));
	return s;
}

static inline double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

#endif /* SELFTEST_KVM_MSIX_POST_H */
