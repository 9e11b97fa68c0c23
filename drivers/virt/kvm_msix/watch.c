// SPDX-License-Identifier: GPL-2.0-only
/*
 * A table that is the guest's memory: how the module learns of a write that
 * nobody traps.
 *
 * An entry is looked at when an event comes, so most writes need no notice. But
 * a guest that unmasks a vector which is pending, or changes one whose route is
 * in KVM's table, has to be heard at once. For as long as there is such a vector
 * the table's pages are watched: KVM's write tracking makes each write an exit,
 * which ends in the kernel, and calls kvm_msix_guest_wrote() when it is done.
 *
 * Always true here:
 *  - Pages are watched before the entries are looked at again: a write that came
 *    before is seen then, a later one is told. So it is with an event as well,
 *    which sets its pending bit first, then asks whether the watch is on, and if
 *    it is, looks at its entry once more; if not, the work does, when it has put
 *    the watch on.
 *  - The watch is declared off before the last look for pending bits, and the
 *    pages are let go after it. An event that comes meanwhile either is seen by
 *    that look or finds the watch off.
 *  - What is tracked and what watch->tracked says is the same, under
 *    kvm->slots_lock: KVM forgets a page's tracking with its slot, and says so
 *    under that lock. Tracking is taken from no page that does not have it.
 *  - The watch stays for a while after it is needed. A guest that is interrupted
 *    while it masks, again and again, would pay for putting it on each time.
 */
#include <linux/kvm_msix.h>
#include <linux/workqueue.h>

#include "compat/page_track.h"
#include "hostsyms.h"
#include "kvm_msix.h"
#include "trace.h"

/* For how long the watch stays on after the last pending bit is gone. */
#define LINGER	msecs_to_jiffies(100)

/*
 * A watched write is emulated. KVM cannot do so where it has no access to the
 * guest's registers (SEV-ES): it would have the guest try again, for ever.
 */
static bool can_watch(struct kvm *kvm)
{
	int i;

	for (i = 0; i < atomic_read(&kvm->online_vcpus); i++)
		if (kvm_get_vcpu(kvm, i)->arch.guest_state_protected)
			return false;
	return true;
}

/**
 * kvm_msix_watch_check - May the table be located in guest memory?
 * @dev: the device
 * @where: the ioctl's argument, with KVM_MSIX_LOCATE_MAPPED
 *
 * Context: dev->lock.
 * Return: 0, -EINVAL, -ENOMEM
 */
int kvm_msix_watch_check(struct kvm_msix_device *dev,
			 const struct kvm_msix_locate *where)
{
	struct kvm_msix_watch *watch = &dev->watch;
	u64 gpa = where->table_gpa - dev->table_offset;
	int err;
	u32 i;

	if (!dev->map_pages || !(where->flags & KVM_MSIX_LOCATE_TABLE) ||
	    !PAGE_ALIGNED(gpa) || !can_watch(dev->kvm))
		return -EINVAL;
	if (dev->flags & KVM_MSIX_CREATE_MMAP_PBA &&
	    where->flags & KVM_MSIX_LOCATE_PBA &&
	    where->pba_gpa != gpa + dev->pba_offset)
		return -EINVAL;
	for (i = 0; i < dev->map_pages; i++)
		if (!kvm_msix_is_mapped(dev, gpa_to_gfn(gpa) + i, i))
			return -EINVAL;

	if (watch->registered)
		return 0;
	err = kvm_msix_track_register(dev->kvm, &watch->node);
	watch->registered = !err;
	return err;
}

static gfn_t first_gfn(const struct kvm_msix_watch *watch)
{
	return gpa_to_gfn(watch->table_gpa);
}

static void untrack(struct kvm_msix_device *dev)
{
	struct kvm_msix_watch *watch = &dev->watch;
	u32 i;

	lockdep_assert_held(&dev->kvm->slots_lock);

	for_each_set_bit(i, &watch->tracked, dev->map_pages)
		kvm_msix_untrack_page(dev->kvm, first_gfn(watch) + i);
	watch->tracked = 0;
}

/*
 * A page that was MMIO before it was memory has left an MMIO SPTE, whose bits
 * make_spte() takes for those of a writable page, and so gives the guest a
 * writable page that is tracked (in 6.1 and 6.12; seen). Have KVM drop these SPTEs,
 * as it does when their generation number wraps: there will be no new ones, for
 * there is memory now.
 */
static void forget_mmio(struct kvm *kvm)
{
	lockdep_assert_held(&kvm->slots_lock);

	host_call(kvm_mmu_invalidate_mmio_sptes)(kvm, 0);
}

/**
 * kvm_msix_watch_move - Say where in guest memory the table is
 * @dev: the device
 * @table_gpa: its address, or KVM_MSIX_NOWHERE
 *
 * Context: dev->lock, kvm->slots_lock. kvm_msix_watch_update() is to follow.
 */
