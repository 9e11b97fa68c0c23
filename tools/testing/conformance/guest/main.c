// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that is nothing but a test: what a guest sees of MSI-X, and which
 * messages are sent. The guest takes the first function with MSI-X on the PCI
 * bus, whatever emulates the function, and prints TAP to the serial port.
 *
 * A Multiboot kernel. Its command line: vectors=N, the number of vectors that
 * the function should have.
 *
 * The guest resets the machine in the middle, and powers it off by ACPI.
 */
#include "point.h"
#include "power_on.h"
#include "serial.h"

#define MULTIBOOT_CMDLINE	BIT(2)
#define CMOS			0x70
/* Unused bytes of CMOS RAM; a reset keeps them. */
#define CMOS_MARK		0x70	/* MARK: the guest reset the machine */
#define CMOS_COUNT		0x71	/* after printing so many points */
#define MARK			0xa5
#define RESET			0xcf9
#define PM1_CONTROL		0x604	/* where SeaBIOS puts it on q35 */
#define SOFT_OFF		0x2000

struct multiboot_info {
	u32 flags;
	u32 memory[2];
	u32 boot_device;
	u32 cmdline;
};

#define NR_TIDY			5	/* vectors that points use */

static struct failure {
	const char *what;
	u64 want, seen;
} failures[4];

static u32 nr_points, nr_failures;
u32 expected_nr;
u64 slowest_us;

bool expect(const char *what, u64 want, u64 seen)
{
	if (want == seen)
		return true;
	if (nr_failures < ARRAY_SIZE(failures))
		failures[nr_failures] = (struct failure) { what, want, seen };
	nr_failures++;
	return false;
}

void raise(u32 v)
{
	device->raise(v);
}

void expect_none(const char *what)
{
	take_for(quiet_us());
	expect(what, 0, taken_in_all());
}

void expect_one(const char *what, u32 v)
{
	take_until(irq_of(v), 1);
	take_for(quiet_us());
	expect(what, 1, taken(irq_of(v)));
	expect("interrupts in all", 1, taken_in_all());
}

u64 wait_for_others(void)
{
	u64 n = 0;

	if (fn.nr > 1) {
		set_own_message(1);
		unmask(1);
		for (n = 0; n < 3; n++) {
			raise(1);
			take_until(irq_of(1), n + 1);
		}
		mask(1);
	} else {
		take_for(10 * quiet_us());
	}
	take_for(quiet_us());
	expect("interrupts of another vector", n, taken(irq_of(1)));
	return n;
}

void expect_no_trace(const char *what)
{
	u64 n = wait_for_others();

	expect(what, n, taken_in_all());
	forget_taken();
}

void make_pending(u32 v)
{
	raise(v);
	expect("pending bit, before", 1, pending_until(v));
}

void expect_works(u32 v)
{
	forget_taken();
	raise(v);
	expect_one("interrupts of one event", v);
	forget_taken();
}

void tidy(void)
{
	u32 v;

	set_command(COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_INTX, 0);
	set_message_control(MSIX_ENABLE);
	for (v = 0; v < fn.nr && v < NR_TIDY; v++) {
		mask(v);
		drain(v);
	}
	take_for(100);
	forget_taken();
}

static const char *missing(unsigned int needs)
{
	static const struct {
		enum need need;
		const char *reason;
	} reasons[] = {
		{ IMPOSSIBLE, "no device signals by MSI-X while that is disabled" },
		{ EVENTS, "nothing here makes this device signal" },
		{ TWO_VECTORS, "the device has one vector" },
		{ THREE_VECTORS, "the device has too few vectors" },
		{ ODD_NR, "every bit of the PBA has its vector" },
		{ GAP, "table and PBA leave no gap" },
		{ REGISTER, "the BAR has nothing else" },
		{ BAR_64, "the BAR has 32 bits" },
		{ IO_EVENTS, "its registers are not in I/O space" },
		{ FLR, "the device has no function-level reset" },
		{ X2APIC, "the CPU has no x2APIC" },
		{ END_IN_PAGE,
		  "the table ends with its page, where one access becomes two" },
		{ EXPECTED_NR, "nobody says how many there should be" },
	};
	u32 end = fn.table_offset + fn.nr * ENTRY_LEN;
	u32 gap = fn.pba_offset - end;
	unsigned int have = 0, i;

	have |= device->raise ? EVENTS : 0;
	have |= fn.nr > 1 ? TWO_VECTORS : 0;
	have |= fn.nr > 2 ? THREE_VECTORS : 0;
	have |= fn.nr % 64 ? ODD_NR : 0;
	have |= gap >= 8 && gap < 0x10000 ? GAP : 0;
	have |= device->reg_mask ? REGISTER : 0;
	have |= fn.bars[fn.table_bar].is_64 ? BAR_64 : 0;
	have |= device->raise_by_io ? IO_EVENTS : 0;
	have |= has_flr() ? FLR : 0;
	have |= has_x2apic() ? X2APIC : 0;
	have |= end % 4096 ? END_IN_PAGE : 0;
	have |= expected_nr ? EXPECTED_NR : 0;
	for (i = 0; i < ARRAY_SIZE(reasons); i++)
		if (needs & ~have & reasons[i].need)
			return reasons[i].reason;
	return NULL;
}

