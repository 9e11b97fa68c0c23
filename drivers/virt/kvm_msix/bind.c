// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which eventfd and which GSI belong to a vector.
 *
 * A call binds all of its vectors or none: everything that can fail is done
 * first, for all of them, beside what is bound; then the change, which cannot
 * fail.
 */
#include <linux/bitmap.h>
#include <linux/kvm_msix.h>
#include <linux/slab.h>

#include "kvm_msix.h"
#include "trace.h"

/*
 * Prepare one vector; *hook is what it will have. Its future GSI is kept in
 * the vector.
 */
static int prepare(struct kvm_msix_vec *vec, const struct kvm_msix_vector *to,
		   struct kvm_msix_hook **hook)
{
	int err;

	*hook = NULL;
	if (to->eventfd != -1) {
		*hook = kvm_msix_hook(vec, to->eventfd);
		if (IS_ERR(*hook))
			return PTR_ERR(*hook);
	}
	err = kvm_msix_gsi_reserve(vec, to->gsi);
	if (err && *hook && *hook != vec->hook)
		kvm_msix_unhook(*hook);
	return err;
}

static void cancel(struct kvm_msix_vec *vec, struct kvm_msix_hook *hook)
{
	kvm_msix_gsi_cancel(vec);
	if (hook && hook != vec->hook)
		kvm_msix_unhook(hook);
}

/*
 * The old eventfd goes before the new one starts: an event that comes between
 * stays in the eventfd that it came by.
 */
static void commit(struct kvm_msix_vec *vec, struct kvm_msix_hook *hook)
{
	struct kvm_msix_device *dev = vec->dev;
	bool bound = hook || vec->next_gsi != KVM_MSIX_NO_GSI;
	u32 v = vec->index;

	WRITE_ONCE(dev->nr_bound,
		   dev->nr_bound + bound - test_bit(v, dev->bound));
	if (!bound)
		kvm_msix_watch_unbind(vec);
	assign_bit(v, dev->bound, bound);
	if (bound)
		kvm_msix_watch_forget(vec);
	trace_kvm_msix_bind(dev->id, v, hook, vec->next_gsi);
	if (hook == vec->hook)
		return;
	if (vec->hook)
		kvm_msix_unhook(vec->hook);
	vec->hook = hook;
	if (hook)
		kvm_msix_hook_start(hook);
}

/**
 * kvm_msix_bind - Bind vectors, all or none
 * @dev: the device
 * @first: first vector
 * @count: number of vectors, at least 1; the range is within the table
 * @vectors: what to bind each to
 *
 * Context: dev->lock.
 * Return: 0 or what struct kvm_msix_bind documents.
 */
int kvm_msix_bind(struct kvm_msix_device *dev, u32 first, u32 count,
		  const struct kvm_msix_vector *vectors)
{
	struct kvm_msix_vec *vecs = &dev->vecs[first];
	struct kvm_msix_hook **hooks;
	u32 i;
	int err;

	lockdep_assert_held(&dev->lock);

	hooks = kvcalloc(count, sizeof(*hooks), KVM_MSIX_GFP);
	if (!hooks)
		return -ENOMEM;

	for (i = 0; i < count; i++) {
		err = prepare(&vecs[i], &vectors[i], &hooks[i]);
		if (err)
			goto err_cancel;
	}
	for (i = 0; i < count; i++)
		commit(&vecs[i], hooks[i]);
	kvm_msix_gsi_commit(dev, first, count);
	kvfree(hooks);
	return 0;

err_cancel:
	while (i--)
		cancel(&vecs[i], hooks[i]);
	kvfree(hooks);
	return err;
}

/**
 * kvm_msix_unbind_all - Let go of all eventfds and GSIs
 * @dev: the device, which is about to go
 *
 * No event of the device is under way afterwards.
 */
void kvm_msix_unbind_all(struct kvm_msix_device *dev)
{
	u32 v;

	for_each_set_bit(v, dev->bound, dev->core.nr) {
		kvm_msix_gsi_reserve(&dev->vecs[v], KVM_MSIX_NO_GSI);
		commit(&dev->vecs[v], NULL);
	}
	kvm_msix_gsi_commit(dev, 0, dev->core.nr);
}
