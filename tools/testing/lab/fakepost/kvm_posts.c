// SPDX-License-Identifier: GPL-2.0-only
/*
 * Override what KVM has found out about the host when loaded.
 */
#include <linux/module.h>

#include "iommu.h"

#ifdef FAKEPOST_BY_IRQFD

static bool *kvm_posts;

int kvm_posts_start(void)
{
	kvm_posts = symbol_get(enable_device_posted_irqs);
	if (!kvm_posts)
		return -ENOENT;
	WRITE_ONCE(*kvm_posts, true);
	return 0;
}

void kvm_posts_stop(void)
{
	WRITE_ONCE(*kvm_posts, false);
	symbol_put(enable_device_posted_irqs);
}

#else /* !FAKEPOST_BY_IRQFD */

int kvm_posts_start(void)
{
	return 0;
}

void kvm_posts_stop(void)
{
}

#endif /* !FAKEPOST_BY_IRQFD */
