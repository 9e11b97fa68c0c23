// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest with an e1000e, to be migrated while the e1000e's vectors are in a chosen
 * state. Each event has to be one interrupt, on either side, and not while its
 * vector is masked.
 *
 * The guest prints "e2e: next" and reads a letter, which chooses the state. In this
 * state the guest prints "e2e: now", and goes on when a byte arrives:
 *  p  all vectors are pending: three were in use before they were masked, and two
 *     were never unmasked; then the guest unmasks all
 *  f  all vectors are pending by Function Mask, which the guest then clears
 *  d  MSI-X is disabled, with a table, and then enabled
 *  b  each vector has events again and again, until the byte arrives
 *  u  the same, but each vector is masked at its event, and then unmasked
 *  e  the end
 * Then the guest prints the number of events; of interrupts; of interrupts that came
 * while their vector was masked ("early"); and of vectors that did not have as many
 * interrupts as events, or lost their entry ("wrong").
 */
#include "bare.h"
#include "e1000e.h"
#include "irq.h"

#define FUNCTION_MASK	0x40000000u	/* in the capability's first dword */

#define VECTOR_INTX	0x40
#define VECTOR_MSIX	0x60
#define NR_USED		3

/*
 * More than the 128 us for which the device holds back its next interrupt. In QEMU
 * 7.2's model, an interrupt that was held back once comes twice ever after, and the
 * model aborts if MSI-X is disabled meanwhile.
 */
#define PAUSE_US	2000
/* An event may take long to arrive; an event that has not arrived by then is lost. */
#define NR_PAUSES	1000

static unsigned int regs, events[NR_MSIX], early, wrong;

static void reg_write(unsigned int reg, unsigned int val)
{
	write_at(regs + reg, val);
}

static void acknowledge(unsigned int vector)
{
	if (vector == VECTOR_INTX)
		reg_write(ICR, ~0u);
}

static void set_msix(unsigned int bits)
{
	set_config(msix, (config(msix) & ~(ENABLE | FUNCTION_MASK)) | bits);
}

static void set_mask(unsigned int v, unsigned int mask)
{
	write_table(v * ENTRY_SIZE + CONTROL, mask);
}

static void set_masks(unsigned int mask)
{
	unsigned int v;

	for (v = 0; v < NR_MSIX; v++)
		set_mask(v, mask);
}

static void raise(unsigned int v)
{
	events[v]++;
	reg_write(ICS, CAUSE(v));
}

static void raise_all(void)
{
	unsigned int v;

	for (v = 0; v < NR_MSIX; v++)
		raise(v);
}

static unsigned int nr_taken(void)
{
	unsigned int v, n = 0;

	for (v = 0; v < NR_MSIX; v++)
		n += taken[VECTOR_MSIX + v];
	return n;
}

static int all_taken(void)
{
	unsigned int v;

	for (v = 0; v < NR_MSIX; v++)
		if (taken[VECTOR_MSIX + v] < events[v])
			return 0;
	return 1;
}

/* Take what is due, and then what is not. */
static void take_all(void)
{
	unsigned int n;

	for (n = 0; n < NR_PAUSES && !all_taken(); n++)
		take_for(PAUSE_US);
	take_for(PAUSE_US);
}

static void say_now(void)
{
	print("e2e: now\n");
}

static int has_byte(void)
{
	return in_byte(SERIAL + 5) & 1;
}

/* Nothing may come now, whatever happens. */
static void wait_without_interrupts(void)
{
	unsigned int before = nr_taken();

	take_for(PAUSE_US);
	say_now();
	while (!has_byte())
		take_for(PAUSE_US);
	get();
	take_for(PAUSE_US);
	early += nr_taken() - before;
}

static void pending(void)
{
	unsigned int v;

	set_msix(ENABLE);
	for (v = 0; v < NR_USED; v++) {
		set_mask(v, 0);
		raise(v);
	}
	take_all();
	set_masks(1);
	raise_all();
	wait_without_interrupts();
	set_masks(0);
}

static void function_masked(void)
{
	set_msix(ENABLE | FUNCTION_MASK);
	set_masks(0);
	raise_all();
	wait_without_interrupts();
	set_msix(ENABLE);
}

static void write_message(unsigned int v)
{
	write_table(v * ENTRY_SIZE + ADDRESS_LO, 0xfee00000);
	write_table(v * ENTRY_SIZE + ADDRESS_HI, 0);
	write_table(v * ENTRY_SIZE + DATA, VECTOR_MSIX + v);
}

static int message_is_right(unsigned int v)
{
	return read_table(v * ENTRY_SIZE + ADDRESS_LO) == 0xfee00000 &&
	       read_table(v * ENTRY_SIZE + ADDRESS_HI) == 0 &&
	       read_table(v * ENTRY_SIZE + DATA) == VECTOR_MSIX + v;
}

static void disabled(void)
{
	set_masks(0);
	wait_without_interrupts();
	set_msix(ENABLE);
	raise_all();
}

static void busy(void (*what)(unsigned int v))
{
	unsigned int v = 0;

	set_msix(ENABLE);
	set_masks(0);
	say_now();
	while (!has_byte()) {
		what(v);
		take_all();
		v = (v + 1) % NR_MSIX;
	}
	get();
}

static void mask_raise_unmask(unsigned int v)
{
	set_mask(v, 1);
	raise(v);
	set_mask(v, 0);
}

/* Begin with MSI-X disabled, nothing pending, and no vector used yet. */
static void begin(void)
{
	unsigned int v;

	set_msix(0);
	set_masks(1);
	reg_write(ICR, ~0u);
	for (v = 0; v < NR_MSIX; v++) {
		write_message(v);
		events[v] = 0;
		taken[VECTOR_MSIX + v] = 0;
	}
	taken[VECTOR_INTX] = 0;
	early = 0;
	wrong = 0;
}

static void tell(const char *what, unsigned int n)
{
	print("e2e: ");
	print(what);
	put(' ');
	print_number(n);
	put('\n');
}

static void end(void)
{
	unsigned int v, n = 0;

	take_all();
	take_for(10 * PAUSE_US);
	for (v = 0; v < NR_MSIX; v++) {
		n += events[v];
		if (taken[VECTOR_MSIX + v] != events[v] || !message_is_right(v))
			wrong++;
	}
	tell("events", n);
	tell("interrupts", nr_taken());
	tell("early", early);
	tell("wrong", wrong + taken[VECTOR_INTX]);
}

static void prepare(void)
{
	reg_write(ICR, ~0u);
	reg_write(CTRL_EXT, CTRL_EXT_IAME);
	reg_write(IAM, 0);
	reg_write(IVAR, 0x8 | 0x9 << 4 | 0xa << 8 | 0xb << 12 | 0xc << 16);
	reg_write(EIAC, CAUSES);
	reg_write(IMS, CAUSES);
	start_irqs(VECTOR_INTX);
}

static int act(char what)
{
	begin();
	switch (what) {
	case 'p':
		pending();
		break;
	case 'f':
		function_masked();
		break;
	case 'd':
		disabled();
		break;
	case 'b':
		busy(raise);
		break;
	case 'u':
		busy(mask_raise_unmask);
		break;
	default:
		return 0;
	}
	end();
	return 1;
}

void bare_main(void)
{
	print("e2e: ready\n");
	if (!find_function()) {
		print("no function with MSI-X\n");
		power_off();
	}
	regs = config(0x10) & ~0xfu;
	prepare();
	do {
		print("e2e: next\n");
	} while (act(get()));
	print("e2e: done\n");
	power_off();
}
