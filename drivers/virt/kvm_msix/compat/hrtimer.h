/* SPDX-License-Identifier: GPL-2.0-only */
/* hrtimer_setup() replaces hrtimer_init() and a store to .function. */
#ifndef _KVM_MSIX_COMPAT_HRTIMER_H
#define _KVM_MSIX_COMPAT_HRTIMER_H

#include <linux/hrtimer.h>

/**
 * kvm_msix_hrtimer_setup - Set up a timer, not started
 * @timer: the timer
 * @function: called when the timer expires
 * @clock: the clock
 * @mode: the mode, which each start of the timer has to repeat
 *
 * Context: any.
 */
static inline void
kvm_msix_hrtimer_setup(struct hrtimer *timer,
		       enum hrtimer_restart (*function)(struct hrtimer *),
		       clockid_t clock, enum hrtimer_mode mode)
{
#ifdef KVM_MSIX_HRTIMER_SETUP
	hrtimer_setup(timer, function, clock, mode);
#else
	hrtimer_init(timer, clock, mode);
	timer->function = function;
#endif
}

#endif /* _KVM_MSIX_COMPAT_HRTIMER_H */
