/* SPDX-License-Identifier: GPL-2.0-only */
/* Linux removed eventfd_signal()'s count, for which every caller passed 1. */
#ifndef _KVM_MSIX_COMPAT_EVENTFD_H
#define _KVM_MSIX_COMPAT_EVENTFD_H

#include <linux/eventfd.h>

/**
 * kvm_msix_eventfd_signal - Signal an eventfd
 * @ctx: the eventfd
 *
 * Context: any, but for the wake callback of an eventfd, where the signal is
 * dropped with a warning.
 */
static inline void kvm_msix_eventfd_signal(struct eventfd_ctx *ctx)
{
#ifdef KVM_MSIX_EVENTFD_SIGNAL_COUNT
	eventfd_signal(ctx, 1);
#else
	eventfd_signal(ctx);
#endif
}

#endif /* _KVM_MSIX_COMPAT_EVENTFD_H */
