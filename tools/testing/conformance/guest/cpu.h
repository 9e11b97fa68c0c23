/* SPDX-License-Identifier: GPL-2.0-only */
/* Instructions, and types. */
#ifndef CONFORMANCE_CPU_H
#define CONFORMANCE_CPU_H

#include <stdbool.h>
#include <stddef.h>

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define BIT(n)		(1u << (n))

/* The compiler must assume that the device has changed memory here. */
static inline void barrier(void)
{
	asm volatile("" : : : "memory");
}

/* One round of waiting. */
static inline void relax(void)
{
	asm volatile("pause" : : : "memory");
}

/*
 * An access to memory of exactly this width, by an instruction that KVM can
 * emulate.
 */
#define DEFINE_ACCESS(bits, suffix)					\
static inline u##bits rd##bits(u64 addr)				\
{									\
	u##bits val;							\
									\
	asm volatile("mov" #suffix " (%1), %0"				\
		     : "=r" (val) : "r" (addr) : "memory");		\
	return val;							\
}									\
static inline void wr##bits(u64 addr, u##bits val)			\
{									\
	asm volatile("mov" #suffix " %0, (%1)"				\
		     : : "r" (val), "r" (addr) : "memory");		\
}

DEFINE_ACCESS(8, b)
DEFINE_ACCESS(16, w)
DEFINE_ACCESS(32, l)
DEFINE_ACCESS(64, q)

/* One store of 16 bytes. */
static inline void wr128(u64 addr, const void *val)
{
	asm volatile("movdqu (%0), %%xmm0; movdqu %%xmm0, (%1)"
		     : : "r" (val), "r" (addr) : "memory");
}

#define DEFINE_COPY(name, insn)						\
static inline void name(u64 to, const void *from, u64 count)		\
{									\
	asm volatile("rep " insn : "+D" (to), "+S" (from), "+c" (count)	\
		     : : "memory");					\
}

DEFINE_COPY(rep_movsb, "movsb")
DEFINE_COPY(rep_movsl, "movsl")
DEFINE_COPY(rep_movsq, "movsq")

static inline void out8(u16 port, u8 val)
{
	asm volatile("outb %0, %1" : : "a" (val), "Nd" (port));
}

static inline void rep_out8(u16 port, const void *from, u64 count)
{
	asm volatile("rep outsb" : "+S" (from), "+c" (count) : "d" (port)
		     : "memory");
}

static inline u8 in8(u16 port)
{
	u8 val;

	asm volatile("inb %1, %0" : "=a" (val) : "Nd" (port));
	return val;
}

static inline void out16(u16 port, u16 val)
{
	asm volatile("outw %0, %1" : : "a" (val), "Nd" (port));
}

static inline void out32(u16 port, u32 val)
{
	asm volatile("outl %0, %1" : : "a" (val), "Nd" (port));
}

static inline u32 in32(u16 port)
{
	u32 val;

	asm volatile("inl %1, %0" : "=a" (val) : "Nd" (port));
	return val;
}

static inline u64 rdmsr(u32 msr)
{
	u32 low, high;

	asm volatile("rdmsr" : "=a" (low), "=d" (high) : "c" (msr));
	return (u64)high << 32 | low;
}

static inline void wrmsr(u32 msr, u64 val)
{
	asm volatile("wrmsr" : : "c" (msr), "a" ((u32)val),
		     "d" ((u32)(val >> 32)));
}

static inline u32 cpuid_ecx(u32 leaf)
{
	u32 a = leaf, b, c = 0, d;

	asm volatile("cpuid" : "+a" (a), "=b" (b), "+c" (c), "=d" (d));
	return c;
}

static inline u64 rdtsc(void)
{
	return __builtin_ia32_rdtsc();
}

#endif /* CONFORMANCE_CPU_H */
