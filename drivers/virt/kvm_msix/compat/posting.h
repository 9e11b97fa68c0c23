/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether KVM can post interrupts is for modules other than its own to know only
 * where enable_apicv is exported to all. Elsewhere it is taken for granted.
 */
#ifndef _KVM_MSIX_COMPAT_POSTING_H
#define _KVM_MSIX_COMPAT_POSTING_H

#include <linux/kvm_host.h>
#include <asm/irq_remapping.h>

/* Do the IOMMU and KVM deliver a device's interrupt to a vCPU without an exit? */
static inline bool kvm_msix_host_posts(void)
{
#ifdef KVM_MSIX_ENABLE_APICV
	if (!enable_apicv)
		return false;
#endif
	return irq_remapping_cap(IRQ_POSTING_CAP);
}

#endif /* _KVM_MSIX_COMPAT_POSTING_H */
