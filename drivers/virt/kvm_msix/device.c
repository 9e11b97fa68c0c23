// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device fd: its life, and its ioctls.
 *
 * A device is made whole or not at all, and its fd appears last. Closing the
 * fd is its only end: the windows go from KVM's bus, then the eventfds and
 * GSIs, so that neither guest nor event comes any more, then the memory, and
 * last the VM. None of that can fail.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/anon_inodes.h>
#include <linux/bitmap.h>
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/idr.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "hostsyms.h"
#include "ioctl.h"
#include "kvm_msix.h"

static DEFINE_IDA(ids);

/* The pages that the table is on, and those with the PBA that a mapping has. */
static u32 table_pages(const struct kvm_msix_create *create)
{
	return PFN_UP(create->table_offset +
		      kvm_msix_table_size(create->nr_vectors));
}

static u32 map_pages(const struct kvm_msix_create *create)
{
	if (!(create->flags & KVM_MSIX_CREATE_MMAP_PBA))
		return table_pages(create);
	return max_t(u32, table_pages(create),
		     PFN_UP(create->pba_offset +
			    kvm_msix_pba_size(create->nr_vectors)));
}

/* Do table and PBA lie as a mapping can have them? */
static bool layout_ok(const struct kvm_msix_create *create)
{
	u32 table_size = kvm_msix_table_size(create->nr_vectors);
	u32 pba_size = kvm_msix_pba_size(create->nr_vectors);
	u32 table = create->table_offset, pba = create->pba_offset;

	if (!(create->flags & KVM_MSIX_CREATE_MMAP_PBA) && pba)
		return false;
	if (!(create->flags & KVM_MSIX_CREATE_MMAP))
		return !table && !(create->flags & KVM_MSIX_CREATE_MMAP_PBA);

	/* An entry is read as a whole: kvm_msix_snapshot(). */
	if (table >= PAGE_SIZE || !IS_ALIGNED(table, PCI_MSIX_ENTRY_SIZE))
		return false;
	if (!(create->flags & KVM_MSIX_CREATE_MMAP_PBA))
		return true;
	return IS_ALIGNED(pba, 8) && PFN_DOWN(pba) <= table_pages(create) &&
	       (pba >= table + table_size || pba + pba_size <= table);
}

