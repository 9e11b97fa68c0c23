// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that means harm: code, stacks and the CPU's own tables in table and PBA,
 * by the judge of hostile_guest.h; a guest of the guest's; and a storm of events,
 * during which other programs on the machine must get to run.
 */
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "kselftest_harness.h"
#include "hostile_guest.h"
#include "hyperv.h"
#include "svm_util.h"

FIXTURE(hostile) {
	struct hostile h;
};

FIXTURE_SETUP(hostile)
{
	hostile_create(&self->h);
}

FIXTURE_TEARDOWN(hostile)
{
	hostile_free(&self->h);
}

/*
 * The CPU's own structures, and code. Each may be the end of the guest, but
 * must be the same end as with the hole, and come soon.
 */
static void fetch(u64 gva)
{
	asm volatile("call *%0" : : "r" (gva) : "memory");
}

static void returns(void)
{
	guest_op.r.a++;
}

static void call_through(u64 gva)
{
	mmio_write64(gva, (u64)returns);
	asm volatile("call *(%0)" : : "r" (gva) : "rax", "rcx", "rdx", "memory");
}

static void page_tables(u64 gva)
{
	asm volatile("mov %0, %%cr3" : : "r" (gva & ~0xfffull) : "memory");
}

static void use_gdt(u64 gva)
{
	struct desc_ptr gdt = { .size = 0xff, .address = gva };

	asm volatile("lgdt %0; mov $8, %%eax; mov %%eax, %%fs" : : "m" (gdt) : "eax", "memory");
}

static void use_idt(u64 gva)
{
	struct desc_ptr idt = { .size = 0xfff, .address = gva };

	asm volatile("lidt %0; int3" : : "m" (idt) : "memory");
}

static void load_gdt(u64 gva)
{
	asm volatile("lgdt (%0); mov $8, %%eax; mov %%eax, %%fs" : : "r" (gva) : "eax", "memory");
}

static void store_gdt(u64 gva)
{
	asm volatile("sgdt (%0)" : : "r" (gva) : "memory");
}

static void fault_on_stack(u64 gva)
{
	asm volatile("mov %0, %%rsp; ud2" : : "r" (gva + 128) : "memory");
}

static void interrupt_on_stack(u64 gva)
{
	asm volatile("mov %0, %%rsp\n\t"
		     "wrmsr\n\t"	/* an interrupt to myself */
		     "nop\n\t"
		     "1: jmp 1b"
		     : : "r" (gva + 128), "c" (APIC_BASE_MSR + (APIC_ICR >> 4)),
		     "a" (APIC_DEST_SELF | APIC_INT_ASSERT | 0x40), "d" (0)
		     : "memory");
}

static void msrs(u64 gva)
{
	static const u32 pv[] = {
		MSR_KVM_WALL_CLOCK_NEW, MSR_KVM_SYSTEM_TIME_NEW, MSR_KVM_STEAL_TIME,
		MSR_KVM_ASYNC_PF_EN, MSR_KVM_PV_EOI_EN, HV_X64_MSR_REFERENCE_TSC,
		HV_X64_MSR_HYPERCALL, MSR_VM_HSAVE_PA,
	};
	u64 place = (gva + 63) & ~63ull;
	int i;

	guest_op.r.a = 0;
	for (i = 0; i < ARRAY_SIZE(pv); i++)
		guest_op.r.a = guest_op.r.a << 8 |
			       wrmsr_safe(pv[i], place | (pv[i] != MSR_VM_HSAVE_PA));
	/* Make KVM write to the structure, if KVM ever does. */
	x2apic_write_reg(APIC_ICR, APIC_DEST_SELF | APIC_INT_ASSERT | 0x40);
	for (i = 0; i < 10; i++)
		asm volatile("pause");
	for (i = 0; i < ARRAY_SIZE(pv); i++)
		wrmsr_safe(pv[i], 0);
}

/* Move the local APIC onto the place: the APIC answers there, and then no more. */
static void apic_base(u64 gva)
{
	u64 base = rdmsr(MSR_IA32_APICBASE);

	wrmsr(MSR_IA32_APICBASE, base & ~(MSR_IA32_APICBASE_ENABLE | MSR_IA32_APICBASE_EXTD));
	wrmsr(MSR_IA32_APICBASE, (gva & ~0xfffull) | MSR_IA32_APICBASE_ENABLE |
	      (base & MSR_IA32_APICBASE_BSP));
	guest_op.r.a = mmio_read32((gva & ~0xfffull) + APIC_LVR);
	mmio_write32((gva & ~0xfffull) + APIC_TASKPRI, 0);
	wrmsr(MSR_IA32_APICBASE, base & ~(MSR_IA32_APICBASE_ENABLE | MSR_IA32_APICBASE_EXTD));
	guest_op.r.b = mmio_read32(gva + 4);
	wrmsr(MSR_IA32_APICBASE, base & ~MSR_IA32_APICBASE_EXTD);
	x2apic_enable();
}

