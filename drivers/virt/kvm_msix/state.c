// SPDX-License-Identifier: GPL-2.0-only
/*
 * What concerns the function as a whole: Message Control, reset, saved state.
 *
 * Each change goes the same way: set what is common, visit every vector under
 * its lock, bring the GSIs' routes up to date. When the visit is over, nobody
 * sends by the old state.
 */
#include <linux/kvm_msix.h>
#include <linux/mm.h>
#include <linux/uaccess.h>

#include "kvm_msix.h"
#include "trace.h"

/* Table and PBA as they are copied from and to userspace. */
struct image {
	struct kvm_msix_entry *table;
	unsigned long *pba;
	u32 table_size;
	u32 pba_size;
};

static int alloc_image(struct image *image, u32 nr)
{
	image->table_size = kvm_msix_table_size(nr);
	image->pba_size = kvm_msix_pba_size(nr);
	image->table = kvzalloc(image->table_size + image->pba_size,
				KVM_MSIX_GFP);
	if (!image->table)
		return -ENOMEM;
	image->pba = (void *)image->table + image->table_size;
	return 0;
}

static void free_image(struct image *image)
{
	kvfree(image->table);
}

/* Send what is pending and may be sent; nothing older is in flight then. */
static void release_all(struct kvm_msix_device *dev)
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
		/* Thousands of broadcasts to thousands of vCPUs take a while. */
		cond_resched();
	}
}

/* Whatever the VMM was told of unbound vectors ends with MSI-X. */
static void forget_all(struct kvm_msix_device *dev)
{
	u32 v;

	for (v = 0; v < dev->core.nr; v++)
		kvm_msix_watch_forget(&dev->vecs[v]);
}

/**
 * kvm_msix_control - The guest has written Message Control
 * @dev: the device
 * @control: the register
 *
 * Context: dev->lock.
 */
void kvm_msix_control(struct kvm_msix_device *dev, u16 control)
{
	lockdep_assert_held(&dev->lock);

	trace_kvm_msix_control(dev->id, control);
	kvm_msix_set_control(&dev->core, control);
	if (!(control & PCI_MSIX_FLAGS_ENABLE))
		forget_all(dev);
	release_all(dev);
	kvm_msix_route_sync(dev, 0, dev->core.nr);
}

/*
 * Replace every entry and pending bit, by those of @image or of power-on. The
 * function is disabled first, so that nothing is sent from a mixture.
 */
static void replace_entries(struct kvm_msix_device *dev,
			    const struct image *image)
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
		spin_unlock_irqrestore(&vec->lock, flags);
	}
	/* No vector's; a guest that has the PBA as memory may have set them. */
	for (; v % BITS_PER_LONG; v++)
		clear_bit(v, dev->core.pba);
}

/**
 * kvm_msix_reset - The function's state after power-on
 * @dev: the device
 *
 * Context: dev->lock.
 */
void kvm_msix_reset(struct kvm_msix_device *dev)
{
	lockdep_assert_held(&dev->lock);

	replace_entries(dev, NULL);
	kvm_msix_control(dev, 0);
}

static bool state_matches(const struct kvm_msix_device *dev,
			  const struct kvm_msix_state *state)
{
	return state->nr_vectors == dev->core.nr;
}

/**
 * kvm_msix_get_state - Copy out what the guest can see
 * @dev: the device
 * @state: the ioctl's argument; control is filled in
 *
 * Context: takes dev->lock, and copies without it.
 * Return: 0, -EINVAL, -ENOMEM, -EFAULT
 */
int kvm_msix_get_state(struct kvm_msix_device *dev,
		       struct kvm_msix_state *state)
{
	struct image image;
	unsigned long flags;
	int err;
	u32 v;

	if (!state_matches(dev, state))
		return -EINVAL;
	err = alloc_image(&image, dev->core.nr);
	if (err)
		return err;

	mutex_lock(&dev->lock);
	release_all(dev);
	for (v = 0; v < dev->core.nr; v++) {
		spin_lock_irqsave(&dev->vecs[v].lock, flags);
		image.table[v] = kvm_msix_get_entry(&dev->core, v);
		/* A VMM that finds it masked has to hear of the next unmask. */
		if (kvm_msix_masked(&image.table[v]))
			kvm_msix_watch_forget(&dev->vecs[v]);
		if (kvm_msix_pending(&dev->core, v))
			__set_bit(v, image.pba);
		spin_unlock_irqrestore(&dev->vecs[v].lock, flags);
	}
	state->control = dev->core.control;
	mutex_unlock(&dev->lock);

	if (copy_to_user(u64_to_user_ptr(state->table), image.table,
			 image.table_size) ||
	    copy_to_user(u64_to_user_ptr(state->pba), image.pba,
			 image.pba_size))
		err = -EFAULT;
	free_image(&image);
	return err;
}

/**
 * kvm_msix_set_state - Replace what the guest can see
 * @dev: the device
 * @state: the ioctl's argument
 *
 * Context: takes dev->lock, and copies without it.
 * Return: 0, -EINVAL, -ENOMEM, -EFAULT
 */
int kvm_msix_set_state(struct kvm_msix_device *dev,
		       const struct kvm_msix_state *state)
{
	u32 nr = dev->core.nr;
	struct image image;
	int err;

	if (!state_matches(dev, state) ||
	    state->control & ~KVM_MSIX_CONTROL_BITS)
		return -EINVAL;
	err = alloc_image(&image, nr);
	if (err)
		return err;

	if (copy_from_user(image.table, u64_to_user_ptr(state->table),
			   image.table_size) ||
	    copy_from_user(image.pba, u64_to_user_ptr(state->pba),
			   image.pba_size)) {
		err = -EFAULT;
		goto out;
	}
	if (find_next_bit(image.pba, image.pba_size * 8, nr) <
	    image.pba_size * 8) {
		err = -EINVAL;
		goto out;
	}

	mutex_lock(&dev->lock);
	replace_entries(dev, &image);
	kvm_msix_control(dev, state->control);
	kvm_msix_watch_update(dev);
	mutex_unlock(&dev->lock);
out:
	free_image(&image);
	return err;
}
