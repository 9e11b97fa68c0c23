// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device fd: creation, ioctls, release.
 *
 * A device is created as a whole or not at all, and its fd is installed last.
 * Closing the fd is the only way to destroy the device. First the regions are
 * removed from KVM's bus, then eventfds and GSIs unbound: no guest access and
 * no event arrives any more. Last, the reference on the VM is dropped. None of
 * these steps can fail. If a stats fd is still open, the memory of the device
 * stays until that fd is closed, for the last counts.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/anon_inodes.h>
#include <linux/bitmap.h>
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/idr.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "hostsyms.h"
#include "ioctl.h"
#include "kvm_msix.h"

static DEFINE_IDA(ids);

/* Number of pages that hold the table. */
static u32 device_table_pages(const struct kvm_msix_create *create)
{
	return PFN_UP(create->table_offset +
		      kvm_msix_table_size(create->nr_vectors));
}

/* Number of pages in a mapping: the table's, and the PBA's if it is mapped. */
static u32 device_map_pages(const struct kvm_msix_create *create)
{
	if (!(create->flags & KVM_MSIX_CREATE_MMAP_PBA))
		return device_table_pages(create);
	return max_t(u32, device_table_pages(create),
		     PFN_UP(create->pba_offset +
			    kvm_msix_pba_size(create->nr_vectors)));
}

/* Are table_offset and pba_offset valid, and 0 where they are not used? */
static bool device_layout_ok(const struct kvm_msix_create *create)
{
	u32 table_size = kvm_msix_table_size(create->nr_vectors);
	u32 pba_size = kvm_msix_pba_size(create->nr_vectors);
	u32 table = create->table_offset, pba = create->pba_offset;

	if (!(create->flags & KVM_MSIX_CREATE_MMAP_PBA) && pba)
		return false;
	if (!(create->flags & KVM_MSIX_CREATE_MMAP))
		return !table && !(create->flags & KVM_MSIX_CREATE_MMAP_PBA);

	/* kvm_msix_snapshot() loads a whole entry, which has to be aligned. */
	if (table >= PAGE_SIZE || !IS_ALIGNED(table, PCI_MSIX_ENTRY_SIZE))
		return false;
	if (!(create->flags & KVM_MSIX_CREATE_MMAP_PBA))
		return true;
	return IS_ALIGNED(pba, 8) &&
	       PFN_DOWN(pba) <= device_table_pages(create) &&
	       (pba >= table + table_size || pba + pba_size <= table);
}

/* Allocate the core's memory: first what can be mapped, on pages of its own. */
static int device_alloc_storage(struct kvm_msix_device *dev,
				const struct kvm_msix_create *create)
{
	u32 map_size = device_map_pages(create) * PAGE_SIZE;
	u32 nr = create->nr_vectors;
	u32 pba_size = kvm_msix_pba_size(nr);

	dev->storage = __vmalloc(map_size + 2 * pba_size,
				 KVM_MSIX_GFP | __GFP_ZERO);
	if (!dev->storage)
		return -ENOMEM;
	if (create->flags & KVM_MSIX_CREATE_MMAP) {
		dev->map_pages = device_map_pages(create);
		dev->table_pages = device_table_pages(create);
	}

	dev->core.nr = nr;
	dev->core.shared = dev->map_pages;
	dev->core.table = dev->storage + create->table_offset;
	dev->core.pba = dev->storage + map_size;
	if (create->flags & KVM_MSIX_CREATE_MMAP_PBA)
		dev->core.pba = dev->storage + create->pba_offset;
	dev->core.pending = dev->storage + map_size + pba_size;
	kvm_msix_core_init(&dev->core);
	return 0;
}

/* Does the VMM learn of unmasks by eventfd? Stores to a mapping do not exit. */
static bool device_has_unmask_eventfd(const struct kvm_msix_create *create)
{
	return create->flags & KVM_MSIX_CREATE_LAZY &&
	       create->flags & KVM_MSIX_CREATE_MMAP;
}

