// SPDX-License-Identifier: GPL-2.0-only
/*
 * For QEMU's LD_PRELOAD: kvm_msix as on a host that posts interrupts, which no
 * emulated machine is.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include <linux/kvm_msix.h>

int ioctl(int fd, unsigned long request, ...)
{
	int (*real)(int fd, unsigned long request, ...) = dlsym(RTLD_NEXT, "ioctl");
	struct kvm_msix_info *info;
	va_list args;
	void *arg;
	int ret;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);

	ret = real(fd, request, arg);
	if (request == KVM_MSIX_INFO && !ret) {
		info = arg;
		info->capabilities |= KVM_MSIX_CAP_HOST_POSTS;
	}
	return ret;
}
