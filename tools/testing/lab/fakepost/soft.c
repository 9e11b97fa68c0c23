// SPDX-License-Identifier: GPL-2.0-only
/*
 * An IOMMU for a CPU without APIC virtualization, and so without an APIC that an IOMMU
 * could write to: KVM puts the message into the vCPU's APIC.
 *
 * This file replaces two functions: kvm_msix's question whether the host posts, and
 * kvm_amd's function that writes the IRTE. Up to 6.16 the latter finds the message by
 * GSI: the replacement reads the route as the original does, and like the original does
 * nothing without a route. Since 6.17 KVM passes the irqfd.
 *
 * KVM's own irqfds are posted with irqfd=1 only: KVM up to 6.16 leaves an irqfd posted
 * that is deassigned after its route was removed.
 */
#include <linux/irq.h>
#include <linux/kvm_irqfd.h>
#include <linux/module.h>

#include "iommu.h"
#include "replace.h"

/* Set the IRTE of an interrupt of device.c, or of VFIO. */
static int set_irte(unsigned int irq, union irte *irte)
{
	struct irq_chip *chip = irq_get_chip(irq);

	if (chip && chip->irq_set_vcpu_affinity == set_vcpu_affinity)
		return irq_set_vcpu_affinity(irq, irte);
	return vfio_set_irte(irq, irte);
}

static bool yes(void)
{
	return true;
}

#ifdef FAKEPOST_BY_IRQFD

static typeof(kvm_set_msi) *set_msi;

static int find_set_msi(void)
{
	set_msi = (void *)replace_find("kvm:kvm_set_msi");
	return set_msi ? 0 : -ENOENT;
}

/* KVM passes a vCPU only if the message can be posted. */
static int pi_update_irte(struct kvm_kernel_irqfd *irqfd, struct kvm *kvm,
			  unsigned int host_irq, u32 guest_irq,
			  struct kvm_vcpu *vcpu, u32 vector)
{
	union irte irte = {
		.soft = { .kvm = kvm, .message = irqfd->irq_entry },
	};

	irte.soft.message.set = set_msi;
	return set_irte(host_irq, vcpu ? &irte : NULL);
}

#else /* !FAKEPOST_BY_IRQFD */

static int find_set_msi(void)
{
	return 0;
}

/* Only a message with one destination can be posted: fixed, physical, no broadcast. */
static bool can_be_posted(const struct kvm_kernel_irq_routing_entry *e)
{
	return !(e->msi.data >> 8 & 7) && !(e->msi.address_lo & 4) &&
	       (e->msi.address_lo >> 12 & 0xff) != 0xff;
}

static int pi_update_irte(struct kvm *kvm, unsigned int host_irq,
			  u32 guest_irq, bool set)
{
	union irte irte = { .soft = { .kvm = kvm } };
	struct kvm_kernel_irq_routing_entry *e;
	struct kvm_irq_routing_table *table;
	bool remap = true;
	int idx, ret = 0;

	if (!kvm_arch_has_assigned_device(kvm))
		return 0;

	idx = srcu_read_lock(&kvm->irq_srcu);
	table = srcu_dereference(kvm->irq_routing, &kvm->irq_srcu);
	if (guest_irq >= table->nr_rt_entries ||
	    hlist_empty(&table->map[guest_irq]))
		goto out;
	hlist_for_each_entry(e, &table->map[guest_irq], link) {
		if (e->type != KVM_IRQ_ROUTING_MSI || !set || !can_be_posted(e))
			continue;
		irte.soft.message = *e;
		remap = false;
		ret = set_irte(host_irq, &irte);
	}
	if (remap)
		ret = set_irte(host_irq, NULL);
out:
	srcu_read_unlock(&kvm->irq_srcu, idx);
	return ret;
}

#endif /* !FAKEPOST_BY_IRQFD */

static struct replacement posts = {
	.symbol = "kvm_msix:kvm_msix_host_posts",
	.function = yes,
};

static bool irqfd;
module_param(irqfd, bool, 0444);
MODULE_PARM_DESC(irqfd, "post KVM's own irqfds up to 6.16, too");

/* KVM since 6.17 does not have this function. */
static struct replacement irqfds = {
	.symbol = "kvm:kvm_arch_has_irq_bypass",
	.function = yes,
};

static struct replacement update = {
	.symbol = SOFT_IRTE,
	.function = pi_update_irte,
};

static int irqfds_start(void)
{
	irqfd = irqfd && replace_find(irqfds.symbol);
	return irqfd ? replace_start(&irqfds) : 0;
}

static void irqfds_stop(void)
{
	if (irqfd)
		replace_stop(&irqfds);
}

static int soft_start(void)
{
	int err;

	err = find_set_msi();
	if (err)
		return err;
	err = replace_start(&posts);
	if (err)
		return err;
	err = replace_start(&update);
	if (err)
		goto err_posts;
	err = irqfds_start();
	if (err)
		goto err_update;
	err = vfio_start();
	if (err)
		goto err_irqfds;
	err = kvm_posts_start();
	if (err)
		goto err_vfio;
	return 0;

err_vfio:
	vfio_stop();
err_irqfds:
	irqfds_stop();
err_update:
	replace_stop(&update);
err_posts:
	replace_stop(&posts);
	return err;
}

static void soft_stop(void)
{
	kvm_posts_stop();
	vfio_stop();
	irqfds_stop();
	replace_stop(&update);
	replace_stop(&posts);
}

static void soft_post(union irte *irte)
{
	struct kvm_kernel_irq_routing_entry *message = &irte->soft.message;

	message->set(message, irte->soft.kvm, 0, 1, false);
}

const struct iommu soft = {
	.irte_size = sizeof_field(union irte, soft),
	.start = soft_start,
	.stop = soft_stop,
	.post = soft_post,
};
