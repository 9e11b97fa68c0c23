// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that means harm: any instruction on and around table and PBA, and
 * code, stacks and tables of the CPU's own in them.
 *
 * What a real VMM would do is the judge: next to the table is a hole, answered
 * by this file in user space from plain memory, by the rules of semantics.md in
 * a dozen lines (reference()). An instruction must come to the same end on
 * both, be that success, an exception or an error of KVM's emulator: same
 * registers, same memory, and not a line more in the kernel's log. And whatever
 * the guest does, others on the machine get on.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>

#include "kselftest_harness.h"
#include "kvm_msix_util.h"
#include "hostile.h"
#include "hyperv.h"
#include "svm_util.h"

#define NR		24
#define TABLE		0xfc8u	/* an entry lies on two pages */
#define TABLE_SIZE	(NR * ENTRY_SIZE)
#define TABLE_END	(TABLE + TABLE_SIZE)
#define PBA		(TABLE_END + 8)
#define PBA_END		(PBA + 8)
#define REGION		0x2000u
#define MOST_EXITS	1024
#define LIMIT_S		10
#define LIMIT_US	50000	/* where no end is expected */

/* In the guest: what to do and what came of it. */
struct regs {
	u64 a, b, c, d, s, di;
	u64 x[2];
};

static struct {
	void (*fn)(u64 gva);
	u64 gva;
	struct regs r;
	u64 vector;
	u8 buf[512];
} g;

/* One instruction, with its operand at (%rdi), whose exceptions are caught. */
#define INSN(name, before, insn)						\
static void op_##name(u64 gva)							\
{										\
	struct regs r = g.r;							\
	u64 ec;									\
	u8 v;									\
										\
	r.di += gva;								\
	asm volatile("movups %[x], %%xmm0\n\t"					\
		     before "\n\t"						\
		     KVM_ASM_SAFE(insn)						\
		     "cld\n\t"							\
		     "movups %%xmm0, %[x]"					\
		     : "+a" (r.a), "+b" (r.b), "+c" (r.c), "+d" (r.d),		\
		       "+S" (r.s), "+D" (r.di), [x] "+m" (r.x),			\
		       KVM_ASM_SAFE_OUTPUTS(v, ec)				\
		     :								\
		     : KVM_ASM_SAFE_CLOBBERS, "xmm0", "cc", "memory");		\
	r.di -= gva;								\
	g.r = r;								\
	g.vector = v;								\
}

/* A string instruction that reads there: %rsi is the place, %rdi the buffer's. */
#define FROM(name, before, insn)						\
	INSN(name, "xchg %%rsi, %%rdi\n\t" before,				\
	     insn "\n\t")

/* The stack is there while it executes; what %rsp became is in di. */
#define STACK(name, insn)							\
static void op_##name(u64 gva)							\
{										\
	struct regs r = g.r;							\
										\
	r.di += gva;								\
	asm volatile("mov %%rsp, %%r8\n\t"					\
		     "mov %%rdi, %%rsp\n\t"					\
		     insn "\n\t"						\
		     "mov %%rsp, %%rdi\n\t"					\
		     "mov %%r8, %%rsp"						\
		     : "+a" (r.a), "+D" (r.di)					\
		     :								\
		     : "r8", "cc", "memory");					\
	r.di -= gva;								\
	g.r = r;								\
	g.vector = 0;								\
}

