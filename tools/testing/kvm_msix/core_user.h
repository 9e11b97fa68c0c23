/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The parts of the kernel that core.[ch] needs, for a build in user space:
 * core_types.h includes this file where __KERNEL__ is not defined.
 *
 * The _ONCE accesses and the bit operations are atomic, with no more order than
 * the kernel promises, so that the thread sanitizer tells races from other
 * accesses.
 */
#ifndef _KVM_MSIX_CORE_USER_H
#define _KVM_MSIX_CORE_USER_H

#include <linux/pci_regs.h>
#include <linux/types.h>

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	      "the table is kept in the guest's byte order");

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

#define BIT(nr)			(1UL << (nr))
#define BITS_PER_LONG		(8 * sizeof(long))
#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))

#define BUILD_BUG_ON(condition) \
	static_assert(!(condition), #condition)

/*
 * A test with threads may define CORE_USER_PREEMPT: core_user_preempt() then runs
 * before each access, and may yield to other threads, above all between the load
 * and the store of a change.
 */
#ifdef CORE_USER_PREEMPT
void core_user_preempt(void);
#else
static inline void core_user_preempt(void) { }
#endif

#define READ_ONCE(x) \
	(core_user_preempt(), __atomic_load_n(&(x), __ATOMIC_RELAXED))
#define WRITE_ONCE(x, val) ({ \
	__typeof__(x) __val = (val); \
	core_user_preempt(); \
	__atomic_store_n(&(x), __val, __ATOMIC_RELAXED); \
})

/*
 * The kernel's array_index_nospec() clamps an index out of range to 0. Callers of
 * the core must check offsets: an index out of range is a bug.
 */
static inline size_t array_index_nospec(size_t index, size_t size)
{
	if (index < size)
		return index;
	fprintf(stderr, "index %zu of %zu\n", index, size);
	abort();
}

static inline bool test_bit(unsigned long nr, const unsigned long *addr)
{
	return READ_ONCE(addr[nr / BITS_PER_LONG]) & BIT(nr % BITS_PER_LONG);
}

static inline void set_bit(unsigned long nr, unsigned long *addr)
{
	__atomic_fetch_or(&addr[nr / BITS_PER_LONG], BIT(nr % BITS_PER_LONG),
			  __ATOMIC_RELAXED);
}

static inline void clear_bit(unsigned long nr, unsigned long *addr)
{
	__atomic_fetch_and(&addr[nr / BITS_PER_LONG], ~BIT(nr % BITS_PER_LONG),
			   __ATOMIC_RELAXED);
}

static inline bool test_and_set_bit(unsigned long nr, unsigned long *addr)
{
	unsigned long bit = BIT(nr % BITS_PER_LONG);

	return __atomic_fetch_or(&addr[nr / BITS_PER_LONG], bit,
				 __ATOMIC_SEQ_CST) & bit;
}

#endif /* _KVM_MSIX_CORE_USER_H */
