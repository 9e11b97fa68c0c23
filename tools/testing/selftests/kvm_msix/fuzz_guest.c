// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest of the fuzzer: executes the instruction that struct guest_cpu names,
 * which accesses memory, and stops.
 */
#include "fuzz.h"

#define READ_MOV(type, mov)							\
({										\
	type __val;								\
										\
	asm volatile(mov " (%1), %0" : "=r" (__val) : "r" (gva) : "memory");	\
	__val;									\
})

static u64 do_read(u64 gva, u64 width)
{
	switch (width) {
	case 1:
		return READ_MOV(u8, "movb");
	case 2:
		return READ_MOV(u16, "movw");
	case 4:
		return READ_MOV(u32, "movl");
	default:
		return READ_MOV(u64, "movq");
	}
}

/* An instruction with a register and a memory operand. */
#define TO_MEMORY(insn, gva, val)						\
({										\
	asm volatile(insn ", (%1)" : "+q" (val) : "r" (gva) : "memory");	\
})

static u64 do_write(u64 gva, u64 width, u64 val)
{
	switch (width) {
	case 1:
		TO_MEMORY("movb %b0", gva, val);
		break;
	case 2:
		TO_MEMORY("movw %w0", gva, val);
		break;
	case 4:
		TO_MEMORY("movl %k0", gva, val);
		break;
	default:
		TO_MEMORY("movq %q0", gva, val);
	}
	return val;
}

static u64 do_or(u64 gva, u64 width, u64 val)
{
	switch (width) {
	case 1:
		TO_MEMORY("orb %b0", gva, val);
		break;
	case 2:
		TO_MEMORY("orw %w0", gva, val);
		break;
	case 4:
		TO_MEMORY("orl %k0", gva, val);
		break;
	default:
		TO_MEMORY("orq %q0", gva, val);
	}
	return val;
}

static u64 do_lock_or(u64 gva, u64 width, u64 val)
{
	switch (width) {
	case 1:
		TO_MEMORY("lock; orb %b0", gva, val);
		break;
	case 2:
		TO_MEMORY("lock; orw %w0", gva, val);
		break;
	case 4:
		TO_MEMORY("lock; orl %k0", gva, val);
		break;
	default:
		TO_MEMORY("lock; orq %q0", gva, val);
	}
	return val;
}

static u64 do_xchg(u64 gva, u64 width, u64 val)
{
	switch (width) {
	case 1:
		TO_MEMORY("xchgb %b0", gva, val);
		break;
	case 2:
		TO_MEMORY("xchgw %w0", gva, val);
		break;
	case 4:
		TO_MEMORY("xchgl %k0", gva, val);
		break;
	default:
		TO_MEMORY("xchgq %q0", gva, val);
	}
	return val;
}

#define REPEATED(insn, to, from, n, val)					\
({										\
	asm volatile("rep " insn : "+D" (to), "+S" (from), "+c" (n)		\
		     : "a" (val) : "memory");					\
})

static void do_movs(u64 to, u64 from, u64 width, u64 n, u64 val)
{
	switch (width) {
	case 1:
		REPEATED("movsb", to, from, n, val);
		break;
	case 2:
		REPEATED("movsw", to, from, n, val);
		break;
	case 4:
		REPEATED("movsl", to, from, n, val);
		break;
	default:
		REPEATED("movsq", to, from, n, val);
	}
}

static void do_stos(u64 to, u64 from, u64 width, u64 n, u64 val)
{
	switch (width) {
	case 1:
		REPEATED("stosb", to, from, n, val);
		break;
	case 2:
		REPEATED("stosw", to, from, n, val);
		break;
	case 4:
		REPEATED("stosl", to, from, n, val);
		break;
	default:
		REPEATED("stosq", to, from, n, val);
	}
}

static void interpret(struct guest_cpu *c)
{
	u64 gva = c->gva, val = c->val[0];

	switch (c->op) {
	case INSN_NOP:
		asm volatile("pause; pause" : : : "memory");
		break;
	case INSN_READ:
		c->val[0] = do_read(gva, c->width);
		break;
	case INSN_WRITE:
		do_write(gva, c->width, val);
		break;
	case INSN_READ16:
		asm volatile("movups (%0), %%xmm0; movups %%xmm0, (%1)"
			     : : "r" (gva), "r" (c->val) : "memory", "xmm0");
		break;
	case INSN_WRITE16:
		asm volatile("movups (%1), %%xmm0; movups %%xmm0, (%0)"
			     : : "r" (gva), "r" (c->val) : "memory", "xmm0");
		break;
	case INSN_MOVS_TO:
		do_movs(gva, (u64)c->buf, c->width, c->count, val);
		break;
	case INSN_MOVS_FROM:
		do_movs((u64)c->buf, gva, c->width, c->count, val);
		break;
	case INSN_STOS:
		do_stos(gva, 0, c->width, c->count, val);
		break;
	case INSN_OR:
		do_or(gva, c->width, val);
		break;
	case INSN_LOCK_OR:
		do_lock_or(gva, c->width, val);
		break;
	case INSN_XCHG:
		c->val[0] = do_xchg(gva, c->width, val);
		break;
	case INSN_PUSH:
		asm volatile("pushq (%1); popq %0" : "=r" (val) : "r" (gva) : "memory");
		c->val[0] = val;
		break;
	case INSN_POP:
		asm volatile("pushq %0; popq (%1)" : : "r" (val), "r" (gva) : "memory");
		break;
	default:
		GUEST_FAIL("insn %lu", c->op);
	}
}

