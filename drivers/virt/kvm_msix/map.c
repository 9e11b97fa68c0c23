// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device fd's mapping: the pages that the table is on, for the VMM to give
 * the guest as memory. They are the device's own storage, which lives as long as
 * its file; a mapping holds that. What watches them is in watch.c.
 */
#include <linux/mm.h>
#include <linux/vmalloc.h>
#include <asm/cpufeature.h>

#include "compat/page_track.h"
#include "kvm_msix.h"

/**
 * kvm_msix_can_mmap - May a function be made with a mapping?
 *
 * Return: whether this kernel and this machine have what it takes.
 */
bool kvm_msix_can_mmap(void)
{
	/* For watch.c, and for kvm_msix_snapshot(). */
	return kvm_msix_can_track && boot_cpu_has(X86_FEATURE_CX16);
}

static vm_fault_t map_fault(struct vm_fault *vmf)
{
	struct kvm_msix_device *dev = vmf->vma->vm_file->private_data;

	if (vmf->pgoff >= dev->map_pages)
		return VM_FAULT_SIGBUS;
	vmf->page = vmalloc_to_page(dev->storage + vmf->pgoff * PAGE_SIZE);
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct map_ops = {
	.fault = map_fault,
};

/**
 * kvm_msix_mmap - mmap() of the device fd
 * @file: the device's
 * @vma: holds @file, and so the device
 *
 * Return: 0; -ENODEV: not of a device without KVM_MSIX_CREATE_MMAP; -EINVAL: not
 * MAP_SHARED, or beyond the end.
 */
int kvm_msix_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct kvm_msix_device *dev = file->private_data;

	if (!dev->map_pages)
		return -ENODEV;
	if (!(vma->vm_flags & VM_SHARED) || vma->vm_pgoff >= dev->map_pages ||
	    vma_pages(vma) > dev->map_pages - vma->vm_pgoff)
		return -EINVAL;
	vma->vm_ops = &map_ops;
	return 0;
}

/**
 * kvm_msix_is_mapped - Is a page of guest memory a writable page of the mapping?
 * @dev: the device
 * @gfn: the page of guest memory
 * @i: which page of the mapping it is to be
 *
 * Context: may sleep; takes mmap_lock.
 * Return: true if it is.
 */
bool kvm_msix_is_mapped(struct kvm_msix_device *dev, gfn_t gfn, u32 i)
{
	struct kvm *kvm = dev->kvm;
	struct vm_area_struct *vma;
	unsigned long hva;
	bool mapped;
	int idx;

	idx = srcu_read_lock(&kvm->srcu);
	hva = gfn_to_hva(kvm, gfn);
	srcu_read_unlock(&kvm->srcu, idx);
	if (kvm_is_error_hva(hva))
		return false;

	mmap_read_lock(kvm->mm);
	vma = find_vma(kvm->mm, hva);
	mapped = vma && vma->vm_start <= hva && vma->vm_ops == &map_ops &&
		 vma->vm_flags & VM_WRITE &&
		 vma->vm_file->private_data == dev &&
		 vma->vm_pgoff + PHYS_PFN(hva - vma->vm_start) == i;
	mmap_read_unlock(kvm->mm);
	return mapped;
}
