// SPDX-License-Identifier: GPL-2.0-only
/*
 * A function with one vector, in as few calls as possible. A real VMM looks at
 * errno, and keeps the fd of /dev/kvm_msix for other functions.
 */
#include <fcntl.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <linux/kvm_msix.h>

/*
 * vm_fd has an in-kernel irqchip. Returns the device fd, and in *event the
 * eventfd for VFIO_DEVICE_SET_IRQS.
 */
int msix_create(int vm_fd, uint64_t table_gpa, uint64_t pba_gpa, int *event)
{
	struct kvm_msix_create create = {
		.size = sizeof(create),
		.vm_fd = vm_fd,
		.nr_vectors = 1,
	};
	struct kvm_msix_addr addr = {
		.size = sizeof(addr),
		.flags = KVM_MSIX_ADDR_TABLE | KVM_MSIX_ADDR_PBA,
		.table_gpa = table_gpa,
		.pba_gpa = pba_gpa,
	};
	struct kvm_msix_binding binding = {
		.eventfd = *event = eventfd(0, EFD_CLOEXEC),
		.gsi = -1,
	};
	struct kvm_msix_bind bind = {
		.size = sizeof(bind),
		.first = 0,
		.count = 1,
		.bindings = (uintptr_t)&binding,
	};
	int node = open("/dev/kvm_msix", O_RDWR | O_CLOEXEC);
	int dev = ioctl(node, KVM_MSIX_CREATE, &create);

	if (dev < 0 || ioctl(dev, KVM_MSIX_SET_ADDR, &addr) || ioctl(dev, KVM_MSIX_BIND, &bind))
		return -1;	/* errno says why, the header what it means */
	return dev;		/* close() undoes it all */
}

/* The guest wrote Message Control in configuration space. */
int msix_control(int dev, uint16_t message_control)
{
	struct kvm_msix_control control = {
		.size = sizeof(control),
		.control = message_control,
	};

	return ioctl(dev, KVM_MSIX_CONTROL, &control);
}
