/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The IOMMU that device.c emulates: the IRTE as KVM sets it, and the delivery of a
 * posted message.
 */
#ifndef FAKEPOST_IOMMU_H
#define FAKEPOST_IOMMU_H

#include <linux/irq.h>
#include <linux/kvm_host.h>

/* The argument of irq_set_vcpu_affinity(). */
union irte {
	struct {
		struct kvm *kvm;
		struct kvm_kernel_irq_routing_entry message;
	} soft;
	struct {
		u64 pi_desc_addr;
		u32 vector;
	} vtd;
};

/**
 * struct iommu - A kind of IOMMU
 * @irte_size: bytes of union irte that KVM sets
 * @start: make KVM and kvm_msix believe that the host posts
 * @stop: undo @start
 * @post: deliver the message to the vCPU; the IRTE is locked
 */
struct iommu {
	size_t irte_size;
	int (*start)(void);
	void (*stop)(void);
	void (*post)(union irte *irte);
};

extern const struct iommu soft, vtd;

/* device.c's irq_set_vcpu_affinity(). */
int set_vcpu_affinity(struct irq_data *data, void *info);

/* The function that soft.c replaces, as "MODULE:FUNCTION". */
#define SOFT_IRTE "kvm_amd:avic_pi_update_irte"

/* Override enable_device_posted_irqs, which KVM since 6.17 sets when loaded. */
int kvm_posts_start(void);
void kvm_posts_stop(void);

/* Set the IRTE of a VFIO interrupt: posted, or remapped if @irte is NULL. */
int vfio_start(void);
void vfio_stop(void);
int vfio_set_irte(unsigned int irq, const union irte *irte);

#endif /* FAKEPOST_IOMMU_H */
