// SPDX-License-Identifier: GPL-2.0-only
/*
 * A mapped table: how the module notices the stores that matter.
 *
 * Most stores to a mapped table need no notice: an entry is read when its
 * vector has an event. There are two exceptions. The message of a pending
 * vector is sent as soon as the vector is unmasked, and the VMM of a lazy
 * function is told as soon as an unbound vector is unmasked. While a function
 * has such a vector, it awaits a store, and its table's pages are
 * write-protected: in every process that maps them and, through KVM's MMU
 * notifier, in the guest. The first store faults. ->page_mkwrite() starts a
 * timer and lets the page become writable, the CPU repeats the store, and the
 * timer looks at the entries. The pages are write-protected as well while a
 * vector is posted (post.c): any store may concern that vector, so
 * ->page_mkwrite() remaps the vector first.
 *
 *	state      pages                       is left for
 *	OPEN       stores go unseen            LOOKING by an event that finds its
 *	                                       vector masked; PROTECTED by the work
 *	                                       if an ioctl has left a store awaited
 *	                                       or a vector is to be posted
 *	LOOKING    stores go unseen; the timer OPEN if no store is awaited any more;
 *	           looks, ever less often      PROTECTED by the work, after the last
 *	                                       look
 *	PROTECTED  the next store faults, but  LOOKING by a store that faults; SEALED
 *	           for late stores (below)     by the work, once none can be late
 *	SEALED     the next store faults       LOOKING by a store
 *
 * The timer also looks before the pages are protected: many guests unmask soon
 * after the event, and a look is cheaper than a fault. When no store is awaited
 * any more, the pages stay protected until the next store, which faults for
 * nothing.
 *
 * Always true here:
 *  - A store is either announced by ->page_mkwrite() in the state PROTECTED or
 *    SEALED, or seen by a look that begins after the store. These pair up:
 *
 *	store                       work                       event
 *	  lock the page               state = PROTECTED          set pending
 *	  state = LOOKING, start      lock the pages             PROTECTED or SEALED:
 *	    the timer                 unmap: what was stored       look again
 *	  make the page writable        unseen is visible        else: LOOKING,
 *	  unlock the page             unlock the pages             start the timer
 *	  repeat the store            look
 *
 *    The mm core holds the page's lock from ->page_mkwrite() until the page is
 *    writable. If a fault has read the state before PROTECTED was set, the
 *    unmap comes after that fault, and the page faults again.
 *  - An event sets the pending bit before it takes watch->lock; the timer sets
 *    OPEN under watch->lock after a last check that no pending bit is set.
 *    Either the event finds OPEN, or the check finds the bit.
 *  - A system call that looked a page up while the page was writable may store
 *    late, after the page is protected. The work looks once more when such a
 *    call should have finished, and keeps looking while a page is pinned. Then
 *    every store must fault, and the state is SEALED: vectors are posted in no
 *    other state. A page that is pinned for stores later has faulted for the
 *    pin.
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
 * Delays of the timer, in ns. The first is the time that a CPU takes to repeat
 * a store. Each further delay is twice as long if a vector is pending, and 16
 * times as long if only the unmask of an unbound vector is awaited: the device
 * keeps the interrupt of an unbound vector. After an event the last look comes
 * soon, as the vector may stay masked for long; after a store it comes late, so
 * that a guest which stores all the time does not fault all the time.
 */
#define WATCH_FIRST_LOOK	(4 * NSEC_PER_USEC)
#define WATCH_LAST_LOOK_EVENT	(WATCH_FIRST_LOOK << 1)
#define WATCH_LAST_LOOK_STORE	(WATCH_FIRST_LOOK << 12)
#define WATCH_PENDING_SHIFT	1
#define WATCH_UNBOUND_SHIFT	4

/* In jiffies: what a system call takes from looking a page up to its store. */
#define WATCH_LATE_LOOK		msecs_to_jiffies(20)

/* The timer looks at this many pending vectors at most, the work at all. */
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

/* Must the VMM be told when an unbound vector is unmasked? */
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
	mod_delayed_work(system_highpri_wq, &watch->work, 0);
}

/* Send the message of a vector that is pending and may send. */
static void watch_look_at(struct kvm_msix_vec *vec)
{
	unsigned long flags;

	spin_lock_irqsave(&vec->lock, flags);
	kvm_msix_release_locked(vec);
	spin_unlock_irqrestore(&vec->lock, flags);
}

/* Tell the VMM of unbound vectors that are unmasked, once for each unmask. */
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
	/* An event or a fault has restarted the timer, or the work protects. */
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
		return dev->watch.wanted || watch_awaits_store(dev);
	case KVM_MSIX_WATCH_LOOKING:
		/* Yes, after the timer's last look. */
		return !dev->watch.delay;
	case KVM_MSIX_WATCH_PROTECTED:
	case KVM_MSIX_WATCH_SEALED:
		return false;
	}
	return false;
}

/* Can a store to the protected pages still come without a fault? */
static bool watch_store_may_be_late(const struct kvm_msix_device *dev)
{
	bool late = time_before(jiffies,
				dev->watch.protected_at + WATCH_LATE_LOOK) ||
		    kvm_msix_map_pinned(dev);

	/*
	 * Pairs with the atomic decrement in unpin_user_page(), which comes
	 * after the store: if the page is not pinned here, the looks in
	 * watch_work() see the store, and so does post.c, once it finds the
	 * state SEALED.
	 */
	smp_rmb();
	return late;
}

