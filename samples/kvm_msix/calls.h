/* SPDX-License-Identifier: GPL-2.0-only */
/* ioctls of a function with one vector, a C function for each. */
#ifndef SAMPLES_KVM_MSIX_CALLS_H
#define SAMPLES_KVM_MSIX_CALLS_H

#include <stdint.h>

#define NOWHERE 0	/* no address */

/* Returns the module's capabilities; @node is an fd of /dev/kvm_msix. */
uint64_t msix_capabilities(int node);
/* Returns a device fd, or -1 with errno. */
int msix_create_at(int node, int vm_fd, uint32_t flags, uint32_t pba_offset);
void msix_set_addr(int dev, uint64_t table_gpa, uint64_t pba_gpa);
void msix_bind(int dev, int event);

#endif /* SAMPLES_KVM_MSIX_CALLS_H */