/* Moves. */
INSN(load1, "", "movb (%%rdi), %%al")
INSN(load2, "", "movw (%%rdi), %%ax")
INSN(load4, "", "movl (%%rdi), %%eax")
INSN(load8, "", "movq (%%rdi), %%rax")
INSN(store1, "", "movb %%al, (%%rdi)")
INSN(store2, "", "movw %%ax, (%%rdi)")
INSN(store4, "", "movl %%eax, (%%rdi)")
INSN(store8, "", "movq %%rax, (%%rdi)")
INSN(store_imm, "", "movl $0x12345678, (%%rdi)")
INSN(movzx, "", "movzwl (%%rdi), %%eax")
INSN(movsx, "", "movslq (%%rdi), %%rax")
INSN(movbe_load, "", "movbe (%%rdi), %%rax")
INSN(movbe_store, "", "movbe %%eax, (%%rdi)")
INSN(movnti, "", "movnti %%rax, (%%rdi)")
INSN(cmov, "cmp %%eax, %%eax", "cmovel (%%rdi), %%eax")
INSN(setcc, "cmp %%eax, %%eax", "sete (%%rdi)")
/* Read, change, write. */
INSN(add, "", "addl %%eax, (%%rdi)")
INSN(sbb, "stc", "sbbq %%rax, (%%rdi)")
INSN(not, "", "notw (%%rdi)")
INSN(neg, "", "negl (%%rdi)")
INSN(inc, "", "incb (%%rdi)")
INSN(shl, "", "shll $3, (%%rdi)")
INSN(shld, "", "shldl $5, %%eax, (%%rdi)")
INSN(lock_or, "", "lock orl %%eax, (%%rdi)")
INSN(lock_and, "", "lock andq %%rax, (%%rdi)")
INSN(lock_xor, "", "lock xorw %%ax, (%%rdi)")
INSN(lock_dec, "", "lock decb (%%rdi)")
INSN(lock_xadd1, "", "lock xaddb %%al, (%%rdi)")
INSN(lock_xadd4, "", "lock xaddl %%eax, (%%rdi)")
INSN(lock_xadd8, "", "lock xaddq %%rax, (%%rdi)")
INSN(xchg2, "", "xchgw %%ax, (%%rdi)")
INSN(xchg4, "", "xchgl %%eax, (%%rdi)")
INSN(xchg8, "", "xchgq %%rax, (%%rdi)")
INSN(cmpxchg_other, "", "lock cmpxchgl %%ebx, (%%rdi)")
INSN(cmpxchg_same, "movq (%%rdi), %%rax", "lock cmpxchgq %%rbx, (%%rdi)")
INSN(cmpxchg8b_other, "", "lock cmpxchg8b (%%rdi)")
INSN(cmpxchg8b_same, "movl (%%rdi), %%eax; movl 4(%%rdi), %%edx", "lock cmpxchg8b (%%rdi)")
INSN(cmpxchg16b, "", "lock cmpxchg16b (%%rdi)")
INSN(lock_bts, "", "lock btsl $17, (%%rdi)")
INSN(btr_far, "", "btrq %%rcx, (%%rdi)")
INSN(btc, "", "btcw %%cx, (%%rdi)")
/* Only read. */
INSN(cmp, "", "cmpl %%eax, (%%rdi)")
INSN(test, "", "testq %%rax, (%%rdi)")
INSN(imul, "", "imulq (%%rdi), %%rax")
INSN(bsf, "", "bsfq (%%rdi), %%rax")
INSN(popcnt, "", "popcntl (%%rdi), %%eax")
INSN(crc32, "", "crc32l (%%rdi), %%eax")
INSN(bt_far, "", "btq %%rcx, (%%rdi)")
INSN(clflush, "", "clflush (%%rdi)")
/* Strings: into, out of, within, either way, and over the ends. */
INSN(movs1_in, "", "rep movsb")
INSN(movs2_in, "", "rep movsw")
INSN(movs8_in, "", "rep movsq")
INSN(movs4_in_down, "add $64, %%rsi; std", "rep movsl")
INSN(movs8_in_down, "add $128, %%rsi; std", "rep movsq")
FROM(movs1_out, "", "rep movsb")
FROM(movs4_out, "", "rep movsl")
FROM(movs8_out_down, "add $128, %%rdi; std", "rep movsq")
INSN(movs4_within, "lea 32(%%rdi), %%rsi", "rep movsl")
INSN(movs4_overlap, "lea -4(%%rdi), %%rsi", "rep movsl")
INSN(movs8_within_down, "lea 32(%%rdi), %%rsi; std", "rep movsq")
INSN(movs_far, "lea 64(%%rdi), %%rsi; mov $1, %%ecx", "rep movsq")
INSN(stos1, "", "rep stosb")
INSN(stos4, "", "rep stosl")
INSN(stos8, "", "rep stosq")
INSN(stos2_down, "std", "rep stosw")
FROM(lods4, "", "rep lodsl")
INSN(scas, "", "repne scasl")
INSN(cmps, "", "repe cmpsb")
/* SSE, x87 and others, of which KVM emulates some. */
INSN(movups_load, "", "movups (%%rdi), %%xmm0")
INSN(movups_store, "", "movups %%xmm0, (%%rdi)")
INSN(movdqu_load, "", "movdqu (%%rdi), %%xmm0")
INSN(movdqa_load, "", "movdqa (%%rdi), %%xmm0")
INSN(movdqa_store, "", "movdqa %%xmm0, (%%rdi)")
INSN(movaps_store, "", "movaps %%xmm0, (%%rdi)")
INSN(movntdq, "", "movntdq %%xmm0, (%%rdi)")
INSN(movq_load, "", "movq (%%rdi), %%xmm0")
INSN(movq_store, "", "movq %%xmm0, (%%rdi)")
INSN(movd_store, "", "movd %%xmm0, (%%rdi)")
INSN(lddqu, "", "lddqu (%%rdi), %%xmm0")
INSN(paddd, "", "paddd (%%rdi), %%xmm0")
INSN(fnstcw, "", "fnstcw (%%rdi)")
INSN(fildl, "", "fildl (%%rdi)")
INSN(fxsave, "", "fxsave (%%rdi)")
INSN(smsw, "", "smsw (%%rdi)")
INSN(mov_from_seg, "", "movw %%ds, (%%rdi)")
INSN(mov_to_seg, "", "movw (%%rdi), %%fs")
INSN(invlpg, "", "invlpg (%%rdi)")
/* The stack. */
STACK(push, "push %%rax")
STACK(push2, "pushw %%ax")
STACK(pushf, "pushf")
STACK(pop, "pop %%rax")
STACK(call, "call 1f; 1:")
STACK(enter, "mov %%rbp, %%rax; enter $16, $0; mov %%rax, %%rbp")
INSN(push_mem, "", "pushq (%%rdi)\n\tpop %%rax")
INSN(pop_mem, "push %%rax", "popq (%%rdi)")