/* Set up what only a device that can be mapped needs. */
static int device_alloc_mapping(struct kvm_msix_device *dev,
				const struct kvm_msix_create *create)
{
	struct eventfd_ctx *unmask_eventfd = NULL;
	int err;

	if (!dev->map_pages)
		return 0;
	if (device_has_unmask_eventfd(create)) {
		unmask_eventfd = eventfd_ctx_fdget(create->unmask_eventfd);
		if (IS_ERR(unmask_eventfd))
			return PTR_ERR(unmask_eventfd);
	}
	err = kvm_msix_map_init(dev);
	if (err)
		goto err_eventfd;
	err = kvm_msix_watch_init(dev, unmask_eventfd);
	if (err)
		goto err_map;
	return 0;

err_map:
	kvm_msix_map_end(dev);
err_eventfd:
	if (unmask_eventfd)
		eventfd_ctx_put(unmask_eventfd);
	return err;
}

static void device_free_mapping(struct kvm_msix_device *dev)
{
	if (!dev->map_pages)
		return;
	kvm_msix_watch_end(dev);
	kvm_msix_map_end(dev);
}

static int device_alloc_vecs(struct kvm_msix_device *dev, u32 nr)
{
	u32 v;

	dev->vecs = kvcalloc(nr, sizeof(*dev->vecs), KVM_MSIX_GFP);
	if (!dev->vecs)
		return -ENOMEM;
	for (v = 0; v < nr; v++) {
		spin_lock_init(&dev->vecs[v].lock);
		dev->vecs[v].index = v;
		dev->vecs[v].dev = dev;
		dev->vecs[v].gsi = KVM_MSIX_NO_GSI;
		dev->vecs[v].next_gsi = KVM_MSIX_NO_GSI;
	}
	return 0;
}

/* Set up what needs no memory of its own. */
static void device_init(struct kvm_msix_device *dev, struct file *vm_file,
			u32 flags)
{
	mutex_init(&dev->lock);
	mutex_init(&dev->deferred_lock);
	INIT_WORK(&dev->settle_work, kvm_msix_settle_work);
	refcount_set(&dev->refs, 1);
	dev->flags = flags;
	dev->pid = task_tgid_nr(current);
	dev->vm_file = vm_file;
	dev->kvm = vm_file->private_data;
}

/* On success, the device takes over the caller's reference on @vm_file. */
static struct kvm_msix_device *
device_alloc(struct file *vm_file, const struct kvm_msix_create *create)
{
	u32 nr = create->nr_vectors;
	struct kvm_msix_device *dev;
	int err = -ENOMEM;

	dev = kzalloc(sizeof(*dev), KVM_MSIX_GFP);
	if (!dev)
		return ERR_PTR(-ENOMEM);
	device_init(dev, vm_file, create->flags);
	dev->stats = alloc_percpu_gfp(struct kvm_msix_stats, KVM_MSIX_GFP);
	if (!dev->stats)
		goto err_free;
	dev->bound = bitmap_zalloc(nr, KVM_MSIX_GFP);
	if (!dev->bound)
		goto err_stats;
	err = device_alloc_storage(dev, create);
	if (err)
		goto err_bound;
	err = device_alloc_mapping(dev, create);
	if (err)
		goto err_storage;
	err = device_alloc_vecs(dev, nr);
	if (err)
		goto err_mapping;
	dev->id = ida_alloc(&ids, KVM_MSIX_GFP);
	if (dev->id < 0) {
		err = dev->id;
		goto err_vecs;
	}
	err = kvm_msix_post_init(dev);
	if (err)
		goto err_id;
	dev->vm = kvm_msix_vm_get(dev->kvm);
	if (!dev->vm) {
		err = -ENOMEM;
		goto err_post;
	}
	kvm_msix_debugfs_add(dev);
	return dev;

err_post:
	kvm_msix_post_end(dev);
err_id:
	ida_free(&ids, dev->id);
err_vecs:
	kvfree(dev->vecs);
err_mapping:
	device_free_mapping(dev);
err_storage:
	vfree(dev->storage);
err_bound:
	bitmap_free(dev->bound);
err_stats:
	free_percpu(dev->stats);
err_free:
	kfree(dev);
	return ERR_PTR(err);
}

/**
 * kvm_msix_device_put - Drop a reference on a device's memory
 * @dev: the device; if this is the last reference, the device has ended
 *
 * Context: may sleep.
 */
