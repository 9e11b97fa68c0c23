// SPDX-License-Identifier: GPL-2.0-only
/*
 * An empty device on a VM's MMIO bus, to measure the cheapest access that KVM
 * finishes in the kernel. kvm_msix is compared with this cost.
 *
 * write(2) a struct floor_where to /dev/kvm_msix_floor: the device answers
 * there until the file is closed. Built with the module's hostsyms.c.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <kvm/iodev.h>

#include "hostsyms.h"

struct floor_where {
	__s32 vm_fd;
	__u32 len;
	__u64 gpa;
};

struct floor {
	struct kvm_io_device io;
	struct file *vm_file;
	struct kvm *kvm;
};

static int read_nothing(struct kvm_vcpu *vcpu, struct kvm_io_device *io,
			gpa_t addr, int len, void *val)
{
	return 0;
}

static int write_nothing(struct kvm_vcpu *vcpu, struct kvm_io_device *io,
			 gpa_t addr, int len, const void *val)
{
	return 0;
}

static const struct kvm_io_device_ops ops = {
	.read = read_nothing,
	.write = write_nothing,
};

static ssize_t floor_write(struct file *file, const char __user *buf,
			   size_t count, loff_t *pos)
{
	struct floor_where where;
	struct floor *floor;
	struct file *vm_file;
	int err = -EINVAL;

	if (file->private_data)
		return -EBUSY;
	if (count != sizeof(where))
		return -EINVAL;
	if (copy_from_user(&where, buf, sizeof(where)))
		return -EFAULT;

	floor = kzalloc(sizeof(*floor), GFP_KERNEL);
	if (!floor)
		return -ENOMEM;
	vm_file = fget(where.vm_fd);
	if (!vm_file || !host_call(file_is_kvm)(vm_file))
		goto err_free;
	floor->vm_file = vm_file;
	floor->kvm = vm_file->private_data;
	kvm_iodevice_init(&floor->io, &ops);
	mutex_lock(&floor->kvm->slots_lock);
	err = host_call(kvm_io_bus_register_dev)(floor->kvm, KVM_MMIO_BUS,
						 where.gpa, where.len,
						 &floor->io);
	mutex_unlock(&floor->kvm->slots_lock);
	if (err)
		goto err_free;
	file->private_data = floor;
	return count;

err_free:
	if (vm_file)
		fput(vm_file);
	kfree(floor);
	return err;
}

static int floor_open(struct inode *inode, struct file *file)
{
	file->private_data = NULL;
	return 0;
}

static int floor_release(struct inode *inode, struct file *file)
{
	struct floor *floor = file->private_data;

	if (!floor)
		return 0;
	mutex_lock(&floor->kvm->slots_lock);
	host_call(kvm_io_bus_unregister_dev)(floor->kvm, KVM_MMIO_BUS,
					     &floor->io);
	mutex_unlock(&floor->kvm->slots_lock);
	fput(floor->vm_file);
	kfree(floor);
	return 0;
}

static const struct file_operations fops = {
	.owner = THIS_MODULE,
	.open = floor_open,
	.write = floor_write,
	.release = floor_release,
};

static struct miscdevice misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kvm_msix_floor",
	.fops = &fops,
};

static int __init floor_init(void)
{
	int err = kvm_msix_hostsyms_init();

	return err ?: misc_register(&misc);
}
module_init(floor_init);

static void __exit floor_exit(void)
{
	misc_deregister(&misc);
}
module_exit(floor_exit);

/* Pins the module kvm, as hostsyms.c requires. */
void (*const floor_pins_kvm)(struct kvm *kvm) = kvm_put_kvm;

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("An empty device on KVM's MMIO bus, to measure against");
