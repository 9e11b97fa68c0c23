// SPDX-License-Identifier: GPL-2.0-only
/*
 * What accesses and interrupts cost, measured by a guest with its TSC: lines of
 * "cost NAME MINIMUM MEDIAN". In a lab that counts instructions a tick is one
 * instruction of guest, kernel and VMM together. See tools/testing/bench.
 *
 * Costs named "free_" are those of a table that is guest memory: with nothing
 * pending, with an event while the vector is masked, and of stores to an entry
 * while another vector is pending.
 *
 * For comparison, the floors: an empty device on KVM's MMIO bus (the module in
 * tools/testing/bench/floor), an ioeventfd that nothing waits for, the I/O
 * APIC's index register, a store to RAM; and KVM's own irqfd.
 */
#include "kvm_msix_util.h"

#define LOOPS		401
#define NR		64
#define VECTOR		0x40
#define GSI		40

/* All on one page, with the PBA: KVM caches the last MMIO access's address. */
#define TABLE_GPA	BAR_GPA
#define EMPTY_GPA	(BAR_GPA + 0xc00)
#define NOBODY_GPA	(BAR_GPA + 0xc10)
#define EVENT_GPA	(BAR_GPA + 0xc20)
#define OTHER_EVENT_GPA	(BAR_GPA + 0xc30)
#define FREE_GPA	(BAR_GPA + 0x1000)
#define IOAPIC_GPA	0xfec00000ull

/* How long to wait, in ticks of at least 1 GHz: until the work has protected
 * the table; and until the timer has looked last and the table is protected
 * again.
 */
#define PROTECTED	100000ull
#define RESTED		50000000ull
/* A second, in a lab that counts instructions. */
#define STORM		1000000000ull

struct floor_where {
	__s32 vm_fd;
	__u32 len;
	__u64 gpa;
};

static u64 ticks[LOOPS];
static u64 handled;
static u64 ram;

static void take_irq(struct ex_regs *regs)
{
	handled = rdtsc();
	wrmsr(APIC_BASE_MSR + (APIC_EOI >> 4), 0);
}

static void nothing(void)
{
}

static void store_ram(void)
{
	mmio_write32((u64)&ram, 1);
}

static void write_empty(void)
{
	mmio_write32(EMPTY_GPA, 1);
}

static void read_empty(void)
{
	mmio_read32(EMPTY_GPA);
}

static void write_ioeventfd(void)
{
	mmio_write32(NOBODY_GPA, 1);
}

static void write_ioapic(void)
{
	mmio_write32(IOAPIC_GPA, 1);
}

static void event_to_irq(void)
{
	mmio_write32(EVENT_GPA, 1);
}

/* Accesses to a table, the trapped one or the one in guest memory. */
static __always_inline void read_control_at(u64 table)
{
	mmio_read32(table + ENTRY_CTRL);
}

static __always_inline void read_pba_at(u64 table)
{
	mmio_read64(table + MAPPED_PBA);
}

static __always_inline void mask_at(u64 table)
{
	mmio_write32(table + ENTRY_CTRL, MASKED);
}

static __always_inline void unmask_at(u64 table)
{
	mmio_write32(table + ENTRY_CTRL, 0);
}

static __always_inline void mask_unmask_at(u64 table)
{
	mask_at(table);
	read_control_at(table);
	unmask_at(table);
}

/* Change the affinity as Linux does. */
static __always_inline void affinity_at(u64 table)
{
	mask_at(table);
	read_control_at(table);
	mmio_write32(table + ENTRY_ADDR_LO, MSI_ADDR(0));
	mmio_write32(table + ENTRY_ADDR_HI, 0);
	mmio_write32(table + ENTRY_DATA, VECTOR);
	unmask_at(table);
	read_control_at(table);
}

static __always_inline void pend_at(u64 table)
{
	mask_at(table);
	event_to_irq();
}

/* Make both functions with constant addresses: a variable would cost more. */
#define TRAPPED_AND_FREE(name)			\
static void name(void)				\
{						\
	name##_at(TABLE_GPA);			\
}						\
						\
