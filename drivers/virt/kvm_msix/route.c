// SPDX-License-Identifier: GPL-2.0-only
/*
 * The routes of vectors that have a GSI, kept in KVM's own routing table.
 *
 * Always true here:
 *  - A GSI bound to a vector is the vector's alone. After each change, made
 *    under vm->lock, KVM's table has for that GSI the vector's message if the
 *    vector may send, and nothing if not.
 *  - One entry is changed at a time: readers walk a GSI's list within irq_srcu
 *    or under irq_lock, so a list is changed under irq_lock by RCU's rules and
 *    what was taken off is freed after readers are gone. Nobody waits for that,
 *    save who has made MAX_DEAD of them.
 *  - No pointer to an entry is kept. KVM frees every entry of its table when
 *    the VMM sets a new one, ours too; so ours are plain kmalloc objects of
 *    KVM's own type, and their @set is KVM's own function: kvm_set_irq()
 *    copies entries and calls it outside of irq_srcu, where no unload of this
 *    module could wait for it.
 */
#include <linux/list.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "hostsyms.h"
#include "kvm_msix.h"
#include "trace.h"

/* Entries that wait for their readers before a writer waits for them. */
#define MAX_DEAD	1024

/**
 * struct kvm_msix_vm - What the devices of one VM share
 * @node: in vms; protected by vms_lock
 * @users: number of devices; protected by vms_lock
 * @kvm: the VM; a reference
 * @lock: protects ownership of GSIs and the module's changes of routes
 * @gsis: GSI to struct kvm_msix_vec
 * @dead: entries taken off and not freed yet
 */
struct kvm_msix_vm {
	struct list_head node;
	unsigned int users;
	struct kvm *kvm;
	struct mutex lock;	/* see the lock order in kvm_msix.h */
	struct xarray gsis;
	atomic_t dead;
};

/* An entry that was taken off and waits for its readers. */
struct dead_entry {
	struct rcu_head rcu;
	struct kvm_msix_vm *vm;
	struct kvm_kernel_irq_routing_entry *entry;
};

static LIST_HEAD(vms);
static DEFINE_MUTEX(vms_lock);

static struct kvm_msix_vm *find_vm(struct kvm *kvm)
{
	struct kvm_msix_vm *vm;

	lockdep_assert_held(&vms_lock);

	list_for_each_entry(vm, &vms, node)
		if (vm->kvm == kvm)
			return vm;
	return NULL;
}

/**
 * kvm_msix_vm_get - The shared part of a VM's devices, made by the first
 * @kvm: the VM, alive
 *
 * Return: NULL if out of memory.
 */
struct kvm_msix_vm *kvm_msix_vm_get(struct kvm *kvm)
{
	struct kvm_msix_vm *vm;

	mutex_lock(&vms_lock);
	vm = find_vm(kvm);
	if (!vm) {
		vm = kzalloc(sizeof(*vm), KVM_MSIX_GFP);
		if (!vm)
			goto out;
		kvm_get_kvm(kvm);
		vm->kvm = kvm;
		mutex_init(&vm->lock);
		xa_init_flags(&vm->gsis, XA_FLAGS_ACCOUNT);
		list_add(&vm->node, &vms);
	}
	vm->users++;
out:
	mutex_unlock(&vms_lock);
	return vm;
}

/**
 * kvm_msix_vm_put - A device goes
 * @vm: from kvm_msix_vm_get(); the device owns no GSI any more
 *
 * After the last one no callback is pending on the VM's irq_srcu, which the VM
 * must not be destroyed with.
 */
void kvm_msix_vm_put(struct kvm_msix_vm *vm)
{
	mutex_lock(&vms_lock);
	if (--vm->users) {
		mutex_unlock(&vms_lock);
		return;
	}
	list_del(&vm->node);
	mutex_unlock(&vms_lock);

	srcu_barrier(&vm->kvm->irq_srcu);
	WARN_ON_ONCE(atomic_read(&vm->dead) || !xa_empty(&vm->gsis));
	xa_destroy(&vm->gsis);
	mutex_destroy(&vm->lock);
	kvm_put_kvm(vm->kvm);
	kfree(vm);
}