static void watch_work(struct work_struct *work)
{
	struct kvm_msix_device *dev =
		container_of(work, struct kvm_msix_device, watch.work.work);
	struct kvm_msix_watch *watch = &dev->watch;
	bool protect, late;
	u32 v;

	spin_lock_irq(&watch->lock);
	protect = watch_wants_protection(dev);
	watch->wanted = false;
	if (protect)
		watch_set_state(dev, KVM_MSIX_WATCH_PROTECTED);
	spin_unlock_irq(&watch->lock);

	if (protect) {
		kvm_msix_map_protect(dev);
		this_cpu_inc(dev->stats->protected);
		watch->protected_at = jiffies;
	}
	late = watch_store_may_be_late(dev);
	if (!late) {
		spin_lock_irq(&watch->lock);
		/* If a store came meanwhile, the state is LOOKING. */
		if (watch->state == KVM_MSIX_WATCH_PROTECTED)
			watch_set_state(dev, KVM_MSIX_WATCH_SEALED);
		spin_unlock_irq(&watch->lock);
	}
	for (v = watch_next_pending(dev, 0); v < dev->core.nr;
	     v = watch_next_pending(dev, v + 1)) {
		watch_look_at(&dev->vecs[v]);
		kvm_msix_settle(&dev->vecs[v]);
		cond_resched();
	}
	watch_look_at_unbound(dev);
	if (late && watch_awaits_store(dev))
		queue_delayed_work(system_highpri_wq, &watch->work,
				   WATCH_LATE_LOOK);
}

/**
 * kvm_msix_watch_pending_locked - Await the unmask of a pending vector
 * @vec: the vector, which has just become pending
 *
 * Context: @vec->lock, irqs off.
 * Return: true if the caller must look at the entry again: the guest may have
 * unmasked the vector, unseen, before the pages were protected.
 */
bool kvm_msix_watch_pending_locked(struct kvm_msix_vec *vec)
{
	struct kvm_msix_watch *watch = &vec->dev->watch;
	bool protected;

	lockdep_assert_held(&vec->lock);

	if (!vec->dev->table_pages)
		return false;
	spin_lock(&watch->lock);
	protected = watch->state == KVM_MSIX_WATCH_PROTECTED ||
		    watch->state == KVM_MSIX_WATCH_SEALED;
	if (!protected)
		watch_start_looking(vec->dev, WATCH_LAST_LOOK_EVENT);
	spin_unlock(&watch->lock);
	return protected;
}

/**
 * kvm_msix_watch_store - Announce a store to a page of the table
 * @dev: the device
 *
 * While LOOKING, each page of the table faults once and restarts the timer.
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
 * kvm_msix_watch_announces - Is every store announced before it is made?
 * @dev: the device, which can be mapped
 *
 * Context: post->lock, which map_page_mkwrite() takes after announcing a store.
 * Return: 0 if so; -EAGAIN: not yet, but soon if no store comes; -EBUSY: a
 * store has just come, or a pinned page lets stores come without a fault.
 */
int kvm_msix_watch_announces(struct kvm_msix_device *dev)
{
	struct kvm_msix_watch *watch = &dev->watch;
	int err = -EAGAIN;

	spin_lock_irq(&watch->lock);
	if (watch->state == KVM_MSIX_WATCH_SEALED) {
		err = 0;
	} else if (watch->state == KVM_MSIX_WATCH_LOOKING ||
		   kvm_msix_map_pinned(dev)) {
		err = -EBUSY;
	} else {
		watch->wanted = true;
		/* If a late look is queued, the work keeps its time. */
		queue_delayed_work(system_highpri_wq, &watch->work, 0);
	}
	spin_unlock_irq(&watch->lock);
	return err;
}

/**
 * kvm_msix_watch_update - Look at all entries, and await a store if need be
 * @dev: the device
 *
 * Called after each ioctl that may have changed which stores the function
 * awaits.
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
 * kvm_msix_watch_forget - Have the VMM told of a vector's next unmask
 * @vec: the vector; the VMM was told of earlier unmasks only
 *
 * Context: any.
 */
void kvm_msix_watch_forget(struct kvm_msix_vec *vec)
{
	if (vec->dev->watch.told)
		clear_bit(vec->index, vec->dev->watch.told);
}

/**
 * kvm_msix_watch_unbind - Do not tell the VMM of a vector that it unbinds
 * @vec: the vector
 *
 * A VMM that unbinds an unmasked vector knows that the vector is unmasked:
 * perhaps the host has no interrupt for the vector. If told of the vector, the
 * VMM would try again, for ever.
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
 * @unmask_eventfd: tells the VMM of unbound vectors, or NULL; on success the
 *	watch owns the reference
 *
 * Context: may sleep.
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
	INIT_DELAYED_WORK(&watch->work, watch_work);
	watch->protected_at = jiffies - WATCH_LATE_LOOK;
	kvm_msix_hrtimer_setup(&watch->timer, watch_timer, CLOCK_MONOTONIC,
			       HRTIMER_MODE_REL_SOFT);
	return 0;
}

/**
 * kvm_msix_watch_end - Stop the watch for good
 * @dev: the device, reset; no event and no mapping is left
 *
 * The timer may queue the work. The work and the device's settle_work start the
 * timer only for a pending vector, and after the reset no vector is pending.
 *
 * Context: may sleep; waits for the timer and the work.
 */
void kvm_msix_watch_end(struct kvm_msix_device *dev)
{
	struct kvm_msix_watch *watch = &dev->watch;

	hrtimer_cancel(&watch->timer);
	cancel_delayed_work_sync(&watch->work);
	bitmap_free(watch->told);
	if (watch->unmask_eventfd)
		eventfd_ctx_put(watch->unmask_eventfd);
}