/* The core's memory; what can be mapped comes first and has its pages alone. */
static int alloc_storage(struct kvm_msix_device *dev,
			 const struct kvm_msix_create *create)
{
	u32 map_size = map_pages(create) * PAGE_SIZE;
	u32 nr = create->nr_vectors;
	u32 pba_size = kvm_msix_pba_size(nr);

	dev->storage = __vmalloc(map_size + 2 * pba_size,
				 KVM_MSIX_GFP | __GFP_ZERO);
	if (!dev->storage)
		return -ENOMEM;
	if (create->flags & KVM_MSIX_CREATE_MMAP) {
		dev->map_pages = map_pages(create);
		dev->table_pages = table_pages(create);
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

/* Does the function tell the VMM by an eventfd what no access tells it? */
static bool has_unmask_eventfd(const struct kvm_msix_create *create)
{
	return create->flags & KVM_MSIX_CREATE_LAZY &&
	       create->flags & KVM_MSIX_CREATE_MMAP;
}

/* All that a device has only if it can be mapped. */
static int alloc_mapping(struct kvm_msix_device *dev,
			 const struct kvm_msix_create *create)
{
	struct eventfd_ctx *unmask_eventfd = NULL;
	int err;

	if (!dev->map_pages)
		return 0;
	if (has_unmask_eventfd(create)) {
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

static void free_mapping(struct kvm_msix_device *dev)
{
	if (!dev->map_pages)
		return;
	kvm_msix_watch_end(dev);
	kvm_msix_map_end(dev);
}

static int alloc_vecs(struct kvm_msix_device *dev, u32 nr)
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

/* Takes over the reference on @vm_file if it succeeds. */
static struct kvm_msix_device *
alloc_device(struct file *vm_file, const struct kvm_msix_create *create)
{
	u32 nr = create->nr_vectors;
	struct kvm_msix_device *dev;
	int err = -ENOMEM;

	dev = kzalloc(sizeof(*dev), KVM_MSIX_GFP);
	if (!dev)
		return ERR_PTR(-ENOMEM);
	mutex_init(&dev->lock);
	mutex_init(&dev->deferred_lock);
	INIT_WORK(&dev->settle_work, kvm_msix_settle_work);
	dev->flags = create->flags;
	dev->vm_file = vm_file;
	dev->kvm = vm_file->private_data;

	dev->stats = alloc_percpu_gfp(struct kvm_msix_stats, KVM_MSIX_GFP);
	if (!dev->stats)
		goto err_free;
	dev->bound = bitmap_zalloc(nr, KVM_MSIX_GFP);
	if (!dev->bound)
		goto err_stats;
	err = alloc_storage(dev, create);
	if (err)
		goto err_bound;
	err = alloc_mapping(dev, create);
	if (err)
		goto err_storage;
	err = alloc_vecs(dev, nr);
	if (err)
		goto err_mapping;
	dev->id = ida_alloc(&ids, KVM_MSIX_GFP);
	if (dev->id < 0) {
		err = dev->id;
		goto err_vecs;
	}
	dev->vm = kvm_msix_vm_get(dev->kvm);
	if (!dev->vm) {
		err = -ENOMEM;
		goto err_id;
	}
	kvm_msix_debugfs_add(dev);
	return dev;

err_id:
	ida_free(&ids, dev->id);
err_vecs:
	kvfree(dev->vecs);
err_mapping:
	free_mapping(dev);
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

static void free_device(struct kvm_msix_device *dev)
{
	struct file *vm_file = dev->vm_file;

	kvm_msix_debugfs_remove(dev);

	mutex_lock(&dev->lock);
	kvm_msix_locate_nowhere(dev);
	kvm_msix_unbind_all(dev);
	mutex_unlock(&dev->lock);
	free_mapping(dev);
	cancel_work_sync(&dev->settle_work);
	kvm_msix_vm_put(dev->vm);

	pr_debug("device %d: gone\n", dev->id);
	ida_free(&ids, dev->id);
	kvfree(dev->vecs);
	vfree(dev->storage);
	bitmap_free(dev->bound);
	free_percpu(dev->stats);
	mutex_destroy(&dev->deferred_lock);
	mutex_destroy(&dev->lock);
	kfree(dev);
	/* The VM goes last, and with its file: that is what pins its vendor. */
	fput(vm_file);
}

/*
 * dev->lock is taken below the copies from and to userspace: one that blocks,
 * on a page that userspace itself has to bring, holds up nobody else.
 */
static int run_locate(void *ctx, void *arg)
{
	struct kvm_msix_device *dev = ctx;
	const struct kvm_msix_locate *where = arg;
	int err;

	mutex_lock(&dev->lock);
	err = kvm_msix_locate(dev, where);
	mutex_unlock(&dev->lock);
	if (!err)
		pr_debug("device %d: table at 0x%llx, PBA at 0x%llx (flags 0x%x)\n",
			 dev->id, where->table_gpa, where->pba_gpa,
			 where->flags);
	return err;
}

static int run_bind(void *ctx, void *arg)
{
	struct kvm_msix_device *dev = ctx;
	const struct kvm_msix_bind *bind = arg;
	struct kvm_msix_vector *vectors;
	int err;

	if (!bind->count || bind->first >= dev->core.nr ||
	    bind->count > dev->core.nr - bind->first)
		return -EINVAL;

	vectors = vmemdup_user(u64_to_user_ptr(bind->vectors),
			       array_size(bind->count, sizeof(*vectors)));
	if (IS_ERR(vectors))
		return PTR_ERR(vectors);
	mutex_lock(&dev->lock);
	err = kvm_msix_bind(dev, bind->first, bind->count, vectors);
	kvm_msix_watch_update(dev);
	mutex_unlock(&dev->lock);
	kvfree(vectors);
	if (!err)
		pr_debug("device %d: bound %u vectors from %u\n", dev->id,
			 bind->count, bind->first);
	return err;
}

static int run_control(void *ctx, void *arg)
{
	struct kvm_msix_device *dev = ctx;
	const struct kvm_msix_control *control = arg;

	if (control->__reserved)
		return -EOPNOTSUPP;
	if (control->control > U16_MAX)
		return -EINVAL;
	mutex_lock(&dev->lock);
	kvm_msix_control(dev, control->control);
	kvm_msix_watch_update(dev);
	mutex_unlock(&dev->lock);
	pr_debug("device %d: Message Control 0x%04x\n", dev->id,
		 control->control);
	return 0;
}

static int run_get_state(void *ctx, void *arg)
{
	return kvm_msix_get_state(ctx, arg);
}

static int run_set_state(void *ctx, void *arg)
{
	struct kvm_msix_device *dev = ctx;
	int err;

	err = kvm_msix_set_state(dev, arg);
	if (!err)
		pr_debug("device %d: state set\n", dev->id);
	return err;
}

static int run_reset(void *ctx, void *arg)
{
	struct kvm_msix_device *dev = ctx;

	mutex_lock(&dev->lock);
	kvm_msix_reset(dev);
	kvm_msix_watch_update(dev);
	mutex_unlock(&dev->lock);
	pr_debug("device %d: reset\n", dev->id);
	return 0;
}

static int run_set_gsi_routing(void *ctx, void *arg)
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

static const struct kvm_msix_ioctl device_ioctls[] = {
	KVM_MSIX_IOCTL(KVM_MSIX_LOCATE, run_locate, struct kvm_msix_locate,
		       pba_gpa,
		       .flags = KVM_MSIX_LOCATE_TABLE | KVM_MSIX_LOCATE_PBA),
	KVM_MSIX_IOCTL(KVM_MSIX_BIND, run_bind, struct kvm_msix_bind, vectors),
	KVM_MSIX_IOCTL(KVM_MSIX_CONTROL, run_control, struct kvm_msix_control,
		       __reserved),
	KVM_MSIX_IOCTL(KVM_MSIX_GET_STATE, run_get_state,
		       struct kvm_msix_state, pba, .out = true),
	KVM_MSIX_IOCTL(KVM_MSIX_SET_STATE, run_set_state,
		       struct kvm_msix_state, pba),
	KVM_MSIX_IOCTL(KVM_MSIX_RESET, run_reset, struct kvm_msix_reset,
		       flags),
	KVM_MSIX_IOCTL(KVM_MSIX_SET_GSI_ROUTING, run_set_gsi_routing,
		       struct kvm_msix_gsi_routing, entries),
};

/* A VM is its creator's: of no other address space, and only while it lives. */
static bool usable(const struct kvm *kvm)
{
	return kvm->mm == current->mm && !READ_ONCE(kvm->vm_dead);
}

static long device_ioctl(struct file *file, unsigned int cmd,
			 unsigned long arg)
{
	struct kvm_msix_device *dev = file->private_data;

	if (!usable(dev->kvm))
		return -EIO;

	return kvm_msix_run_ioctl(device_ioctls, ARRAY_SIZE(device_ioctls), dev,
				  cmd, arg);
}

static int device_release(struct inode *inode, struct file *file)
{
	free_device(file->private_data);
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

/* The fd of a device, which is the file's from then on. */
static int get_device_fd(struct kvm_msix_device *dev)
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
static int check_vm(const struct kvm *kvm, u32 flags)
{
	if (!usable(kvm))
		return -EIO;
	if (READ_ONCE(kvm->arch.irqchip_mode) == KVM_IRQCHIP_NONE)
		return -EINVAL;
	if (flags & KVM_MSIX_CREATE_EXT_DEST_ID && !kvm->arch.x2apic_format)
		return -EINVAL;
	return 0;
}

/**
 * kvm_msix_device_create - ioctl KVM_MSIX_CREATE
 * @ctx: unused
 * @arg: struct kvm_msix_create
 *
 * Return: the new fd or what struct kvm_msix_create documents.
 */
int kvm_msix_device_create(void *ctx, void *arg)
{
	const struct kvm_msix_create *create = arg;
	struct kvm_msix_device *dev;
	struct file *vm_file;
	int ret;

	if (!create->nr_vectors || create->nr_vectors > KVM_MSIX_MAX_VECTORS ||
	    !layout_ok(create) ||
	    (create->unmask_eventfd && !has_unmask_eventfd(create)))
		return -EINVAL;
	if (create->flags & KVM_MSIX_CREATE_MMAP && !kvm_msix_can_mmap())
		return -EOPNOTSUPP;

	vm_file = fget(create->vm_fd);
	if (!vm_file)
		return -EBADF;
	ret = -EINVAL;
	if (!host_call(file_is_kvm)(vm_file))
		goto err_fput;
	ret = check_vm(vm_file->private_data, create->flags);
	if (ret)
		goto err_fput;

	dev = alloc_device(vm_file, create);
	if (IS_ERR(dev)) {
		ret = PTR_ERR(dev);
		goto err_fput;
	}
	ret = get_device_fd(dev);
	if (ret < 0)
		free_device(dev);
	return ret;

err_fput:
	fput(vm_file);
	return ret;
}