void kvm_msix_device_put(struct kvm_msix_device *dev)
{
	if (!refcount_dec_and_test(&dev->refs))
		return;
	kvfree(dev->vecs);
	vfree(dev->storage);
	bitmap_free(dev->bound);
	free_percpu(dev->stats);
	mutex_destroy(&dev->deferred_lock);
	mutex_destroy(&dev->lock);
	kfree(dev);
}

static void device_end(struct kvm_msix_device *dev)
{
	struct file *vm_file = dev->vm_file;

	kvm_msix_debugfs_remove(dev);

	mutex_lock(&dev->lock);
	kvm_msix_clear_addr(dev);
	kvm_msix_unbind_all(dev);
	/* Nothing is left to send: no work starts the watch's timer again. */
	kvm_msix_reset_state(dev);
	mutex_unlock(&dev->lock);
	kvm_msix_post_end(dev);
	device_free_mapping(dev);
	cancel_work_sync(&dev->settle_work);
	kvm_msix_vm_put(dev->vm);

	pr_debug("device %d: gone\n", dev->id);
	ida_free(&ids, dev->id);
	kvm_msix_device_put(dev);
	/* Last, as the VM's file pins the vendor module as well as the VM. */
	fput(vm_file);
}

/*
 * Never copy from or to userspace under dev->lock: a page fault that userspace
 * has to resolve must not block other ioctls.
 */
static int device_run_set_addr(void *ctx, void *arg)
{
	struct kvm_msix_device *dev = ctx;
	const struct kvm_msix_addr *addr = arg;
	int err;

	mutex_lock(&dev->lock);
	err = kvm_msix_set_addr(dev, addr);
	mutex_unlock(&dev->lock);
	if (!err)
		pr_debug("device %d: table at 0x%llx, PBA at 0x%llx (flags 0x%x)\n",
			 dev->id, addr->table_gpa, addr->pba_gpa, addr->flags);
	return err;
}

static int device_run_bind(void *ctx, void *arg)
{
	struct kvm_msix_device *dev = ctx;
	const struct kvm_msix_bind *bind = arg;
	struct kvm_msix_binding *bindings;
	int err;

	if (!bind->count || bind->first >= dev->core.nr ||
	    bind->count > dev->core.nr - bind->first ||
	    bind->flags == (KVM_MSIX_BIND_ADD | KVM_MSIX_BIND_REMOVE))
		return -EINVAL;

	bindings = vmemdup_user(u64_to_user_ptr(bind->bindings),
				array_size(bind->count, sizeof(*bindings)));
	if (IS_ERR(bindings))
		return PTR_ERR(bindings);
	mutex_lock(&dev->lock);
	err = kvm_msix_bind_vectors(dev, bind->first, bind->count, bindings,
				    bind->flags);
	kvm_msix_watch_update(dev);
	mutex_unlock(&dev->lock);
	kvfree(bindings);
	if (!err)
		pr_debug("device %d: bound %u vectors from %u (flags 0x%x)\n",
			 dev->id, bind->count, bind->first, bind->flags);
	return err;
}

static int device_run_control(void *ctx, void *arg)
{
	struct kvm_msix_device *dev = ctx;
	const struct kvm_msix_control *control = arg;

	if (control->__reserved)
		return -EOPNOTSUPP;
	if (control->control > U16_MAX)
		return -EINVAL;
	mutex_lock(&dev->lock);
	kvm_msix_write_control(dev, control->control);
	kvm_msix_watch_update(dev);
	mutex_unlock(&dev->lock);
	pr_debug("device %d: Message Control 0x%04x\n", dev->id,
		 control->control);
	return 0;
}

static int device_alloc_image(struct kvm_msix_image *image, u32 nr)
{
	image->table_size = kvm_msix_table_size(nr);
	image->pba_size = kvm_msix_pba_size(nr);
	image->table = kvzalloc(image->table_size + image->pba_size,
				KVM_MSIX_GFP);
	if (!image->table)
		return -ENOMEM;
	image->pba = (void *)image->table + image->table_size;
	return 0;
}

static void device_free_image(struct kvm_msix_image *image)
{
	kvfree(image->table);
}