static void free_##name(void)			\
{						\
	name##_at(FREE_GPA);			\
}

TRAPPED_AND_FREE(read_control)
TRAPPED_AND_FREE(read_pba)
TRAPPED_AND_FREE(unmask)
TRAPPED_AND_FREE(mask_unmask)
TRAPPED_AND_FREE(affinity)
TRAPPED_AND_FREE(pend)

static void mask(void)
{
	mask_at(TABLE_GPA);
}

static void empty_mask_unmask(void)
{
	write_empty();
	read_empty();
	write_empty();
}

static void wait(u64 how_long)
{
	u64 end = rdtsc() + how_long;

	while (rdtsc() < end)
		asm volatile("pause");
}

static void free_pend_and_wait(void)
{
	free_pend();
	wait(PROTECTED);
}

static void free_pend_unmask(void)
{
	free_pend();
	free_unmask();
}

/* Vector 1 becomes pending, and stays pending: its entry is not changed. */
static void free_pend_other(void)
{
	mmio_write32(OTHER_EVENT_GPA, 1);
	wait(RESTED);
}

static void free_store(void)
{
	mmio_write32(FREE_GPA + ENTRY_DATA, VECTOR);
}

static void free_first_store(void)
{
	free_pend_other();
	free_store();
}

static void sort(int n)
{
	u64 t;
	int i, j;

	for (i = 1; i < n; i++) {
		t = ticks[i];
		for (j = i; j && ticks[j - 1] > t; j--)
			ticks[j] = ticks[j - 1];
		ticks[j] = t;
	}
}

/* Measure @what, to the interrupt's handler if @irq, but not @before. */
static void measure(void (*before)(void), void (*what)(void), bool irq, int loops)
{
	u64 start;
	int i;

	before();
	what();
	for (i = 0; i < loops; i++) {
		before();
		handled = 0;
		start = rdtsc();
		what();
		ticks[i] = rdtsc() - start;
		if (irq) {
			while (!READ_ONCE(handled))
				asm volatile("pause");
			ticks[i] = handled - start;
		}
		GUEST_ASSERT(!irq == !handled);
	}
	sort(loops);
}

static const struct {
	const char *name;
	void (*before)(void);
	void (*what)(void);
	bool irq;
	int loops;	/* 0: LOOPS */
} costs[] = {
	{ "nothing", nothing, nothing },
	{ "ram_store", nothing, store_ram },
	{ "empty_write", nothing, write_empty },
	{ "empty_read", nothing, read_empty },
	{ "ioeventfd_write", nothing, write_ioeventfd },
	{ "ioapic_write", nothing, write_ioapic },
	{ "read_control", nothing, read_control },
	{ "read_pba", nothing, read_pba },
	{ "mask", unmask, mask },
	{ "unmask", mask, unmask },
	{ "mask_unmask", nothing, mask_unmask },
	{ "empty_mask_unmask", nothing, empty_mask_unmask },
	{ "affinity", nothing, affinity },
	{ "unmask_pending", pend, unmask, true },
	{ "event_to_handler", nothing, event_to_irq, true },
	{ "irqfd_to_handler", nothing, event_to_irq, true },
	{ "free_read_control", nothing, free_read_control },
	{ "free_read_pba", nothing, free_read_pba },
	{ "free_mask_unmask", nothing, free_mask_unmask },
	{ "free_affinity", nothing, free_affinity },
	{ "free_event_to_handler", nothing, event_to_irq, true },
	{ "free_unmask_pending", free_pend_and_wait, free_unmask, true },
	{ "free_pend_unmask", nothing, free_pend_unmask, true },
	{ "free_first_store", free_pend_other, free_store, .loops = 11 },
	{ "free_second_store", free_first_store, free_store, .loops = 11 },
};

/* Store at full speed, with another vector pending. */
static void free_storm(void)
{
	u64 end = rdtsc() + STORM;

	while (rdtsc() < end)
		free_store();
}