#define OP(name) { #name, op_##name, false }
/* Of more than 8 bytes, which KVM hands out by eights. */
#define WIDE(name) { #name, op_##name, true }

static const struct {
	const char *name;
	void (*fn)(u64 gva);
	bool wide;
} ops[] = {
	OP(load1), OP(load2), OP(load4), OP(load8), OP(store1), OP(store2), OP(store4),
	OP(store8), OP(store_imm), OP(movzx), OP(movsx), OP(movbe_load), OP(movbe_store),
	OP(movnti), OP(cmov), OP(setcc),
	OP(add), OP(sbb), OP(not), OP(neg), OP(inc), OP(shl), OP(shld), OP(lock_or),
	OP(lock_and), OP(lock_xor), OP(lock_dec), OP(lock_xadd1), OP(lock_xadd4),
	OP(lock_xadd8), OP(xchg2), OP(xchg4), OP(xchg8), OP(cmpxchg_other), OP(cmpxchg_same),
	OP(cmpxchg8b_other), OP(cmpxchg8b_same), WIDE(cmpxchg16b), OP(lock_bts), OP(btr_far),
	OP(btc),
	OP(cmp), OP(test), OP(imul), OP(bsf), OP(popcnt), OP(crc32), OP(bt_far), OP(clflush),
	OP(movs1_in), OP(movs2_in), OP(movs8_in), OP(movs4_in_down), OP(movs8_in_down),
	OP(movs1_out), OP(movs4_out), OP(movs8_out_down), OP(movs4_within),
	OP(movs4_overlap), OP(movs8_within_down), OP(movs_far), OP(stos1), OP(stos4),
	OP(stos8), OP(stos2_down), OP(lods4), OP(scas), OP(cmps),
	WIDE(movups_load), WIDE(movups_store), WIDE(movdqu_load), WIDE(movdqa_load),
	WIDE(movdqa_store), WIDE(movaps_store), WIDE(movntdq), OP(movq_load), OP(movq_store),
	OP(movd_store), WIDE(lddqu), WIDE(paddd), OP(fnstcw), OP(fildl), WIDE(fxsave),
	OP(smsw), OP(mov_from_seg), OP(mov_to_seg), OP(invlpg),
	OP(push), OP(push2), OP(pushf), OP(pop), OP(call), OP(enter), OP(push_mem),
	OP(pop_mem),
};

static void op_nothing(u64 gva)
{
}

static void guest_loop(void)
{
	guest_init();
	for (;;) {
		GUEST_SYNC1(0);
		g.fn(g.gva);
	}
}

/*
 * The VMM's side. What is not the function's is plain memory, one for the table
 * and one for the hole.
 */
struct hostile {
	struct msix_vm *m;
	struct msix_dev d;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	u8 beside[2][REGION];
	u8 table[TABLE_SIZE];
	bool wide;		/* the instruction's operand is */
	struct mmio_exit last;	/* what was not the function's */
	u32 exits;
	u32 wrong_exits;	/* accesses that should not have come here */
	int log;
};

enum { FUNCTION, HOLE };

static u64 base_of(int side)
{
	return BAR_GPA + side * 0x8000;
}

static bool within(u32 off, u32 len, u32 start, u32 end)
{
	return off >= start && off + len <= end;
}

static void plain(u8 *mem, struct mmio_exit *e, u64 *answer)
{
	if (e->is_write)
		memcpy(mem, &e->data, e->len);
	else
		memcpy(answer, mem, e->len);
}

/* What a function is to do with an access within table or PBA. */
static void reference(struct hostile *h, u32 off, struct mmio_exit *e, u64 *answer)
{
	bool good = (e->len & (e->len - 1)) == 0 && off % e->len == 0;

	if (!good)
		*answer = ~0ull;
	else if (off < PBA)
		plain(h->table + off - TABLE, e, answer);
	else
		*answer = 0;
}