static int device_run_get_state(void *ctx, void *arg)
{
	struct kvm_msix_device *dev = ctx;
	struct kvm_msix_state *state = arg;
	struct kvm_msix_image image;
	int err;

	if (state->nr_vectors != dev->core.nr)
		return -EINVAL;
	err = device_alloc_image(&image, dev->core.nr);
	if (err)
		return err;

	mutex_lock(&dev->lock);
	kvm_msix_save(dev, &image);
	mutex_unlock(&dev->lock);

	state->control = image.control;
	if (copy_to_user(u64_to_user_ptr(state->table), image.table,
			 image.table_size) ||
	    copy_to_user(u64_to_user_ptr(state->pba), image.pba,
			 image.pba_size))
		err = -EFAULT;
	device_free_image(&image);
	return err;
}

static int device_copy_image_from_user(struct kvm_msix_image *image,
				       const struct kvm_msix_state *state)
{
	u32 bits = image->pba_size * 8;

	if (copy_from_user(image->table, u64_to_user_ptr(state->table),
			   image->table_size) ||
	    copy_from_user(image->pba, u64_to_user_ptr(state->pba),
			   image->pba_size))
		return -EFAULT;
	if (find_next_bit(image->pba, bits, state->nr_vectors) < bits)
		return -EINVAL;
	image->control = state->control;
	return 0;
}

static int device_run_set_state(void *ctx, void *arg)
{
	struct kvm_msix_device *dev = ctx;
	const struct kvm_msix_state *state = arg;
	struct kvm_msix_image image;
	int err;

	if (state->nr_vectors != dev->core.nr ||
	    state->control & ~KVM_MSIX_CONTROL_BITS)
		return -EINVAL;
	err = device_alloc_image(&image, dev->core.nr);
	if (err)
		return err;

	err = device_copy_image_from_user(&image, state);
	if (!err) {
		mutex_lock(&dev->lock);
		kvm_msix_restore(dev, &image);
		kvm_msix_watch_update(dev);
		mutex_unlock(&dev->lock);
		pr_debug("device %d: state set\n", dev->id);
	}
	device_free_image(&image);
	return err;
}

static int device_run_reset(void *ctx, void *arg)
{
	struct kvm_msix_device *dev = ctx;

	mutex_lock(&dev->lock);
	kvm_msix_reset_state(dev);
	kvm_msix_watch_update(dev);
	mutex_unlock(&dev->lock);
	pr_debug("device %d: reset\n", dev->id);
	return 0;
}

static int device_run_set_gsi_routing(void *ctx, void *arg)
{
	struct kvm_msix_device *dev = ctx;
	const struct kvm_msix_gsi_routing *routing = arg;
	struct kvm_irq_routing_entry *entries;
	int err = 0;

	if (routing->__reserved)
		return -EOPNOTSUPP;
	if (routing->nr > KVM_MAX_IRQ_ROUTES)
		return -EINVAL;

	entries = kvcalloc(routing->nr + KVM_MAX_IRQ_ROUTES, sizeof(*entries),
			   KVM_MSIX_GFP);
	if (!entries)
		return -ENOMEM;
	if (copy_from_user(entries, u64_to_user_ptr(routing->entries),
			   array_size(routing->nr, sizeof(*entries))))
		err = -EFAULT;
	if (!err) {
		mutex_lock(&dev->lock);
		err = kvm_msix_set_gsi_routing(dev, entries, routing->nr);
		mutex_unlock(&dev->lock);
	}
	kvfree(entries);
	return err;
}

static int device_run_get_stats_fd(void *ctx, void *arg)
{
	return kvm_msix_get_stats_fd(ctx);
}

