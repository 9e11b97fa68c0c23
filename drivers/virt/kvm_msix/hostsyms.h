/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KVM's functions that are not exported to modules, called as
 * host_call(NAME)(arguments). See hostsyms.c.
 */
#ifndef _KVM_MSIX_HOSTSYMS_H
#define _KVM_MSIX_HOSTSYMS_H

#include <linux/kvm_host.h>
#include <linux/static_call.h>

#ifdef KVM_MSIX_IN_TREE

#define host_call(name)		name
#define kvm_msix_set_msi	kvm_set_msi

static inline int kvm_msix_hostsyms_init(void)
{
	return 0;
}

#else

#define HOST_CALL(name)	DECLARE_STATIC_CALL(kvm_msix_host_##name, name)
#include "hostsyms_list.h"

#define host_call(name)		static_call(kvm_msix_host_##name)

/* For KVM's routing entries. KVM calls the function, this module never. */
extern typeof(kvm_set_msi) *kvm_msix_set_msi;

int kvm_msix_hostsyms_init(void);

#endif

#endif /* _KVM_MSIX_HOSTSYMS_H */
