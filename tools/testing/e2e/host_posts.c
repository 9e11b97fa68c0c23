// SPDX-License-Identifier: GPL-2.0-only
/*
 * For QEMU's LD_PRELOAD: makes KVM_MSIX_INFO answer as on a host that posts
 * interrupts, which no emulated machine does. With E2E_POSTED in the environment,
 * the module posts interrupts, too.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdlib.h>
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
		info->capabilities &= ~(unsigned long long)KVM_MSIX_CAP_POSTED;
		if (getenv("E2E_POSTED"))
			info->capabilities |= KVM_MSIX_CAP_POSTED;
	}
	return ret;
}