void kvm_msix_watch_move(struct kvm_msix_device *dev, u64 table_gpa)
{
	struct kvm_msix_watch *watch = &dev->watch;

	/* Of a slot that went, and left the watch off, the other pages are tracked. */
	if (watch->table_gpa != table_gpa || !watch->on) {
		WRITE_ONCE(watch->on, false);
		untrack(dev);
		WRITE_ONCE(watch->table_gpa, table_gpa);
	}
	if (table_gpa != KVM_MSIX_NOWHERE)
		forget_mmio(dev->kvm);
}

static bool any_gsi(const struct kvm_msix_device *dev)
{
	u32 v;

	for (v = 0; v < dev->core.nr; v++)
		if (READ_ONCE(dev->vecs[v].gsi) != KVM_MSIX_NO_GSI)
			return true;
	return false;
}

static bool any_pending(const struct kvm_msix_device *dev)
{
	u32 i;

	for (i = 0; i < BITS_TO_LONGS(dev->core.nr); i++)
		if (READ_ONCE(dev->core.pending[i]))
			return true;
	return false;
}

static bool needed(const struct kvm_msix_device *dev)
{
	return any_pending(dev) || any_gsi(dev);
}

static void put_on(struct kvm_msix_device *dev)
{
	struct kvm_msix_watch *watch = &dev->watch;
	u32 i;

	lockdep_assert_held(&dev->kvm->slots_lock);

	for (i = 0; i < dev->map_pages; i++)
		if (!test_bit(i, &watch->tracked) &&
		    !kvm_msix_track_page(dev->kvm, first_gfn(watch) + i))
			__set_bit(i, &watch->tracked);
	/* Where memory is missing, the guest's accesses trap all the same. */
	if (watch->on)
		return;
	WRITE_ONCE(watch->on, true);
	this_cpu_inc(dev->stats->watches);
	trace_kvm_msix_watch(dev->id, true);
}

static void take_off(struct kvm_msix_device *dev)
{
	struct kvm_msix_watch *watch = &dev->watch;

	lockdep_assert_held(&dev->kvm->slots_lock);

	if (!watch->on)
		return;
	WRITE_ONCE(watch->on, false);
	/* Pairs with the one in kvm_msix_watch_latched(). */
	smp_mb();
	if (needed(dev)) {
		WRITE_ONCE(watch->on, true);
		return;
	}
	untrack(dev);
	trace_kvm_msix_watch(dev->id, false);
}

static void look_again(struct kvm_msix_device *dev)
{
	struct kvm_msix_vec *vec;
	unsigned long flags;
	u32 v;

	for (v = 0; v < dev->core.nr; v++) {
		if (!kvm_msix_pending(&dev->core, v))
			continue;
		vec = &dev->vecs[v];
		spin_lock_irqsave(&vec->lock, flags);
		kvm_msix_release_locked(vec);
		spin_unlock_irqrestore(&vec->lock, flags);
		cond_resched();
	}
	if (any_gsi(dev))
		kvm_msix_route_sync(dev, 0, dev->core.nr);
}

/* Put it on or take it off. Return: whether it is needed. */
static bool decide(struct kvm_msix_device *dev, bool may_end)
{
	struct kvm_msix_watch *watch = &dev->watch;
	bool need;

	lockdep_assert_held(&dev->kvm->slots_lock);

	/* Where the table is before what is pending; pairs likewise. */
	smp_mb();
	need = needed(dev);
	if (need && watch->table_gpa != KVM_MSIX_NOWHERE)
		put_on(dev);
	else if (!need && may_end)
		take_off(dev);
	return need;
}

/* What comes after that, without kvm->slots_lock. */
static void follow_up(struct kvm_msix_device *dev, bool need)
{
	struct kvm_msix_watch *watch = &dev->watch;

	if (need)
		look_again(dev);
	/*
	 * It is on for nothing if a write has taken the last pending bit out before
	 * that was said. Pairs with the one in kvm_msix_watch_released().
	 */
	smp_mb();
	if (READ_ONCE(watch->on) && !needed(dev))
		queue_delayed_work(system_highpri_wq, &watch->work, LINGER);
}

/*
 * The work queue is everybody's, and who has the lock may be waiting for a vCPU,
 * which may be waiting for userspace. So this does not wait, but comes back, and
 * ever less often: a VM can have many functions.
 */
static void work(struct work_struct *work)
{
	struct kvm_msix_device *dev =
		container_of(work, struct kvm_msix_device, watch.work.work);
	struct kvm_msix_watch *watch = &dev->watch;
	bool need;

	if (!mutex_trylock(&dev->kvm->slots_lock)) {
		watch->retry = clamp(2 * watch->retry, 1, LINGER);
		queue_delayed_work(system_highpri_wq, &watch->work, watch->retry);
		return;
	}
	watch->retry = 0;
	need = decide(dev, true);
	mutex_unlock(&dev->kvm->slots_lock);
	follow_up(dev, need);
}

