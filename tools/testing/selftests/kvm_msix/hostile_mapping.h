/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A function with its table in guest memory, for hostile_mapping_test,
 * hostile_store_test and hostile_memory_test, and whether stores to it are noticed.
 *
 * The guest does one load or store at a time, by struct guest_todo. A test
 * includes kselftest_harness.h and hostile.h first.
 */
#ifndef SELFTEST_KVM_MSIX_HOSTILE_MAPPING_H
#define SELFTEST_KVM_MSIX_HOSTILE_MAPPING_H

#include <sys/mman.h>

#include "kvm_msix_util.h"

#define PAGE	4096ul
/* The last vector is alone on the second page, and the PBA on the third. */
#define NR	(PAGE / ENTRY_SIZE + 1)
#define PAGES	3
#define SIZE	(PAGES * PAGE)
#define PBA	(2 * PAGE)
#define VEC	0x60
#define SLOT	100
#define ALIAS	(BAR_GPA + 0x10000)

/* The last vector on the first page, and the first one on the second. */
static const u32 vectors[] = { NR - 2, NR - 1 };

enum guest_insn {
	NOP,
	LOAD,		/* 4 bytes */
	STORE,
	STORE_8,
	STORE_16,	/* of @bytes */
	STORE_16_NT,
	STORE_32,
	REP_MOVS,	/* 16 of @bytes */
	REP_STOS,	/* 4 times @val's lowest byte */
	LOCK_BTR,
	XCHG,
	AND,
	LOCK_CMPXCHG16B,
	FXSAVE_XMM0,	/* of which 16 are @bytes */
	FXSAVE_XMM15,
};

/* What the guest must do; in the guest's memory. */
struct guest_todo {
	u64 insn;
	u64 gpa;
	u64 val;
	u8 bytes[32] __aligned(32);
};

extern struct guest_todo guest_todo;

/**
 * struct victim - A function that is mapped
 * @m: the function's VM; the first pages of the BAR are the function's
 * @d: the function
 * @mem: the function's pages, writable
 * @gpa: where the guest has these pages
 * @event: by place in vectors[], whose messages are VEC and VEC + 1
 * @log: the kernel's log
 */
struct victim {
	struct msix_vm *m;
	struct msix_dev d;
	u8 *mem;
	u64 gpa;
	int event[ARRAY_SIZE(vectors)];
	int log;
};

/* How a vector is unmasked. */
typedef void (*unmask_fn)(struct victim *v, u32 vector);

void victim_setup(struct victim *v);
/* A VM with that guest; the caller checks the log, and frees the VM. */
struct msix_vm *victim_vm(void);
/* The fd of a function that can be mapped, PBA included; its pages, writable. */
int victim_function(int vm_fd, u32 nr, u32 flags, u32 pba, int unmask_eventfd);
void *victim_map(int fd, u64 size, u64 offset);
/* Set a memory slot, or delete it: @size 0. Returns an errno. */
int victim_slot(struct victim *v, u32 slot, u64 gpa, u64 size, void *mem, u32 flags);
/* Have the guest execute one instruction; returns what a load has loaded. */
u64 victim_guest(struct msix_vm *m, enum guest_insn insn, u64 gpa, u64 val);

/*
 * Returns what is wrong, or NULL. Each vector gets an event while masked, and
 * is unmasked when the pages are about to be protected, are protected, and have
 * been protected for long. The message must come, once.
 */
const char *victim_unnoticed(struct victim *v, unmask_fn unmask);
/* The same for one vector, vectors[i]. */
const char *victim_unnoticed_one(struct victim *v, u32 i, unmask_fn unmask);
/* Check that everything still works, and that the counters add up. */
const char *victim_wrong(struct victim *v);
/* How many functions of a process are left; waits for the last to go. */
int victim_left(pid_t pid);

void by_guest(struct victim *v, u32 vector);
void by_process(struct victim *v, u32 vector);

static inline u32 *victim_field(struct victim *v, u32 vector, u32 offset)
{
	return (u32 *)(v->mem + vector * ENTRY_SIZE + offset);
}

static inline u64 victim_gpa(struct victim *v, u32 vector)
{
	return v->gpa + vector * ENTRY_SIZE;
}

#define EXPECT_NOTICED(v, unmask)						\
	EXPECT_RIGHT(victim_unnoticed(v, unmask), #unmask)

/* For FIXTURE_TEARDOWN(): checks the kernel's log up to the end. */
#define victim_teardown(v)							\
do {										\
	struct victim *_v = v;							\
										\
	if (!_v->m)								\
		break;								\
	EXPECT_RIGHT(victim_wrong(_v), "afterwards");				\
	close(_v->d.fd);							\
	munmap(_v->mem, SIZE);							\
	EXPECT_EQ(0, victim_left(getpid()));					\
	EXPECT_EQ(0, log_lines(_v->log));					\
	close(_v->event[0]);							\
	close(_v->event[1]);							\
	close(_v->log);								\
	msix_vm_free(_v->m);							\
} while (0)

#endif /* SELFTEST_KVM_MSIX_HOSTILE_MAPPING_H */