/*
 * KVM asks its bus about the first 8 bytes of a wider access; if nobody has
 * them it does not ask about the next.
 */
static bool continues(struct hostile *h, struct mmio_exit *e)
{
	return h->wide && h->last.len && h->last.addr + h->last.len == e->addr &&
	       h->last.is_write == e->is_write && e->addr & 0xfff;
}

static void on_exit_mmio(struct msix_vm *m, struct mmio_exit *e)
{
	struct hostile *h = m->on_exit_data;
	int side = e->addr >= base_of(HOLE);
	u32 off = e->addr - base_of(side);

	m->nr_exits = 0;
	m->mmio_answer = 0;
	h->exits++;
	if (off + e->len > REGION) {
		h->wrong_exits++;
	} else if (!continues(h, e) && (within(off, e->len, TABLE, TABLE_END) ||
					within(off, e->len, PBA, PBA_END))) {
		if (side == HOLE)
			reference(h, off, e, &m->mmio_answer);
		else
			h->wrong_exits++;
	} else {
		plain(h->beside[side] + off, e, &m->mmio_answer);
		h->last = *e;
	}
}

/*
 * Run until the guest is back, or something else happens: 0, or how it ended.
 * The vCPU is as good as new in either case.
 */
#define END_INTERNAL(suberror)	(0x100 + (suberror))
#define END_ENDLESS		0x200
#define END_ABORT		0x300	/* an exception of which nobody thought */

static u32 run_guest_op(struct hostile *h)
{
	struct kvm_vcpu *vcpu = h->m->vcpu[0];
	struct kvm_run *run = vcpu->run;
	struct ucall uc;
	u32 n, end = END_ENDLESS;

	for (n = 0; n < MOST_EXITS; n++) {
		if (__vcpu_run(vcpu))
			break;
		if (msix_handle_mmio(h->m, vcpu))
			continue;
		if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
			end = END_INTERNAL(run->internal.suberror);
		else if (run->exit_reason == KVM_EXIT_IO)
			end = get_ucall(vcpu, &uc) == UCALL_SYNC ? 0 : END_ABORT;
		else
			end = run->exit_reason;
		break;
	}
	if (end) {
		*(void **)addr_gva2hva(h->m->vm, (vm_vaddr_t)&g.fn) = op_nothing;
		/* An exception may have been on its way in; then it comes first. */
		for (n = 0; n < 2; n++) {
			vcpu_sregs_set(vcpu, &h->sregs);
			vcpu_regs_set(vcpu, &h->regs);
			TEST_ASSERT(!__vcpu_run(vcpu) && run->exit_reason == KVM_EXIT_IO,
				    "the vCPU has not come back: %u", run->exit_reason);
			if (get_ucall(vcpu, &uc) == UCALL_SYNC)
				break;
		}
		TEST_ASSERT(n < 2, "the vCPU is not as good as new");
	}
	return end;
}

static void hostile_create(struct hostile *h)
{
	memset(h, 0, sizeof(*h));
	h->log = log_open();
	h->m = msix_vm_create(1, guest_loop);
	h->m->on_exit = on_exit_mmio;
	h->m->on_exit_data = h;
	h->d = msix_create(h->m->vm, NR, 0);
	msix_locate(&h->d, base_of(FUNCTION) + TABLE, base_of(FUNCTION) + PBA);
	/* To begin anew, on a stack that nobody has written to. */
	vcpu_regs_get(h->m->vcpu[0], &h->regs);
	TEST_ASSERT_EQ(run_guest_op(h), 0);
	vcpu_sregs_get(h->m->vcpu[0], &h->sregs);
}

static void hostile_free(struct hostile *h)
{
	close(h->d.fd);
	close(h->log);
	msix_vm_free(h->m);
}

/* The same contents everywhere, no two words alike. MSI-X is off. */
static void paint(struct hostile *h, struct msix_state *s)
{
	u32 i;

	for (i = 0; i < REGION; i++)
		h->beside[FUNCTION][i] = i * 7 + (i >> 8);
	memcpy(h->beside[HOLE], h->beside[FUNCTION], REGION);
	for (i = 0; i < NR * 4; i++)
		s->entry[i / 4][i % 4] = 0x9e3779b1 * (i + 1);
	memcpy(h->table, s->entry, TABLE_SIZE);
	TEST_ASSERT(!__msix_set_state(h->d.fd, s), "SET_STATE");
}

struct result {
	struct regs r;
	u64 vector;
	u8 buf[sizeof(g.buf)];
	u32 end;
	u32 exits;
};

/* For what does not come to an end by itself. */
static void on_alarm(int sig)
{
}

static void limit(time_t s, suseconds_t us)
{
	struct itimerval after = { .it_value = { .tv_sec = s, .tv_usec = us } };
	struct sigaction sa = { .sa_handler = on_alarm };

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &after, NULL);
}