/**
 * kvm_msix_watch_update - Watch, if it is needed, and look at everything again
 * @dev: the device
 *
 * After each ioctl that may have changed what the watch depends on. Also where
 * the table was guest memory until now: nobody saw the last writes. Not where it
 * never was: all has been seen there.
 *
 * Context: dev->lock.
 */
void kvm_msix_watch_update(struct kvm_msix_device *dev)
{
	bool need;

	lockdep_assert_held(&dev->lock);

	if (!dev->watch.registered)
		return;
	mutex_lock(&dev->kvm->slots_lock);
	need = decide(dev, false);
	mutex_unlock(&dev->kvm->slots_lock);
	follow_up(dev, need);
}

/**
 * kvm_msix_watch_latched - A vector has become pending
 * @vec: the vector
 *
 * Context: @vec->lock, irqs off.
 */
void kvm_msix_watch_latched(struct kvm_msix_vec *vec)
{
	struct kvm_msix_watch *watch = &vec->dev->watch;

	/* The pending bit before the watch. Pairs with take_off() and decide(). */
	smp_mb__after_atomic();
	if (READ_ONCE(watch->table_gpa) == KVM_MSIX_NOWHERE)
		return;
	if (READ_ONCE(watch->on))
		kvm_msix_release_locked(vec);
	else
		mod_delayed_work(system_highpri_wq, &watch->work, 0);
}

/**
 * kvm_msix_watch_released - A vector is pending no more
 * @dev: the device
 *
 * Context: the vector's lock, irqs off.
 */
void kvm_msix_watch_released(struct kvm_msix_device *dev)
{
	struct kvm_msix_watch *watch = &dev->watch;

	/* The pending bit before the watch. Pairs with the one in follow_up(). */
	smp_mb__after_atomic();
	if (READ_ONCE(watch->on) && !any_pending(dev))
		queue_delayed_work(system_highpri_wq, &watch->work, LINGER);
}

/**
 * kvm_msix_guest_wrote - The guest has written to a page that somebody tracks
 * @node: the device's
 * @gpa: first byte written
 * @bytes: number of bytes
 *
 * Context: the vCPU's thread in a reader of kvm->srcu; may sleep.
 */
void kvm_msix_guest_wrote(struct kvm_page_track_notifier_node *node, gpa_t gpa,
			  int bytes)
{
	struct kvm_msix_device *dev =
		container_of(node, struct kvm_msix_device, watch.node);
	u64 table = READ_ONCE(dev->watch.table_gpa);
	u32 size = kvm_msix_table_size(dev->core.nr);
	struct kvm_msix_vec *vec;
	u32 v, end;

	if (table == KVM_MSIX_NOWHERE || gpa + bytes <= table ||
	    gpa >= table + size)
		return;

	this_cpu_inc(dev->stats->writes);
	v = gpa > table ? (gpa - table) / PCI_MSIX_ENTRY_SIZE : 0;
	end = DIV_ROUND_UP(min_t(u64, gpa + bytes - table, size),
			   PCI_MSIX_ENTRY_SIZE);
	for (v = array_index_nospec(v, dev->core.nr); v < end; v++) {
		vec = &dev->vecs[v];
		spin_lock_irq(&vec->lock);
		kvm_msix_release_locked(vec);
		spin_unlock_irq(&vec->lock);
		if (READ_ONCE(vec->gsi) != KVM_MSIX_NO_GSI)
			kvm_msix_route_sync(dev, v, 1);
	}
}

/**
 * kvm_msix_slot_gone - A memory slot goes, and with it what was tracked of it
 * @node: the device's
 * @gfn: first page
 * @npages: number of pages
 *
 * Nobody says of which address space it was. Pages are tracked in that which is
 * not SMM's: those that are still there are still tracked.
 *
 * Context: kvm->slots_lock.
 */
void kvm_msix_slot_gone(struct kvm_page_track_notifier_node *node, gfn_t gfn,
			unsigned long npages)
{
	struct kvm_msix_device *dev =
		container_of(node, struct kvm_msix_device, watch.node);
	struct kvm_msix_watch *watch = &dev->watch;
	gfn_t page;
	u32 i;

	lockdep_assert_held(&dev->kvm->slots_lock);

	for_each_set_bit(i, &watch->tracked, dev->map_pages) {
		page = first_gfn(watch) + i;
		if (page < gfn || page - gfn >= npages ||
		    kvm_is_visible_gfn(dev->kvm, page))
			continue;
		__clear_bit(i, &watch->tracked);
		WRITE_ONCE(watch->on, false);
	}
}

/* Nowhere, and not watching. */
void kvm_msix_watch_init(struct kvm_msix_device *dev)
{
	dev->watch.table_gpa = KVM_MSIX_NOWHERE;
	INIT_DELAYED_WORK(&dev->watch.work, work);
}

/* The table is nowhere, and no event comes any more. Waits for writes under way. */
void kvm_msix_watch_end(struct kvm_msix_device *dev)
{
	if (dev->watch.registered)
		kvm_msix_track_unregister(dev->kvm, &dev->watch.node);
	cancel_delayed_work_sync(&dev->watch.work);
}