static void store(u64 gva)
{
	mmio_write32(gva, guest_op.r.a);
}

static const struct {
	const char *name;
	void (*fn)(u64 gva);
	bool endless;	/* KVM runs the guest, which gets nowhere, until a signal */
} structures[] = {
	{ "instruction fetch", fetch },
	{ "pointer to code", call_through },
	{ "page tables", page_tables, true },
	{ "GDT", use_gdt, true },
	{ "IDT", use_idt },
	{ "LGDT's operand", load_gdt, true },
	{ "SGDT's operand", store_gdt, true },
	{ "stack of an exception", fault_on_stack },
	{ "stack of an interrupt", interrupt_on_stack, true },
	{ "paravirtual MSRs", msrs },
	{ "local APIC", apic_base },
};

TEST_F(hostile, structures)
{
	static const u32 places[] = { TABLE, 0x1000, PBA };
	struct msix_state *s = msix_state_alloc(NR), *after;
	struct hostile *h = &self->h;
	static u8 beside[REGION], table[TABLE_SIZE];
	struct result want, got;
	u32 i, j;

	for (i = 0; i < ARRAY_SIZE(structures); i++) {
		for (j = 0; j < ARRAY_SIZE(places); j++) {
			/* Some of these end the vCPU: use a new one for each. */
			hostile_free(h);
			hostile_create(h);
			hostile_paint(h, s);
			hostile_try(h, HOLE, places[j], structures[i].fn, structures[i].endless,
				    &want);
			memcpy(beside, h->beside[HOLE], REGION);
			memcpy(table, h->table, TABLE_SIZE);
			hostile_free(h);
			hostile_create(h);
			hostile_paint(h, s);
			log_mark(h->log);
			hostile_try(h, FUNCTION, places[j], structures[i].fn,
				    structures[i].endless, &got);
			after = msix_get_state(h->d.fd, NR);
			if (!j)
				TH_LOG("%s: end %#x/%#x, %u/%u exits", structures[i].name,
				       want.end, got.end, want.exits, got.exits);
			memcpy(h->beside[HOLE], beside, REGION);
			memcpy(h->table, table, TABLE_SIZE);
			EXPECT_EQ(NULL, hostile_difference(h, after, &want, &got)) {
				TH_LOG("%s at %#x: %s", structures[i].name, places[j],
				       hostile_difference(h, after, &want, &got));
			}
			EXPECT_EQ(0, log_lines(h->log));
			msix_state_free(after);

			/* The function still works. */
			hostile_try(h, FUNCTION, TABLE, store, false, &got);
			EXPECT_EQ(0, got.end);
			after = msix_get_state(h->d.fd, NR);
			EXPECT_EQ(0x55667788, after->entry[0][0]);
			msix_state_free(after);
		}
	}
	msix_state_free(s);
}

/*
 * A nested guest: its accesses work by the same rules. The outer guest gives
 * the nested guest its own memory.
 */
#define NESTED_VEC	0x45

static u64 nested_read;

static void nested_inner(void)
{
	u64 table = BAR_GPA + TABLE;

	mmio_write32(table + ENTRY_ADDR_LO, MSI_ADDR(0));
	mmio_write32(table + ENTRY_ADDR_HI, 0);
	mmio_write32(table + ENTRY_DATA, NESTED_VEC);
	mmio_write32(table + ENTRY_CTRL, 0);
	WRITE_ONCE(nested_read, mmio_read64(table + 8));
	vmmcall();
}

/* The library of 7.3 provides the stack. */
static void nested_setup(struct svm_test_data *svm, void *code)
{
#ifdef KVM_MSIX_SVM_STACK
	generic_svm_setup(svm, code);
#else
	static u8 stack[4096] __aligned(16);

	generic_svm_setup(svm, code, stack + sizeof(stack) - 8);
#endif
}

static void nested_outer(struct svm_test_data *svm)
{
	guest_init();
	nested_setup(svm, nested_inner);
	run_guest(svm->vmcb, svm->vmcb_gpa);
	stgi();
	GUEST_ASSERT_EQ(svm->vmcb->control.exit_code, SVM_EXIT_VMMCALL);
	GUEST_SYNC1(1);
	GUEST_DONE();
}

TEST(nested)
{
	int event = event_create();
	struct msix_vm *m;
	struct msix_dev d;
	u64 svm;

	if (!kvm_cpu_has(X86_FEATURE_SVM))
		SKIP(return, "no nested SVM");
	m = msix_vm_create(1, nested_outer);
	vcpu_alloc_svm(m->vm, &svm);
	vcpu_args_set(m->vcpu[0], 1, svm);
	d = msix_create(m->vm, NR, 0);
	msix_set_addr(&d, BAR_GPA + TABLE, BAR_GPA + PBA);
	msix_bind_one(&d, 0, event, -1);
	msix_control(&d, ENABLE);
	event_signal(event);
	EXPECT_EQ(1, msix_vcpu_run(m, 0));
	EXPECT_EQ(0, m->nr_exits);
	EXPECT_EQ(NESTED_VEC, READ_ONCE(*GUEST_VAR(m, nested_read)));
	EXPECT_FALSE(msix_pending(&d, 0));
	EXPECT_EQ(1, m->cpu[0]->irqs[NESTED_VEC]);
	close(event);
	close(d.fd);
	msix_vm_free(m);
}

