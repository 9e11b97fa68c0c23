/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KVM's external write tracking, as it is and as it was: pages were tracked by
 * their slot, in several modes, and the callbacks had a vCPU or a slot. Where
 * KVM is built without it, there is none.
 */
#ifndef _KVM_MSIX_COMPAT_PAGE_TRACK_H
#define _KVM_MSIX_COMPAT_PAGE_TRACK_H

#include <linux/kvm_host.h>
#include <asm/kvm_page_track.h>

/* watch.c */
void kvm_msix_guest_wrote(struct kvm_page_track_notifier_node *node, gpa_t gpa,
			  int bytes);
void kvm_msix_slot_gone(struct kvm_page_track_notifier_node *node, gfn_t gfn,
			unsigned long npages);

#if !IS_ENABLED(CONFIG_KVM_EXTERNAL_WRITE_TRACKING)

#define kvm_msix_can_track	false

static inline int
kvm_msix_track_register(struct kvm *kvm, struct kvm_page_track_notifier_node *n)
{
	return -EOPNOTSUPP;
}

static inline void
kvm_msix_track_unregister(struct kvm *kvm,
			  struct kvm_page_track_notifier_node *n)
{
}

static inline int kvm_msix_track_page(struct kvm *kvm, gfn_t gfn)
{
	return -EOPNOTSUPP;
}

static inline void kvm_msix_untrack_page(struct kvm *kvm, gfn_t gfn)
{
}

#else

#define kvm_msix_can_track	true

#ifdef KVM_MSIX_TRACK_BY_GFN

static inline void track_write(gpa_t gpa, const u8 *new, int bytes,
			       struct kvm_page_track_notifier_node *node)
{
	kvm_msix_guest_wrote(node, gpa, bytes);
}

static inline void
track_remove_region(gfn_t gfn, unsigned long nr_pages,
		    struct kvm_page_track_notifier_node *node)
{
	kvm_msix_slot_gone(node, gfn, nr_pages);
}

static inline int
kvm_msix_track_register(struct kvm *kvm, struct kvm_page_track_notifier_node *n)
{
	int idx, err;

	n->track_write = track_write;
	n->track_remove_region = track_remove_region;
	/* It visits the memory slots, and leaves it to others to hold them. */
	idx = srcu_read_lock(&kvm->srcu);
	err = kvm_page_track_register_notifier(kvm, n);
	srcu_read_unlock(&kvm->srcu, idx);
	return err;
}

/* Context: kvm->slots_lock. Return: 0, or -EINVAL if there is no memory. */
static inline int kvm_msix_track_page(struct kvm *kvm, gfn_t gfn)
{
	return kvm_write_track_add_gfn(kvm, gfn);
}

static inline void kvm_msix_untrack_page(struct kvm *kvm, gfn_t gfn)
{
	kvm_write_track_remove_gfn(kvm, gfn);
}

#else /* !KVM_MSIX_TRACK_BY_GFN */

static inline void track_write(struct kvm_vcpu *vcpu, gpa_t gpa, const u8 *new,
			       int bytes,
			       struct kvm_page_track_notifier_node *node)
{
	kvm_msix_guest_wrote(node, gpa, bytes);
}

static inline void track_flush_slot(struct kvm *kvm,
				    struct kvm_memory_slot *slot,
				    struct kvm_page_track_notifier_node *node)
{
	kvm_msix_slot_gone(node, slot->base_gfn, slot->npages);
}

static inline int
kvm_msix_track_register(struct kvm *kvm, struct kvm_page_track_notifier_node *n)
{
	n->track_write = track_write;
	n->track_flush_slot = track_flush_slot;
	kvm_page_track_register_notifier(kvm, n);
	return 0;
}

/* Context: kvm->slots_lock. Return: 0, or -EINVAL if there is no memory. */
static inline int kvm_msix_track_page(struct kvm *kvm, gfn_t gfn)
{
	struct kvm_memory_slot *slot = gfn_to_memslot(kvm, gfn);

	if (!slot)
		return -EINVAL;
	write_lock(&kvm->mmu_lock);
	kvm_slot_page_track_add_page(kvm, slot, gfn, KVM_PAGE_TRACK_WRITE);
	write_unlock(&kvm->mmu_lock);
	return 0;
}

static inline void kvm_msix_untrack_page(struct kvm *kvm, gfn_t gfn)
{
	struct kvm_memory_slot *slot = gfn_to_memslot(kvm, gfn);

	if (!slot)
		return;
	write_lock(&kvm->mmu_lock);
	kvm_slot_page_track_remove_page(kvm, slot, gfn, KVM_PAGE_TRACK_WRITE);
	write_unlock(&kvm->mmu_lock);
}

#endif /* !KVM_MSIX_TRACK_BY_GFN */

static inline void
kvm_msix_track_unregister(struct kvm *kvm,
			  struct kvm_page_track_notifier_node *n)
{
	kvm_page_track_unregister_notifier(kvm, n);
}

#endif /* CONFIG_KVM_EXTERNAL_WRITE_TRACKING */

#endif /* _KVM_MSIX_COMPAT_PAGE_TRACK_H */