static void try(struct hostile *h, int side, u32 off, void *fn, bool endless,
		struct result *res)
{
	typeof(g) *in = GUEST_VAR(h->m, g);
	u64 di;
	u32 i;

	memset(res, 0, sizeof(*res));
	in->fn = fn;
	in->gva = base_of(side) + off;
	in->r = (struct regs) {
		.a = 0x1122334455667788, .b = 0x99aabbccddeeff00, .c = 20, .d = 0x0f0e0d0c0b0a0908,
		.s = (vm_vaddr_t)&g.buf, .x = { 0x0123456789abcdef, 0xfedcba9876543210 },
	};
	for (i = 0; i < sizeof(in->buf); i++)
		in->buf[i] = i ^ 0x5a;
	h->exits = 0;
	h->last.len = 0;
	limit(endless ? 0 : LIMIT_S, endless ? LIMIT_US : 0);
	res->end = run_guest_op(h);
	limit(0, 0);
	res->exits = h->exits;
	if (!res->end) {
		res->r = in->r;
		res->vector = in->vector;
		memcpy(res->buf, in->buf, sizeof(res->buf));
		/* Where a register points into the place, it is the place that differs. */
		if (res->r.s - base_of(side) < REGION)
			res->r.s -= base_of(side);
		di = res->r.di + base_of(side) + off;
		if (di + sizeof(g.buf) - (u64)g.buf < 2 * sizeof(g.buf))
			res->r.di = di;
	}
}

/* In what the function and the hole differ, or NULL. */
static const char *difference(struct hostile *h, struct msix_state *after,
			      struct result *want, struct result *got)
{
	if (h->wrong_exits)
		return "exits for the function's own";
	if (want->end != got->end || want->vector != got->vector)
		return "how it ended";
	if (memcmp(&want->r, &got->r, sizeof(got->r)))
		return "registers";
	if (memcmp(want->buf, got->buf, sizeof(got->buf)))
		return "the buffer";
	if (memcmp(h->beside[HOLE], h->beside[FUNCTION], REGION))
		return "what is beside it";
	if (memcmp(h->table, after->entry, TABLE_SIZE) || after->pba[0])
		return "table or PBA";
	return NULL;
}

FIXTURE(hostile) {
	struct hostile h;
};

FIXTURE_SETUP(hostile)
{
	hostile_create(&self->h);
}

FIXTURE_TEARDOWN(hostile)
{
	hostile_free(&self->h);
}

/* 5, 6, 9, 20 of semantics.md, for what else there is than MOV. */
TEST_F_TIMEOUT(hostile, instructions, 300)
{
	static const u32 places[] = {
		TABLE - 8, TABLE - 4, TABLE - 1, TABLE, TABLE + 1, TABLE + 2, TABLE + 4,
		TABLE + 8, TABLE + 12, 0x1000 - 16, 0x1000 - 8, 0x1000 - 4, 0x1000 - 3,
		0x1000 - 1, 0x1000, TABLE_END - 16, TABLE_END - 8, TABLE_END - 4,
		TABLE_END - 3, TABLE_END - 1, TABLE_END, PBA - 1, PBA, PBA + 1, PBA + 4,
		PBA_END - 1, PBA_END,
	};
	u32 i, j, done = 0, faults = 0, errors = 0, exits[2] = {};
	struct msix_state *s = msix_state_alloc(NR), *after;
	struct result want, got;
	struct hostile *h = &self->h;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		for (j = 0; j < ARRAY_SIZE(places); j++) {
			paint(h, s);
			h->wide = ops[i].wide;
			try(h, HOLE, places[j], ops[i].fn, false, &want);
			log_mark(h->log);
			try(h, FUNCTION, places[j], ops[i].fn, false, &got);
			after = msix_get_state(h->d.fd, NR);

			ASSERT_EQ(NULL, difference(h, after, &want, &got)) {
				TH_LOG("%s at %#x: %s", ops[i].name, places[j],
				       difference(h, after, &want, &got));
				TH_LOG("end %#x %#x, vector %lu %lu", want.end, got.end,
				       want.vector, got.vector);
				TH_LOG("a %#lx %#lx, c %lu %lu", want.r.a, got.r.a, want.r.c,
				       got.r.c);
				TH_LOG("s %#lx %#lx, di %#lx %#lx", want.r.s, got.r.s, want.r.di,
				       got.r.di);
			}
			ASSERT_EQ(0, log_lines(h->log)) {
				TH_LOG("%s at %#x", ops[i].name, places[j]);
			}
			done += !got.end && !got.vector;
			faults += !!got.vector;
			errors += !!got.end;
			exits[HOLE] += want.exits;
			exits[FUNCTION] += got.exits;
			msix_state_free(after);
		}
	}
	TH_LOG("%u done, %u exceptions, %u errors of the emulator; %u and %u exits", done, faults,
	       errors, exits[HOLE], exits[FUNCTION]);
	/* Most of it could be done, and the function has answered much of it. */
	EXPECT_GT(done, ARRAY_SIZE(ops) * ARRAY_SIZE(places) * 3 / 4);
	EXPECT_LT(exits[FUNCTION], exits[HOLE] / 2);
	msix_state_free(s);
}

