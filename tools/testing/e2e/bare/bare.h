/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the guests without an operating system: no paging, and no interrupts
 * without irq.h. Each guest is a Multiboot kernel for QEMU's -kernel, one .c file
 * with a bare_main(). A guest takes the only function with MSI-X, which the
 * firmware has given addresses, and tells vmm on the serial port "e2e: cost.NAME
 * MINIMUM MEDIAN" in TSC ticks.
 */

/*
 * Multiboot: a 32-bit ELF, entered in protected mode with flat segments. The
 * header must be near the start of the file: keep this code first.
 */
asm(".globl _start\n"
	"_start:\n"
	"	jmp 1f\n"
	"	.align 4\n"
	"	.long 0x1badb002, 0, -0x1badb002\n"
	"1:	cli\n"
	"	mov $stack_end, %esp\n"
	"	call bare_main\n"
	".lcomm stack, 4096\n"
	".set stack_end, stack + 4096\n");

#define SERIAL		0x3f8
#define CAP_MSIX	0x11
#define ENABLE		0x80000000u	/* in the capability's first dword */

/* Size of an entry of the table, and offsets in an entry. */
#define ENTRY_SIZE	16
#define ADDRESS_LO	0
#define ADDRESS_HI	4
#define DATA		8
#define CONTROL		12

typedef unsigned long long u64;

void bare_main(void);

/* The function's slot, MSI-X capability, number of vectors, and table's address. */
static unsigned int slot, msix, nr_vectors, table;

/* In TSC ticks. */
static inline u64 now(void)
{
	return __builtin_ia32_rdtsc();
}

static inline void write_table(unsigned int offset, unsigned int val)
{
	asm volatile("movl %0, (%1)" : : "r" (val), "r" (table + offset));
}

static inline unsigned int read_table(unsigned int offset)
{
	unsigned int val;

	asm volatile("movl (%1), %0" : "=r" (val) : "r" (table + offset));
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

static inline char get(void)
{
	while (!(in_byte(SERIAL + 5) & 1))
		;
	return in_byte(SERIAL);
}

static void print(const char *s)
{
	while (*s)
		put(*s++);
}

/* Divide by hand: gcc would call a library function for a 64-bit division. */
static void print_number(u64 n)
{
	unsigned int high = n >> 32, low = n, digit = high % 10;

	high /= 10;
	asm("divl %2" : "+a" (low), "+d" (digit) : "r" (10));
	if (high || low)
		print_number((u64)high << 32 | low);
	put('0' + digit);
}

/* Configuration space of @slot on bus 0; @offset is a multiple of 4. */
static unsigned int config(unsigned int offset)
{
	out_dword(0xcf8, 0x80000000u | slot << 11 | offset);
	return in_dword(0xcfc);
}

static void set_config(unsigned int offset, unsigned int val)
{
	out_dword(0xcf8, 0x80000000u | slot << 11 | offset);
	out_dword(0xcfc, val);
}

static unsigned int find_capability(unsigned int id)
{
	unsigned int cap;

	if (config(0) == ~0u)
		return 0;
	for (cap = config(0x34) & 0xfc; cap; cap = config(cap) >> 8 & 0xfc)
		if ((config(cap) & 0xff) == id)
			break;
	return cap;
}

/* Find and set up the function with MSI-X. Return: 0 if there is none. */
static int find_function(void)
{
	unsigned int where, bar;

	for (slot = 0; !(msix = find_capability(CAP_MSIX)); slot++)
		if (slot == 31)
			return 0;
	where = config(msix + 4);
	bar = config(0x10 + (where & 7) * 4) & ~0xfu;
	set_config(4, (config(4) & 0xffff) | 6);	/* memory, master */
	nr_vectors = (config(msix) >> 16 & 0x7ff) + 1;
	table = bar + (where & ~7u);
	return bar != 0;
}

/* Message Control: @bits is 0 or ENABLE. */
static inline void set_control(unsigned int bits)
{
	set_config(msix, (config(msix) & ~ENABLE) | bits);
}

static inline void print_cost(const char *name, u64 minimum, u64 median)
{
	print("e2e: cost.");
	print(name);
	put(' ');
	print_number(minimum);
	put(' ');
	print_number(median);
	put('\n');
}

/* Sort @n measurements, and print minimum and median. */
static inline void print_median(const char *name, u64 *t, unsigned int n)
{
	u64 swapped;
	unsigned int i, j;

	for (i = 1; i < n; i++) {
		for (j = i; j && t[j - 1] > t[j]; j--) {
			swapped = t[j];
			t[j] = t[j - 1];
			t[j - 1] = swapped;
		}
	}
	print_cost(name, t[0], t[n / 2]);
}

static inline void reboot(void)
{
	out_byte(0xcf9, 6);
	for (;;)
		asm volatile("hlt");
}

/* ACPI soft off, at the address that the firmware has chosen. */
static inline void power_off(void)
{
	asm volatile("outw %w0, %w1" : : "a" (0x2000), "Nd" (0x604));
	for (;;)
		asm volatile("hlt");
}

