/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The way from a Multiboot loader (protected mode, 32 bits) to guest_main() in
 * long mode, and the entries of the interrupt descriptor table.
 *
 * Memory is mapped one to one: the first 4 GiB, and 1 GiB from HIGH_BASE for a
 * BAR that is moved there.
 */
#include "memory.h"

#define PAGE_2M		0x83		/* present, writable, large */
#define PAGE_TABLE	0x03

	.section .text.boot, "ax"
	.code32
	.globl _start
_start:
	jmp	1f
	.align	4
	.long	0x1badb002, 0, -0x1badb002
1:	cli
	mov	$stack_end, %esp
	mov	%ebx, %edi			/* the loader's information */
	mov	$pml4, %eax
	mov	%eax, %cr3
	mov	$0x620, %eax			/* PAE, and SSE in two bits */
	mov	%eax, %cr4
	mov	$0xc0000080, %ecx		/* EFER: long mode */
	rdmsr
	or	$0x100, %eax
	wrmsr
	mov	%cr0, %eax
	and	$~0x4, %eax			/* no x87 emulation */
	or	$0x80000002, %eax		/* paging */
	mov	%eax, %cr0
	lgdt	gdt_pointer
	ljmp	$8, $2f

	.code64
2:	mov	$16, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$stack_end, %rsp
	mov	%edi, %edi
	call	guest_main
3:	hlt
	jmp	3b

/* Entry points, one for each vector, ENTRY_SIZE bytes apart. */
	.align	ENTRY_SIZE
	.globl	entries
entries:
	.set	vector, 0
	.rept	256
	.align	ENTRY_SIZE
	.if	vector > 31 || !(0x27d00 >> (vector & 31) & 1)
	push	$0				/* no error code */
	.endif
	push	$vector
	jmp	common
	.set	vector, vector + 1
	.endr

common:
	push	%rax
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	mov	72(%rsp), %rdi			/* vector */
	mov	80(%rsp), %rsi			/* error code */
	mov	88(%rsp), %rdx			/* RIP */
	cld
	call	interrupt
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%rcx
	pop	%rax
	add	$16, %rsp
	iretq

	.data
	.align	8
gdt:	.quad	0
	.quad	0x00af9a000000ffff		/* code, 64 bits */
	.quad	0x00cf92000000ffff		/* data */
gdt_pointer:
	.word	. - gdt - 1
	.long	gdt

	.align	4096
pml4:	.quad	pdpt + PAGE_TABLE
	.fill	511, 8, 0
pdpt:	.quad	pd + PAGE_TABLE, pd + 0x1000 + PAGE_TABLE
	.quad	pd + 0x2000 + PAGE_TABLE, pd + 0x3000 + PAGE_TABLE
	.fill	HIGH_GIB - 4, 8, 0
	.quad	pd_high + PAGE_TABLE
	.fill	511 - HIGH_GIB, 8, 0
pd:	.set	page, 0
	.rept	2048
	.quad	(page << 21) + PAGE_2M
	.set	page, page + 1
	.endr
pd_high:
	.set	page, 0
	.rept	512
	.quad	HIGH_BASE + (page << 21) + PAGE_2M
	.set	page, page + 1
	.endr

	.lcomm	stack, 16384
	.set	stack_end, stack + 16384
	.section .note.GNU-stack, "", @progbits
