// SPDX-License-Identifier: GPL-2.0-only
/*
 * See hostile_mapping.h.
 */
#include "hostile_mapping.h"
#include "hostile.h"

/*
 * The guest.
 */

struct guest_todo guest_todo;

static void guest_rep(u64 to, u64 from, u64 n, bool movs)
{
	if (movs)
		asm volatile("rep movsb" : "+D" (to), "+S" (from), "+c" (n) : : "memory");
	else
		asm volatile("rep stosb" : "+D" (to), "+c" (n) : "a" (from) : "memory");
}

static void guest_cmpxchg16b(u64 gpa, u64 lo, u64 hi)
{
	u64 old_lo = 0, old_hi = 0;
	bool done;

	do {
		asm volatile("lock cmpxchg16b (%3)"
			     : "+a" (old_lo), "+d" (old_hi), "=@cce" (done)
			     : "r" (gpa), "b" (lo), "c" (hi) : "memory");
	} while (!done);
}

static void guest_avx(u64 gpa, void *bytes)
{
	set_cr4(get_cr4() | X86_CR4_OSXSAVE);
	xsetbv(0, xgetbv(0) | XFEATURE_MASK_FP | XFEATURE_MASK_SSE | XFEATURE_MASK_YMM);
	asm volatile("vmovups (%0), %%ymm0; vmovups %%ymm0, (%1); vzeroupper"
		     : : "r" (bytes), "r" (gpa) : "memory", "xmm0");
}

static void guest_do(struct guest_todo *t)
{
	u64 gpa = t->gpa, val = t->val, *qword = (u64 *)t->bytes;

	switch (t->insn) {
	case LOAD:
		t->val = mmio_read32(gpa);
		break;
	case STORE:
		mmio_write32(gpa, val);
		break;
	case STORE_8:
		mmio_write64(gpa, val);
		break;
	case STORE_16:
		asm volatile("movups (%0), %%xmm0; movups %%xmm0, (%1)"
			     : : "r" (qword), "r" (gpa) : "memory", "xmm0");
		break;
	case STORE_16_NT:
		asm volatile("movups (%0), %%xmm0; movntdq %%xmm0, (%1); sfence"
			     : : "r" (qword), "r" (gpa) : "memory", "xmm0");
		break;
	case STORE_32:
		guest_avx(gpa, qword);
		break;
	case REP_MOVS:
		guest_rep(gpa, (u64)qword, 16, true);
		break;
	case REP_STOS:
		guest_rep(gpa, val, 4, false);
		break;
	case LOCK_BTR:
		asm volatile("lock btrl $0, (%0)" : : "r" (gpa) : "memory");
		break;
	case XCHG:
		asm volatile("xchgl %k0, (%1)" : "+r" (val) : "r" (gpa) : "memory");
		break;
	case AND:
		asm volatile("andl %k0, (%1)" : : "r" (val), "r" (gpa) : "memory");
		break;
	case LOCK_CMPXCHG16B:
		guest_cmpxchg16b(gpa, qword[0], qword[1]);
		break;
	case FXSAVE_XMM0:
		asm volatile("movups (%0), %%xmm0; fxsave (%1)"
			     : : "r" (qword), "r" (gpa) : "memory", "xmm0");
		break;
	case FXSAVE_XMM15:
		asm volatile("movups (%0), %%xmm15; fxsave (%1)"
			     : : "r" (qword), "r" (gpa) : "memory", "xmm15");
		break;
	default:
		asm volatile("pause; pause" : : : "memory");
	}
}

static void guest_code(void)
{
	guest_init();
	for (;;) {
		GUEST_SYNC1(0);
		guest_do(&guest_todo);
	}
}

u64 victim_guest(struct msix_vm *m, enum guest_insn insn, u64 gpa, u64 val)
{
	struct guest_todo *t = GUEST_VAR(m, guest_todo);

	t->gpa = gpa;
	t->val = val;
	t->insn = insn;
	msix_vcpu_run(m, 0);
	t->insn = NOP;
	return t->val;
}

/*
 * The VMM.
 */

int victim_function(int vm_fd, u32 nr, u32 flags, u32 pba, int unmask_eventfd)
{
	struct kvm_msix_create args = {
		.flags = flags | KVM_MSIX_CREATE_MMAP | KVM_MSIX_CREATE_MMAP_PBA,
		.vm_fd = vm_fd,
		.nr_vectors = nr,
		.pba_offset = pba,
		.unmask_eventfd = unmask_eventfd,
	};

	return msix_create_args(&args);
}

