// SPDX-License-Identifier: GPL-2.0-only
/*
 * From an event to an interrupt in the guest: the eventfd's wake callback, the
 * pending bit or the message, KVM's local APICs.
 *
 * Always true here:
 *  - An event is judged and its message injected in one hold of the vector's
 *    lock. Masking takes the same lock: once it is released, no message of the
 *    vector is sent, and none is in flight.
 *  - An injection under the lock takes bounded time. KVM's fast path takes almost
 *    every message. Of the rest (a broadcast, mostly) KVM has to visit each vCPU:
 *    the vector is left pending, and the message sent from a work or from the
 *    ioctl or guest access that released it, with interrupts enabled, under
 *    dev->deferred_lock and marked KVM_MSIX_IN_FLIGHT. Whoever masks the vector or
 *    changes its message calls kvm_msix_settle() afterwards, which waits for it:
 *
 *	send                             mask
 *	  take deferred_lock               take vec->lock
 *	  take vec->lock                   store the mask bit
 *	  may send? IN_FLIGHT              drop vec->lock
 *	  drop vec->lock                   IN_FLIGHT? wait for
 *	  kvm_set_msi()                      deferred_lock
 *	  drop deferred_lock
 *
 *    Either the sender sees the mask bit, or the masker IN_FLIGHT.
 *  - A signal of the eventfd is taken out of it when it becomes an event. What
 *    was signalled before a hook was started or after it was removed is still
 *    in the eventfd: an event is neither lost nor seen twice.
 */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/kvm_msix.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <asm/apicdef.h>
#include <asm/msi.h>

#include "hostsyms.h"
#include "kvm_msix.h"
#include "trace.h"

/* Intel SDM volume 3, "Message Address Register Format": bits 31:20. */
#define MSI_ADDRESS_BASE	0xfee00000
#define MSI_ADDRESS_BASE_MASK	0xfff00000
/* KVM_FEATURE_MSI_EXT_DEST_ID: bits 11:5 of the address are id bits 14:8. */
#define MSI_EXT_DEST_ID		GENMASK(11, 5)
#define MSI_EXT_DEST_ID_TO_HI	3	/* x2APIC format: id bits 31:8 in place */

/**
 * struct kvm_msix_hook - A vector's grip on an eventfd
 * @wait: on the eventfd's wait queue; called for each signal
 * @poll: to get there
 * @wqh: the eventfd's wait queue
 * @eventfd: holds the eventfd in existence, even after its last fd is closed
 * @file: the eventfd's file, from kvm_msix_hook() to kvm_msix_hook_start()
 * @vec: the vector
 * @live: signals are events; protected by @wqh->lock
 * @err: what kept the hook from its place on the wait queue
 */
struct kvm_msix_hook {
	wait_queue_entry_t wait;
	poll_table poll;
	wait_queue_head_t *wqh;
	struct eventfd_ctx *eventfd;
	struct file *file;
	struct kvm_msix_vec *vec;
	bool live;
	int err;
};

/*
 * Make the message of what @m says that it is made from. KVM takes any address
 * and any delivery mode; a device can only write where the system listens.
 *
 * Return: whether somebody can take it.
 */
static bool make_route(struct kvm_msix_message *m, bool ext_dest_id)
{
	u32 lo = lower_32_bits(m->address);
	u32 hi = upper_32_bits(m->address);
	struct msi_msg msg;

	if ((lo & MSI_ADDRESS_BASE_MASK) != MSI_ADDRESS_BASE)
		return false;
	/* Bits 31:8 are those of a destination id where the VM has such ids. */
	if (hi & (m->x2apic_format ? GENMASK(7, 0) : U32_MAX))
		return false;
	if (ext_dest_id) {
		hi |= (lo & MSI_EXT_DEST_ID) << MSI_EXT_DEST_ID_TO_HI;
		lo &= ~MSI_EXT_DEST_ID;
	}

	msg.address_lo = lo;
	msg.address_hi = hi;
	msg.data = m->data;
	switch (msg.arch_data.delivery_mode << 8) {
	case APIC_DM_FIXED:
	case APIC_DM_SMI:
	case APIC_DM_NMI:
	case APIC_DM_INIT:
	case APIC_DM_EXTINT:
	case APIC_DM_LOWEST:
		break;
	default:
		return false;
	}
	/*
	 * To everyone in physical mode, but only to one of them, be it by mode
	 * or by hint: the SDM has no such message. KVM makes it fixed as well,
	 * but prints a line each time.
	 */
	if (!hi && !msg.arch_addr_lo.dest_mode_logical &&
	    msg.arch_addr_lo.destid_0_7 == 0xff) {
		if (msg.arch_data.delivery_mode == APIC_DM_LOWEST >> 8)
			msg.arch_data.delivery_mode = APIC_DM_FIXED >> 8;
		msg.arch_addr_lo.redirect_hint = 0;
	}

	m->route.type = KVM_IRQ_ROUTING_MSI;
	m->route.msi.address_lo = msg.address_lo;
	m->route.msi.address_hi = hi;
	m->route.msi.data = msg.data;
	return true;
}

