// SPDX-License-Identifier: GPL-2.0-only
/*
 * A mapped table: how the module learns of the stores that matter.
 *
 * A store to a mapped table needs no notice: an entry is read when its vector
 * has an event. There are two exceptions. A pending vector is sent as soon as it
 * is unmasked, and the VMM of a lazy function is told as soon as an unbound
 * vector is unmasked. While a function has such a vector, it awaits a store, and
 * its pages are write-protected: in every process that maps them and, through
 * KVM's MMU notifier, in the guest. The first store faults. ->page_mkwrite()
 * starts a timer and lets the page become writable, the CPU repeats the store,
 * and the timer looks at the entries.
 *
 *	state      pages                       is left for
 *	OPEN       stores go unseen            LOOKING by an event that finds its
 *	                                       vector masked; PROTECTED by the work
 *	                                       if an ioctl has left a store awaited
 *	LOOKING    stores go unseen; the timer OPEN if no store is awaited any more;
 *	           looks, ever less often      PROTECTED by the work, after the last
 *	                                       look
 *	PROTECTED  the next store faults       LOOKING by a store
 *
 * The timer looks before the pages are protected, too: many a guest unmasks at
 * once, and a look is cheaper than a fault. Nothing leaves PROTECTED when a store
 * is awaited no more: the next store does, by a fault for nothing.
 *
 * Always true here:
 *  - A store is either announced by ->page_mkwrite() in the state PROTECTED, or
 *    seen by a look that begins after it. These pair up:
 *
 *	store                       work                       event
 *	  lock the page               state = PROTECTED          set pending
 *	  PROTECTED -> LOOKING,       lock the pages             state PROTECTED:
 *	    start the timer           unmap: what was stored       look again
 *	  make the page writable        unseen is visible        else: LOOKING,
 *	  unlock the page             unlock the pages             start the timer
 *	  repeat the store            look
 *
 *    The mm core holds the page's lock from ->page_mkwrite() until the page is
 *    writable. Had a fault read the state before PROTECTED was set, the unmap
 *    comes after it and the page faults again.
 *  - A pending bit is set before watch->lock is taken, and OPEN is set under that
 *    lock after a last check that none is: an event finds the state that it left,
 *    or the check finds the bit.
 *  - A look takes one vector's lock at a time.
 */
#include <linux/eventfd.h>
#include <linux/hrtimer.h>
#include <linux/kvm_msix.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "compat/eventfd.h"
#include "compat/hrtimer.h"
#include "kvm_msix.h"
#include "trace.h"

/*
 * When the timer looks, in ns: at first after what a CPU takes to repeat a store.
 * Each further look is twice as far off where a vector is pending, and 16 times
 * where an unbound one is all that is awaited: the device keeps the interrupt of
 * an unbound vector. The last look comes soon after an event, whose vector may
 * stay masked for long, and late after a store, so that a guest which stores all
 * the time does not fault all the time.
 */
#define WATCH_FIRST_LOOK	(4 * NSEC_PER_USEC)
#define WATCH_LAST_LOOK_EVENT	(WATCH_FIRST_LOOK << 1)
#define WATCH_LAST_LOOK_STORE	(WATCH_FIRST_LOOK << 12)
#define WATCH_PENDING_SHIFT	1
#define WATCH_UNBOUND_SHIFT	4

/* Pending vectors that the timer looks at itself; the work has time for all. */
#define WATCH_TIMER_VECTORS	64

/* The first pending vector from @v on, or the number of vectors. */
static u32 watch_next_pending(const struct kvm_msix_device *dev, u32 v)
{
	unsigned long bits;

	while (v < dev->core.nr) {
		bits = READ_ONCE(dev->core.pending[BIT_WORD(v)]);
		bits >>= v % BITS_PER_LONG;
		if (bits)
			return v + __ffs(bits);
		v = round_down(v, BITS_PER_LONG) + BITS_PER_LONG;
	}
	return dev->core.nr;
}

static bool watch_any_pending(const struct kvm_msix_device *dev)
{
	return watch_next_pending(dev, 0) < dev->core.nr;
}

/* Has the function a vector that the VMM wants to hear of? */
static bool watch_any_unbound(const struct kvm_msix_device *dev)
{
	return dev->watch.unmask_eventfd &&
	       READ_ONCE(dev->core.control) & PCI_MSIX_FLAGS_ENABLE &&
	       READ_ONCE(dev->nr_bound) < dev->core.nr;
}

static bool watch_awaits_store(const struct kvm_msix_device *dev)
{
	return watch_any_pending(dev) || watch_any_unbound(dev);
}

static void watch_set_state(struct kvm_msix_device *dev,
			    enum kvm_msix_watch_state state)
{
	struct kvm_msix_watch *watch = &dev->watch;

	lockdep_assert_held(&watch->lock);

