/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest that does an operation at a place in or around table and PBA, for
 * hostile_guest_test and hostile_insn_test.
 *
 * The judge is what a VMM would do. Next to the table is a hole, which
 * hostile_guest.c answers in user space from plain memory, by the rules of
 * kvm_msix-semantics.rst in a dozen lines (reference()). An operation must end in
 * the same way on both, be that success, an exception or an error of KVM's
 * emulator: with the same registers, the same memory, and not a line more in the
 * kernel's log.
 *
 * A test includes kselftest_harness.h first.
 */
#ifndef SELFTEST_KVM_MSIX_HOSTILE_GUEST_H
#define SELFTEST_KVM_MSIX_HOSTILE_GUEST_H

#include "kvm_msix_util.h"
#include "hostile.h"

#define NR		24
#define TABLE		0xfc8u	/* an entry lies on two pages */
#define TABLE_SIZE	(NR * ENTRY_SIZE)
#define TABLE_END	(TABLE + TABLE_SIZE)
#define PBA		(TABLE_END + 8)
#define PBA_END		(PBA + 8)
#define REGION		0x2000u

/* In the guest: the operation, and its result. */
struct regs {
	u64 a, b, c, d, s, di;
	u64 x[2];
};

struct guest_op {
	void (*fn)(u64 gva);
	u64 gva;
	struct regs r;
	u64 vector;
	u8 buf[512];
};

extern struct guest_op guest_op;

/*
 * The VMM's side. Addresses that are not the function's are plain memory, an
 * array for each side: the function's and the hole's.
 */
struct hostile {
	struct msix_vm *m;
	struct msix_dev d;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	u8 beside[2][REGION];
	u8 table[TABLE_SIZE];
	bool wide;		/* the instruction's operand is wide */
	struct mmio_exit last;	/* last access that was not to the function */
	u32 exits;
	u32 wrong_exits;	/* accesses that should not have come here */
	int log;
};

enum { FUNCTION, HOLE };

struct result {
	struct regs r;
	u64 vector;
	u8 buf[sizeof(guest_op.buf)];
	u32 end;
	u32 exits;
};

void hostile_create(struct hostile *h);
void hostile_free(struct hostile *h);
/* Fill both sides alike, with no two words the same. MSI-X is off. */
void hostile_paint(struct hostile *h, struct msix_state *s);
/*
 * Have the guest do @fn at @off of @side. The vCPU can be used again afterwards. If
 * @endless, a signal soon ends what does not end by itself.
 */
void hostile_try(struct hostile *h, int side, u32 off, void *fn, bool endless, struct result *res);
/* Returns how the function and the hole differ, or NULL. */
const char *hostile_difference(struct hostile *h, struct msix_state *after, struct result *want,
			       struct result *got);

#endif /* SELFTEST_KVM_MSIX_HOSTILE_GUEST_H */
