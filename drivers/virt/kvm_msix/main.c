// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/kvm_msix: discovery and creation; the module's init and exit.
 *
 * An open device fd pins the module (file_operations.owner). At exit there is
 * no device left, and no reference on a VM.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "hostsyms.h"
#include "ioctl.h"
#include "kvm_msix.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

static int main_run_info(void *ctx, void *arg)
{
	struct kvm_msix_info *info = arg;

	info->capabilities = KVM_MSIX_CAP_LAZY | KVM_MSIX_CAP_EXT_DEST_ID |
			     KVM_MSIX_CAP_GSI | KVM_MSIX_CAP_STATS |
			     KVM_MSIX_CAP_BIND_ADD;
	if (kvm_msix_can_mmap())
		info->capabilities |= KVM_MSIX_CAP_MMAP;
	if (kvm_msix_host_posts())
		info->capabilities |= KVM_MSIX_CAP_HOST_POSTS;
	if (kvm_msix_can_post())
		info->capabilities |= KVM_MSIX_CAP_POSTED;
	info->max_vectors = KVM_MSIX_MAX_VECTORS;
	info->max_gsi = KVM_MAX_IRQ_ROUTES - 1;
	return 0;
}

static const struct kvm_msix_ioctl main_ioctls[] = {
	KVM_MSIX_IOCTL(KVM_MSIX_INFO, main_run_info, struct kvm_msix_info,
		       max_gsi, .out = true),
	KVM_MSIX_IOCTL(KVM_MSIX_CREATE, kvm_msix_device_create,
		       struct kvm_msix_create, __reserved,
		       .flags = KVM_MSIX_CREATE_LAZY |
				KVM_MSIX_CREATE_EXT_DEST_ID |
				KVM_MSIX_CREATE_MMAP |
				KVM_MSIX_CREATE_MMAP_PBA),
};

static long main_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return kvm_msix_run_ioctl(main_ioctls, ARRAY_SIZE(main_ioctls), NULL,
				  cmd, arg);
}

static const struct file_operations main_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = main_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

/* No .mode: root only, as /dev/kvm is, until udev gives both to their group. */
static struct miscdevice main_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kvm_msix",
	.fops = &main_fops,
};

static int __init kvm_msix_init(void)
{
	int err;

	err = kvm_msix_hostsyms_init();
	if (err)
		return err;
	kvm_msix_debugfs_init();
	err = misc_register(&main_device);
	if (err)
		kvm_msix_debugfs_exit();
	return err;
}
module_init(kvm_msix_init);

static void __exit kvm_msix_exit(void)
{
	misc_deregister(&main_device);
	kvm_msix_debugfs_exit();
}
module_exit(kvm_msix_exit);

MODULE_DESCRIPTION("In-kernel MSI-X tables for devices assigned to KVM guests");
MODULE_LICENSE("GPL");
#ifdef KVM_MSIX_VERSION
MODULE_VERSION(KVM_MSIX_VERSION);
#endif