static struct kvm_irq_routing_table *table_of(struct kvm *kvm)
{
	return rcu_dereference_protected(kvm->irq_routing,
					 lockdep_is_held(&kvm->irq_lock));
}

static bool in_table(const struct kvm_irq_routing_table *table, int gsi)
{
	return gsi < table->nr_rt_entries;
}

static void free_dead(struct rcu_head *rcu)
{
	struct dead_entry *dead = container_of(rcu, struct dead_entry, rcu);

	atomic_dec(&dead->vm->dead);
	kfree(dead->entry);
	kfree(dead);
}

/* Free an entry, which is off its list, when its readers are gone. */
static void bury(struct kvm_msix_vm *vm,
		 struct kvm_kernel_irq_routing_entry *entry)
{
	struct dead_entry *dead;

	dead = kmalloc(sizeof(*dead), GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);
	dead->vm = vm;
	dead->entry = entry;
	atomic_inc(&vm->dead);
	call_srcu(&vm->kvm->irq_srcu, &dead->rcu, free_dead);
}

static bool same_message(const struct kvm_kernel_irq_routing_entry *a,
			 const struct kvm_kernel_irq_routing_entry *b)
{
	return a->type == b->type && a->msi.address_lo == b->msi.address_lo &&
	       a->msi.address_hi == b->msi.address_hi &&
	       a->msi.data == b->msi.data;
}

/* Take an entry off its list. */
static void take_off(struct kvm_msix_vm *vm,
		     struct kvm_kernel_irq_routing_entry *entry)
{
	hlist_del_rcu(&entry->link);
	bury(vm, entry);
}

static struct kvm_kernel_irq_routing_entry *first_of(struct hlist_head *list)
{
	return hlist_entry_safe(list->first,
				struct kvm_kernel_irq_routing_entry, link);
}

/*
 * Make a GSI's list hold exactly one entry with the message of @want, or
 * nothing if that is NULL. Whatever else is on it, by the VMM's own
 * KVM_SET_GSI_ROUTING, goes. While one message is replaced by another, a reader
 * finds one of them: with none an interrupt would be lost, with both it would be
 * two. Nor does the list get longer by it: kvm_irq_map_gsi() copies what it
 * finds to an array of KVM_NR_IRQCHIPS, and the VMM's can be as many.
 *
 * There is nobody to report a failure to: a guest's write must take effect. So
 * these few bytes are allocated without fail.
 *
 * Return: whether anything changed.
 */
static bool set_route(struct kvm_msix_vm *vm, int gsi,
		      const struct kvm_kernel_irq_routing_entry *want)
{
	struct kvm_irq_routing_table *table = table_of(vm->kvm);
	struct kvm_kernel_irq_routing_entry *old, *entry;
	struct hlist_node *next;
	struct hlist_head *list;
	bool changed = false;

	lockdep_assert_held(&vm->lock);

	if (!in_table(table, gsi))
		return false;
	list = &table->map[gsi];

	old = first_of(list);
	hlist_for_each_entry_safe(entry, next, list, link) {
		if (entry == old)
			continue;
		take_off(vm, entry);
		changed = true;
	}
	if (want ? old && same_message(old, want) : !old)
		return changed;

	if (!want) {
		take_off(vm, old);
		return true;
	}
	entry = kmalloc(sizeof(*entry), GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);
	*entry = *want;
	entry->gsi = gsi;
	entry->set = kvm_msix_set_msi;
	if (old) {
		hlist_replace_rcu(&old->link, &entry->link);
		bury(vm, old);
	} else {
		hlist_add_head_rcu(&entry->link, list);
	}
	return true;
}