void *victim_map(int fd, u64 size, u64 offset)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

	TEST_ASSERT(mem != MAP_FAILED, "mmap: %s", strerror(errno));
	return mem;
}

int victim_slot(struct victim *v, u32 slot, u64 gpa, u64 size, void *mem, u32 flags)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)mem,
	};

	return __msix_ioctl(v->m->vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

struct msix_vm *victim_vm(void)
{
	struct msix_vm *m = msix_vm_create(1, guest_code);

	/* Run up to the first GUEST_SYNC(). */
	msix_vcpu_run(m, 0);
	return m;
}

void victim_setup(struct victim *v)
{
	u32 i;

	v->log = log_open();
	v->m = victim_vm();
	v->d = (struct msix_dev) {
		.fd = victim_function(v->m->vm->fd, NR, 0, PBA, 0),
		.nr = NR,
		.table = BAR_GPA,
		.pba = BAR_GPA + PBA,
	};
	v->mem = victim_map(v->d.fd, SIZE, 0);
	v->gpa = BAR_GPA;
	TEST_ASSERT_EQ(victim_slot(v, SLOT, BAR_GPA, SIZE, v->mem, 0), 0);
	/* For accesses while there is no memory. */
	msix_set_addr(&v->d, BAR_GPA, BAR_GPA + PBA);
	for (i = 0; i < ARRAY_SIZE(vectors); i++) {
		v->event[i] = event_create();
		msix_bind_one(&v->d, vectors[i], v->event[i], -1);
	}
	msix_control(&v->d, ENABLE);
	log_mark(v->log);
}

void by_guest(struct victim *v, u32 vector)
{
	victim_guest(v->m, STORE, victim_gpa(v, vector) + ENTRY_CTRL, 0);
}

void by_process(struct victim *v, u32 vector)
{
	WRITE_ONCE(*victim_field(v, vector, ENTRY_CTRL), 0);
}

const char *victim_unnoticed_one(struct victim *v, u32 i, unmask_fn unmask)
{
	static const u32 after_us[] = { 0, 3000, 60000 };
	u32 vector = vectors[i], n;
	u64 before;

	for (n = 0; n < ARRAY_SIZE(after_us); n++) {
		before = msix_irqs(v->m, 0, VEC + i, 0);
		WRITE_ONCE(*victim_field(v, vector, ENTRY_CTRL), MASKED);
		WRITE_ONCE(*victim_field(v, vector, ENTRY_ADDR_LO), MSI_ADDR(0));
		WRITE_ONCE(*victim_field(v, vector, ENTRY_ADDR_HI), 0);
		WRITE_ONCE(*victim_field(v, vector, ENTRY_DATA), VEC + i);
		event_signal(v->event[i]);
		event_signal(v->event[i]);
		if (!(v->mem[PBA + vector / 8] >> vector % 8 & 1))
			return "an event is not latched";
		usleep(after_us[n]);
		unmask(v, vector);
		if (msix_irqs(v->m, 0, VEC + i, before + 1) != before + 1)
			return "an unmask is not noticed";
		if (v->mem[PBA + vector / 8] >> vector % 8 & 1)
			return "what was sent is still pending";
	}
	return NULL;
}

const char *victim_unnoticed(struct victim *v, unmask_fn unmask)
{
	return victim_unnoticed_one(v, 0, unmask) ?: victim_unnoticed_one(v, 1, unmask);
}

const char *victim_wrong(struct victim *v)
{
	const char *wrong = victim_unnoticed(v, by_guest) ?: victim_unnoticed(v, by_process);

	if (wrong)
		return wrong;
	if (v->m->nr_exits)
		return "an access has gone to the VMM";
	if (kvm_msix_lost_events())
		return "the books are wrong";
	return log_lines(v->log) ? "it has printed" : NULL;
}

int victim_left(pid_t pid)
{
	int i;

	for (i = 0; i < 1000 && debugfs_entries("kvm_msix", pid); i++)
		usleep(10000);
	return kvm_msix_has_counters() ? debugfs_entries("kvm_msix", pid) : 0;
}
