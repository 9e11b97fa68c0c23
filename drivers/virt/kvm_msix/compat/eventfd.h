/* SPDX-License-Identifier: GPL-2.0-only */
/* eventfd_signal() lost its count, which was 1 everywhere. */
#ifndef _KVM_MSIX_COMPAT_EVENTFD_H
#define _KVM_MSIX_COMPAT_EVENTFD_H

#include <linux/eventfd.h>

static inline void kvm_msix_eventfd_signal(struct eventfd_ctx *ctx)
{
#ifdef KVM_MSIX_EVENTFD_SIGNAL_COUNT
	eventfd_signal(ctx, 1);
#else
	eventfd_signal(ctx);
#endif
}

#endif /* _KVM_MSIX_COMPAT_EVENTFD_H */
