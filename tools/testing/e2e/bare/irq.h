/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interrupts for a guest of bare.h, counted by vector. The guest takes interrupts
 * only in take_for().
 */

#define APIC		0xfee00000u
#define APIC_SPURIOUS	0x0f0
#define APIC_EOI	0x0b0
#define APIC_LVT_TIMER	0x320
#define  TIMER_PERIODIC	0x20000u
#define APIC_LVT_LINT0	0x350
#define APIC_TIMER	0x380
#define APIC_DIVIDE	0x3e0
#define IOAPIC		0xfec00000u

#define VECTOR_TIMER	0xf0

static unsigned int taken[256];

/* The guest's function that lowers a level-triggered interrupt. */
static void acknowledge(unsigned int vector);

static inline void write_at(unsigned int addr, unsigned int val)
{
	asm volatile("movl %0, (%1)" : : "r" (val), "r" (addr) : "memory");
}

__attribute__((used)) static void take(unsigned int vector)
{
	taken[vector]++;
	acknowledge(vector);
	write_at(APIC + APIC_EOI, 0);
}

/* One entry of 16 bytes for each vector; calls take() with the vector. */
asm("	.balign 16\n"
	"irq_entries:\n"
	"	.set vector, 0\n"
	"	.rept 256\n"
	"	.balign 16\n"
	"	push $vector\n"
	"	jmp irq_common\n"
	"	.set vector, vector + 1\n"
	"	.endr\n"
	"irq_common:\n"
	"	pusha\n"
	"	cld\n"
	"	push 32(%esp)\n"
	"	call take\n"
	"	add $4, %esp\n"
	"	popa\n"
	"	add $4, %esp\n"
	"	iret\n"
	"	.balign 8\n"
	"gdt:	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff\n"
	"gdt_register:\n"
	"	.word 23\n"
	"	.long gdt\n");

extern char irq_entries[], gdt_register[];

/* The boot loader promises flat segments, but no selectors: load a GDT. */
static void load_segments(void)
{
	asm volatile("lgdt gdt_register\n"
		"	ljmp $8, $1f\n"
		"1:	mov $16, %%eax\n"
		"	mov %%eax, %%ds\n"
		"	mov %%eax, %%es\n"
		"	mov %%eax, %%ss\n" : : : "eax", "memory");
}

static void load_idt(void)
{
	static struct { unsigned int low, high; } gates[256];
	struct { unsigned short limit; unsigned int base; }
		__attribute__((packed)) idt = { sizeof(gates) - 1,
						(unsigned int)gates };
	unsigned int v, entry;

	for (v = 0; v < 256; v++) {
		entry = (unsigned int)irq_entries + v * 16;
		gates[v].low = 8 << 16 | (entry & 0xffff);
		gates[v].high = (entry & 0xffff0000) | 0x8e00;
	}
	asm volatile("lidt %0" : : "m" (idt));
}

/*
 * Enable only the pins of PCI devices, as @vector and level-triggered. The pins are
 * 16 and up; but as long as the chipset routes them to the PIC as well, as the
 * firmware has set up, KVM only raises 10 and 11.
 */
static void start_irqs(unsigned int vector)
{
	unsigned int pin;

	load_segments();
	load_idt();
	out_byte(0x21, 0xff);
	out_byte(0xa1, 0xff);
	write_at(APIC + APIC_LVT_LINT0, 0x10000);
	write_at(APIC + APIC_SPURIOUS, 0x1ff);
	for (pin = 0; pin < 24; pin++) {
		if (pin < 16 && pin != 10 && pin != 11)
			continue;
		write_at(IOAPIC, 0x11 + 2 * pin);
		write_at(IOAPIC + 0x10, 0);
		write_at(IOAPIC, 0x10 + 2 * pin);
		write_at(IOAPIC + 0x10, 0x8000 | vector);
	}
}

/*
 * Wait by the APIC's timer, and take interrupts meanwhile. The timer is periodic:
 * the lab's CPU may take an interrupt between STI and HLT.
 */
static void take_for(unsigned int us)
{
	unsigned int before = taken[VECTOR_TIMER];

	write_at(APIC + APIC_DIVIDE, 0xb);
	write_at(APIC + APIC_LVT_TIMER, TIMER_PERIODIC | VECTOR_TIMER);
	write_at(APIC + APIC_TIMER, us * 1000);
	while (taken[VECTOR_TIMER] == before)
		asm volatile("sti\n\thlt\n\tcli" : : : "memory");
	write_at(APIC + APIC_TIMER, 0);
	/* A second tick may have come already: leave none for the next wait. */
	asm volatile("sti\n\tnop\n\tcli" : : : "memory");
}