static noinline void remake(struct kvm_msix_vec *vec, u64 address, u32 data,
			    bool x2apic_format)
{
	struct kvm_msix_message *m = &vec->message;

	m->address = address;
	m->data = data;
	m->x2apic_format = x2apic_format;
	m->valid = make_route(m, vec->dev->flags & KVM_MSIX_CREATE_EXT_DEST_ID);
}

/*
 * The message of a vector's entry. Most are sent many times before they change,
 * so what was made before is kept.
 */
static __always_inline struct kvm_msix_message *
message_of(struct kvm_msix_vec *vec, const struct kvm_msix_entry *entry)
{
	struct kvm_msix_message *m = &vec->message;
	bool x2apic_format = READ_ONCE(vec->dev->kvm->arch.x2apic_format);

	if (unlikely(m->address != entry->address || m->data != entry->data ||
		     m->x2apic_format != x2apic_format))
		remake(vec, entry->address, entry->data, x2apic_format);
	return m;
}

/**
 * kvm_msix_message - The message that a vector sends, if it may send one now
 * @vec: the vector
 *
 * Context: @vec->lock.
 * Return: type and msi of it are set; NULL if there is none. Good for as long
 * as the lock is held.
 */
const struct kvm_kernel_irq_routing_entry *
kvm_msix_message(struct kvm_msix_vec *vec)
{
	const struct kvm_msix_core *core = &vec->dev->core;
	struct kvm_msix_message *m;
	struct kvm_msix_entry entry;

	lockdep_assert_held(&vec->lock);

	entry = kvm_msix_get_entry(core, vec->index);
	if (!kvm_msix_may_send(core, &entry))
		return NULL;
	m = message_of(vec, &entry);
	return m->valid ? &m->route : NULL;
}

static __always_inline void note_sent(struct kvm_msix_vec *vec, u64 address,
				      u32 data, int result)
{
	struct kvm_msix_device *dev = vec->dev;

	if (unlikely(result < 0))
		this_cpu_inc(dev->stats->dropped);
	else
		this_cpu_inc(dev->stats->delivered);
	trace_kvm_msix_deliver(dev->id, vec->index, address, data, result);
}

static int inject_inatomic(struct kvm *kvm,
			   struct kvm_kernel_irq_routing_entry *e)
{
	return host_call(kvm_arch_set_irq_inatomic)(e, kvm,
						    KVM_USERSPACE_IRQ_SOURCE_ID,
						    1, false);
}

/*
 * Return: false if KVM would have to visit each vCPU; then nothing was sent or
 * counted.
 */
static __always_inline bool send(struct kvm_msix_vec *vec,
				 const struct kvm_msix_entry *entry)
{
	struct kvm_msix_message *m;
	int r = -EINVAL;

	lockdep_assert_held(&vec->lock);

	m = message_of(vec, entry);
	if (likely(m->valid))
		r = inject_inatomic(vec->dev->kvm, &m->route);
	if (unlikely(r == -EWOULDBLOCK))
		return false;
	note_sent(vec, m->address, m->data, r);
	return true;
}

/*
 * The vector is pending until kvm_msix_settle().
 *
 * Return: whether it was already, as an event that finds it masked is told.
 */
static noinline enum kvm_msix_verdict defer(struct kvm_msix_vec *vec)
{
	lockdep_assert_held(&vec->lock);

	WRITE_ONCE(vec->deferred, vec->deferred | KVM_MSIX_DEFERRED);
	return kvm_msix_latch(&vec->dev->core, vec->index);
}

/**
 * kvm_msix_settle_later - Have a work call kvm_msix_settle()
 * @vec: the vector
 *
 * Context: any; for those that must not sleep.
 */
void kvm_msix_settle_later(struct kvm_msix_vec *vec)
{
	if (unlikely(READ_ONCE(vec->deferred)))
		queue_work(system_highpri_wq, &vec->dev->settle_work);
}

/* The vector is pending and masked; in a mapped table it may not be any more. */
static void await_unmask(struct kvm_msix_vec *vec)
{
	if (!kvm_msix_watch_latched(vec))
		return;
	kvm_msix_release_locked(vec);
	kvm_msix_settle_later(vec);
}