/*
 * A device with a GSI cannot be mapped, nor a mapped one have a GSI: the route of
 * a GSI follows every write to the table, and those to a mapped one go unseen.
 */
static int gsi_take(struct kvm_msix_vec *vec, int gsi)
{
	int err;

	if (!atomic_dec_unless_positive(&vec->dev->mapped))
		return -EBUSY;
	err = xa_insert(&vec->dev->vm->gsis, gsi, vec, KVM_MSIX_GFP);
	if (err)
		atomic_inc(&vec->dev->mapped);
	return err;
}

static void gsi_give(struct kvm_msix_vec *vec, int gsi)
{
	xa_erase(&vec->dev->vm->gsis, gsi);
	atomic_inc(&vec->dev->mapped);
}

/* The vector's bind is done: it has its new GSI. Return: whether it is another. */
static bool switch_gsi(struct kvm_msix_vec *vec)
{
	struct kvm_msix_device *dev = vec->dev;
	struct kvm_msix_vm *vm = dev->vm;

	if (vec->gsi == vec->next_gsi)
		return false;
	if (vec->gsi != KVM_MSIX_NO_GSI) {
		set_route(vm, vec->gsi, NULL);
		gsi_give(vec, vec->gsi);
		trace_kvm_msix_route(dev->id, vec->index, vec->gsi, false);
	}
	WRITE_ONCE(vec->gsi, vec->next_gsi);
	return true;
}

/* Make the route of one vector true. Return: whether anything changed. */
static bool sync_one(struct kvm_msix_vec *vec)
{
	struct kvm_msix_device *dev = vec->dev;
	const struct kvm_kernel_irq_routing_entry *message;
	struct kvm_kernel_irq_routing_entry want;
	unsigned long flags;

	if (vec->gsi == KVM_MSIX_NO_GSI)
		return false;

	spin_lock_irqsave(&vec->lock, flags);
	message = kvm_msix_message(vec);
	if (message)
		want = *message;
	spin_unlock_irqrestore(&vec->lock, flags);
	if (!set_route(dev->vm, vec->gsi, message ? &want : NULL))
		return false;
	trace_kvm_msix_route(dev->id, vec->index, vec->gsi, message);
	return true;
}

static void sync(struct kvm_msix_device *dev, u32 first, u32 count, bool bound)
{
	struct kvm_msix_vm *vm = dev->vm;
	struct kvm *kvm = vm->kvm;
	bool changed = false;
	u32 v;

	mutex_lock(&vm->lock);
	/* A guest in a hurry shall not fill the memory with the dead. */
	if (atomic_read(&vm->dead) >= MAX_DEAD)
		srcu_barrier(&kvm->irq_srcu);

	mutex_lock(&kvm->irq_lock);
	for (v = first; v < first + count; v++) {
		if (bound)
			changed |= switch_gsi(&dev->vecs[v]);
		changed |= sync_one(&dev->vecs[v]);
	}
	if (changed)
		host_call(kvm_irq_routing_update)(kvm);
	mutex_unlock(&kvm->irq_lock);
	mutex_unlock(&vm->lock);
}

/**
 * kvm_msix_route_sync - Bring routes up to what their vectors say now
 * @dev: the device
 * @first: first vector
 * @count: number of vectors
 *
 * Whoever changes a vector that has a GSI calls this afterwards; as each call
 * looks at the vector anew under vm->lock, the last one has the last word. A
 * bind that is under way, and may yet fail, is none of its business.
 *
 * Context: may sleep. May be within a reader of kvm->srcu.
 */
void kvm_msix_route_sync(struct kvm_msix_device *dev, u32 first, u32 count)
{
	sync(dev, first, count, false);
}

/**
 * kvm_msix_gsi_commit - Complete what kvm_msix_gsi_reserve() began
 * @dev: the device
 * @first: first vector
 * @count: number of vectors
 *
 * Context: dev->lock.
 */
