// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a VMM can do to the memory slot that has a table, and how a guest can
 * store to the table: as in hostile_mapping_test, the kernel notices a store
 * that unmasks a pending vector.
 */
#include <pthread.h>
#include <asm/kvm_para.h>

#include "kselftest_harness.h"
#include "kvm_msix_util.h"
#include "hostile.h"
#include "hostile_mapping.h"

FIXTURE(memory) {
	struct victim v;
};

FIXTURE_SETUP(memory)
{
	if (!msix_can_map())
		SKIP(return, "this kernel has no KVM_MSIX_CAP_MMAP");
	victim_setup(&self->v);
}

FIXTURE_TEARDOWN(memory)
{
	victim_teardown(&self->v);
}

/*
 * Memory slots.
 */

static void move_slot(struct victim *v, u64 gpa)
{
	TEST_ASSERT_EQ(victim_slot(v, SLOT, gpa, SIZE, v->mem, 0), 0);
	v->gpa = gpa;
}

static void by_moved_guest(struct victim *v, u32 vector)
{
	move_slot(v, v->gpa == BAR_GPA ? ALIAS : BAR_GPA);
	by_guest(v, vector);
}

/* Move the slot while a vector is pending and the guest's page is protected. */
TEST_F(memory, slot_moves)
{
	struct victim *v = &self->v;

	EXPECT_NOTICED(v, by_moved_guest);
	move_slot(v, BAR_GPA);
	msix_vm_forget_exits(v->m);
}

static void far_away(struct victim *v, u32 vector)
{
	u64 far[] = { 1ull << 40, 1ull << 51, 1ull << 52, 1ull << 63, -SIZE }, i;

	for (i = 0; i < ARRAY_SIZE(far); i++)
		if (!victim_slot(v, SLOT, far[i], SIZE, v->mem, 0))
			move_slot(v, BAR_GPA);
	by_guest(v, vector);
}

/* Move the slot beyond the guest's addresses: refused by KVM, or no harm. */
TEST_F(memory, slot_far_away)
{
	EXPECT_NOTICED(&self->v, far_away);
	EXPECT_NOTICED(&self->v, by_process);
}

static void by_trapped_guest(struct victim *v, u32 vector)
{
	TEST_ASSERT_EQ(victim_slot(v, SLOT, BAR_GPA, 0, v->mem, 0), 0);
	by_guest(v, vector);
	TEST_ASSERT_EQ(victim_slot(v, SLOT, BAR_GPA, SIZE, v->mem, 0), 0);
}

static void by_read_only_guest(struct victim *v, u32 vector)
{
	TEST_ASSERT_EQ(victim_slot(v, SLOT, BAR_GPA, 0, v->mem, 0), 0);
	TEST_ASSERT_EQ(victim_slot(v, SLOT, BAR_GPA, SIZE, v->mem, KVM_MEM_READONLY), 0);
	TEST_ASSERT_EQ(victim_guest(v->m, LOAD, victim_gpa(v, vector) + ENTRY_CTRL, 0), MASKED);
	by_guest(v, vector);
	TEST_ASSERT_EQ(victim_guest(v->m, LOAD, victim_gpa(v, vector) + ENTRY_CTRL, 0), 0);
	TEST_ASSERT_EQ(victim_slot(v, SLOT, BAR_GPA, 0, v->mem, 0), 0);
	TEST_ASSERT_EQ(victim_slot(v, SLOT, BAR_GPA, SIZE, v->mem, 0), 0);
}

/* Without the slot, the kernel answers at its addresses. */
TEST_F(memory, slot_deleted)
{
	EXPECT_NOTICED(&self->v, by_trapped_guest);
}

TEST_F(memory, slot_read_only)
{
	EXPECT_NOTICED(&self->v, by_read_only_guest);
}

static void by_alias(struct victim *v, u32 vector)
{
	victim_guest(v->m, STORE, ALIAS + vector * ENTRY_SIZE + ENTRY_CTRL, 0);
}

/* Two slots for the same pages, by one mapping and by two. */
TEST_F(memory, slot_twice)
{
	struct victim *v = &self->v;
	void *other = victim_map(v->d.fd, SIZE, 0), *mem[] = { v->mem, other };
	u32 i;

	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, victim_slot(v, SLOT + 1, ALIAS, SIZE, mem[i], 0));
		EXPECT_NOTICED(v, by_alias);
		EXPECT_NOTICED(v, by_guest);
		ASSERT_EQ(0, victim_slot(v, SLOT + 1, ALIAS, 0, mem[i], 0));
	}
	munmap(other, SIZE);
}

