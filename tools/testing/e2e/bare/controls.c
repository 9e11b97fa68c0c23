// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that writes an e1000e's controls of MSI, MSI-X and INTx in random order.
 * After each bout of writes the device signals once, and exactly one interrupt must
 * come, of the kind that configuration space enables: MSI-X, if enabled, else MSI,
 * else INTx. A mask of MSI-X, or of INTx, holds the interrupt back.
 *
 * vmm's answer to "ready" is "SEED END": the seed of random numbers, and whether to
 * "reset" at the end, with the controls as they are, or to "end". Before and after
 * the bouts, with all controls off, vmm samples, as beforeSEED and afterSEED. The
 * guest tells the number of bouts without an interrupt, of bouts without an
 * interrupt that MSI-X had held back, and of other errors.
 */
#include "bare.h"
#include "e1000e.h"
#include "irq.h"

#define CAP_MSI		0x05
#define MSI_ENABLE	0x0001
#define MSIX_ENABLE	0x8000
#define MSIX_MASKALL	0x4000
#define INTX_DISABLE	0x0400

#define VECTOR_INTX	0x40
#define VECTOR_MSI	0x50
#define VECTOR_MSIX	0x60

#define BOUTS		60
#define PATIENCE_US	3000000
/*
 * The device throttles interrupts for 128 us: wait for longer, as QEMU 7.2's model
 * aborts if this time ends while MSI-X is disabled.
 */
#define PAUSE_US	1000

static unsigned int msi, regs, random_state;
static unsigned int bout, lost, lost_held, wrong;
static unsigned int held;	/* MSI-X holds the interrupt back, or did until now */

/* The controls as last written, and the table's masks. */
static unsigned int msi_control, msix_control, command;
static unsigned char masked[NR_MSIX];

static void reg_write(unsigned int reg, unsigned int val)
{
	write_at(regs + reg, val);
}

static void acknowledge(unsigned int vector)
{
	if (vector == VECTOR_INTX || vector == VECTOR_MSI)
		reg_write(ICR, ~0u);
}

static unsigned int random(unsigned int below)
{
	random_state = random_state * 1103515245 + 12345;
	return (random_state >> 16) % below;
}

static void print_word(const char *text, unsigned int n)
{
	print(text);
	print_number(n);
}

static void fail(unsigned int *count, const char *what, unsigned int seen,
		 unsigned int expected)
{
	if (++*count <= 10) {
		print_word("bout ", bout);
		print(": ");
		print(what);
		print_word(" ", seen);
		print_word(", expected ", expected);
		print_word("; MSI ", msi_control);
		print_word(", MSI-X ", msix_control);
		print_word(", command ", command);
		put('\n');
	}
}

/* Write 16 bits of configuration space, as part of a dword, as a word, or as bytes. */
static void write_control(unsigned int offset, unsigned int val)
{
	unsigned int shift = offset % 4 * 8;
	unsigned int dword = config(offset & ~3u);

	dword = (dword & ~(0xffffu << shift)) | val << shift;
	switch (random(3)) {
	case 0:
		if (offset == 4)
			dword &= 0xffff;	/* leave the status alone */
		set_config(offset & ~3u, dword);
		break;
	case 1:
		out_dword(0xcf8, 0x80000000u | slot << 11 | (offset & ~3u));
		asm volatile("outw %w0, %w1" : : "a" (val),
			     "Nd" (0xcfc + offset % 4));
		break;
	case 2:
		out_dword(0xcf8, 0x80000000u | slot << 11 | (offset & ~3u));
		out_byte(0xcfc + offset % 4, val);
		out_byte(0xcfd + offset % 4, val >> 8);
		break;
	}
}

static unsigned int read_control(unsigned int offset)
{
	return config(offset & ~3u) >> offset % 4 * 8 & 0xffff;
}

static void set_msi(unsigned int bits)
{
	msi_control = (msi_control & ~MSI_ENABLE) | bits;
	write_control(msi + 2, msi_control);
}

static void set_msix(unsigned int bits)
{
	msix_control = (msix_control & ~(MSIX_ENABLE | MSIX_MASKALL)) | bits;
	write_control(msix + 2, msix_control);
}

static void set_command(unsigned int bits)
{
	command = (command & ~INTX_DISABLE) | bits;
	write_control(4, command);
}

static void set_mask(unsigned int v, unsigned int mask)
{
	masked[v] = mask;
	write_table(v * ENTRY_SIZE + CONTROL, mask);
}

static void all_off(void)
{
	set_msix(0);
	set_msi(0);
	set_command(0);
}

static void forget(void)
{
	unsigned int v;

	for (v = 0; v < VECTOR_TIMER; v++)
		taken[v] = 0;
}

/* Expect one interrupt, @vector, and no other; if @vector is 0, expect none. */
static void expect(const char *what, unsigned int vector)
{
	unsigned int v, waited;

	for (waited = 0; vector && !taken[vector] && waited < PATIENCE_US;
	     waited += PAUSE_US)
		take_for(PAUSE_US);
	take_for(PAUSE_US);
	for (v = 0x20; v < VECTOR_TIMER; v++)
		if (taken[v] != (v == vector ? 1 : 0))
			fail(taken[v] ? &wrong : held ? &lost_held : &lost,
			     what, v << 16 | taken[v], vector);
	forget();
}

