// SPDX-License-Identifier: GPL-2.0-only
/*
 * Binding: which eventfds and which GSI belong to a vector.
 *
 * A call binds all of its vectors or none. The first step does everything that
 * can fail, for all vectors, beside the old bindings. The second step changes
 * the bindings, which cannot fail.
 */
#include <linux/bitmap.h>
#include <linux/eventfd.h>
#include <linux/kvm_msix.h>

#include "kvm_msix.h"
#include "trace.h"

/* Is the waiter not started yet? */
static bool bind_is_new(const struct kvm_msix_waiter *waiter)
{
	return waiter && waiter->file;
}

/* Does @old stay bound to the vector? The call names the eventfd of @waiter. */
static bool bind_keeps(const struct kvm_msix_waiter *old,
		       const struct kvm_msix_waiter *waiter, u32 flags)
{
	if (flags & KVM_MSIX_BIND_ADD)
		return true;
	if (flags & KVM_MSIX_BIND_REMOVE)
		return old != waiter;
	return old == waiter;
}

/*
 * Return: the vector's waiter on an eventfd; ERR_PTR: -ENOENT if the vector
 * does not have the eventfd; the errors of eventfd_ctx_fdget().
 */
static struct kvm_msix_waiter *bind_find_waiter(struct kvm_msix_vec *vec,
						int fd)
{
	struct eventfd_ctx *eventfd = eventfd_ctx_fdget(fd);
	struct kvm_msix_waiter *waiter;

	if (IS_ERR(eventfd))
		return ERR_CAST(eventfd);
	waiter = kvm_msix_waiter_find(vec, eventfd);
	eventfd_ctx_put(eventfd);
	return waiter ? waiter : ERR_PTR(-ENOENT);
}

/*
 * Reserve eventfd and GSI for a vector. vec->next_waiter is then the waiter on
 * the eventfd, or NULL without an eventfd; vec->next_gsi is the vector's future
 * GSI, or vec->gsi if @flags leave the GSI alone.
 */
static int bind_prepare(struct kvm_msix_vec *vec,
			const struct kvm_msix_binding *to, u32 flags)
{
	struct kvm_msix_waiter *waiter = NULL;
	int err;

	if (flags && to->gsi != KVM_MSIX_NO_GSI)
		return -EINVAL;
	if (to->eventfd != -1) {
		waiter = flags & KVM_MSIX_BIND_REMOVE ?
			bind_find_waiter(vec, to->eventfd) :
			kvm_msix_waiter_reserve(vec, to->eventfd);
		if (IS_ERR(waiter))
			return PTR_ERR(waiter);
		err = kvm_msix_post_reserve(vec);
		if (err)
			goto err_release_waiter;
	}
	err = flags ? 0 : kvm_msix_gsi_reserve(vec, to->gsi);
	if (err)
		goto err_release_waiter;
	vec->next_waiter = waiter;
	return 0;

err_release_waiter:
	if (bind_is_new(waiter))
		kvm_msix_waiter_release(waiter);
	return err;
}

static void bind_cancel(struct kvm_msix_vec *vec)
{
	kvm_msix_gsi_cancel(vec);
	if (bind_is_new(vec->next_waiter))
		kvm_msix_waiter_release(vec->next_waiter);
	vec->next_waiter = NULL;
}

static void bind_note_bound(struct kvm_msix_vec *vec)
{
	bool eventfd = !hlist_empty(&vec->waiters);
	bool bound = eventfd || vec->next_gsi != KVM_MSIX_NO_GSI;
	struct kvm_msix_device *dev = vec->dev;
	u32 v = vec->index;

	WRITE_ONCE(dev->nr_bound,
		   dev->nr_bound + bound - test_bit(v, dev->bound));
	if (!bound)
		kvm_msix_watch_unbind(vec);
	assign_bit(v, dev->bound, bound);
	if (bound)
		kvm_msix_watch_forget(vec);
	trace_kvm_msix_bind(dev->id, v, eventfd, vec->next_gsi);
}

/*
 * Have a vector posted only if it has a single eventfd: posting would mistake
 * events of a second eventfd for KVM's refusal to post.
 */
static void bind_post_single(struct kvm_msix_vec *vec)
{
	struct kvm_msix_waiter *waiter =
		hlist_entry_safe(vec->waiters.first, struct kvm_msix_waiter, node);

	if (waiter && hlist_is_singular_node(&waiter->node, &vec->waiters))
		kvm_msix_post_bind(vec, waiter->eventfd);
}

/*
 * Release old eventfds before starting the new eventfd: an event in between
 * stays in the eventfd that was signalled.
 */
static void bind_commit(struct kvm_msix_vec *vec, u32 flags)
{
	struct kvm_msix_waiter *old, *waiter = vec->next_waiter;
	struct hlist_node *next;
	bool new = bind_is_new(waiter);
	HLIST_HEAD(released);

	vec->next_waiter = NULL;
	if (flags && !waiter)
		return;
	hlist_for_each_entry_safe(old, next, &vec->waiters, node) {
		if (bind_keeps(old, waiter, flags))
			continue;
		hlist_del(&old->node);
		hlist_add_head(&old->node, &released);
	}
	if (new)
		hlist_add_head(&waiter->node, &vec->waiters);
	bind_note_bound(vec);
	if (!new && hlist_empty(&released))
		return;

	kvm_msix_post_unbind(vec);
	hlist_for_each_entry_safe(old, next, &released, node)
		kvm_msix_waiter_release(old);
	if (new)
		kvm_msix_waiter_start(waiter);
	bind_post_single(vec);
}

/**
 * kvm_msix_bind_vectors - Bind vectors, all or none
 * @dev: the device
 * @first: first vector
 * @count: number of vectors, at least 1; the range is within the table
 * @bindings: the eventfd and the GSI of each vector
 * @flags: enum kvm_msix_bind_flags, one at most
 *
 * Context: dev->lock.
 * Return: 0 or an errno that struct kvm_msix_bind documents.
 */
int kvm_msix_bind_vectors(struct kvm_msix_device *dev, u32 first, u32 count,
			  const struct kvm_msix_binding *bindings, u32 flags)
{
	struct kvm_msix_vec *vecs = &dev->vecs[first];
	u32 i;
	int err;

	lockdep_assert_held(&dev->lock);

	for (i = 0; i < count; i++) {
		err = bind_prepare(&vecs[i], &bindings[i], flags);
		if (err)
			goto err_cancel;
	}
	for (i = 0; i < count; i++)
		bind_commit(&vecs[i], flags);
	kvm_msix_gsi_commit(dev, first, count);
	return 0;

err_cancel:
	while (i--)
		bind_cancel(&vecs[i]);
	return err;
}

/**
 * kvm_msix_unbind_all - Release all eventfds and GSIs
 * @dev: the device, which is about to be freed
 *
 * On return, no event of the device is in progress.
 *
 * Context: dev->lock.
 */
void kvm_msix_unbind_all(struct kvm_msix_device *dev)
{
	u32 v;

	for_each_set_bit(v, dev->bound, dev->core.nr) {
		kvm_msix_gsi_reserve(&dev->vecs[v], KVM_MSIX_NO_GSI);
		bind_commit(&dev->vecs[v], 0);
	}
	kvm_msix_gsi_commit(dev, 0, dev->core.nr);
}