/* A slot of another VM, which has nothing to do with the function. */
static struct msix_vm *neighbour;

static void by_neighbour(struct victim *v, u32 vector)
{
	victim_guest(neighbour, STORE, ALIAS + vector * ENTRY_SIZE + ENTRY_CTRL, 0);
}

TEST_F(memory, slot_of_another_vm)
{
	struct victim *v = &self->v;

	neighbour = victim_vm();
	msix_set_memory(neighbour->vm, SLOT, ALIAS, SIZE, v->mem);
	EXPECT_NOTICED(v, by_neighbour);
	msix_vm_free(neighbour);
}

static void by_guest_in_a_hole(struct victim *v, u32 vector)
{
	struct guest_todo *t = GUEST_VAR(v->m, guest_todo);

	munmap(v->mem, SIZE);
	*t = (struct guest_todo) { .insn = STORE, .gpa = victim_gpa(v, vector) + ENTRY_CTRL };
	TEST_ASSERT(__vcpu_run(v->m->vcpu[0]) < 0 && errno == EFAULT, "KVM_RUN: %s",
		    strerror(errno));
	TEST_ASSERT_EQ(mmap(v->mem, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			    v->d.fd, 0), v->mem);
	msix_vcpu_run(v->m, 0);
	t->insn = NOP;
}

/* The VMM removes the mapping while the guest stores. */
TEST_F(memory, hole_in_memory)
{
	EXPECT_NOTICED(&self->v, by_guest_in_a_hole);
}

/* After the fd is closed, the mapping keeps the function. */
TEST_F(memory, without_fd)
{
	struct victim *v = &self->v;

	ASSERT_EQ(0, close(v->d.fd));
	EXPECT_NOTICED(v, by_guest);
	EXPECT_NOTICED(v, by_process);
}

static void *read_log_thread(void *arg)
{
	struct victim *v = arg;
	u64 bits, dirty = 0, stop;
	struct kvm_dirty_log log = { .slot = SLOT, .dirty_bitmap = &bits };

	/* And once when all has been written. */
	do {
		stop = READ_ONCE(v->m->mmio_answer);
		if (__msix_ioctl(v->m->vm->fd, KVM_GET_DIRTY_LOG, &log))
			return (void *)1;
		dirty |= bits;
	} while (!stop);
	/* Both pages of the table were written by the guest. */
	return (void *)(dirty == 3 ? 0 : 0x100 | dirty);
}

/* As in a migration: reading the dirty log protects the guest's pages, too. */
TEST_F(memory, dirty_log)
{
	struct victim *v = &self->v;
	pthread_t thread;
	void *wrong;

	ASSERT_EQ(0, victim_slot(v, SLOT, BAR_GPA, SIZE, v->mem, KVM_MEM_LOG_DIRTY_PAGES));
	v->m->mmio_answer = 0;
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_log_thread, v));
	EXPECT_NOTICED(v, by_guest);
	EXPECT_NOTICED(v, by_process);
	EXPECT_NOTICED(v, by_guest);
	WRITE_ONCE(v->m->mmio_answer, 1);
	pthread_join(thread, &wrong);
	EXPECT_EQ(NULL, wrong);
	ASSERT_EQ(0, victim_slot(v, SLOT, BAR_GPA, SIZE, v->mem, 0));
}

/* KVM writes to the page: kvmclock's version, which is even, is the mask bit. */
static void by_kvmclock(struct victim *v, u32 vector)
{
	struct kvm_vcpu *vcpu = v->m->vcpu[0];
	u64 gpa = victim_gpa(v, vector) + ENTRY_CTRL;

	vcpu_set_msr(vcpu, MSR_KVM_SYSTEM_TIME_NEW, gpa | 1);
	victim_guest(v->m, NOP, 0, 0);
	vcpu_set_msr(vcpu, MSR_KVM_SYSTEM_TIME_NEW, 0);
}

TEST_F(memory, kvmclock)
{
	/* kvmclock's data must be within a page: only vectors[1] will do. */
	EXPECT_RIGHT(victim_unnoticed_one(&self->v, 1, by_kvmclock), "by kvmclock");
}

/*
 * The guest's ways to store. KVM emulates none of them, and could not all.
 */