static void guest_code(void)
{
	int i;

	guest_init();
	for (i = 0; i < (int)ARRAY_SIZE(costs); i++) {
		measure(costs[i].before, costs[i].what, costs[i].irq, costs[i].loops ?: LOOPS);
		GUEST_SYNC1(i + 1);
	}
	free_storm();
	GUEST_SYNC1(0);
}

/* Place the empty device; skip if its module is not loaded. */
static int place_empty(struct kvm_vm *vm)
{
	struct floor_where where = { .vm_fd = vm->fd, .len = 8, .gpa = EMPTY_GPA };
	int fd = open("/dev/kvm_msix_floor", O_RDWR);

	if (fd < 0)
		ksft_exit_skip("/dev/kvm_msix_floor: %s\n", strerror(errno));
	TEST_ASSERT(write(fd, &where, sizeof(where)) == sizeof(where), "%s", strerror(errno));
	return fd;
}

/* Have a store by the guest signal @event. */
static void ioeventfd(struct kvm_vm *vm, int event, u64 gpa)
{
	int err = __kvm_ioeventfd(vm, event, gpa, 4, 0);

	TEST_ASSERT(!err, "KVM_IOEVENTFD: %s", strerror(err));
}

static void start(struct msix_dev *d, u64 table, int event)
{
	struct msix_state *state = msix_state_alloc(NR);

	state->control = ENABLE;
	state->entry[0][ENTRY_ADDR_LO / 4] = MSI_ADDR(0);
	state->entry[0][ENTRY_DATA / 4] = VECTOR;
	state->entry[1][ENTRY_CTRL / 4] = MASKED;
	TEST_ASSERT_EQ(__msix_set_state(d->fd, state), 0);
	msix_state_free(state);
	msix_set_addr(d, table, table + MAPPED_PBA);
	msix_bind_one(d, 0, event, -1);
}

int main(void)
{
	int event = event_create(), other = event_create(), loops;
	struct kvm_irq_routing_entry route = msi_route(GSI, MSI_ADDR(0), VECTOR);
	struct msix_vm *m;
	struct msix_dev d;
	u64 i, *t, faults = 0;

	kvm_msix_require();
	m = msix_vm_create(1, guest_code);
	virt_map(m->vm, IOAPIC_GPA, IOAPIC_GPA, 1);
	vm_install_exception_handler(m->vm, VECTOR, take_irq);
	place_empty(m->vm);
	ioeventfd(m->vm, event_create(), NOBODY_GPA);
	ioeventfd(m->vm, event, EVENT_GPA);
	ioeventfd(m->vm, other, OTHER_EVENT_GPA);
	TEST_ASSERT(!__kvm_set_gsi_routing(m->vm, 1, &route), "routing");

	d = msix_create(m->vm, NR, 0);
	start(&d, TABLE_GPA, event);

	t = GUEST_VAR(m, ticks[0]);
	while ((i = msix_vcpu_run(m, 0))) {
		loops = costs[i - 1].loops ?: LOOPS;
		printf("cost %s %lu %lu\n", costs[i - 1].name, t[0], t[loops / 2]);
		/* Now deliver the same event by the other ways. */
		if (!strcmp(costs[i - 1].name, "event_to_handler")) {
			msix_bind_one(&d, 0, -1, -1);
			vm_irqfd(m->vm, event, GSI, 0);
		}
		if (!strcmp(costs[i - 1].name, "irqfd_to_handler")) {
			vm_irqfd(m->vm, event, GSI, KVM_IRQFD_FLAG_DEASSIGN);
			close(d.fd);
			d = msix_create_mapped(m->vm, NR, 0);
			start(&d, FREE_GPA, event);
			msix_bind_one(&d, 1, other, -1);
		}
		faults = kvm_msix_counter("faults");
	}
	printf("storm %lu\n", kvm_msix_counter("faults") - faults);
	TEST_ASSERT(!m->nr_exits, "%u accesses left the kernel", m->nr_exits);
	return 0;
}
