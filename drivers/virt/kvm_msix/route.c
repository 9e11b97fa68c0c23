// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM's routing table: changes of single routes, and room for more GSIs. Only
 * this file knows the table's layout. gsi.c decides which route a GSI has.
 *
 * Always true here:
 *  - Entries change one at a time. Readers walk a GSI's list within irq_srcu or
 *    under irq_lock, so a list is changed under irq_lock by RCU's rules, and a
 *    removed entry is freed after its readers are gone. The free is deferred
 *    (call_srcu()); only a writer that finds ROUTE_MAX_FREES of them
 *    outstanding waits.
 *  - The module keeps no pointer to an entry. When the VMM sets a new table,
 *    KVM frees every entry of the old table, the module's too. So the module's
 *    entries are plain kmalloc objects of KVM's own type, and their @set is
 *    KVM's own function: kvm_set_irq() copies entries and calls @set outside of
 *    irq_srcu, where an unload of this module could not wait for the call.
 */
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "hostsyms.h"
#include "kvm_msix.h"

/* Deferred frees outstanding in a VM before a writer waits for them. */
#define ROUTE_MAX_FREES	1024

/* The deferred free of a removed entry or table, which may have readers. */
struct route_deferred_free {
	struct rcu_head rcu;
	struct kvm_msix_vm *vm;
	void *memory;
};

/**
 * kvm_msix_route_limit_frees - Wait for deferred frees that have piled up
 * @vm: the VM
 *
 * Bounds the memory that a guest rewriting its table can have allocated.
 *
 * Context: vm->lock.
 */
void kvm_msix_route_limit_frees(struct kvm_msix_vm *vm)
{
	lockdep_assert_held(&vm->lock);

	if (atomic_read(&vm->nr_frees) >= ROUTE_MAX_FREES)
		srcu_barrier(&vm->kvm->irq_srcu);
}

/**
 * kvm_msix_route_finish_frees - Wait for all deferred frees
 * @vm: the VM, whose routes do not change any more
 *
 * Context: may sleep; waits for callbacks on kvm->irq_srcu.
 */
void kvm_msix_route_finish_frees(struct kvm_msix_vm *vm)
{
	srcu_barrier(&vm->kvm->irq_srcu);
	WARN_ON_ONCE(atomic_read(&vm->nr_frees));
}

static struct kvm_irq_routing_table *route_table(struct kvm *kvm)
{
	return rcu_dereference_protected(kvm->irq_routing,
					 lockdep_is_held(&kvm->irq_lock));
}

static bool route_in_table(const struct kvm_irq_routing_table *table, int gsi)
{
	return gsi < table->nr_rt_entries;
}

static void route_do_free(struct rcu_head *rcu)
{
	struct route_deferred_free *free =
		container_of(rcu, struct route_deferred_free, rcu);

	atomic_dec(&free->vm->nr_frees);
	kfree(free->memory);
	kfree(free);
}

/* Free a removed entry, or a table, after its readers are gone. */
static void route_free_later(struct kvm_msix_vm *vm, void *memory)
{
	struct route_deferred_free *free;

	free = kmalloc(sizeof(*free), GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);
	free->vm = vm;
	free->memory = memory;
	atomic_inc(&vm->nr_frees);
	call_srcu(&vm->kvm->irq_srcu, &free->rcu, route_do_free);
}

static bool
route_same_message(const struct kvm_kernel_irq_routing_entry *a,
		   const struct kvm_kernel_irq_routing_entry *b)
{
	return a->type == b->type && a->msi.address_lo == b->msi.address_lo &&
	       a->msi.address_hi == b->msi.address_hi &&
	       a->msi.data == b->msi.data;
}

/* Remove an entry from its list, and free the entry later. */
static void route_remove(struct kvm_msix_vm *vm,
			 struct kvm_kernel_irq_routing_entry *entry)
{
	hlist_del_rcu(&entry->link);
	route_free_later(vm, entry);
}

static struct kvm_kernel_irq_routing_entry *route_first(struct hlist_head *list)
{
	return hlist_entry_safe(list->first,
				struct kvm_kernel_irq_routing_entry, link);
}