/*
 * The CPU's own structures, and code. Each may well be the end of the guest; it
 * must be the same end as with the hole, and soon.
 */
static void fetch(u64 gva)
{
	asm volatile("call *%0" : : "r" (gva) : "memory");
}

static void returns(void)
{
	g.r.a++;
}

static void call_through(u64 gva)
{
	mmio_write64(gva, (u64)returns);
	asm volatile("call *(%0)" : : "r" (gva) : "rax", "rcx", "rdx", "memory");
}

static void page_tables(u64 gva)
{
	asm volatile("mov %0, %%cr3" : : "r" (gva & ~0xfffull) : "memory");
}

static void set_gdt(u64 gva)
{
	struct desc_ptr gdt = { .size = 0xff, .address = gva };

	asm volatile("lgdt %0; mov $8, %%eax; mov %%eax, %%fs" : : "m" (gdt) : "eax", "memory");
}

static void set_idt(u64 gva)
{
	struct desc_ptr idt = { .size = 0xfff, .address = gva };

	asm volatile("lidt %0; int3" : : "m" (idt) : "memory");
}

static void load_gdt(u64 gva)
{
	asm volatile("lgdt (%0); mov $8, %%eax; mov %%eax, %%fs" : : "r" (gva) : "eax", "memory");
}

static void store_gdt(u64 gva)
{
	asm volatile("sgdt (%0)" : : "r" (gva) : "memory");
}

static void fault_on_stack(u64 gva)
{
	asm volatile("mov %0, %%rsp; ud2" : : "r" (gva + 128) : "memory");
}

static void interrupt_on_stack(u64 gva)
{
	asm volatile("mov %0, %%rsp\n\t"
		     "wrmsr\n\t"	/* an interrupt to myself */
		     "nop\n\t"
		     "1: jmp 1b"
		     : : "r" (gva + 128), "c" (APIC_BASE_MSR + (APIC_ICR >> 4)),
		     "a" (APIC_DEST_SELF | APIC_INT_ASSERT | 0x40), "d" (0)
		     : "memory");
}

static void msrs(u64 gva)
{
	static const u32 pv[] = {
		MSR_KVM_WALL_CLOCK_NEW, MSR_KVM_SYSTEM_TIME_NEW, MSR_KVM_STEAL_TIME,
		MSR_KVM_ASYNC_PF_EN, MSR_KVM_PV_EOI_EN, HV_X64_MSR_REFERENCE_TSC,
		HV_X64_MSR_HYPERCALL, MSR_VM_HSAVE_PA,
	};
	u64 place = (gva + 63) & ~63ull;
	int i;

	g.r.a = 0;
	for (i = 0; i < ARRAY_SIZE(pv); i++)
		g.r.a = g.r.a << 8 | wrmsr_safe(pv[i], place | (pv[i] != MSR_VM_HSAVE_PA));
	/* Something that makes KVM write there, if it ever does. */
	x2apic_write_reg(APIC_ICR, APIC_DEST_SELF | APIC_INT_ASSERT | 0x40);
	for (i = 0; i < 10; i++)
		asm volatile("pause");
	for (i = 0; i < ARRAY_SIZE(pv); i++)
		wrmsr_safe(pv[i], 0);
}

/* The local APIC moved onto it: the APIC answers there, and then no more. */
static void apic_base(u64 gva)
{
	u64 base = rdmsr(MSR_IA32_APICBASE);

	wrmsr(MSR_IA32_APICBASE, base & ~(MSR_IA32_APICBASE_ENABLE | MSR_IA32_APICBASE_EXTD));
	wrmsr(MSR_IA32_APICBASE, (gva & ~0xfffull) | MSR_IA32_APICBASE_ENABLE |
	      (base & MSR_IA32_APICBASE_BSP));
	g.r.a = mmio_read32((gva & ~0xfffull) + APIC_LVR);
	mmio_write32((gva & ~0xfffull) + APIC_TASKPRI, 0);
	wrmsr(MSR_IA32_APICBASE, base & ~(MSR_IA32_APICBASE_ENABLE | MSR_IA32_APICBASE_EXTD));
	g.r.b = mmio_read32(gva + 4);
	wrmsr(MSR_IA32_APICBASE, base & ~MSR_IA32_APICBASE_EXTD);
	x2apic_enable();
}

