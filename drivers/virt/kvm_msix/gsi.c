// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which vector owns a GSI, and which route the GSI has to have.
 *
 * Always true here: a GSI bound to a vector belongs to that vector alone. After
 * each change, made under vm->lock, KVM's routing table (route.c) has for that
 * GSI the vector's message if the vector may send, and no route if not.
 */
#include <linux/list.h>
#include <linux/slab.h>

#include "hostsyms.h"
#include "kvm_msix.h"
#include "trace.h"

static LIST_HEAD(vms);
static DEFINE_MUTEX(vms_lock);

static struct kvm_msix_vm *gsi_find_vm(struct kvm *kvm)
{
	struct kvm_msix_vm *vm;

	lockdep_assert_held(&vms_lock);

	list_for_each_entry(vm, &vms, node)
		if (vm->kvm == kvm)
			return vm;
	return NULL;
}

/**
 * kvm_msix_vm_get - Get what a VM's devices share; the first device creates it
 * @kvm: the VM, alive
 *
 * Context: may sleep.
 * Return: what the devices share, with a reference for the caller; NULL if out
 * of memory.
 */
struct kvm_msix_vm *kvm_msix_vm_get(struct kvm *kvm)
{
	struct kvm_msix_vm *vm;

	mutex_lock(&vms_lock);
	vm = gsi_find_vm(kvm);
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
 * kvm_msix_vm_put - Drop a device's reference to what the VM's devices share
 * @vm: from kvm_msix_vm_get(); the device owns no GSI any more
 *
 * The call for the VM's last device waits for the callbacks that are pending on
 * the VM's irq_srcu, which must have run before the VM is destroyed.
 *
 * Context: may sleep; waits for callbacks on kvm->irq_srcu.
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

	kvm_msix_route_finish_frees(vm);
	WARN_ON_ONCE(!xa_empty(&vm->gsis));
	xa_destroy(&vm->gsis);
	mutex_destroy(&vm->lock);
	kvm_put_kvm(vm->kvm);
	kfree(vm);
}

/*
 * A device with a GSI cannot be mapped, nor can a mapped device have a GSI: a
 * GSI's route follows every write to the table, and stores to a mapped table go
 * unseen.
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

/* Switch a vector to its reserved GSI. Return: true if the GSI changed. */
static bool gsi_switch(struct kvm_msix_vec *vec)
{
	struct kvm_msix_device *dev = vec->dev;
	struct kvm_msix_vm *vm = dev->vm;

	if (vec->gsi == vec->next_gsi)
		return false;
	if (vec->gsi != KVM_MSIX_NO_GSI) {
		kvm_msix_route_set(vm, vec->gsi, NULL);
		gsi_give(vec, vec->gsi);
		trace_kvm_msix_route(dev->id, vec->index, vec->gsi, false);
	}
	WRITE_ONCE(vec->gsi, vec->next_gsi);
	return true;
}

/* Match a vector's route to its entry. Return: true if the route changed. */
static bool gsi_sync_one(struct kvm_msix_vec *vec)
{
	struct kvm_msix_device *dev = vec->dev;
	const struct kvm_kernel_irq_routing_entry *message;
	struct kvm_kernel_irq_routing_entry want;
	unsigned long flags;

	if (vec->gsi == KVM_MSIX_NO_GSI)
		return false;

	spin_lock_irqsave(&vec->lock, flags);
	message = kvm_msix_sendable_locked(vec);
	if (message)
		want = *message;
	spin_unlock_irqrestore(&vec->lock, flags);
	if (!kvm_msix_route_set(dev->vm, vec->gsi, message ? &want : NULL))
		return false;
	trace_kvm_msix_route(dev->id, vec->index, vec->gsi, message);
	return true;
}

static void gsi_begin_changes(struct kvm_msix_vm *vm)
{
	mutex_lock(&vm->lock);
	kvm_msix_route_limit_frees(vm);
	mutex_lock(&vm->kvm->irq_lock);
}

static void gsi_end_changes(struct kvm_msix_vm *vm, bool changed)
{
	if (changed)
		host_call(kvm_irq_routing_update)(vm->kvm);
	mutex_unlock(&vm->kvm->irq_lock);
	mutex_unlock(&vm->lock);
}

/**
 * kvm_msix_gsi_sync - Set the routes of vectors to match their entries
 * @dev: the device
 * @first: first vector
 * @count: number of vectors; the range is within the table
 *
 * Called after each change of a vector that has a GSI. Each call reads the
 * vector again under vm->lock, so the last call wins. A GSI that is reserved
 * but not committed is ignored, since the bind may yet fail.
 *
 * Context: may sleep. May be within a reader of kvm->srcu.
 */
void kvm_msix_gsi_sync(struct kvm_msix_device *dev, u32 first, u32 count)
{
	bool changed = false;
	u32 v;

	gsi_begin_changes(dev->vm);
	for (v = first; v < first + count; v++)
		changed |= gsi_sync_one(&dev->vecs[v]);
	gsi_end_changes(dev->vm, changed);
}

