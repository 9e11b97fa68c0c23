/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Functions of KVM that it does not export to modules, called as
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

#define DECLARE_HOST_CALL(name)	\
	DECLARE_STATIC_CALL(kvm_msix_host_##name, name)

DECLARE_HOST_CALL(file_is_kvm);
DECLARE_HOST_CALL(kvm_io_bus_register_dev);
DECLARE_HOST_CALL(kvm_io_bus_unregister_dev);
DECLARE_HOST_CALL(kvm_arch_set_irq_inatomic);
DECLARE_HOST_CALL(kvm_irq_routing_update);
DECLARE_HOST_CALL(kvm_set_irq_routing);
DECLARE_HOST_CALL(kvm_set_msi);

#define host_call(name)		static_call(kvm_msix_host_##name)

/* To store where KVM itself stores it, for KVM to call; never to call here. */
extern typeof(kvm_set_msi) *kvm_msix_set_msi;

int kvm_msix_hostsyms_init(void);

#endif

#endif /* _KVM_MSIX_HOSTSYMS_H */