void kvm_msix_gsi_commit(struct kvm_msix_device *dev, u32 first, u32 count)
{
	lockdep_assert_held(&dev->lock);

	sync(dev, first, count, true);
}

static struct kvm_irq_routing_table *alloc_table(u32 nr_gsis)
{
	struct kvm_irq_routing_table *table;

	table = kzalloc(struct_size(table, map, nr_gsis), KVM_MSIX_GFP);
	if (table)
		table->nr_rt_entries = nr_gsis;
	return table;
}

/*
 * Put a larger, empty table in place of KVM's, with all of its entries: they
 * are on the old table's lists and on the new one's until the old one is gone.
 * Readers only walk forward, so they find them from either.
 *
 * Whether it is larger is only known here: the VMM may set a table at any time.
 * What is not needed is freed.
 */
static void grow_table(struct kvm *kvm, struct kvm_irq_routing_table *new)
{
	struct kvm_irq_routing_table *old;
	u32 gsi;

	mutex_lock(&kvm->irq_lock);
	old = table_of(kvm);
	if (old->nr_rt_entries >= new->nr_rt_entries) {
		mutex_unlock(&kvm->irq_lock);
		kfree(new);
		return;
	}
	memcpy(new->chip, old->chip, sizeof(new->chip));
	for (gsi = 0; gsi < old->nr_rt_entries; gsi++) {
		new->map[gsi].first = old->map[gsi].first;
		if (new->map[gsi].first)
			WRITE_ONCE(new->map[gsi].first->pprev,
				   &new->map[gsi].first);
	}
	rcu_assign_pointer(kvm->irq_routing, new);
	mutex_unlock(&kvm->irq_lock);

	synchronize_srcu_expedited(&kvm->irq_srcu);
	kfree(old);
}

/* Make sure that KVM's table has room for a GSI that nobody routes. */
static int make_room(struct kvm *kvm, int gsi)
{
	struct kvm_irq_routing_table *table;
	bool beyond, routed;

	mutex_lock(&kvm->irq_lock);
	table = table_of(kvm);
	beyond = !in_table(table, gsi);
	routed = !beyond && !hlist_empty(&table->map[gsi]);
	mutex_unlock(&kvm->irq_lock);
	if (routed)
		return -EEXIST;
	if (!beyond)
		return 0;

	/* In steps: a VMM that counts up should not copy the table each time. */
	table = alloc_table(min(roundup(gsi + 1, 64), KVM_MAX_IRQ_ROUTES));
	if (!table)
		return -ENOMEM;
	grow_table(kvm, table);
	return 0;
}

/**
 * kvm_msix_gsi_reserve - Prepare a vector for a GSI
 * @vec: the vector
 * @gsi: the GSI, or KVM_MSIX_NO_GSI, which always succeeds
 *
 * Takes effect in kvm_msix_gsi_commit(), or never, by kvm_msix_gsi_cancel().
 *
 * Context: dev->lock.
 * Return: 0; -EINVAL: no GSI for a message; -EBUSY: another vector's, or the
 * device is mapped; -EEXIST: has a route; -ENOMEM.
 */
int kvm_msix_gsi_reserve(struct kvm_msix_vec *vec, int gsi)
{
	struct kvm_msix_vm *vm = vec->dev->vm;
	int err = 0;

	lockdep_assert_held(&vec->dev->lock);

	/* The pins of an I/O APIC in userspace are below those of KVM's GSIs. */
	if (gsi != KVM_MSIX_NO_GSI &&
	    (gsi < vm->kvm->arch.nr_reserved_ioapic_pins ||
	     gsi >= KVM_MAX_IRQ_ROUTES))
		return -EINVAL;

	mutex_lock(&vm->lock);
	if (gsi != KVM_MSIX_NO_GSI && gsi != vec->gsi) {
		err = gsi_take(vec, gsi);
		if (err)
			goto out;
		err = make_room(vm->kvm, gsi);
		if (err) {
			gsi_give(vec, gsi);
			goto out;
		}
	}
	vec->next_gsi = gsi;
out:
	mutex_unlock(&vm->lock);
	return err;
}

