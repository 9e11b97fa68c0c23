// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state of a whole function: Message Control, reset, saved state.
 *
 * Each change takes the same steps: set what is common to the vectors, visit
 * every vector under its lock, stop posting, update the GSIs' routes. After the
 * last step, no message is sent by the old state.
 */
#include <linux/jiffies.h>

#include "kvm_msix.h"
#include "trace.h"

/*
 * Send what is pending and may be sent. On return, no older message is in
 * flight.
 */
static void state_release_all(struct kvm_msix_device *dev)
{
	struct kvm_msix_vec *vec;
	unsigned long flags;
	u32 v;

	for (v = 0; v < dev->core.nr; v++) {
		vec = &dev->vecs[v];
		spin_lock_irqsave(&vec->lock, flags);
		kvm_msix_release_locked(vec);
		spin_unlock_irqrestore(&vec->lock, flags);
		kvm_msix_settle(vec);
		/* Thousands of broadcasts to thousands of vCPUs take long. */
		cond_resched();
	}
}

/* Disabling MSI-X voids what the VMM was told of unbound vectors. */
static void state_forget_all(struct kvm_msix_device *dev)
{
	u32 v;

	for (v = 0; v < dev->core.nr; v++)
		kvm_msix_watch_forget(&dev->vecs[v]);
}

/**
 * kvm_msix_write_control - Apply a write to Message Control
 * @dev: the device
 * @control: the register's new value
 *
 * Context: dev->lock.
 */
void kvm_msix_write_control(struct kvm_msix_device *dev, u16 control)
{
	lockdep_assert_held(&dev->lock);

	trace_kvm_msix_control(dev->id, control);
	kvm_msix_set_control(&dev->core, control);
	if (!(control & PCI_MSIX_FLAGS_ENABLE))
		state_forget_all(dev);
	state_release_all(dev);
	kvm_msix_post_stop_all(dev, KVM_MSIX_UNPOSTED_CONTROL);
	kvm_msix_gsi_sync(dev, 0, dev->core.nr);
}

/*
 * Replace every entry and pending bit by those of @image, or by those of
 * power-on if @image is NULL. Disable the function first, so that no message is
 * sent from a mixture of both.
 */
static void state_replace_entries(struct kvm_msix_device *dev,
				  const struct kvm_msix_image *image)
{
	struct kvm_msix_vec *vec;
	unsigned long flags;
	u32 v;

	kvm_msix_set_control(&dev->core, 0);
	for (v = 0; v < dev->core.nr; v++) {
		vec = &dev->vecs[v];
		spin_lock_irqsave(&vec->lock, flags);
		if (image)
			kvm_msix_set_entry(&dev->core, v, image->table[v],
					   test_bit(v, image->pba));
		else
			kvm_msix_reset_entry(&dev->core, v);
		vec->stats.pending_since = jiffies;
		spin_unlock_irqrestore(&vec->lock, flags);
	}
	/* A guest with a mapped PBA may have set bits of no vector. */
	for (; v % BITS_PER_LONG; v++)
		clear_bit(v, dev->core.pba);
}

/**
 * kvm_msix_reset_state - Set a function to its power-on state
 * @dev: the device
 *
 * Context: dev->lock.
 */
void kvm_msix_reset_state(struct kvm_msix_device *dev)
{
	lockdep_assert_held(&dev->lock);

	state_replace_entries(dev, NULL);
	kvm_msix_write_control(dev, 0);
}

/**
 * kvm_msix_save - Save what the guest can see
 * @dev: the device
 * @image: the memory to save to, zeroed
 *
 * Context: dev->lock.
 */
void kvm_msix_save(struct kvm_msix_device *dev, struct kvm_msix_image *image)
{
	struct kvm_msix_vec *vec;
	unsigned long flags;
	u32 v;

	lockdep_assert_held(&dev->lock);

	state_release_all(dev);
	for (v = 0; v < dev->core.nr; v++) {
		vec = &dev->vecs[v];
		spin_lock_irqsave(&vec->lock, flags);
		image->table[v] = kvm_msix_get_entry(&dev->core, v);
		/* The VMM sees the vector masked: report the next unmask. */
		if (kvm_msix_masked(&image->table[v]))
			kvm_msix_watch_forget(vec);
		if (kvm_msix_pending(&dev->core, v))
			__set_bit(v, image->pba);
		spin_unlock_irqrestore(&vec->lock, flags);
	}
	image->control = dev->core.control;
}

/**
 * kvm_msix_restore - Replace what the guest can see
 * @dev: the device
 * @image: the new state; no bit of the PBA beyond the last vector is set
 *
 * Context: dev->lock.
 */
void kvm_msix_restore(struct kvm_msix_device *dev,
		      const struct kvm_msix_image *image)
{
	lockdep_assert_held(&dev->lock);

	state_replace_entries(dev, image);
	kvm_msix_write_control(dev, image->control);
}
