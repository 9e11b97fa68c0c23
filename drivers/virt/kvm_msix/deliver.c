// SPDX-License-Identifier: GPL-2.0-only
/*
 * From an event to an interrupt in the guest: the eventfd's wake callback, the
 * pending bit or the message, KVM's local APICs.
 *
 * Always true here:
 *  - One hold of the vector's lock covers the decision on an event and the
 *    injection of its message. Masking takes the same lock: once masking has
 *    dropped the lock, no message of the vector is sent or in flight.
 *  - An injection under the lock takes bounded time. KVM's fast path takes
 *    almost every message. For the rest (mostly broadcasts) KVM has to visit
 *    each vCPU: such a message is deferred. Its vector is left pending, and a
 *    work, or the ioctl or guest access that released the vector, sends the
 *    message with interrupts enabled, under dev->deferred_lock and marked
 *    KVM_MSIX_IN_FLIGHT. Code that masks a vector or changes its message then
 *    calls kvm_msix_settle(), which waits for the message in flight:
 *
 *	send                             mask
 *	  take deferred_lock               take vec->lock
 *	  take vec->lock                   store the mask bit
 *	  may send? IN_FLIGHT              drop vec->lock
 *	  drop vec->lock                   IN_FLIGHT? wait for
 *	  kvm_set_msi()                      deferred_lock
 *	  drop deferred_lock
 *
 *    Either the sender sees the mask bit, or masking sees IN_FLIGHT.
 *  - A signal is read out of the eventfd when the signal becomes an event.
 *    Signals from before the start of a waiter, or after its removal, stay in
 *    the eventfd: no event is lost or handled twice.
 */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/jiffies.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "hostsyms.h"
#include "kvm_msix.h"
#include "trace.h"

/**
 * struct waiter_poll - Adds a waiter to the eventfd's wait queue by vfs_poll()
 * @table: what vfs_poll() takes
 * @waiter: the waiter
 * @err: why the waiter could not be added, or 0
 */
struct waiter_poll {
	poll_table table;
	struct kvm_msix_waiter *waiter;
	int err;
};

/*
 * Count a message that @result vCPUs took. If @result is 0 or negative, KVM has
 * found no destination, or the destination's APIC is switched off, or KVM was
 * not given the message.
 */
static __always_inline void deliver_note_sent(struct kvm_msix_vec *vec,
					      const struct kvm_msix_message *m,
					      int result)
{
	lockdep_assert_held(&vec->lock);

	if (likely(result > 0))
		kvm_msix_count(vec->stats.delivered);
	else if (m->drop == KVM_MSIX_TAKEN)
		kvm_msix_count(vec->stats.dropped[KVM_MSIX_DROP_DESTINATION]);
	else
		kvm_msix_count(vec->stats.dropped[m->drop]);
	if (trace_kvm_msix_deliver_enabled())
		trace_kvm_msix_deliver(vec->dev->id, vec->index, m->address,
				       m->data, result);
}

static int deliver_inject_inatomic(struct kvm *kvm,
				   struct kvm_kernel_irq_routing_entry *e)
{
	return host_call(kvm_arch_set_irq_inatomic)(e, kvm,
						    KVM_USERSPACE_IRQ_SOURCE_ID,
						    1, false);
}

/*
 * Send a vector's message, unless KVM would have to visit each vCPU.
 *
 * Return: false in that case, with nothing sent or counted.
 */
static __always_inline bool deliver_send(struct kvm_msix_vec *vec,
					 const struct kvm_msix_entry *entry)
{
	struct kvm_msix_message *m;
	int r = -EINVAL;

	lockdep_assert_held(&vec->lock);

	m = kvm_msix_message_locked(vec, entry);
	if (likely(m->drop == KVM_MSIX_TAKEN))
		r = deliver_inject_inatomic(vec->dev->kvm, &m->route);
	if (unlikely(r == -EWOULDBLOCK))
		return false;
	deliver_note_sent(vec, m, r);
	return true;
}

/*
 * Defer a message: its vector is pending until kvm_msix_settle().
 *
 * Return: KVM_MSIX_EVENT_LATCHED or KVM_MSIX_EVENT_COALESCED, as if the vector
 * were masked.
 */