	if (watch->state == state)
		return;
	watch->state = state;
	trace_kvm_msix_watch(dev->id, state);
}

static void watch_start_timer(struct kvm_msix_watch *watch, u64 delay)
{
	lockdep_assert_held(&watch->lock);

	watch->delay = delay;
	hrtimer_start(&watch->timer, ns_to_ktime(delay), HRTIMER_MODE_REL_SOFT);
}

static void watch_start_looking(struct kvm_msix_device *dev, u64 last_look)
{
	watch_set_state(dev, KVM_MSIX_WATCH_LOOKING);
	dev->watch.last_look = last_look;
	watch_start_timer(&dev->watch, WATCH_FIRST_LOOK);
}

static void watch_queue_work(struct kvm_msix_watch *watch)
{
	queue_work(system_highpri_wq, &watch->work);
}

/* Send what a vector has pending, if it may be sent. */
static void watch_look_at(struct kvm_msix_vec *vec)
{
	unsigned long flags;

	spin_lock_irqsave(&vec->lock, flags);
	kvm_msix_release_locked(vec);
	spin_unlock_irqrestore(&vec->lock, flags);
}

/* Tell the VMM of the unbound vectors that are unmasked, of each once. */
static void watch_look_at_unbound(struct kvm_msix_device *dev)
{
	struct kvm_msix_watch *watch = &dev->watch;
	struct kvm_msix_entry *entry;
	bool tell = false;
	u32 v;

	if (!watch_any_unbound(dev))
		return;
	for (v = 0; v < dev->core.nr; v++) {
		if (test_bit(v, dev->bound))
			continue;
		entry = &dev->core.table[v];
		if (READ_ONCE(entry->control) & PCI_MSIX_ENTRY_CTRL_MASKBIT)
			clear_bit(v, watch->told);
		else if (!test_and_set_bit(v, watch->told))
			tell = true;
	}
	if (!tell)
		return;
	this_cpu_inc(dev->stats->told);
	kvm_msix_eventfd_signal(watch->unmask_eventfd);
}

/* Return: whether the timer has looked at all pending vectors. */
static bool watch_timer_look(struct kvm_msix_device *dev)
{
	u32 v = watch_next_pending(dev, 0), n;

	for (n = 0; n < WATCH_TIMER_VECTORS && v < dev->core.nr; n++) {
		watch_look_at(&dev->vecs[v]);
		kvm_msix_settle_later(&dev->vecs[v]);
		v = watch_next_pending(dev, v + 1);
	}
	return v == dev->core.nr;
}

static enum hrtimer_restart watch_timer(struct hrtimer *timer)
{
	struct kvm_msix_device *dev =
		container_of(timer, struct kvm_msix_device, watch.timer);
	struct kvm_msix_watch *watch = &dev->watch;
	bool unbound, pending, all;
	unsigned long flags;

	all = watch_timer_look(dev);

	spin_lock_irqsave(&watch->lock, flags);
	/* Another event or fault has started the timer anew, or the work protects. */
	if (watch->state != KVM_MSIX_WATCH_LOOKING || hrtimer_is_queued(timer))
		goto out;

	pending = watch_any_pending(dev);
	unbound = watch_any_unbound(dev);
	if (!pending && !unbound) {
		watch_set_state(dev, KVM_MSIX_WATCH_OPEN);
		goto out;
	}
	if (watch->delay < watch->last_look)
		watch_start_timer(watch, watch->delay <<
				  (pending ? WATCH_PENDING_SHIFT :
					     WATCH_UNBOUND_SHIFT));
	else
		watch->delay = 0;
	if (!watch->delay || unbound || !all)
		watch_queue_work(watch);
out:
	spin_unlock_irqrestore(&watch->lock, flags);
	return HRTIMER_NORESTART;
}

/* Should the work protect the pages now? */
static bool watch_wants_protection(const struct kvm_msix_device *dev)
{
	switch (dev->watch.state) {
	case KVM_MSIX_WATCH_OPEN:
		return watch_awaits_store(dev);
	case KVM_MSIX_WATCH_PROTECTED:
		return false;
	case KVM_MSIX_WATCH_LOOKING:
		/* The timer has looked for the last time. */
		return !dev->watch.delay;
	}
	return false;
}

static void watch_work(struct work_struct *work)
{
	struct kvm_msix_device *dev =
		container_of(work, struct kvm_msix_device, watch.work);
	struct kvm_msix_watch *watch = &dev->watch;
	bool protect;
	u32 v;

	spin_lock_irq(&watch->lock);
	protect = watch_wants_protection(dev);
	if (protect)
		watch_set_state(dev, KVM_MSIX_WATCH_PROTECTED);
	spin_unlock_irq(&watch->lock);

	if (protect) {
		this_cpu_inc(dev->stats->protected);
		kvm_msix_map_protect(dev);
	}
	for (v = watch_next_pending(dev, 0); v < dev->core.nr;
	     v = watch_next_pending(dev, v + 1)) {
		watch_look_at(&dev->vecs[v]);
		kvm_msix_settle(&dev->vecs[v]);
		cond_resched();
	}
	watch_look_at_unbound(dev);
}