static void tell(const struct point *p, const char *skipped)
{
	u32 i;

	print(nr_failures ? "not ok " : "ok ");
	print_number(++nr_points);
	print(" - ");
	print(p->name);
	if (skipped) {
		print(" # SKIP ");
		print(skipped);
	}
	print("\n");
	for (i = 0; i < nr_failures && i < ARRAY_SIZE(failures); i++) {
		print("# ");
		print(failures[i].what);
		print(": expected ");
		print_hex(failures[i].want);
		print(", seen ");
		print_hex(failures[i].seen);
		print("\n");
	}
}

static void run(const struct point *p)
{
	const char *reason;

	for (; p->name; p++) {
		reason = missing(p->needs);
		nr_failures = 0;
		if (!reason) {
			tidy();
			nr_failures = 0;
			p->run();
		}
		tell(p, reason);
	}
}

/* Measure how long an event takes. */
static void measure(void)
{
	u64 start, us;
	u32 i;

	for (i = 0; i < 20; i++) {
		tidy();
		unmask(0);
		start = rdtsc();
		raise(0);
		if (!take_until(irq_of(0), 1)) {
			print("# the device does not signal\n");
			break;
		}
		us = (rdtsc() - start) / ticks_per_us() + 1;
		slowest_us = us > slowest_us ? us : slowest_us;
	}
	set_slowest_us(slowest_us);
	print("# slowest of ");
	print_number(i);
	print(" events: ");
	print_number(slowest_us);
	print(" us\n");
	slowest_us = slowest_us < 10000 ? slowest_us : 10000;
}

static u8 cmos_read(u8 at)
{
	out8(CMOS, at);
	return in8(CMOS + 1);
}

static void cmos_write(u8 at, u8 val)
{
	out8(CMOS, at);
	out8(CMOS + 1, val);
}

static void read_cmdline(const struct multiboot_info *info)
{
	const char *s, *key = "vectors=";
	u32 i;

	if (!(info->flags & MULTIBOOT_CMDLINE))
		return;
	for (s = (const char *)(u64)info->cmdline; *s; s++) {
		for (i = 0; key[i] && s[i] == key[i]; i++)
			;
		if (key[i])
			continue;
		for (s += i; *s >= '0' && *s <= '9'; s++)
			expected_nr = expected_nr * 10 + *s - '0';
		return;
	}
}

static void describe(void)
{
	print("# ");
	print(device->name);
	print(", ");
	print_number(fn.nr);
	print(" vectors, table in BAR ");
	print_number(fn.table_bar);
	print(" at ");
	print_hex(fn.table_offset);
	print(", PBA in BAR ");
	print_number(fn.pba_bar);
	print(" at ");
	print_hex(fn.pba_offset);
	print("\n");
}

static void __attribute__((noreturn)) leave(void)
{
	out16(PM1_CONTROL, SOFT_OFF);
	out8(RESET, 6);
	for (;;)
		asm volatile("cli; hlt");
}

static void first_part(void)
{
	print("TAP version 13\n");
	describe();
	run(power_on_points);
	tidy();
	if (device->start && !device->start())
		print("# the device does not start\n");
	if (device->raise)
		measure();
	run(layout_points);
	run(access_points);
	run(pending_points);
	run(mask_points);
	run(message_points);
	run(place_points);
	run(reset_points);
}

void guest_main(const struct multiboot_info *info);

void guest_main(const struct multiboot_info *info)
{
	irq_init();
	read_cmdline(info);
	if (!find_function() || !find_device()) {
		print("Bail out! no MSI-X function that this guest knows\n");
		leave();
	}
	set_command(COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_INTX, 0);
	look_at_power_on();

	if (cmos_read(CMOS_MARK) != MARK) {
		first_part();
		cmos_write(CMOS_MARK, MARK);
		cmos_write(CMOS_COUNT, nr_points);
		tidy();
		make_dirty();
		out8(RESET, 6);
		for (;;)
			asm volatile("cli; hlt");
	}
	nr_points = cmos_read(CMOS_COUNT);
	run(reboot_points);
	print("1..");
	print_number(nr_points);
	print("\n");
	leave();
}