static noinline enum kvm_msix_verdict deliver_defer(struct kvm_msix_vec *vec)
{
	lockdep_assert_held(&vec->lock);

	WRITE_ONCE(vec->deferred, vec->deferred | KVM_MSIX_DEFERRED);
	return kvm_msix_latch(&vec->dev->core, vec->index);
}

/**
 * kvm_msix_settle_later - Have a work call kvm_msix_settle()
 * @vec: the vector
 *
 * Context: any; for callers that must not sleep.
 */
void kvm_msix_settle_later(struct kvm_msix_vec *vec)
{
	if (unlikely(READ_ONCE(vec->deferred)))
		queue_work(system_highpri_wq, &vec->dev->settle_work);
}

/*
 * Have a pending, masked vector watched if its table is mapped. If the guest
 * has unmasked the vector meanwhile, send its message.
 */
static void deliver_await_unmask(struct kvm_msix_vec *vec)
{
	if (!kvm_msix_watch_pending_locked(vec))
		return;
	kvm_msix_release_locked(vec);
	kvm_msix_settle_later(vec);
}

/* Send a vector's deferred message, if the vector may still send. */
static void deliver_send_deferred(struct kvm_msix_vec *vec)
{
	struct kvm_msix_device *dev = vec->dev;
	struct kvm_msix_core *core = &dev->core;
	struct kvm_msix_message m;
	struct kvm_msix_entry entry;
	unsigned long flags;
	bool due;
	int r;

	lockdep_assert_held(&dev->deferred_lock);

	spin_lock_irqsave(&vec->lock, flags);
	entry = kvm_msix_get_entry(core, vec->index);
	due = vec->deferred & KVM_MSIX_DEFERRED &&
	      kvm_msix_release_pending(core, vec->index, &entry);
	WRITE_ONCE(vec->deferred, due ? KVM_MSIX_IN_FLIGHT : 0);
	m = *kvm_msix_message_locked(vec, &entry);
	/* Masked meanwhile: the vector is now pending like any other. */
	if (!due && kvm_msix_pending(core, vec->index))
		deliver_await_unmask(vec);
	spin_unlock_irqrestore(&vec->lock, flags);
	if (!due)
		return;

	r = m.drop != KVM_MSIX_TAKEN ? -EINVAL :
	    host_call(kvm_set_msi)(&m.route, dev->kvm,
				   KVM_USERSPACE_IRQ_SOURCE_ID, 1, false);

	spin_lock_irqsave(&vec->lock, flags);
	kvm_msix_count(vec->stats.released);
	deliver_note_sent(vec, &m, r);
	WRITE_ONCE(vec->deferred, vec->deferred & ~KVM_MSIX_IN_FLIGHT);
	spin_unlock_irqrestore(&vec->lock, flags);
}

/**
 * kvm_msix_settle_deferred - Send a deferred message, wait for one in flight
 * @vec: the vector
 *
 * See kvm_msix_settle().
 *
 * Context: may sleep; takes dev->deferred_lock.
 */
void kvm_msix_settle_deferred(struct kvm_msix_vec *vec)
{
	mutex_lock(&vec->dev->deferred_lock);
	deliver_send_deferred(vec);
	mutex_unlock(&vec->dev->deferred_lock);
}

/**
 * kvm_msix_settle_work - Settle all vectors of a device
 * @work: the device's settle_work
 *
 * Context: may sleep; takes dev->deferred_lock.
 */
void kvm_msix_settle_work(struct work_struct *work)
{
	struct kvm_msix_device *dev =
		container_of(work, struct kvm_msix_device, settle_work);
	u32 v;

	for (v = 0; v < dev->core.nr; v++) {
		kvm_msix_settle(&dev->vecs[v]);
		cond_resched();
	}
}

/**
 * kvm_msix_send_pending_locked - Send the message of a vector that was pending
 * @vec: the vector
 * @entry: the copy of its entry for which the core returned KVM_MSIX_SEND
 *
 * Context: @vec->lock. kvm_msix_settle() has to follow, now or later.
 */
void kvm_msix_send_pending_locked(struct kvm_msix_vec *vec,
				  const struct kvm_msix_entry *entry)
{
	if (deliver_send(vec, entry))
		kvm_msix_count(vec->stats.released);
	else
		deliver_defer(vec);
}

/**
 * kvm_msix_release_locked - Send a vector's pending message if it may be sent
 * @vec: the vector
 *
 * Context: as kvm_msix_send_pending_locked().
 */
