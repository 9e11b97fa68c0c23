// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device fd's mapping: the pages of table and PBA, which the VMM can give
 * the guest as memory. The pages are the device's own storage. The device lives
 * as long as its file, and each VMA holds a reference to the file.
 *
 * The pages are write-protected on demand (see watch.c), in all mappings at
 * once. That takes an inode for each device, whose address space has the
 * device's mappings and no others; anon_inode_getfile() gives all files the
 * same inode.
 */
#include <linux/cpufeature.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/vmalloc.h>

#include "kvm_msix.h"

#define MAP_FS_MAGIC	0x4d534958	/* "MSIX" */

static struct vfsmount *map_mnt;
static int map_mnt_users;

static int map_init_fs_context(struct fs_context *fc)
{
	return init_pseudo(fc, MAP_FS_MAGIC) ? 0 : -ENOMEM;
}

static struct file_system_type map_fs_type = {
	.name = "kvm_msix",
	.owner = THIS_MODULE,
	.init_fs_context = map_init_fs_context,
	.kill_sb = kill_anon_super,
};

/**
 * kvm_msix_can_mmap - Can functions be created with a mapping?
 *
 * Context: any.
 * Return: true if the CPU has CMPXCHG16B, for kvm_msix_snapshot().
 */
bool kvm_msix_can_mmap(void)
{
	return boot_cpu_has(X86_FEATURE_CX16);
}

/**
 * kvm_msix_map_init - Create the inode that the device's mappings belong to
 * @dev: the device, which can be mapped
 *
 * Context: may sleep.
 * Return: 0; -ENOMEM; -EMFILE: the kernel has no more anonymous devices.
 */
int kvm_msix_map_init(struct kvm_msix_device *dev)
{
	struct inode *inode;
	int err;

	err = simple_pin_fs(&map_fs_type, &map_mnt, &map_mnt_users);
	if (err)
		return err;
	inode = alloc_anon_inode(map_mnt->mnt_sb);
	if (IS_ERR(inode)) {
		simple_release_fs(&map_mnt, &map_mnt_users);
		return PTR_ERR(inode);
	}
	dev->inode = inode;
	return 0;
}

/**
 * kvm_msix_map_end - Undo kvm_msix_map_init()
 * @dev: the device; no mapping is left
 *
 * Context: may sleep.
 */
void kvm_msix_map_end(struct kvm_msix_device *dev)
{
	iput(dev->inode);
	simple_release_fs(&map_mnt, &map_mnt_users);
}

static struct page *map_page(const struct kvm_msix_device *dev, u32 i)
{
	return vmalloc_to_page(dev->storage + i * PAGE_SIZE);
}

/**
 * kvm_msix_map_protect - Make the next store to each page of the table fault
 * @dev: the device
 *
 * A fault that has passed map_page_mkwrite() holds the page's lock until the
 * page is writable. While this function holds all the locks there is no such
 * fault, so the unmap misses none. KVM's MMU notifier updates the guest's page
 * tables.
 *
 * Context: may sleep.
 */
void kvm_msix_map_protect(struct kvm_msix_device *dev)
{
	u32 i;

	for (i = 0; i < dev->table_pages; i++)
		lock_page(map_page(dev, i));
	unmap_mapping_range(dev->inode->i_mapping, 0,
			    dev->table_pages * PAGE_SIZE, 0);
	for (i = 0; i < dev->table_pages; i++)
		unlock_page(map_page(dev, i));
}

/**
 * kvm_msix_map_pinned - Can a pin allow stores to the table without a fault?
 * @dev: the device
 *
 * Context: any.
 * Return: true if a page is pinned: a system call, direct I/O for example, may
 * have pinned the page while it was writable.
 */
bool kvm_msix_map_pinned(const struct kvm_msix_device *dev)
{
	u32 i;

	for (i = 0; i < dev->table_pages; i++)
		if (folio_maybe_dma_pinned(page_folio(map_page(dev, i))))
			return true;
	return false;
}

static struct kvm_msix_device *map_device(const struct vm_area_struct *vma)
{
	return vma->vm_file->private_data;
}

static void map_open(struct vm_area_struct *vma)
{
	atomic_inc(&map_device(vma)->mapped);
}

static void map_close(struct vm_area_struct *vma)
{
	atomic_dec(&map_device(vma)->mapped);
}

static vm_fault_t map_fault(struct vm_fault *vmf)
{
	struct kvm_msix_device *dev = map_device(vmf->vma);

	if (vmf->pgoff >= dev->map_pages)
		return VM_FAULT_SIGBUS;
	vmf->page = map_page(dev, vmf->pgoff);
	get_page(vmf->page);
	return 0;
}

/* Pages with only the PBA stay writable: no decision uses their contents. */
static vm_fault_t map_page_mkwrite(struct vm_fault *vmf)
{
	struct kvm_msix_device *dev = map_device(vmf->vma);

	lock_page(vmf->page);
	if (vmf->pgoff < dev->table_pages) {
		kvm_msix_watch_store(dev);
		kvm_msix_post_stop_all(dev, KVM_MSIX_UNPOSTED_STORE);
	}
	return VM_FAULT_LOCKED;
}

static const struct vm_operations_struct map_ops = {
	.open = map_open,
	.close = map_close,
	.fault = map_fault,
	.page_mkwrite = map_page_mkwrite,
};

/**
 * kvm_msix_mmap - mmap() of the device fd
 * @file: the device fd's file
 * @vma: the VMA; holds @file, and so the device
 *
 * Context: mmap_lock, for writing.
 * Return: 0; -ENODEV: the device has no KVM_MSIX_CREATE_MMAP; -EINVAL: not
 * MAP_SHARED, or beyond the end; -EBUSY: a vector has a GSI.
 */
int kvm_msix_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct kvm_msix_device *dev = file->private_data;

	if (!dev->map_pages)
		return -ENODEV;
	if (!(vma->vm_flags & VM_SHARED) || vma->vm_pgoff >= dev->map_pages ||
	    vma_pages(vma) > dev->map_pages - vma->vm_pgoff)
		return -EINVAL;
	if (!atomic_inc_unless_negative(&dev->mapped))
		return -EBUSY;
	vma->vm_ops = &map_ops;
	return 0;
}