static const struct {
	const char *name;
	void (*fn)(u64 gva);
	bool endless;	/* KVM runs the guest, which gets nowhere, until a signal */
} structures[] = {
	{ "instruction fetch", fetch },
	{ "pointer to code", call_through },
	{ "page tables", page_tables, true },
	{ "GDT", set_gdt, true },
	{ "IDT", set_idt },
	{ "LGDT's operand", load_gdt, true },
	{ "SGDT's operand", store_gdt, true },
	{ "stack of an exception", fault_on_stack },
	{ "stack of an interrupt", interrupt_on_stack, true },
	{ "paravirtual MSRs", msrs },
	{ "local APIC", apic_base },
};

TEST_F_TIMEOUT(hostile, structures, 120)
{
	static const u32 places[] = { TABLE, 0x1000, PBA };
	struct msix_state *s = msix_state_alloc(NR), *after;
	struct hostile *h = &self->h;
	static u8 beside[REGION], table[TABLE_SIZE];
	struct result want, got;
	u32 i, j;

	for (i = 0; i < ARRAY_SIZE(structures); i++) {
		for (j = 0; j < ARRAY_SIZE(places); j++) {
			/* Some of these end the vCPU: one for each. */
			hostile_free(h);
			hostile_create(h);
			paint(h, s);
			try(h, HOLE, places[j], structures[i].fn, structures[i].endless, &want);
			memcpy(beside, h->beside[HOLE], REGION);
			memcpy(table, h->table, TABLE_SIZE);
			hostile_free(h);
			hostile_create(h);
			paint(h, s);
			log_mark(h->log);
			try(h, FUNCTION, places[j], structures[i].fn, structures[i].endless, &got);
			after = msix_get_state(h->d.fd, NR);
			if (!j)
				TH_LOG("%s: end %#x/%#x, %u/%u exits", structures[i].name,
				       want.end, got.end, want.exits, got.exits);
			memcpy(h->beside[HOLE], beside, REGION);
			memcpy(h->table, table, TABLE_SIZE);
			EXPECT_EQ(NULL, difference(h, after, &want, &got)) {
				TH_LOG("%s at %#x: %s", structures[i].name, places[j],
				       difference(h, after, &want, &got));
			}
			EXPECT_EQ(0, log_lines(h->log));
			msix_state_free(after);

			/* And the function is none the worse. */
			try(h, FUNCTION, TABLE, op_store4, false, &got);
			EXPECT_EQ(0, got.end);
			after = msix_get_state(h->d.fd, NR);
			EXPECT_EQ(0x55667788, after->entry[0][0]);
			msix_state_free(after);
		}
	}
	msix_state_free(s);
}

/*
 * A guest's guest: its accesses are the same, by the same rules. The outer one
 * gives it its own memory.
 */
#define NESTED_VEC	0x45

static u64 nested_read;

static void nested_inner(void)
{
	u64 table = BAR_GPA + TABLE;

	mmio_write32(table + ENTRY_ADDR_LO, MSI_ADDR(0));
	mmio_write32(table + ENTRY_ADDR_HI, 0);
	mmio_write32(table + ENTRY_DATA, NESTED_VEC);
	mmio_write32(table + ENTRY_CTRL, 0);
	WRITE_ONCE(nested_read, mmio_read64(table + 8));
	vmmcall();
}

static void nested_outer(struct svm_test_data *svm)
{
	static u8 stack[4096] __aligned(16);

	guest_init();
	generic_svm_setup(svm, nested_inner, stack + sizeof(stack) - 8);
	run_guest(svm->vmcb, svm->vmcb_gpa);
	stgi();
	GUEST_ASSERT_EQ(svm->vmcb->control.exit_code, SVM_EXIT_VMMCALL);
	GUEST_SYNC1(1);
	GUEST_DONE();
}

TEST(nested)
{
	int event = event_create();
	struct msix_vm *m;
	struct msix_dev d;
	vm_vaddr_t svm;

	if (!kvm_cpu_has(X86_FEATURE_SVM))
		SKIP(return, "no nested SVM");
	m = msix_vm_create(1, nested_outer);
	vcpu_alloc_svm(m->vm, &svm);
	vcpu_args_set(m->vcpu[0], 1, svm);
	d = msix_create(m->vm, NR, 0);
	msix_locate(&d, BAR_GPA + TABLE, BAR_GPA + PBA);
	msix_bind_one(&d, 0, event, -1);
	msix_control(&d, ENABLE);
	event_signal(event);
	EXPECT_EQ(1, msix_vcpu_run(m, 0));
	EXPECT_EQ(0, m->nr_exits);
	EXPECT_EQ(NESTED_VEC, READ_ONCE(*GUEST_VAR(m, nested_read)));
	EXPECT_FALSE(msix_pending(&d, 0));
	EXPECT_EQ(1, m->cpu[0]->irqs[NESTED_VEC]);
	close(event);
	close(d.fd);
	msix_vm_free(m);
}

