// SPDX-License-Identifier: GPL-2.0-only
/* ioctls of a function with one vector: see calls.h. */
#include <err.h>
#include <linux/kvm_msix.h>
#include <sys/ioctl.h>

#include "calls.h"

uint64_t msix_capabilities(int node)
{
	struct kvm_msix_info info = { .size = sizeof(info) };

	if (ioctl(node, KVM_MSIX_INFO, &info))
		err(1, "KVM_MSIX_INFO");
	return info.capabilities;
}

int msix_create_at(int node, int vm_fd, uint32_t flags, uint32_t pba_offset)
{
	struct kvm_msix_create create = {
		.size = sizeof(create),
		.flags = flags,
		.vm_fd = vm_fd,
		.nr_vectors = 1,
		.pba_offset = pba_offset,
	};

	return ioctl(node, KVM_MSIX_CREATE, &create);
}

void msix_set_addr(int dev, uint64_t table_gpa, uint64_t pba_gpa)
{
	struct kvm_msix_addr addr = {
		.size = sizeof(addr),
		.table_gpa = table_gpa,
		.pba_gpa = pba_gpa,
	};

	if (table_gpa != NOWHERE)
		addr.flags |= KVM_MSIX_ADDR_TABLE;
	if (pba_gpa != NOWHERE)
		addr.flags |= KVM_MSIX_ADDR_PBA;
	if (ioctl(dev, KVM_MSIX_SET_ADDR, &addr))
		err(1, "KVM_MSIX_SET_ADDR");
}

void msix_bind(int dev, int event)
{
	struct kvm_msix_binding binding = { .eventfd = event, .gsi = -1 };
	struct kvm_msix_bind bind = {
		.size = sizeof(bind),
		.first = 0,
		.count = 1,
		.bindings = (uintptr_t)&binding,
	};

	if (ioctl(dev, KVM_MSIX_BIND, &bind))
		err(1, "KVM_MSIX_BIND");
}
