/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The only header that core.[ch] includes from outside: in the kernel, the
 * kernel's headers. The tests in tools/testing/kvm_msix build core.c unmodified
 * in user space, with a header of their own.
 */
#ifndef _KVM_MSIX_CORE_TYPES_H
#define _KVM_MSIX_CORE_TYPES_H

#ifdef __KERNEL__
#include <linux/bitops.h>
#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/nospec.h>
#include <linux/pci_regs.h>
#include <linux/string.h>
#include <linux/types.h>
#else
#include "core_user.h"
#endif

#endif /* _KVM_MSIX_CORE_TYPES_H */