/*
 * Both vCPUs mask, move and unmask all the time, with messages for everybody,
 * and the device never stops. Others on this machine still get on: a thread that
 * wants to run a hundred times a second does, and none of its sleeps is long.
 */
#define STORM_S		3
#define STORM_VEC	0x50

static u64 storms[2];

static void guest_storm(void)
{
	u64 entry, i;
	u32 me;

	guest_init();
	me = x2apic_read_reg(APIC_ID) & 1;
	for (i = 0;; i++) {
		entry = BAR_GPA + TABLE + i % NR * ENTRY_SIZE;
		mmio_write32(entry + ENTRY_CTRL, MASKED);
		mmio_write32(entry + ENTRY_ADDR_LO, MSI_ADDR(i & 1 ? 0xff : i / NR % 2));
		mmio_write32(entry + ENTRY_DATA, STORM_VEC + me);
		mmio_write32(entry + ENTRY_CTRL, 0);
		WRITE_ONCE(storms[me], i);
	}
}

struct storm {
	struct msix_vm *m;
	int event[NR];
	bool stop;
	u64 signalled;
};

static void *storm_vcpu(void *arg)
{
	struct kvm_vcpu *vcpu = arg;

	while (!__vcpu_run(vcpu) || errno == EAGAIN)
		;
	return NULL;
}

static void *storm_device(void *arg)
{
	struct storm *s = arg;

	while (!READ_ONCE(s->stop))
		event_signal(s->event[s->signalled++ % NR]);
	return NULL;
}

TEST_F_TIMEOUT(hostile, storm, 120)
{
	struct timespec nap = { .tv_nsec = 10000000 }, a, b;
	u64 naps = 0, longest = 0, took, all = 0;
	struct sigaction sa = { .sa_handler = on_alarm };
	struct storm s = { .m = msix_vm_create(2, guest_storm) };
	struct msix_dev d = msix_create(s.m->vm, NR, 0);
	pthread_t thread[3];
	int i;

	sigaction(SIGUSR1, &sa, NULL);
	msix_locate(&d, BAR_GPA + TABLE, BAR_GPA + PBA);
	for (i = 0; i < NR; i++) {
		s.event[i] = event_create();
		msix_bind_one(&d, i, s.event[i], i % 2 ? 64 + i : -1);
	}
	msix_control(&d, ENABLE);
	log_mark(self->h.log);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, storm_vcpu, s.m->vcpu[i]));
	ASSERT_EQ(0, pthread_create(&thread[2], NULL, storm_device, &s));

	while (all < STORM_S * 1000000000ull) {
		clock_gettime(CLOCK_MONOTONIC, &a);
		nanosleep(&nap, NULL);
		clock_gettime(CLOCK_MONOTONIC, &b);
		took = (b.tv_sec - a.tv_sec) * 1000000000ull + b.tv_nsec - a.tv_nsec;
		longest = took > longest ? took : longest;
		all += took;
		naps++;
	}
	WRITE_ONCE(s.stop, true);
	pthread_join(thread[2], NULL);
	for (i = 0; i < 2; i++) {
		while (pthread_tryjoin_np(thread[i], NULL)) {
			pthread_kill(thread[i], SIGUSR1);
			usleep(1000);
		}
		EXPECT_EQ(KVM_EXIT_INTR, s.m->vcpu[i]->run->exit_reason);
		EXPECT_LT(NR, GUEST_VAR(s.m, storms)[0][i]);
	}
	TH_LOG("%lu events, %lu and %lu storms; %lu naps of 10 ms, the longest %lu us", s.signalled,
	       GUEST_VAR(s.m, storms)[0][0], GUEST_VAR(s.m, storms)[0][1], naps, longest / 1000);
	/* A machine as slow as the lab's: far from starved, that is all. */
	EXPECT_LT(STORM_S * 10, naps);
	EXPECT_GT(1000000000ull, longest);
	EXPECT_EQ(0, log_lines(self->h.log));
	if (kvm_msix_has_counters()) {
		EXPECT_EQ(s.signalled, kvm_msix_counter("events"));
		EXPECT_EQ(kvm_msix_counter("delivered") + kvm_msix_counter("dropped"),
			  kvm_msix_counter("events") - kvm_msix_counter("latched") -
			  kvm_msix_counter("coalesced") + kvm_msix_counter("kicks"));
	}
	for (i = 0; i < NR; i++)
		close(s.event[i]);
	close(d.fd);
	msix_vm_free(s.m);
}

KVM_MSIX_TEST_MAIN
