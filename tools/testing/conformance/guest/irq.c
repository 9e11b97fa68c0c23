// SPDX-License-Identifier: GPL-2.0-only
#include "irq.h"
#include "memory.h"
#include "serial.h"

#define MSR_APIC_BASE	0x1b
#define APIC_X2APIC	BIT(10)
#define APIC_ENABLED	BIT(11)
#define APIC		0xfee00000u
#define MSR_X2APIC	0x800

/* Registers of the local APIC. */
#define APIC_ID		0x20
#define APIC_TPR	0x80
#define APIC_EOI	0xb0
#define APIC_LDR	0xd0
#define APIC_DFR	0xe0
#define APIC_SVR	0xf0
#define APIC_TIMER	0x320
#define APIC_TIMER_COUNT	0x380
#define APIC_TIMER_DIVIDE	0x3e0
#define  DIVIDE_BY_1	0xb

#define TIMER		0xfe		/* vectors */

#define SPURIOUS	0xff

#define PM_TIMER	0x608		/* where SeaBIOS puts it on q35 */
#define PM_TIMER_HZ	3579545

struct gate {
	u16 offset_low;
	u16 selector;
	u16 type;
	u16 offset_mid;
	u32 offset_high;
	u32 reserved;
};

static struct gate idt[256];
static u64 counts[256];
static bool x2apic;
static u64 ticks;
static u64 patience = 3000000, quiet = 2000;	/* us */

static u32 apic_read(u32 reg)
{
	return x2apic ? rdmsr(MSR_X2APIC + reg / 16) : rd32(APIC + reg);
}

static void apic_write(u32 reg, u32 val)
{
	if (x2apic)
		wrmsr(MSR_X2APIC + reg / 16, val);
	else
		wr32(APIC + reg, val);
}

/* From boot.S. */
void interrupt(u64 vector, u64 error, u64 rip);

void interrupt(u64 vector, u64 error, u64 rip)
{
	counts[vector]++;
	if (vector == NMI || vector == SPURIOUS)
		return;
	if (vector < 32) {
		print("Bail out! exception ");
		print_number(vector);
		print(", error code ");
		print_hex(error);
		print(", at ");
		print_hex(rip);
		print("\n");
		out8(0xcf9, 6);
		for (;;)
			asm volatile("hlt");
	}
	apic_write(APIC_EOI, 0);
}

u64 taken(u8 vector)
{
	return counts[vector];
}

void forget_taken(void)
{
	unsigned int i;

	take();
	for (i = 0; i < 256; i++)
		counts[i] = 0;
}

u64 taken_in_all(void)
{
	unsigned int i;
	u64 n = 0;

	for (i = 0; i < TIMER; i++)
		n += counts[i];
	return n;
}

void take(void)
{
	asm volatile("sti; nop; nop; nop; cli" : : : "memory");
}

void take_for(u64 us)
{
	u64 end = in_us(us);

	asm volatile("sti" : : : "memory");
	while (!after(end))
		relax();
	asm volatile("cli" : : : "memory");
}

bool take_until(u8 vector, u64 n)
{
	u64 end = in_us(long_us());

	asm volatile("sti" : : : "memory");
	while (counts[vector] < n && !after(end))
		relax();
	asm volatile("cli" : : : "memory");
	return counts[vector] >= n;
}

/* The timer counts nanoseconds in QEMU's APIC and in KVM's. */
void take_until_timer(u64 us)
{
	u64 before = counts[TIMER];

	apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
	apic_write(APIC_TIMER, TIMER);
	apic_write(APIC_TIMER_COUNT, us * 1000);
	take_until(TIMER, before + 1);
}

bool has_x2apic(void)
{
	return cpuid_ecx(1) & BIT(21);
}

void enter_x2apic(void)
{
	if (x2apic)
		return;
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_X2APIC);
	x2apic = true;
}

u32 apic_id(void)
{
	return x2apic ? apic_read(APIC_ID) : apic_read(APIC_ID) >> 24;
}

u32 apic_logical_id(void)
{
	return x2apic ? apic_read(APIC_LDR) : apic_read(APIC_LDR) >> 24;
}

static u32 pm_timer(void)
{
	return in32(PM_TIMER) & 0xffffff;
}

/* Measure the TSC's frequency, over 20 ms. */
static void calibrate(void)
{
	const u32 span = PM_TIMER_HZ / 50;
	u32 start = pm_timer(), passed;
	u64 tsc = rdtsc(), limit = tsc + (1ul << 36);

	do {
		passed = (pm_timer() - start) & 0xffffff;
	} while (passed < span && rdtsc() < limit);
	ticks = (rdtsc() - tsc) * PM_TIMER_HZ / (passed ?: 1) / 1000000;
	if (!ticks)
		ticks = 1;
}

u64 ticks_per_us(void)
{
	return ticks;
}

u64 in_us(u64 us)
{
	return rdtsc() + us * ticks;
}

bool after(u64 moment)
{
	return (long)(rdtsc() - moment) > 0;
}

u64 long_us(void)
{
	return patience;
}

u64 quiet_us(void)
{
	return quiet;
}

static u64 clamp(u64 val, u64 low, u64 high)
{
	return val < low ? low : val > high ? high : val;
}

void set_slowest_us(u64 us)
{
	patience = clamp(100 * us, 1000000, 5000000);
	quiet = clamp(2 * us, 2000, 20000);
}

void irq_init(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) pointer = { sizeof(idt) - 1, (u64)idt };
	unsigned int i;

	for (i = 0; i < 256; i++) {
		u64 entry = (u64)entries + i * ENTRY_SIZE;

		idt[i] = (struct gate) {
			.offset_low = entry,
			.selector = 8,
			.type = 0x8e00,		/* present, interrupt gate */
			.offset_mid = entry >> 16,
			.offset_high = entry >> 32,
		};
	}
	asm volatile("lidt %0" : : "m" (pointer));

	/* No interrupts from the PICs. */
	out8(0x21, 0xff);
	out8(0xa1, 0xff);

	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_ENABLED);
	x2apic = rdmsr(MSR_APIC_BASE) & APIC_X2APIC;
	apic_write(APIC_SVR, 0x100 | SPURIOUS);
	apic_write(APIC_TPR, 0);
	if (!x2apic) {
		apic_write(APIC_DFR, 0xffffffff);	/* flat */
		apic_write(APIC_LDR, BIT(24));
	}
	calibrate();
}