static void signal_and_expect(unsigned int v)
{
	if (msix_control & MSIX_ENABLE) {
		reg_write(ICS, CAUSE(v));
		held = msix_control & MSIX_MASKALL || masked[v];
		if (held) {
			expect("masked", 0);
			set_mask(v, 0);
			set_msix(MSIX_ENABLE);
		}
		expect("MSI-X", VECTOR_MSIX + v);
	} else if (msi_control & MSI_ENABLE) {
		reg_write(ICS, CAUSE(0));
		expect("MSI", VECTOR_MSI);
	} else {
		reg_write(ICS, CAUSE(0));
		if (command & INTX_DISABLE) {
			expect("disabled", 0);
			set_command(0);
		}
		expect("INTx", VECTOR_INTX);
	}
	held = 0;
	reg_write(ICR, ~0u);
}

static void check_control(const char *what, unsigned int offset,
			  unsigned int expected)
{
	unsigned int seen = read_control(offset);

	if (seen != expected)
		fail(&wrong, what, seen, expected);
}

static void write_something(void)
{
	unsigned int v;

	switch (random(4)) {
	case 0:
		set_msi(random(2) * MSI_ENABLE);
		check_control("MSI control", msi + 2, msi_control);
		break;
	case 1:
		set_msix(random(4) << 14);
		check_control("MSI-X control", msix + 2, msix_control);
		break;
	case 2:
		set_command(random(2) * INTX_DISABLE);
		check_control("command", 4, command);
		break;
	case 3:
		v = random(NR_MSIX);
		set_mask(v, random(2));
		break;
	}
}

/* The writes of a driver after a firmware that left MSI enabled. */
static void clear_msi_late(void)
{
	unsigned int v;

	set_msi(MSI_ENABLE);
	set_msix(MSIX_ENABLE);
	for (v = 0; v < 3; v++)
		set_mask(v, 0);
	set_msi(0);
	set_mask(3, 0);
	signal_and_expect(3);
	set_msix(MSIX_ENABLE | MSIX_MASKALL);
	set_msix(MSIX_ENABLE);
	signal_and_expect(2);
	all_off();
}

static void enable_and_disable_both(void)
{
	unsigned int i;

	for (i = 0; i < 20; i++) {
		set_msix(MSIX_ENABLE);
		set_msi(MSI_ENABLE);
		set_msi(0);
		set_msix(0);
	}
	signal_and_expect(0);
}

static void prepare(void)
{
	unsigned int v;

	command = read_control(4);
	msi_control = read_control(msi + 2);
	msix_control = read_control(msix + 2);
	set_config(msi + 4, 0xfee00000);
	set_config(msi + 8, 0);
	set_config(msi + 12, VECTOR_MSI);
	for (v = 0; v < NR_MSIX; v++) {
		write_table(v * ENTRY_SIZE + ADDRESS_LO, 0xfee00000);
		write_table(v * ENTRY_SIZE + ADDRESS_HI, 0);
		write_table(v * ENTRY_SIZE + DATA, VECTOR_MSIX + v);
		set_mask(v, 1);
	}
	reg_write(ICR, ~0u);
	reg_write(CTRL_EXT, CTRL_EXT_IAME);
	reg_write(IAM, 0);
	reg_write(IVAR, 0x8 | 0x9 << 4 | 0xa << 8 | 0xb << 12 | 0xc << 16);
	reg_write(EIAC, CAUSES);
	reg_write(IMS, CAUSES);
	start_irqs(VECTOR_INTX);
}

static void take_sample(const char *name, unsigned int seed)
{
	all_off();
	take_for(PAUSE_US);
	forget();
	print("e2e: sample ");
	print_word(name, seed);
	put('\n');
	while (get() != '\n')
		;
}

/* Return: the number at the start of the line; *last is the line's last letter. */
static unsigned int read_answer(char *last)
{
	unsigned int n = 0;
	char c;

	for (c = get(); c >= '0' && c <= '9'; c = get())
		n = n * 10 + c - '0';
	for (; c != '\n'; c = get())
		*last = c;
	return n;
}

void bare_main(void)
{
	unsigned int i, seed;
	char last = 0;

	print("e2e: ready\n");
	seed = read_answer(&last);
	random_state = seed;
	if (find_function())
		msi = find_capability(CAP_MSI);
	if (!msi) {
		print("no function with MSI and MSI-X\n");
		power_off();
	}
	regs = config(0x10) & ~0xfu;
	prepare();
	clear_msi_late();
	take_sample("before", seed);
	enable_and_disable_both();
	for (bout = 1; bout <= BOUTS; bout++) {
		for (i = 1 + random(8); i; i--)
			write_something();
		signal_and_expect(random(NR_MSIX));
	}
	take_sample("after", seed);
	for (i = 0; i < 8; i++)
		write_something();
	print_word("e2e: bouts ", bout - 1);
	print_word("\ne2e: lost ", lost);
	print_word("\ne2e: lost_held ", lost_held);
	print_word("\ne2e: wrong ", wrong);
	put('\n');
	if (last == 't') {
		print("e2e: reset\n");
		for (;;)
			asm volatile("hlt");
	}
	print("e2e: done poweroff\n");
	power_off();
}