/* Send what was deferred, if it may still be sent. */
static void send_deferred(struct kvm_msix_vec *vec)
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
	m = *message_of(vec, &entry);
	/* Masked meanwhile: from now on it is pending like any other. */
	if (!due && kvm_msix_pending(core, vec->index))
		await_unmask(vec);
	spin_unlock_irqrestore(&vec->lock, flags);
	if (!due)
		return;

	this_cpu_inc(dev->stats->kicks);
	r = !m.valid ? -EINVAL :
	    host_call(kvm_set_msi)(&m.route, dev->kvm,
				   KVM_USERSPACE_IRQ_SOURCE_ID, 1, false);
	note_sent(vec, m.address, m.data, r);

	spin_lock_irqsave(&vec->lock, flags);
	WRITE_ONCE(vec->deferred, vec->deferred & ~KVM_MSIX_IN_FLIGHT);
	spin_unlock_irqrestore(&vec->lock, flags);
}

/**
 * kvm_msix_settle_deferred - Send what is deferred, wait for what is in flight
 * @vec: the vector
 *
 * See kvm_msix_settle().
 */
void kvm_msix_settle_deferred(struct kvm_msix_vec *vec)
{
	mutex_lock(&vec->dev->deferred_lock);
	send_deferred(vec);
	mutex_unlock(&vec->dev->deferred_lock);
}

/**
 * kvm_msix_settle_work - Settle all vectors
 * @work: the device's
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
 * kvm_msix_kick_locked - Send a message that was pending
 * @vec: the vector
 * @entry: its entry, of which the core has said KVM_MSIX_SEND
 *
 * Context: @vec->lock; kvm_msix_settle() is to follow, now or later.
 */
void kvm_msix_kick_locked(struct kvm_msix_vec *vec,
			  const struct kvm_msix_entry *entry)
{
	if (send(vec, entry))
		this_cpu_inc(vec->dev->stats->kicks);
	else
		defer(vec);
}

/**
 * kvm_msix_release_locked - Send a vector's pending message if it may be sent
 * @vec: the vector
 *
 * Context: as kvm_msix_kick_locked().
 */
void kvm_msix_release_locked(struct kvm_msix_vec *vec)
{
	struct kvm_msix_core *core = &vec->dev->core;
	struct kvm_msix_entry entry;

	lockdep_assert_held(&vec->lock);

	entry = kvm_msix_get_entry(core, vec->index);
	if (kvm_msix_release_pending(core, vec->index, &entry))
		kvm_msix_kick_locked(vec, &entry);
}

static void note_latched(struct kvm_msix_vec *vec,
			 enum kvm_msix_verdict verdict)
{
	struct kvm_msix_device *dev = vec->dev;
	bool coalesced = verdict == KVM_MSIX_EVENT_COALESCED;

	if (coalesced)
		this_cpu_inc(dev->stats->coalesced);
	else
		this_cpu_inc(dev->stats->latched);
	trace_kvm_msix_latch(dev->id, vec->index, coalesced);
}

static __always_inline void event_locked(struct kvm_msix_vec *vec)
{
	struct kvm_msix_device *dev = vec->dev;
	u32 v = vec->index;
	struct kvm_msix_entry entry = kvm_msix_get_entry(&dev->core, v);
	enum kvm_msix_verdict verdict;

	this_cpu_inc(dev->stats->events);
	trace_kvm_msix_event(dev->id, v);
	verdict = kvm_msix_event(&dev->core, v, &entry);
	if (likely(verdict == KVM_MSIX_EVENT_SEND)) {
		if (likely(send(vec, &entry)))
			return;
		note_latched(vec, defer(vec));
		kvm_msix_settle_later(vec);
		return;
	}
	note_latched(vec, verdict);
	if (verdict == KVM_MSIX_EVENT_LATCHED)
		await_unmask(vec);
}

/* The lock of the eventfd's wait queue is held, which was taken irqs off. */
static __always_inline void event(struct kvm_msix_vec *vec)
{
	spin_lock(&vec->lock);
	event_locked(vec);
	spin_unlock(&vec->lock);
}

/*
 * Called with the eventfd's wqh->lock held, from whatever context signals: with
 * interrupts disabled, but on PREEMPT_RT.
 */