/**
 * kvm_msix_gsi_commit - Complete what kvm_msix_gsi_reserve() began
 * @dev: the device
 * @first: first vector
 * @count: number of vectors; the range is within the table
 *
 * Context: dev->lock.
 */
void kvm_msix_gsi_commit(struct kvm_msix_device *dev, u32 first, u32 count)
{
	bool changed = false;
	u32 v;

	lockdep_assert_held(&dev->lock);

	gsi_begin_changes(dev->vm);
	for (v = first; v < first + count; v++) {
		changed |= gsi_switch(&dev->vecs[v]);
		changed |= gsi_sync_one(&dev->vecs[v]);
	}
	gsi_end_changes(dev->vm, changed);
}

/**
 * kvm_msix_gsi_reserve - Prepare a vector for a GSI
 * @vec: the vector
 * @gsi: the GSI, or KVM_MSIX_NO_GSI, which always succeeds
 *
 * The vector gets the GSI in kvm_msix_gsi_commit(), unless
 * kvm_msix_gsi_cancel() gives the GSI up.
 *
 * Context: dev->lock.
 * Return: 0; -EINVAL: @gsi is out of range or a pin's; -EBUSY: @gsi belongs to
 * another vector, or the device is mapped; -EEXIST: @gsi has a route; -ENOMEM.
 */
int kvm_msix_gsi_reserve(struct kvm_msix_vec *vec, int gsi)
{
	struct kvm_msix_vm *vm = vec->dev->vm;
	int err = 0;

	lockdep_assert_held(&vec->dev->lock);

	/* The lowest GSIs are the pins of an I/O APIC in userspace. */
	if (gsi != KVM_MSIX_NO_GSI &&
	    (gsi < vm->kvm->arch.nr_reserved_ioapic_pins ||
	     gsi >= KVM_MAX_IRQ_ROUTES))
		return -EINVAL;

	mutex_lock(&vm->lock);
	if (gsi != KVM_MSIX_NO_GSI && gsi != vec->gsi) {
		err = gsi_take(vec, gsi);
		if (err)
			goto out;
		err = kvm_msix_route_make_room(vm->kvm, gsi);
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

/**
 * kvm_msix_gsi_cancel - Undo kvm_msix_gsi_reserve()
 * @vec: the vector, which keeps its old GSI
 *
 * Context: dev->lock.
 */
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

/* Write the module's routes to @entries. Return: the number of routes. */
static u32 gsi_own_routes(struct kvm_msix_vm *vm,
			  struct kvm_irq_routing_entry *entries)
{
	const struct kvm_kernel_irq_routing_entry *message;
	struct kvm_msix_vec *vec;
	unsigned long gsi, flags;
	u32 n = 0;

	lockdep_assert_held(&vm->lock);

	xa_for_each(&vm->gsis, gsi, vec) {
		spin_lock_irqsave(&vec->lock, flags);
		message = vec->gsi == gsi ?
			  kvm_msix_sendable_locked(vec) : NULL;
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

/* The highest GSI that a vector owns, plus one. */
static u32 gsi_end(struct kvm_msix_vm *vm)
{
	unsigned long gsi, end = 0;
	void *vec;

	xa_for_each(&vm->gsis, gsi, vec)
		end = gsi + 1;
	return end;
}

static int gsi_set_routing(struct kvm_msix_vm *vm,
			   struct kvm_irq_routing_entry *entries, u32 nr)
{
	u32 i;

	lockdep_assert_held(&vm->lock);

	for (i = 0; i < nr; i++)
		if (xa_load(&vm->gsis, entries[i].gsi))
			return -EEXIST;

	nr += gsi_own_routes(vm, entries + nr);
	/* Vectors that may not send now have no entry, and need room later. */
	return kvm_msix_route_set_table(vm->kvm, entries, nr, gsi_end(vm));
}

/**
 * kvm_msix_set_gsi_routing - KVM_SET_GSI_ROUTING that keeps the module's routes
 * @dev: a device of the VM
 * @entries: the VMM's entries, followed by room for KVM_MAX_IRQ_ROUTES more
 * @nr: number of the VMM's entries, at most KVM_MAX_IRQ_ROUTES
 *
 * If a vector changes meanwhile, kvm_msix_gsi_sync() waits for this call.
 *
 * Context: dev->lock.
 * Return: 0; -EEXIST: an entry names a GSI that a vector owns; KVM's errors.
 */
int kvm_msix_set_gsi_routing(struct kvm_msix_device *dev,
			     struct kvm_irq_routing_entry *entries, u32 nr)
{
	struct kvm_msix_vm *vm = dev->vm;
	int err;

	mutex_lock(&vm->lock);
	err = gsi_set_routing(vm, entries, nr);
	mutex_unlock(&vm->lock);
	return err;
}