static const struct kvm_msix_ioctl device_ioctls[] = {
	KVM_MSIX_IOCTL(KVM_MSIX_SET_ADDR, device_run_set_addr,
		       struct kvm_msix_addr, pba_gpa,
		       .flags = KVM_MSIX_ADDR_TABLE | KVM_MSIX_ADDR_PBA),
	KVM_MSIX_IOCTL(KVM_MSIX_BIND, device_run_bind, struct kvm_msix_bind,
		       bindings,
		       .flags = KVM_MSIX_BIND_ADD | KVM_MSIX_BIND_REMOVE),
	KVM_MSIX_IOCTL(KVM_MSIX_CONTROL, device_run_control,
		       struct kvm_msix_control, __reserved),
	KVM_MSIX_IOCTL(KVM_MSIX_GET_STATE, device_run_get_state,
		       struct kvm_msix_state, pba, .out = true),
	KVM_MSIX_IOCTL(KVM_MSIX_SET_STATE, device_run_set_state,
		       struct kvm_msix_state, pba),
	KVM_MSIX_IOCTL(KVM_MSIX_RESET, device_run_reset,
		       struct kvm_msix_reset, flags),
	KVM_MSIX_IOCTL(KVM_MSIX_SET_GSI_ROUTING, device_run_set_gsi_routing,
		       struct kvm_msix_gsi_routing, entries),
	KVM_MSIX_IOCTL(KVM_MSIX_GET_STATS_FD, device_run_get_stats_fd,
		       struct kvm_msix_stats_fd, flags),
};

/* Refuse, as KVM's own fds do, other address spaces and dead VMs. */
static bool device_vm_usable(const struct kvm *kvm)
{
	return kvm->mm == current->mm && !READ_ONCE(kvm->vm_dead);
}

static long device_ioctl(struct file *file, unsigned int cmd,
			 unsigned long arg)
{
	struct kvm_msix_device *dev = file->private_data;

	if (!device_vm_usable(dev->kvm))
		return -EIO;

	return kvm_msix_run_ioctl(device_ioctls, ARRAY_SIZE(device_ioctls), dev,
				  cmd, arg);
}

static int device_release(struct inode *inode, struct file *file)
{
	device_end(file->private_data);
	return 0;
}

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.release = device_release,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = kvm_msix_mmap,
	.llseek = noop_llseek,
};

/* Install an fd for a device. On success, the fd's file owns the device. */
static int device_get_fd(struct kvm_msix_device *dev)
{
	struct file *file;
	int fd;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	file = anon_inode_getfile("kvm-msix", &device_fops, dev, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	if (dev->inode)
		file->f_mapping = dev->inode->i_mapping;
	fd_install(fd, file);
	return fd;
}

/* Can this VM have a device with these flags? */
static int device_check_vm(const struct kvm *kvm, u32 flags)
{
	if (!device_vm_usable(kvm))
		return -EIO;
	if (READ_ONCE(kvm->arch.irqchip_mode) == KVM_IRQCHIP_NONE)
		return -EINVAL;
	if (flags & KVM_MSIX_CREATE_EXT_DEST_ID && !kvm->arch.x2apic_format)
		return -EINVAL;
	return 0;
}

/**
 * kvm_msix_device_create - Create a device: ioctl KVM_MSIX_CREATE
 * @ctx: unused
 * @arg: struct kvm_msix_create
 *
 * Context: may sleep.
 * Return: the new fd or an errno that struct kvm_msix_create documents.
 */
int kvm_msix_device_create(void *ctx, void *arg)
{
	const struct kvm_msix_create *create = arg;
	struct kvm_msix_device *dev;
	struct file *vm_file;
	int ret;

	if (create->__reserved)
		return -EOPNOTSUPP;
	if (!create->nr_vectors || create->nr_vectors > KVM_MSIX_MAX_VECTORS ||
	    !device_layout_ok(create) ||
	    (create->unmask_eventfd && !device_has_unmask_eventfd(create)))
		return -EINVAL;
	if (create->flags & KVM_MSIX_CREATE_MMAP && !kvm_msix_can_mmap())
		return -EOPNOTSUPP;

	vm_file = fget(create->vm_fd);
	if (!vm_file)
		return -EBADF;
	ret = -EINVAL;
	if (!host_call(file_is_kvm)(vm_file))
		goto err_fput;
	ret = device_check_vm(vm_file->private_data, create->flags);
	if (ret)
		goto err_fput;

	dev = device_alloc(vm_file, create);
	if (IS_ERR(dev)) {
		ret = PTR_ERR(dev);
		goto err_fput;
	}
	ret = device_get_fd(dev);
	if (ret < 0)
		device_end(dev);
	return ret;

err_fput:
	fput(vm_file);
	return ret;
}