void kvm_msix_release_locked(struct kvm_msix_vec *vec)
{
	struct kvm_msix_core *core = &vec->dev->core;
	struct kvm_msix_entry entry;

	lockdep_assert_held(&vec->lock);

	entry = kvm_msix_get_entry(core, vec->index);
	if (kvm_msix_release_pending(core, vec->index, &entry))
		kvm_msix_send_pending_locked(vec, &entry);
}

static void deliver_note_latched(struct kvm_msix_vec *vec,
				 enum kvm_msix_verdict verdict)
{
	bool coalesced = verdict == KVM_MSIX_EVENT_COALESCED;

	if (coalesced) {
		kvm_msix_count(vec->stats.coalesced);
	} else {
		kvm_msix_count(vec->stats.latched);
		vec->stats.pending_since = jiffies;
	}
	trace_kvm_msix_latch(vec->dev->id, vec->index, coalesced);
}

static __always_inline void deliver_event_locked(struct kvm_msix_vec *vec)
{
	struct kvm_msix_device *dev = vec->dev;
	u32 v = vec->index;
	struct kvm_msix_entry entry = kvm_msix_get_entry(&dev->core, v);
	enum kvm_msix_verdict verdict;

	kvm_msix_count(vec->stats.events);
	vec->stats.last_event = jiffies;
	trace_kvm_msix_event(dev->id, v);
	verdict = kvm_msix_decide_event(&dev->core, v, &entry);
	if (likely(verdict == KVM_MSIX_EVENT_SEND)) {
		if (likely(deliver_send(vec, &entry))) {
			kvm_msix_post_sent_locked(vec);
			return;
		}
		deliver_note_latched(vec, deliver_defer(vec));
		kvm_msix_settle_later(vec);
		return;
	}
	deliver_note_latched(vec, verdict);
	if (verdict == KVM_MSIX_EVENT_LATCHED)
		deliver_await_unmask(vec);
}

/* Called with the eventfd's wqh->lock held, taken with interrupts disabled. */
static __always_inline void deliver_event(struct kvm_msix_vec *vec)
{
	spin_lock(&vec->lock);
	deliver_event_locked(vec);
	spin_unlock(&vec->lock);
}

/*
 * Called with the eventfd's wqh->lock held, in the context of the signal, with
 * interrupts disabled except on PREEMPT_RT.
 */
static int waiter_wakeup(wait_queue_entry_t *wait, unsigned int mode, int sync,
			 void *key)
{
	struct kvm_msix_waiter *waiter =
		container_of(wait, struct kvm_msix_waiter, wait);
	u64 count;

	lockdep_assert_held(&waiter->wqh->lock);

	/* Ignore EPOLLHUP: a device may signal after the last fd is closed. */
	if (!waiter->live || !(key_to_poll(key) & EPOLLIN))
		return 0;

	eventfd_ctx_do_read(waiter->eventfd, &count);
	deliver_event(waiter->vec);
	return 1;
}

/*
 * Take the first place on the eventfd's wait queue, as KVM's irqfd does. Fail
 * if the queue has another priority waiter: only one can consume the signals.
 */
static void waiter_queue(struct file *file, wait_queue_head_t *wqh,
			 poll_table *table)
{
	struct waiter_poll *poll = container_of(table, struct waiter_poll, table);
	struct kvm_msix_waiter *waiter = poll->waiter;
	wait_queue_entry_t *first;

	spin_lock_irq(&wqh->lock);
	first = list_first_entry_or_null(&wqh->head, wait_queue_entry_t, entry);
	if (first && (first->flags & WQ_FLAG_PRIORITY)) {
		poll->err = -EBUSY;
	} else {
		poll->err = 0;
		waiter->wqh = wqh;
		waiter->wait.flags |= WQ_FLAG_EXCLUSIVE | WQ_FLAG_PRIORITY;
		__add_wait_queue(wqh, &waiter->wait);
	}
	spin_unlock_irq(&wqh->lock);
}

/**
 * kvm_msix_waiter_find - Find a vector's waiter on an eventfd
 * @vec: the vector
 * @eventfd: the eventfd
 *
 * Context: dev->lock.
 * Return: the waiter, or NULL if @vec does not have the eventfd.
 */
