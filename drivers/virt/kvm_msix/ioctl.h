/* SPDX-License-Identifier: GPL-2.0-only */
/* The rules that all ioctls share: sizes, flags, copying. See ioctl.c. */
#ifndef _KVM_MSIX_IOCTL_H
#define _KVM_MSIX_IOCTL_H

#include <linux/build_bug.h>
#include <linux/kvm_msix.h>
#include <linux/types.h>

/* The first fields of every ioctl's struct. */
struct kvm_msix_arg_header {
	__u32 size;
	__u32 flags;
};

/* Room for any ioctl's struct. */
union kvm_msix_arg {
	struct kvm_msix_arg_header header;
	struct kvm_msix_info info;
	struct kvm_msix_create create;
	struct kvm_msix_addr addr;
	struct kvm_msix_bind bind;
	struct kvm_msix_control control;
	struct kvm_msix_state state;
	struct kvm_msix_reset reset;
	struct kvm_msix_gsi_routing gsi_routing;
	struct kvm_msix_stats_fd stats_fd;
};

/**
 * struct kvm_msix_ioctl - One ioctl of a file
 * @run: the handler; @ctx is the file's private data, @arg the struct
 * @cmd: the ioctl's number
 * @min_size: size of the struct when it was first published
 * @size: size of the struct now
 * @flags: the flags that the ioctl takes
 * @out: copy the struct back after @run succeeded
 */
struct kvm_msix_ioctl {
	int (*run)(void *ctx, void *arg);
	unsigned int cmd;
	u32 min_size;
	u32 size;
	u32 flags;
	bool out;
};

/*
 * @_last is the last field of the struct's first published form. The build
 * fails unless the struct fits into union kvm_msix_arg and begins as struct
 * kvm_msix_arg_header does.
 */
#define KVM_MSIX_IOCTL(_cmd, _run, _struct, _last, ...)			\
	{								\
		.cmd = _cmd,						\
		.run = _run,						\
		.min_size = offsetofend(_struct, _last),		\
		.size = sizeof(_struct) +				\
			BUILD_BUG_ON_ZERO(sizeof(_struct) >		\
					  sizeof(union kvm_msix_arg) ||	\
					  offsetof(_struct, size) !=	\
					  offsetof(struct kvm_msix_arg_header, size) || \
					  offsetof(_struct, flags) !=	\
					  offsetof(struct kvm_msix_arg_header, flags)), \
		__VA_ARGS__						\
	}

long kvm_msix_run_ioctl(const struct kvm_msix_ioctl *ops, size_t nr_ops,
			void *ctx, unsigned int cmd, unsigned long uarg);

#endif /* _KVM_MSIX_IOCTL_H */