/* The bind is off: the vector keeps the GSI that it has. Context: dev->lock. */
void kvm_msix_gsi_cancel(struct kvm_msix_vec *vec)
{
	struct kvm_msix_vm *vm = vec->dev->vm;

	lockdep_assert_held(&vec->dev->lock);

	mutex_lock(&vm->lock);
	if (vec->next_gsi != vec->gsi && vec->next_gsi != KVM_MSIX_NO_GSI)
		gsi_give(vec, vec->next_gsi);
	vec->next_gsi = vec->gsi;
	mutex_unlock(&vm->lock);
}

/* The module's routes as userspace would write them. Return: their number. */
static u32 own_routes(struct kvm_msix_vm *vm,
		      struct kvm_irq_routing_entry *entries)
{
	const struct kvm_kernel_irq_routing_entry *message;
	struct kvm_msix_vec *vec;
	unsigned long gsi, flags;
	u32 n = 0;

	lockdep_assert_held(&vm->lock);

	xa_for_each(&vm->gsis, gsi, vec) {
		spin_lock_irqsave(&vec->lock, flags);
		message = vec->gsi == gsi ? kvm_msix_message(vec) : NULL;
		if (message)
			entries[n++] = (struct kvm_irq_routing_entry) {
				.gsi = gsi,
				.type = KVM_IRQ_ROUTING_MSI,
				.u.msi = {
					.address_lo = message->msi.address_lo,
					.address_hi = message->msi.address_hi,
					.data = message->msi.data,
				},
			};
		spin_unlock_irqrestore(&vec->lock, flags);
	}
	return n;
}

/* The highest GSI of the module's, plus one. */
static u32 gsis_end(struct kvm_msix_vm *vm)
{
	unsigned long gsi, end = 0;
	void *vec;

	xa_for_each(&vm->gsis, gsi, vec)
		end = gsi + 1;
	return end;
}

static int set_whole_table(struct kvm_msix_vm *vm,
			   struct kvm_irq_routing_entry *entries, u32 nr)
{
	struct kvm *kvm = vm->kvm;
	struct kvm_irq_routing_table *room;
	u32 i, end = gsis_end(vm);
	int err;

	lockdep_assert_held(&vm->lock);

	for (i = 0; i < nr; i++)
		if (xa_load(&vm->gsis, entries[i].gsi))
			return -EEXIST;

	/*
	 * KVM makes a table that ends with the last entry. The vectors that may
	 * not send now have none, and need the room later.
	 */
	room = alloc_table(max(end, 1U));
	if (!room)
		return -ENOMEM;

	nr += own_routes(vm, entries + nr);
	err = host_call(kvm_set_irq_routing)(kvm, entries, nr, 0);
	if (err)
		kfree(room);
	else
		grow_table(kvm, room);
	return err;
}

/**
 * kvm_msix_set_gsi_routing - KVM_SET_GSI_ROUTING that leaves our routes alone
 * @dev: a device of the VM
 * @entries: the VMM's entries, followed by room for KVM_MAX_IRQ_ROUTES more
 * @nr: number of the VMM's entries
 *
 * A vector that changes meanwhile waits in kvm_msix_route_sync().
 *
 * Context: dev->lock.
 * Return: 0; -EEXIST: an entry names a GSI of ours; what KVM says.
 */
int kvm_msix_set_gsi_routing(struct kvm_msix_device *dev,
			     struct kvm_irq_routing_entry *entries, u32 nr)
{
	struct kvm_msix_vm *vm = dev->vm;
	int err;

	mutex_lock(&vm->lock);
	err = set_whole_table(vm, entries, nr);
	mutex_unlock(&vm->lock);
	return err;
}