static void set_bytes(struct victim *v, u32 vector)
{
	u32 entry[] = { MSI_ADDR(0), 0, VEC + (vector != vectors[0]), 0 };

	memcpy(GUEST_VAR(v->m, guest_todo)->bytes, entry, sizeof(entry));
}

#define BY_BYTES(name, insn, before)						\
static void name(struct victim *v, u32 vector)					\
{										\
	set_bytes(v, vector);							\
	victim_guest(v->m, insn, victim_gpa(v, vector) - (before), 0);			\
}

#define BY_VALUE(name, insn)							\
static void name(struct victim *v, u32 vector)					\
{										\
	victim_guest(v->m, insn, victim_gpa(v, vector) + ENTRY_CTRL, 0);		\
}

BY_BYTES(by_sse, STORE_16, 0)
BY_BYTES(by_sse_nt, STORE_16_NT, 0)
BY_BYTES(by_movs, REP_MOVS, 0)
BY_BYTES(by_cmpxchg16b, LOCK_CMPXCHG16B, 0)
/* Offsets of the registers in FXSAVE's image. */
BY_BYTES(by_fxsave_xmm0, FXSAVE_XMM0, 160)
BY_BYTES(by_fxsave_xmm15, FXSAVE_XMM15, 160 + 15 * 16)
BY_VALUE(by_stos, REP_STOS)
BY_VALUE(by_btr, LOCK_BTR)
BY_VALUE(by_xchg, XCHG)
BY_VALUE(by_and, AND)

TEST_F(memory, wide_stores)
{
	EXPECT_NOTICED(&self->v, by_sse);
	EXPECT_NOTICED(&self->v, by_sse_nt);
	EXPECT_NOTICED(&self->v, by_cmpxchg16b);
	EXPECT_NOTICED(&self->v, by_fxsave_xmm0);
	EXPECT_NOTICED(&self->v, by_fxsave_xmm15);
}

TEST_F(memory, other_stores)
{
	EXPECT_NOTICED(&self->v, by_movs);
	EXPECT_NOTICED(&self->v, by_stos);
	EXPECT_NOTICED(&self->v, by_btr);
	EXPECT_NOTICED(&self->v, by_xchg);
	EXPECT_NOTICED(&self->v, by_and);
}

/* A store of two entries, the vector's and the one before. */
static void by_avx(struct victim *v, u32 vector)
{
	u8 *bytes = GUEST_VAR(v->m, guest_todo)->bytes;

	set_bytes(v, vector);
	memcpy(bytes + ENTRY_SIZE, bytes, ENTRY_SIZE);
	victim_guest(v->m, STORE_32, victim_gpa(v, vector) - ENTRY_SIZE, 0);
}

TEST_F(memory, avx)
{
	if (!kvm_cpu_has(X86_FEATURE_XSAVE) || !(kvm_cpu_supported_xcr0() & XFEATURE_MASK_YMM))
		SKIP(return, "no AVX for guests here");
	EXPECT_NOTICED(&self->v, by_avx);
}

/*
 * Only the page with the vector is memory, and the store crosses its end: then
 * KVM itself writes to the memory, and the rest of the store is trapped.
 */
static void by_half(struct victim *v, u32 vector)
{
	u8 *bytes = GUEST_VAR(v->m, guest_todo)->bytes;
	u32 page = vector * ENTRY_SIZE / PAGE * PAGE;

	TEST_ASSERT_EQ(victim_slot(v, SLOT, BAR_GPA, 0, v->mem, 0), 0);
	TEST_ASSERT_EQ(victim_slot(v, SLOT, BAR_GPA + page, PAGE, v->mem + page, 0), 0);
	if (vector == vectors[0]) {
		victim_guest(v->m, STORE_8, victim_gpa(v, vector) + ENTRY_CTRL, 0);
	} else {
		set_bytes(v, vector);
		memmove(bytes + 1, bytes, 15);
		victim_guest(v->m, STORE_16, victim_gpa(v, vector) - 1, 0);
	}
	TEST_ASSERT_EQ(victim_slot(v, SLOT, BAR_GPA + page, 0, v->mem, 0), 0);
	TEST_ASSERT_EQ(victim_slot(v, SLOT, BAR_GPA, SIZE, v->mem, 0), 0);
}

TEST_F(memory, half_a_store)
{
	EXPECT_NOTICED(&self->v, by_half);
}

KVM_MSIX_TEST_MAIN