void fuzz_guest_code(void)
{
	guest_init();
	for (;;) {
		GUEST_SYNC1(0);
		interpret(guest_this_cpu());
	}
}

void fuzz_guest_access(struct msix_vm *m, struct access *a)
{
	struct guest_cpu *c = m->cpu[m->current_cpu];

	c->op = a->insn;
	c->gva = a->gpa;
	c->width = a->width;
	c->count = a->count;
	memcpy(c->val, a->val, sizeof(c->val));
	memcpy(c->buf, a->buf, sizeof(c->buf));
	msix_vcpu_run(m, m->current_cpu);
	memcpy(a->val, c->val, sizeof(a->val));
	memcpy(a->buf, c->buf, sizeof(a->buf));
}

u32 fuzz_access_bytes(const struct access *a)
{
	return a->width * a->count;
}

/* Replace modes 2 and 5. If OR adds the mode to another, the result is 6 or 7. */
static u8 tame_mode(u8 byte, bool or)
{
	u8 mode = byte & 7;

	if (or)
		return mode ? byte | 6 : byte;
	return mode == 2 || mode == 5 ? byte ^ 4 : byte;
}

u32 fuzz_tame_data(u32 data)
{
	return (data & ~0xff00) | 0x20 | tame_mode(data >> 8, false) << 8;
}

/* Tame the byte at @gpa. Outside the table, data may be at any multiple of 8. */
static u8 tame_byte(u8 byte, u64 gpa, u64 table, u32 size, bool or)
{
	u32 at = (gpa - table) % 16;

	if (gpa < table || gpa >= table + size)
		at = 8 + gpa % 8;
	if (at == 8)
		return byte | 0x20;
	return at == 9 ? tame_mode(byte, or) : byte;
}

void fuzz_tame_access(struct access *a, u64 table, u32 size)
{
	bool or = a->insn == INSN_OR || a->insn == INSN_LOCK_OR;
	u8 *val = (u8 *)a->val;
	u32 i;

	/* STOS repeats the bytes: each must be harmless everywhere. */
	for (i = 0; i < 8 && a->insn == INSN_STOS; i++)
		val[i] = tame_mode(val[i] | 0x20, false);
	if (a->insn == INSN_STOS)
		return;
	for (i = 0; i < fuzz_access_bytes(a); i++)
		a->buf[i] = tame_byte(a->buf[i], a->gpa + i, table, size, or);
	for (i = 0; i < a->width; i++)
		val[i] = tame_byte(val[i], a->gpa + i, table, size, or);
}

static void draw_value(struct rng *r, struct access *a)
{
	u32 i;

	for (i = 0; i < sizeof(a->buf); i++)
		a->buf[i] = rnd(r);
	for (i = 0; i < 2; i++) {
		switch (pick(r, 4)) {
		case 0:
			a->val[i] = pick(r, 2);
			break;
		case 1:
			a->val[i] = (u64)pick(r, 2) << 32 | (0x20 + pick(r, 0xe0));
			break;
		case 2:
			a->val[i] = MSI_ADDR(pick(r, 2));
			break;
		default:
			a->val[i] = rnd(r);
		}
	}
}

void fuzz_draw_access(struct rng *r, struct access *a, u64 gpa, u32 size)
{
	static const u8 insns[] = {
		INSN_READ, INSN_READ, INSN_READ, INSN_WRITE, INSN_WRITE, INSN_WRITE,
		INSN_READ16, INSN_WRITE16, INSN_MOVS_TO, INSN_MOVS_FROM, INSN_STOS, INSN_OR,
		INSN_LOCK_OR, INSN_XCHG, INSN_PUSH, INSN_POP,
	};
	u64 end = BAR_GPA + BAR_SIZE;
	bool aligned;
	u32 bytes;

	*a = (struct access) { .insn = insns[pick(r, ARRAY_SIZE(insns))], .count = 1 };
	a->width = 1 << pick(r, 4);
	draw_value(r, a);
	switch (a->insn) {
	case INSN_READ16:
	case INSN_WRITE16:
		a->width = 16;
		break;
	case INSN_PUSH:
	case INSN_POP:
		a->width = 8;
		break;
	case INSN_MOVS_TO:
	case INSN_MOVS_FROM:
	case INSN_STOS:
		a->count = 1 + pick(r, 12);
		break;
	default:
		break;
	}

	/* Draw within the region, across an end, or beside the region. */
	switch (pick(r, 8)) {
	case 0:
		a->gpa = gpa - 16 + pick(r, 32);
		break;
	case 1:
		a->gpa = gpa + size - 16 + pick(r, 32);
		break;
	default:
		a->gpa = gpa + pick(r, size);
	}
	/* KVM must not split an instruction that reads and writes: align. */
	aligned = a->insn == INSN_OR || a->insn == INSN_LOCK_OR || a->insn == INSN_XCHG;
	if (aligned || !one_in(r, 8))
		a->gpa -= a->gpa % (a->width < 8 ? a->width : 8);

	bytes = fuzz_access_bytes(a);
	if (a->gpa < BAR_GPA - BAR_MARGIN || a->gpa > end)
		a->gpa = BAR_GPA;
	if (a->gpa + bytes > end)
		a->gpa = end - bytes - (aligned ? 0 : pick(r, 8));
}