/**
 * kvm_msix_route_set - Make a message a GSI's only route, or remove its routes
 * @vm: the VM
 * @gsi: the GSI, 0 or more; if it is beyond the table, nothing happens
 * @want: the message, or NULL for no route
 *
 * Entries from the VMM's own KVM_SET_GSI_ROUTING are removed. While one message
 * replaces another, a reader finds exactly one of the two: with none an
 * interrupt would be lost, with both there would be two. Nor does the list grow
 * meanwhile: kvm_irq_map_gsi() copies the list to an array of KVM_NR_IRQCHIPS,
 * and the VMM's entries alone can be as many.
 *
 * A guest's write must take effect and cannot report a failure, so these few
 * bytes are allocated with __GFP_NOFAIL.
 *
 * Context: vm->lock, kvm->irq_lock. The caller then calls
 * kvm_irq_routing_update() if a route changed.
 * Return: true if the GSI's routes changed.
 */
bool kvm_msix_route_set(struct kvm_msix_vm *vm, int gsi,
			const struct kvm_kernel_irq_routing_entry *want)
{
	struct kvm_irq_routing_table *table = route_table(vm->kvm);
	struct kvm_kernel_irq_routing_entry *old, *entry;
	struct hlist_node *next;
	struct hlist_head *list;
	bool changed = false;

	lockdep_assert_held(&vm->lock);

	if (!route_in_table(table, gsi))
		return false;
	list = &table->map[gsi];

	old = route_first(list);
	hlist_for_each_entry_safe(entry, next, list, link) {
		if (entry == old)
			continue;
		route_remove(vm, entry);
		changed = true;
	}
	if (want ? old && route_same_message(old, want) : !old)
		return changed;

	if (!want) {
		route_remove(vm, old);
		return true;
	}
	entry = kmalloc(sizeof(*entry), GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);
	*entry = *want;
	entry->gsi = gsi;
	entry->set = kvm_msix_set_msi;
	if (old) {
		hlist_replace_rcu(&old->link, &entry->link);
		route_free_later(vm, old);
	} else {
		hlist_add_head_rcu(&entry->link, list);
	}
	return true;
}

static struct kvm_irq_routing_table *route_alloc_table(u32 nr_gsis, gfp_t gfp)
{
	struct kvm_irq_routing_table *table;

	table = kzalloc(struct_size(table, map, nr_gsis), gfp);
	if (table)
		table->nr_rt_entries = nr_gsis;
	return table;
}

/*
 * Replace KVM's table by a larger, empty table, and put all entries on the new
 * table's lists. The old table's lists keep the entries, too, until the old
 * table is freed; readers only walk forward, so they find the entries from
 * either table.
 *
 * Return: the old table, for the caller to free when its readers are gone.
 */
static struct kvm_irq_routing_table *
route_replace_table(struct kvm *kvm, struct kvm_irq_routing_table *new)
{
	struct kvm_irq_routing_table *old = route_table(kvm);
	u32 gsi;

	memcpy(new->chip, old->chip, sizeof(new->chip));
	for (gsi = 0; gsi < old->nr_rt_entries; gsi++) {
		new->map[gsi].first = old->map[gsi].first;
		if (new->map[gsi].first)
			WRITE_ONCE(new->map[gsi].first->pprev,
				   &new->map[gsi].first);
	}
	rcu_assign_pointer(kvm->irq_routing, new);
	return old;
}

/*
 * Replace KVM's table if @new is larger, else free @new. Only irq_lock makes
 * the comparison hold: the VMM may set a table at any time.
 */
static void route_grow_table(struct kvm *kvm, struct kvm_irq_routing_table *new)
{
	struct kvm_irq_routing_table *old;

	mutex_lock(&kvm->irq_lock);
	if (route_table(kvm)->nr_rt_entries >= new->nr_rt_entries) {
		mutex_unlock(&kvm->irq_lock);
		kfree(new);
		return;
	}
	old = route_replace_table(kvm, new);
	mutex_unlock(&kvm->irq_lock);

	synchronize_srcu_expedited(&kvm->irq_srcu);
	kfree(old);
}

/**
 * kvm_msix_route_make_room - Make room in KVM's table for a GSI
 * @kvm: the VM
 * @gsi: the GSI, 0 to KVM_MAX_IRQ_ROUTES - 1
 *
 * Context: takes kvm->irq_lock; waits for readers of kvm->irq_srcu.
 * Return: 0; -EEXIST: @gsi has a route; -ENOMEM.
 */