static int wakeup(wait_queue_entry_t *wait, unsigned int mode, int sync,
		  void *key)
{
	struct kvm_msix_hook *hook =
		container_of(wait, struct kvm_msix_hook, wait);
	u64 count;

	lockdep_assert_held(&hook->wqh->lock);

	/* EPOLLHUP is not for us: a device may signal after the last close. */
	if (!hook->live || !(key_to_poll(key) & EPOLLIN))
		return 0;

	eventfd_ctx_do_read(hook->eventfd, &count);
	event(hook->vec);
	return 1;
}

/*
 * Take the first place on the eventfd's wait queue, as KVM's irqfd does, and
 * refuse if somebody has it: only one can consume the signals.
 */
static void queue_hook(struct file *file, wait_queue_head_t *wqh,
		       poll_table *poll)
{
	struct kvm_msix_hook *hook =
		container_of(poll, struct kvm_msix_hook, poll);
	wait_queue_entry_t *first;

	spin_lock_irq(&wqh->lock);
	first = list_first_entry_or_null(&wqh->head, wait_queue_entry_t, entry);
	if (first && (first->flags & WQ_FLAG_PRIORITY)) {
		hook->err = -EBUSY;
	} else {
		hook->err = 0;
		hook->wqh = wqh;
		hook->wait.flags |= WQ_FLAG_EXCLUSIVE | WQ_FLAG_PRIORITY;
		__add_wait_queue(wqh, &hook->wait);
	}
	spin_unlock_irq(&wqh->lock);
}

/**
 * kvm_msix_hook - Reserve an eventfd for a vector
 * @vec: the vector
 * @fd: the eventfd
 *
 * Signals stay in the eventfd until kvm_msix_hook_start().
 *
 * Context: dev->lock.
 * Return: the hook; the one that @vec has if it is on this eventfd already;
 * ERR_PTR: -EBADF, -EINVAL (no eventfd), -EBUSY (somebody else's), -ENOMEM.
 */
struct kvm_msix_hook *kvm_msix_hook(struct kvm_msix_vec *vec, int fd)
{
	struct kvm_msix_hook *hook;
	int err;

	lockdep_assert_held(&vec->dev->lock);

	hook = kzalloc(sizeof(*hook), KVM_MSIX_GFP);
	if (!hook)
		return ERR_PTR(-ENOMEM);

	hook->file = fget(fd);
	if (!hook->file) {
		err = -EBADF;
		goto err_free;
	}
	hook->eventfd = eventfd_ctx_fileget(hook->file);
	if (IS_ERR(hook->eventfd)) {
		err = PTR_ERR(hook->eventfd);
		goto err_fput;
	}
	if (vec->hook && vec->hook->eventfd == hook->eventfd) {
		err = 0;
		goto err_put;
	}

	hook->vec = vec;
	hook->err = -EINVAL;	/* a file that has no wait queue is no eventfd */
	init_waitqueue_func_entry(&hook->wait, wakeup);
	init_poll_funcptr(&hook->poll, queue_hook);
	vfs_poll(hook->file, &hook->poll);
	if (hook->err) {
		err = hook->err;
		goto err_put;
	}
	return hook;

err_put:
	eventfd_ctx_put(hook->eventfd);
err_fput:
	fput(hook->file);
err_free:
	kfree(hook);
	return err ? ERR_PTR(err) : vec->hook;
}

/**
 * kvm_msix_hook_start - From now on the eventfd's signals are events
 * @hook: from kvm_msix_hook(), not started
 *
 * What was signalled before is one event now. eventfd_poll() is a read of the
 * counter, which cannot change while its wait queue is locked.
 */
void kvm_msix_hook_start(struct kvm_msix_hook *hook)
{
	u64 count;

	spin_lock_irq(&hook->wqh->lock);
	hook->live = true;
	if (vfs_poll(hook->file, NULL) & EPOLLIN) {
		eventfd_ctx_do_read(hook->eventfd, &count);
		event(hook->vec);
		/* Who found the counter full has been waiting for this. */
		wake_up_locked_poll(hook->wqh, EPOLLOUT);
	}
	spin_unlock_irq(&hook->wqh->lock);

	fput(hook->file);
	hook->file = NULL;
}

/**
 * kvm_msix_unhook - Let go of an eventfd
 * @hook: from kvm_msix_hook(), started or not; gone afterwards
 *
 * Taking the hook off the wait queue waits for a callback under way. Signals
 * that are not consumed remain in the eventfd for its next owner, so this is
 * not eventfd_ctx_remove_wait_queue(), which would swallow them.
 */
void kvm_msix_unhook(struct kvm_msix_hook *hook)
{
	remove_wait_queue(hook->wqh, &hook->wait);
	if (hook->file)
		fput(hook->file);
	eventfd_ctx_put(hook->eventfd);
	kfree(hook);
}