/**
 * kvm_msix_watch_latched - A vector has become pending
 * @vec: the vector
 *
 * Context: @vec->lock, irqs off.
 * Return: whether the caller has to look at the entry again: the guest may have
 * unmasked the vector, unseen, before the pages were protected.
 */
bool kvm_msix_watch_latched(struct kvm_msix_vec *vec)
{
	struct kvm_msix_watch *watch = &vec->dev->watch;
	bool protected;

	lockdep_assert_held(&vec->lock);

	if (!vec->dev->table_pages)
		return false;
	spin_lock(&watch->lock);
	protected = watch->state == KVM_MSIX_WATCH_PROTECTED;
	if (!protected)
		watch_start_looking(vec->dev, WATCH_LAST_LOOK_EVENT);
	spin_unlock(&watch->lock);
	return protected;
}

/**
 * kvm_msix_watch_store - A store to a page of the table is about to be made
 * @dev: the device
 *
 * Each page of the table faults once while LOOKING, and has the timer begin anew.
 *
 * Context: the page's lock, which is held until the page is writable.
 */
void kvm_msix_watch_store(struct kvm_msix_device *dev)
{
	struct kvm_msix_watch *watch = &dev->watch;

	spin_lock_irq(&watch->lock);
	if (watch->state != KVM_MSIX_WATCH_OPEN) {
		this_cpu_inc(dev->stats->faults);
		watch_start_looking(dev, WATCH_LAST_LOOK_STORE);
	}
	spin_unlock_irq(&watch->lock);
}

/**
 * kvm_msix_watch_update - Look at all entries, and await a store if need be
 * @dev: the device
 *
 * After each ioctl that may have changed what the function awaits.
 *
 * Context: dev->lock.
 */
void kvm_msix_watch_update(struct kvm_msix_device *dev)
{
	lockdep_assert_held(&dev->lock);

	if (dev->table_pages && watch_awaits_store(dev))
		watch_queue_work(&dev->watch);
}

/**
 * kvm_msix_watch_forget - The VMM is to be told of a vector again
 * @vec: the vector: its next unmask is another one than the VMM was told of
 *
 * Context: any.
 */
void kvm_msix_watch_forget(struct kvm_msix_vec *vec)
{
	if (vec->dev->watch.told)
		clear_bit(vec->index, vec->dev->watch.told);
}

/**
 * kvm_msix_watch_unbind - The VMM is about to unbind a vector
 * @vec: the vector
 *
 * A VMM that unbinds an unmasked vector knows it: perhaps the host has no
 * interrupt for it. Were it told, it would try again, for ever.
 *
 * Context: dev->lock.
 */
void kvm_msix_watch_unbind(struct kvm_msix_vec *vec)
{
	const struct kvm_msix_core *core = &vec->dev->core;

	if (vec->dev->watch.told &&
	    !(READ_ONCE(core->table[vec->index].control) &
	      PCI_MSIX_ENTRY_CTRL_MASKBIT))
		set_bit(vec->index, vec->dev->watch.told);
}

/**
 * kvm_msix_watch_init - Set up the watch of a device that can be mapped
 * @dev: the device
 * @unmask_eventfd: to tell the VMM of unbound vectors by, or NULL; if this
 *	succeeds, the watch owns the reference
 *
 * Return: 0 or -ENOMEM.
 */
int kvm_msix_watch_init(struct kvm_msix_device *dev,
			struct eventfd_ctx *unmask_eventfd)
{
	struct kvm_msix_watch *watch = &dev->watch;

	if (unmask_eventfd) {
		watch->told = bitmap_zalloc(dev->core.nr, KVM_MSIX_GFP);
		if (!watch->told)
			return -ENOMEM;
	}
	watch->unmask_eventfd = unmask_eventfd;
	spin_lock_init(&watch->lock);
	INIT_WORK(&watch->work, watch_work);
	kvm_msix_hrtimer_setup(&watch->timer, watch_timer, CLOCK_MONOTONIC,
			       HRTIMER_MODE_REL_SOFT);
	return 0;
}

/**
 * kvm_msix_watch_end - Stop the watch for good
 * @dev: the device; no event and no mapping is left
 *
 * The timer may queue the work, never the other way round.
 */
void kvm_msix_watch_end(struct kvm_msix_device *dev)
{
	struct kvm_msix_watch *watch = &dev->watch;

	hrtimer_cancel(&watch->timer);
	cancel_work_sync(&watch->work);
	bitmap_free(watch->told);
	if (watch->unmask_eventfd)
		eventfd_ctx_put(watch->unmask_eventfd);
}
