// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rules of the uapi, applied to every ioctl in one place: size comes first,
 * fields that the caller does not know are taken as zero, fields that the
 * kernel does not know must be zero. For the errors see "General ioctl format"
 * in include/uapi/linux/kvm_msix.h.
 */
#include <linux/uaccess.h>

#include "ioctl.h"

static const struct kvm_msix_ioctl *
ioctl_find(const struct kvm_msix_ioctl *ops, size_t nr_ops, unsigned int cmd)
{
	size_t i;

	for (i = 0; i < nr_ops; i++)
		if (ops[i].cmd == cmd)
			return &ops[i];
	return NULL;
}

/**
 * kvm_msix_run_ioctl - Run an ioctl: copy its struct in, then back out
 * @ops: the ioctls of the file
 * @nr_ops: their number
 * @ctx: the file's private data
 * @cmd: the ioctl's number
 * @uarg: user pointer to the struct
 *
 * Context: may sleep; accesses userspace, so the caller holds no lock.
 * Return: what the ioctl's @run returned, or a negative errno.
 */
long kvm_msix_run_ioctl(const struct kvm_msix_ioctl *ops, size_t nr_ops,
			void *ctx, unsigned int cmd, unsigned long uarg)
{
	void __user *ubuf = (void __user *)uarg;
	const struct kvm_msix_ioctl *op;
	union kvm_msix_arg arg;
	u32 size;
	int ret;

	op = ioctl_find(ops, nr_ops, cmd);
	if (!op)
		return -ENOTTY;

	if (get_user(size, (u32 __user *)ubuf))
		return -EFAULT;
	if (size < op->min_size)
		return -EINVAL;
	/* No struct is that large: do not scan gigabytes for zeroes. */
	if (size > PAGE_SIZE)
		return -E2BIG;
	ret = copy_struct_from_user(&arg, op->size, ubuf, size);
	if (ret)
		return ret;
	if (arg.header.flags & ~op->flags)
		return -EOPNOTSUPP;

	ret = op->run(ctx, &arg);
	if (ret < 0 || !op->out)
		return ret;
	if (copy_to_user(ubuf, &arg, min(size, op->size)))
		return -EFAULT;
	return ret;
}
