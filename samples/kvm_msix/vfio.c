// SPDX-License-Identifier: GPL-2.0-only
/* A PCI device of VFIO: see vfio.h. Nothing here is about kvm_msix. */
#include <err.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vfio.h"

static int open_group(const char *address)
{
	char path[PATH_MAX], group[PATH_MAX];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", address);
	len = readlink(path, group, sizeof(group) - 1);
	if (len < 0)
		err(1, "%s", path);
	group[len] = 0;
	snprintf(path, sizeof(path), "/dev/vfio/%s", basename(group));
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

/* The container and the group stay open until the process ends. */
int vfio_open(const char *address)
{
	int container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	int group = open_group(address), device;

	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU))
		err(1, "VFIO does not take the group of %s", address);
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, address);
	if (device < 0)
		err(1, "VFIO_GROUP_GET_DEVICE_FD");
	return device;
}

static void set_irqs(int device, uint32_t flags, uint32_t count, int event)
{
	struct vfio_irq_set *set = calloc(1, sizeof(*set) + sizeof(event));

	if (!set)
		err(1, "calloc");
	set->argsz = sizeof(*set) + sizeof(event);
	set->flags = flags | VFIO_IRQ_SET_ACTION_TRIGGER;
	set->index = VFIO_PCI_MSIX_IRQ_INDEX;
	set->count = count;
	memcpy(set->data, &event, sizeof(event));
	if (ioctl(device, VFIO_DEVICE_SET_IRQS, set))
		err(1, "VFIO_DEVICE_SET_IRQS");
	free(set);
}

void vfio_connect(int device, int event)
{
	if (event < 0)
		set_irqs(device, VFIO_IRQ_SET_DATA_NONE, 0, -1);
	else
		set_irqs(device, VFIO_IRQ_SET_DATA_EVENTFD, 1, event);
}

void vfio_raise(int device)
{
	set_irqs(device, VFIO_IRQ_SET_DATA_NONE, 1, -1);
}
