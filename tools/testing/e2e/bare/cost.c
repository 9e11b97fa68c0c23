// SPDX-License-Identifier: GPL-2.0-only
/*
 * What accesses to an MSI-X table cost, in a guest that is nothing else: no
 * operating system, no paging, no interrupts. So what is counted is the access
 * and what host and VMM do for it, and no walk of the guest's page tables.
 *
 * A Multiboot kernel for QEMU's -kernel. Takes an e1000e, which the firmware
 * has given addresses, uses its first vector, and tells vmm on the serial port
 * "e2e: cost.NAME MINIMUM MEDIAN" in TSC ticks.
 */
/*
 * Multiboot: a 32-bit ELF, begun in protected mode with flat segments. The
 * header is looked for at the beginning, so this stays first.
 */
asm(".globl _start\n"
	"_start:\n"
	"	jmp 1f\n"
	"	.align 4\n"
	"	.long 0x1badb002, 0, -0x1badb002\n"
	"1:	cli\n"
	"	mov $stack_end, %esp\n"
	"	call cost_main\n"
	".lcomm stack, 4096\n"
	".set stack_end, stack + 4096\n");

#define LOOPS		499
#define SERIAL		0x3f8
#define E1000E		0x10d38086u	/* device and vendor */
#define CAP_MSIX	0x11

/* Offsets within an entry. */
#define ADDRESS_LO	0
#define ADDRESS_HI	4
#define DATA		8
#define CONTROL		12

/* The entry of vector 0. */
static unsigned int entry;

static inline void write_entry(unsigned int offset, unsigned int val)
{
	asm volatile("movl %0, (%1)" : : "r" (val), "r" (entry + offset));
}

static inline unsigned int read_entry(unsigned int offset)
{
	unsigned int val;

	asm volatile("movl (%1), %0" : "=r" (val) : "r" (entry + offset));
	return val;
}

static inline void out_byte(unsigned short port, unsigned char val)
{
	asm volatile("outb %0, %1" : : "a" (val), "Nd" (port));
}

static inline unsigned char in_byte(unsigned short port)
{
	unsigned char val;

	asm volatile("inb %1, %0" : "=a" (val) : "Nd" (port));
	return val;
}

static inline void out_dword(unsigned short port, unsigned int val)
{
	asm volatile("outl %0, %1" : : "a" (val), "Nd" (port));
}

static inline unsigned int in_dword(unsigned short port)
{
	unsigned int val;

	asm volatile("inl %1, %0" : "=a" (val) : "Nd" (port));
	return val;
}

static void put(char c)
{
	while (!(in_byte(SERIAL + 5) & 0x20))
		;
	out_byte(SERIAL, c);
}

static void print(const char *s)
{
	while (*s)
		put(*s++);
}

static void print_number(unsigned int n)
{
	if (n >= 10)
		print_number(n / 10);
	put('0' + n % 10);
}

/* Configuration space of a device on bus 0; @offset is a multiple of 4. */
static unsigned int config(unsigned int slot, unsigned int offset)
{
	out_dword(0xcf8, 0x80000000u | slot << 11 | offset);
	return in_dword(0xcfc);
}

static void set_config(unsigned int slot, unsigned int offset, unsigned int val)
{
	out_dword(0xcf8, 0x80000000u | slot << 11 | offset);
	out_dword(0xcfc, val);
}

/* Let the device use its first vector. Return: whether there is one. */
static int use_vector(void)
{
	unsigned int slot, cap, where, bar;

	for (slot = 0; config(slot, 0) != E1000E; slot++)
		if (slot == 31)
			return 0;
	for (cap = config(slot, 0x34) & 0xfc; cap; cap = config(slot, cap) >> 8 & 0xfc)
		if ((config(slot, cap) & 0xff) == CAP_MSIX)
			break;
	if (!cap)
		return 0;

	where = config(slot, cap + 4);
	bar = config(slot, 0x10 + (where & 7) * 4) & ~0xfu;
	set_config(slot, 4, (config(slot, 4) & 0xffff) | 6);	/* memory, master */
	entry = bar + (where & ~7u);

	set_config(slot, cap, config(slot, cap) | 0x80000000u);	/* Enable */
	write_entry(ADDRESS_LO, 0xfee00000);
	write_entry(ADDRESS_HI, 0);
	write_entry(DATA, 0x40);
	write_entry(CONTROL, 0);
	return bar && read_entry(DATA) == 0x40;
}

static void do_nothing(void)
{
}

static void read_control(void)
{
	read_entry(CONTROL);
}

static void mask_unmask(void)
{
	write_entry(CONTROL, 1);
	read_entry(CONTROL);
	write_entry(CONTROL, 0);
}

/* With what Linux reads back. */
static void change_affinity(void)
{
	write_entry(CONTROL, 1);
	read_entry(CONTROL);
	write_entry(ADDRESS_LO, 0xfee00000);
	write_entry(ADDRESS_HI, 0);
	write_entry(DATA, 0x40);
	write_entry(CONTROL, 0);
	read_entry(CONTROL);
}

static void measure(const char *name, void (*what)(void))
{
	static unsigned int sorted[LOOPS];
	unsigned int i, j, ticks;

	what();
	for (i = 0; i < LOOPS; i++) {
		ticks = -(unsigned int)__builtin_ia32_rdtsc();
		what();
		ticks += (unsigned int)__builtin_ia32_rdtsc();
		for (j = i; j && sorted[j - 1] > ticks; j--)
			sorted[j] = sorted[j - 1];
		sorted[j] = ticks;
	}
	print("e2e: cost.");
	print(name);
	put(' ');
	print_number(sorted[0]);
	put(' ');
	print_number(sorted[LOOPS / 2]);
	put('\n');
}

void cost_main(void);

void cost_main(void)
{
	print("e2e: ready\n");
	if (use_vector()) {
		measure("nothing", do_nothing);
		measure("read", read_control);
		measure("mask_unmask", mask_unmask);
		measure("affinity", change_affinity);
		print("e2e: done reboot\n");
	} else {
		print("no e1000e with MSI-X\n");
	}
	out_byte(0xcf9, 6);
	for (;;)
		asm volatile("hlt");
}
