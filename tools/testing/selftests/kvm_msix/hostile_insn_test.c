// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that means harm: any instruction on and around table and PBA. See
 * hostile_guest.h for the judge.
 */
#include "kselftest_harness.h"
#include "hostile_guest.h"

/* An instruction with its operand at (%rdi); exceptions are caught. */
#define INSN(name, before, insn)						\
static void op_##name(u64 gva)							\
{										\
	struct regs r = guest_op.r;							\
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
	guest_op.r = r;								\
	guest_op.vector = v;								\
}

/* A string instruction that reads the place: %rsi is the place, %rdi the buffer. */
#define FROM(name, before, insn)						\
	INSN(name, "xchg %%rsi, %%rdi\n\t" before,				\
	     insn "\n\t")

/* The stack is at the place while @insn executes; di gets the new %rsp. */
#define STACK(name, insn)							\
static void op_##name(u64 gva)							\
{										\
	struct regs r = guest_op.r;							\
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
	guest_op.r = r;								\
	guest_op.vector = 0;								\
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
/* Reads only. */
INSN(cmp, "", "cmpl %%eax, (%%rdi)")
INSN(test, "", "testq %%rax, (%%rdi)")
INSN(imul, "", "imulq (%%rdi), %%rax")
INSN(bsf, "", "bsfq (%%rdi), %%rax")
INSN(popcnt, "", "popcntl (%%rdi), %%eax")
INSN(crc32, "", "crc32l (%%rdi), %%eax")
INSN(bt_far, "", "btq %%rcx, (%%rdi)")
INSN(clflush, "", "clflush (%%rdi)")
/* Strings: into the place, out of it, within it, both directions, over the ends. */
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
/* An operand of more than 8 bytes, which KVM splits by 8 bytes. */
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

/* 5, 6, 9, 20 of kvm_msix-semantics.rst, for instructions other than MOV, too. */
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
			hostile_paint(h, s);
			h->wide = ops[i].wide;
			hostile_try(h, HOLE, places[j], ops[i].fn, false, &want);
			log_mark(h->log);
			hostile_try(h, FUNCTION, places[j], ops[i].fn, false, &got);
			after = msix_get_state(h->d.fd, NR);

			ASSERT_EQ(NULL, hostile_difference(h, after, &want, &got)) {
				TH_LOG("%s at %#x: %s", ops[i].name, places[j],
				       hostile_difference(h, after, &want, &got));
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
	/* Most operations succeeded, and the function has answered many accesses. */
	EXPECT_GT(done, ARRAY_SIZE(ops) * ARRAY_SIZE(places) * 3 / 4);
	EXPECT_LT(exits[FUNCTION], exits[HOLE] / 2);
	msix_state_free(s);
}

KVM_MSIX_TEST_MAIN
