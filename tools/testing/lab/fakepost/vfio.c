// SPDX-License-Identifier: GPL-2.0-only
/*
 * Post interrupts of a device that VFIO has assigned. The IRTEs for soft.c's IOMMU are
 * here, as no emulated IOMMU of the lab can post.
 *
 * A replacement of VFIO's interrupt handler looks up the IRTE. The host takes the
 * interrupt either way, but the handler passes a posted message to the vCPU's APIC
 * without a signal to VFIO's eventfd, and so to kvm_msix. The module's parameters
 * vfio_posted and vfio_remapped count.
 */
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/module.h>
#include <linux/xarray.h>

#include "compat/eventfd.h"
#include "iommu.h"
#include "replace.h"

/* Approximate: two CPUs that count at once may lose an increment. */
static ulong vfio_posted, vfio_remapped;
module_param(vfio_posted, ulong, 0444);
MODULE_PARM_DESC(vfio_posted, "interrupts of VFIO's that were posted (read only)");
module_param(vfio_remapped, ulong, 0444);
MODULE_PARM_DESC(vfio_remapped, "interrupts of VFIO's that were not (read only)");

struct vfio_irte {
	raw_spinlock_t lock;	/* all below */
	bool posted;
	union irte irte;
};

/* By the number of the host's interrupt; freed in vfio_stop(). */
static DEFINE_XARRAY(irtes);

static struct vfio_irte *irte_of(unsigned int irq)
{
	struct vfio_irte *i = xa_load(&irtes, irq);

	if (i)
		return i;
	i = kzalloc(sizeof(*i), GFP_ATOMIC);
	if (!i)
		return NULL;
	raw_spin_lock_init(&i->lock);
	if (xa_insert(&irtes, irq, i, GFP_ATOMIC)) {
		kfree(i);
		return xa_load(&irtes, irq);
	}
	return i;
}

/* Called with KVM's irqfds.lock held. */
int vfio_set_irte(unsigned int irq, const union irte *irte)
{
	struct vfio_irte *i = irte_of(irq);
	unsigned long flags;

	if (!i)
		return -ENOMEM;
	raw_spin_lock_irqsave(&i->lock, flags);
	i->posted = irte;
	if (irte)
		i->irte = *irte;
	raw_spin_unlock_irqrestore(&i->lock, flags);
	return 0;
}

static irqreturn_t handle(int irq, void *eventfd)
{
	struct vfio_irte *i = xa_load(&irtes, irq);
	unsigned long flags;
	bool posted = false;

	if (i) {
		raw_spin_lock_irqsave(&i->lock, flags);
		posted = i->posted;
		if (posted) {
			vfio_posted++;
			soft.post(&i->irte);
		} else {
			vfio_remapped++;
		}
		raw_spin_unlock_irqrestore(&i->lock, flags);
	}
	if (!posted)
		kvm_msix_eventfd_signal(eventfd);
	return IRQ_HANDLED;
}

static struct replacement handler = {
	.symbol = "vfio_pci_core:vfio_msihandler",
	.function = handle,
};

static bool replaced;

/* Without VFIO there is no handler to replace. */
int vfio_start(void)
{
	int err;

	if (!replace_find(handler.symbol))
		return 0;
	err = replace_start(&handler);
	replaced = !err;
	return err;
}

void vfio_stop(void)
{
	struct vfio_irte *i;
	unsigned long irq;

	if (replaced)
		replace_stop(&handler);
	xa_for_each(&irtes, irq, i)
		kfree(i);
	xa_destroy(&irtes);
}