struct kvm_msix_waiter *
kvm_msix_waiter_find(struct kvm_msix_vec *vec,
		     const struct eventfd_ctx *eventfd)
{
	struct kvm_msix_waiter *waiter;

	lockdep_assert_held(&vec->dev->lock);

	hlist_for_each_entry(waiter, &vec->waiters, node)
		if (waiter->eventfd == eventfd)
			return waiter;
	return NULL;
}

/**
 * kvm_msix_waiter_reserve - Reserve an eventfd for a vector
 * @vec: the vector
 * @fd: file descriptor of the eventfd
 *
 * Signals stay in the eventfd until kvm_msix_waiter_start().
 *
 * Context: dev->lock.
 * Return: a new waiter; the waiter that @vec has on this eventfd already;
 * ERR_PTR: -EBADF, -EINVAL (not an eventfd), -EBUSY (the eventfd has another
 * consumer), -ENOSPC (the device has KVM_MSIX_MAX_WAITERS), -ENOMEM.
 */
struct kvm_msix_waiter *kvm_msix_waiter_reserve(struct kvm_msix_vec *vec,
						int fd)
{
	struct kvm_msix_waiter *waiter, *found = NULL;
	struct kvm_msix_device *dev = vec->dev;
	struct waiter_poll poll;
	int err;

	lockdep_assert_held(&dev->lock);

	waiter = kzalloc(sizeof(*waiter), KVM_MSIX_GFP);
	if (!waiter)
		return ERR_PTR(-ENOMEM);

	waiter->file = fget(fd);
	if (!waiter->file) {
		err = -EBADF;
		goto err_free;
	}
	waiter->eventfd = eventfd_ctx_fileget(waiter->file);
	if (IS_ERR(waiter->eventfd)) {
		err = PTR_ERR(waiter->eventfd);
		goto err_fput;
	}
	err = -ENOSPC;
	found = kvm_msix_waiter_find(vec, waiter->eventfd);
	if (found || dev->nr_waiters == KVM_MSIX_MAX_WAITERS)
		goto err_put;

	waiter->vec = vec;
	poll.waiter = waiter;
	poll.err = -EINVAL;	/* a file without a wait queue is no eventfd */
	init_waitqueue_func_entry(&waiter->wait, waiter_wakeup);
	init_poll_funcptr(&poll.table, waiter_queue);
	vfs_poll(waiter->file, &poll.table);
	err = poll.err;
	if (err)
		goto err_put;
	dev->nr_waiters++;
	return waiter;

err_put:
	eventfd_ctx_put(waiter->eventfd);
err_fput:
	fput(waiter->file);
err_free:
	kfree(waiter);
	return found ? found : ERR_PTR(err);
}

/**
 * kvm_msix_waiter_start - Start to consume the eventfd's signals as events
 * @waiter: from kvm_msix_waiter_reserve(), not started
 *
 * All signals from before make one event now. eventfd_poll() reads the counter,
 * which cannot change while the eventfd's wait queue is locked.
 *
 * Context: dev->lock; takes the eventfd's wqh->lock.
 */
void kvm_msix_waiter_start(struct kvm_msix_waiter *waiter)
{
	u64 count;

	spin_lock_irq(&waiter->wqh->lock);
	waiter->live = true;
	if (vfs_poll(waiter->file, NULL) & EPOLLIN) {
		eventfd_ctx_do_read(waiter->eventfd, &count);
		deliver_event(waiter->vec);
		/* Wake writers that blocked on a full counter. */
		wake_up_locked_poll(waiter->wqh, EPOLLOUT);
	}
	spin_unlock_irq(&waiter->wqh->lock);

	fput(waiter->file);
	waiter->file = NULL;
}

/**
 * kvm_msix_waiter_release - Release an eventfd
 * @waiter: from kvm_msix_waiter_reserve(), started or not; freed here
 *
 * remove_wait_queue() waits for a callback in progress. Signals not consumed
 * yet have to stay in the eventfd for its next owner:
 * eventfd_ctx_remove_wait_queue() would discard them.
 *
 * Context: dev->lock.
 */
void kvm_msix_waiter_release(struct kvm_msix_waiter *waiter)
{
	struct kvm_msix_device *dev = waiter->vec->dev;

	lockdep_assert_held(&dev->lock);

	dev->nr_waiters--;
	remove_wait_queue(waiter->wqh, &waiter->wait);
	if (waiter->file)
		fput(waiter->file);
	eventfd_ctx_put(waiter->eventfd);
	kfree(waiter);
}
