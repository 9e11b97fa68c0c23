// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device fd's mapping: the pages that table and PBA are on, for the VMM to
 * give the guest as memory. They are the device's own storage, which lives as
 * long as its file, and a VMA holds the file.
 *
 * The pages are write-protected on demand (see watch.c), everywhere at once:
 * that takes an inode of the device's own, whose address space has the device's
 * mappings and no others. Anonymous inodes are one and the same.
 */
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/vmalloc.h>
#include <asm/cpufeature.h>

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
 * kvm_msix_can_mmap - May a function be made with a mapping?
 *
 * Return: whether this machine has what it takes: see kvm_msix_snapshot().
 */
bool kvm_msix_can_mmap(void)
{
	return boot_cpu_has(X86_FEATURE_CX16);
}

/**
 * kvm_msix_map_init - Make the inode that the device's mappings belong to
 * @dev: the device, which can be mapped
 *
 * Return: 0 or a negative errno.
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

/* No mapping is left. */
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
 * kvm_msix_map_protect - Have the next store to each page of the table fault
 * @dev: the device
 *
 * A fault that has passed map_page_mkwrite() holds the page's lock until the page
 * is writable, so with all locks held there is no such fault, and none is missed.
 * Page tables of vCPUs follow by KVM's MMU notifier.
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

/* Pages of the PBA alone are writable for good: nobody acts on what is there. */
static vm_fault_t map_page_mkwrite(struct vm_fault *vmf)
{
	struct kvm_msix_device *dev = map_device(vmf->vma);

	lock_page(vmf->page);
	if (vmf->pgoff < dev->table_pages)
		kvm_msix_watch_store(dev);
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
 * @file: the device's
 * @vma: holds @file, and so the device
 *
 * Return: 0; -ENODEV: not of a device without KVM_MSIX_CREATE_MMAP; -EINVAL: not
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