/*
 * Both vCPUs mask, move and unmask all the time, with messages for all vCPUs,
 * and the device signals without a pause. Other programs must still get to run:
 * a thread that wants to run a hundred times a second does, and none of its
 * sleeps is long. As a machine that is slow, or stands still at times, is so
 * for all threads, measure the sleeps in events of the device.
 */
#define STORM_S		3
#define STORM_EVENTS	30000
#define STORM_NAP	2000	/* at most so many in a sleep, on average */
#define STORM_LONGEST	20000	/* and in any */
#define STORM_VEC	0x50

static u64 storms[2];

static void guest_storm(void)
{
	u64 entry, i;
	u32 me;

	guest_init();
	me = x2apic_read_reg(APIC_ID) & 1;
	for (i = 0;; i++) {
		entry = BAR_GPA + TABLE + i % NR * ENTRY_SIZE;
		mmio_write32(entry + ENTRY_CTRL, MASKED);
		mmio_write32(entry + ENTRY_ADDR_LO, MSI_ADDR(i & 1 ? 0xff : i / NR % 2));
		mmio_write32(entry + ENTRY_DATA, STORM_VEC + me);
		mmio_write32(entry + ENTRY_CTRL, 0);
		WRITE_ONCE(storms[me], i);
	}
}

struct storm {
	struct msix_vm *m;
	int event[NR];
	bool stop;
	u64 signalled;
};

static void *storm_vcpu(void *arg)
{
	struct kvm_vcpu *vcpu = arg;

	while (!__vcpu_run(vcpu) || errno == EAGAIN)
		;
	return NULL;
}

static void *storm_device(void *arg)
{
	struct storm *s = arg;

	while (!READ_ONCE(s->stop)) {
		event_signal(s->event[s->signalled % NR]);
		WRITE_ONCE(s->signalled, s->signalled + 1);
	}
	return NULL;
}

/* The signal ends KVM_RUN. */
static void on_signal(int sig)
{
}

TEST_F(hostile, storm)
{
	struct timespec nap = { .tv_nsec = 10000000 };
	u64 naps = 0, longest = 0, events = 0, before;
	time_t end = time(NULL) + STORM_S;
	struct sigaction sa = { .sa_handler = on_signal };
	struct storm s = { .m = msix_vm_create(2, guest_storm) };
	struct msix_dev d = msix_create(s.m->vm, NR, 0);
	pthread_t thread[3];
	int i;

	sigaction(SIGUSR1, &sa, NULL);
	msix_set_addr(&d, BAR_GPA + TABLE, BAR_GPA + PBA);
	for (i = 0; i < NR; i++) {
		s.event[i] = event_create();
		msix_bind_one(&d, i, s.event[i], i % 2 ? 64 + i : -1);
	}
	msix_control(&d, ENABLE);
	log_mark(self->h.log);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, storm_vcpu, s.m->vcpu[i]));
	ASSERT_EQ(0, pthread_create(&thread[2], NULL, storm_device, &s));

	while (time(NULL) <= end || events < STORM_EVENTS) {
		before = events;
		nanosleep(&nap, NULL);
		events = READ_ONCE(s.signalled);
		longest = max(longest, events - before);
		naps++;
	}
	WRITE_ONCE(s.stop, true);
	pthread_join(thread[2], NULL);
	for (i = 0; i < 2; i++) {
		while (pthread_tryjoin_np(thread[i], NULL)) {
			pthread_kill(thread[i], SIGUSR1);
			usleep(1000);
		}
		EXPECT_EQ(KVM_EXIT_INTR, s.m->vcpu[i]->run->exit_reason);
		EXPECT_LT(NR, GUEST_VAR(s.m, storms)[0][i]);
	}
	TH_LOG("%lu events, %lu and %lu storms; %lu naps of 10 ms, %lu events in the longest",
	       s.signalled, GUEST_VAR(s.m, storms)[0][0], GUEST_VAR(s.m, storms)[0][1], naps,
	       longest);
	/* These bounds only show that the thread is far from starved. */
	EXPECT_LT(events / STORM_NAP, naps);
	EXPECT_GT(STORM_LONGEST, longest);
	EXPECT_EQ(0, log_lines(self->h.log));
	if (kvm_msix_has_counters())
		EXPECT_EQ(s.signalled, kvm_msix_counter("events"));
	EXPECT_EQ(0, kvm_msix_lost_events());
	for (i = 0; i < NR; i++)
		close(s.event[i]);
	close(d.fd);
	msix_vm_free(s.m);
}

KVM_MSIX_TEST_MAIN