int kvm_msix_route_make_room(struct kvm *kvm, int gsi)
{
	struct kvm_irq_routing_table *table;
	bool beyond, routed;

	mutex_lock(&kvm->irq_lock);
	table = route_table(kvm);
	beyond = !route_in_table(table, gsi);
	routed = !beyond && !hlist_empty(&table->map[gsi]);
	mutex_unlock(&kvm->irq_lock);
	if (routed)
		return -EEXIST;
	if (!beyond)
		return 0;

	/* In steps: a VMM that binds GSI by GSI seldom copies the table. */
	table = route_alloc_table(min(roundup(gsi + 1, 64),
				      KVM_MAX_IRQ_ROUTES), KVM_MSIX_GFP);
	if (!table)
		return -ENOMEM;
	route_grow_table(kvm, table);
	return 0;
}

/**
 * kvm_msix_route_set_table - KVM_SET_GSI_ROUTING, with room for more GSIs
 * @kvm: the VM
 * @entries: the entries, which KVM checks
 * @nr: number of entries
 * @nr_gsis: number of GSIs that the table must have room for, at most
 *	KVM_MAX_IRQ_ROUTES
 *
 * KVM makes a table that ends with the highest GSI in an entry.
 *
 * Context: as kvm_msix_route_make_room().
 * Return: 0; -ENOMEM; KVM's errors.
 */
int kvm_msix_route_set_table(struct kvm *kvm,
			     const struct kvm_irq_routing_entry *entries,
			     u32 nr, u32 nr_gsis)
{
	struct kvm_irq_routing_table *room;
	int err;

	room = route_alloc_table(max(nr_gsis, 1U), KVM_MSIX_GFP);
	if (!room)
		return -ENOMEM;

	err = host_call(kvm_set_irq_routing)(kvm, entries, nr, 0);
	if (err)
		kfree(room);
	else
		route_grow_table(kvm, room);
	return err;
}

#ifdef KVM_MSIX_POST_BY_GSI
/*
 * The last GSI of KVM's table, if no pin, route or vector has this GSI; else
 * the last GSI of a larger table, which the VMM has never routed.
 */
static int route_spare_gsi(struct kvm_msix_vm *vm)
{
	struct kvm_irq_routing_table *table = route_table(vm->kvm), *larger;
	u32 nr = table->nr_rt_entries;
	u32 pins = vm->kvm->arch.nr_reserved_ioapic_pins;

	if (nr > pins && hlist_empty(&table->map[nr - 1]) &&
	    !xa_load(&vm->gsis, nr - 1))
		return nr - 1;

	nr = max(nr, pins) + 64;
	larger = route_alloc_table(nr, GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);
	route_free_later(vm, route_replace_table(vm->kvm, larger));
	return nr - 1;
}

/**
 * kvm_msix_route_borrow - Route a spare GSI to a message, for one call into KVM
 * @vm: the VM
 * @message: the message
 *
 * The call finds the message in the table by the GSI. Like
 * kvm_msix_route_set(), this cannot fail. Nothing here waits for readers.
 *
 * Context: takes kvm->irq_lock, until kvm_msix_route_return().
 * Return: the GSI.
 */
int kvm_msix_route_borrow(struct kvm_msix_vm *vm,
			  const struct kvm_kernel_irq_routing_entry *message)
{
	struct kvm_kernel_irq_routing_entry *entry;

	entry = kmalloc(sizeof(*entry), GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);
	*entry = *message;
	entry->set = kvm_msix_set_msi;

	mutex_lock(&vm->kvm->irq_lock);
	entry->gsi = route_spare_gsi(vm);
	hlist_add_head_rcu(&entry->link,
			   &route_table(vm->kvm)->map[entry->gsi]);
	return entry->gsi;
}

/**
 * kvm_msix_route_return - Remove the route of kvm_msix_route_borrow()
 * @vm: the VM
 * @gsi: from kvm_msix_route_borrow()
 *
 * Context: kvm->irq_lock, which is dropped here.
 */
void kvm_msix_route_return(struct kvm_msix_vm *vm, int gsi)
{
	lockdep_assert_held(&vm->kvm->irq_lock);

	route_remove(vm, route_first(&route_table(vm->kvm)->map[gsi]));
	mutex_unlock(&vm->kvm->irq_lock);
}
#endif
