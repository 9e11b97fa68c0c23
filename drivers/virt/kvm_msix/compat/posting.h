/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A module that is not KVM's own can learn whether KVM can post interrupts only
 * if the kernel exports enable_apicv to all modules, or, by symbol_get(), if
 * the kernel has enable_device_posted_irqs. Otherwise, assume that KVM can.
 */
#ifndef _KVM_MSIX_COMPAT_POSTING_H
#define _KVM_MSIX_COMPAT_POSTING_H

#include <linux/kvm_host.h>
#include <linux/module.h>
#include <asm/irq_remapping.h>

#ifdef KVM_MSIX_DEVICE_POSTED_IRQS
/* If asked to post while enable_device_posted_irqs is off, KVM warns. */
static inline bool kvm_msix_kvm_lets_post(void)
{
#if IS_MODULE(CONFIG_KVM)
	bool *enabled = symbol_get(enable_device_posted_irqs), lets;

	lets = enabled && READ_ONCE(*enabled);
	if (enabled)
		symbol_put(enable_device_posted_irqs);
	return lets;
#else
	return kvm_arch_has_irq_bypass();
#endif
}
#elif defined(KVM_MSIX_ENABLE_APICV)
static inline bool kvm_msix_kvm_lets_post(void)
{
	return enable_apicv;
}
#else
static inline bool kvm_msix_kvm_lets_post(void)
{
	return true;
}
#endif

/**
 * kvm_msix_kvm_posts - Can IOMMU and KVM interrupt a vCPU without an exit?
 *
 * Context: may sleep.
 * Return: true if both can, as far as this module can learn.
 */
static inline bool kvm_msix_kvm_posts(void)
{
	return kvm_msix_kvm_lets_post() && irq_remapping_cap(IRQ_POSTING_CAP);
}

#endif /* _KVM_MSIX_COMPAT_POSTING_H */
