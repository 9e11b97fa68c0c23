// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long the module keeps interrupts disabled, in instructions, on a machine
 * whose TSC counts instructions (tools/testing/irqsoff). Prints TAP and a
 * table.
 *
 * A signal of a bound eventfd runs the module's wake callback with interrupts
 * disabled from end to end. The callback's time is the cost of that signal, less
 * the cost of an unbound eventfd's signal. Other calls visit one vector after the
 * other: a call's mean for a vector is more than the time with interrupts
 * disabled, as messages that have to visit each vCPU are sent with interrupts
 * enabled. The number of timer interrupts during a call shows whether the vectors' lock
 * was dropped in between; how often another thread ran shows whether the call
 * gave the CPU away.
 *
 * For a broadcast KVM visits each vCPU, which the module leaves to a work
 * queue: the cost in the callback must not depend on the number of vCPUs, nor
 * on whether they never ran or wait in HLT, which costs KVM more.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

#include "kvm_msix_util.h"

#define ROUNDS		16
#define MAX_VECTORS	2048
#define MAX_HALTED	16u
#define TICK_NS		4000000ull	/* CONFIG_HZ=250 */

static u64 now(void)
{
	u32 lo, hi;

	asm volatile("lfence; rdtsc; lfence" : "=a" (lo), "=d" (hi) : : "memory");
	return (u64)hi << 32 | lo;
}

/* Timer interrupts of the only CPU. */
static u64 ticks(void)
{
	char line[512];
	u64 n = 0;
	FILE *f = fopen("/proc/interrupts", "r");

	TEST_ASSERT(f, "/proc/interrupts");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, " LOC: %lu", &n) == 1)
			break;
	fclose(f);
	return n;
}

/* Another thread, which wants to run each millisecond. */
static u64 runs;

static void *neighbour(void *arg)
{
	struct timespec ms = { .tv_nsec = 1000000 };

	for (;;) {
		nanosleep(&ms, NULL);
		WRITE_ONCE(runs, runs + 1);
	}
	return NULL;
}

static int points, failed;

static void point(bool ok, const char *what)
{
	printf("%sok %i - %s\n", ok ? "" : "not ", ++points, what);
	failed += !ok;
}

static void row(const char *what, u64 whole, u64 off)
{
	printf("# %-58s %12lu %12lu\n", what, whole, off);
}

struct box {
	struct kvm_vm *vm;
	struct kvm_vcpu **vcpu;
	pthread_t *halted;
	u32 nr_halted;
	struct msix_dev d;
	struct msix_state *s;
	int event, unbound;
};

/* Make a VM of vCPUs that never run, with their APICs enabled. */
static void box_create(struct box *b, u32 nr_vcpus, u32 nr_vectors)
{
	struct kvm_lapic_state lapic;
	struct kvm_vcpu *vcpu;
	u32 i, spiv = 0x1ff;

	b->nr_halted = 0;
	b->vcpu = calloc(nr_vcpus, sizeof(*b->vcpu));
	b->halted = calloc(nr_vcpus, sizeof(*b->halted));
	TEST_ASSERT(b->vcpu && b->halted, "calloc");
	b->vm = vm_create_barebones();
	__vm_enable_cap(b->vm, KVM_CAP_MAX_VCPU_ID, nr_vcpus);
	vm_create_irqchip(b->vm);
	for (i = 0; i < nr_vcpus; i++) {
		vcpu = __vm_vcpu_add(b->vm, i);
		vcpu_ioctl(vcpu, KVM_GET_LAPIC, &lapic);
		memcpy(lapic.regs + APIC_SPIV, &spiv, 4);
		vcpu_ioctl(vcpu, KVM_SET_LAPIC, &lapic);
		b->vcpu[i] = vcpu;
	}
	b->d = msix_create(b->vm, nr_vectors, 0);
	b->event = event_create();
	b->unbound = event_create();
	b->s = msix_state_alloc(nr_vectors);
}

/* A vCPU in HLT. If a message wakes the vCPU, the vCPU exits at once, and halts again. */
static void *halted_vcpu(void *arg)
{
	struct kvm_mp_state halted = { .mp_state = KVM_MP_STATE_HALTED };
	struct kvm_vcpu *vcpu = arg;
	struct kvm_regs regs = { .rflags = 0x202 };
	struct kvm_lapic_state lapic;

	vcpu_ioctl(vcpu, KVM_GET_LAPIC, &lapic);
	while (!READ_ONCE(vcpu->run->immediate_exit)) {
		/* Clear the interrupt, which would keep the vCPU from halting. */
		vcpu_ioctl(vcpu, KVM_SET_LAPIC, &lapic);
		vcpu_regs_set(vcpu, &regs);
		vcpu_mp_state_set(vcpu, &halted);
		__vcpu_run(vcpu);
	}
	return NULL;
}

static void box_halt(struct box *b, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++)
		TEST_ASSERT(!pthread_create(&b->halted[i], NULL, halted_vcpu, b->vcpu[i]),
			    "pthread_create");
	b->nr_halted = nr;
	usleep(100000);
}

static void box_free(struct box *b)
{
	u32 i;

	for (i = 0; i < b->nr_halted; i++) {
		WRITE_ONCE(b->vcpu[i]->run->immediate_exit, 1);
		pthread_kill(b->halted[i], SIGUSR1);
		pthread_join(b->halted[i], NULL);
	}
	free(b->halted);
	free(b->vcpu);
	msix_state_free(b->s);
	close(b->d.fd);
	close(b->event);
	close(b->unbound);
	kvm_vm_free(b->vm);
}

static void set_all(struct box *b, u32 control, u64 addr, bool pending)
{
	u32 i;

	b->s->control = control;
	for (i = 0; i < b->d.nr; i++) {
		b->s->entry[i][0] = addr;
		b->s->entry[i][1] = addr >> 32;
		b->s->entry[i][2] = 0x30 + i % 0xc0;
		b->s->entry[i][3] = 0;
		if (pending)
			b->s->pba[i / 64] |= 1ull << i % 64;
		else
			b->s->pba[i / 64] = 0;
	}
	TEST_ASSERT_EQ(__msix_set_state(b->d.fd, b->s), 0);
}

static void nothing(int sig)
{
}

static void schedule_as(int policy, int priority)
{
	struct sched_param param = { .sched_priority = priority };

	TEST_ASSERT(!sched_setscheduler(0, policy, &param), "sched_setscheduler: %s",
		    strerror(errno));
}

/* SCHED_FIFO keeps the work that the signal queues from running meanwhile. */
static u64 signal_cost(int fd)
{
	u64 start;

	schedule_as(SCHED_FIFO, 1);
	start = now();
	event_signal(fd);
	start = now() - start;
	schedule_as(SCHED_OTHER, 0);
	return start;
}

/* The median cost of a signal, less that of an unbound eventfd's signal. */
static u64 callback_cost(struct box *b, u64 addr, u32 control, u64 *whole)
{
	u64 costs[ROUNDS], base = ~0ull, cost;
	u32 i, j;

	for (i = 0; i < ROUNDS; i++) {
		cost = signal_cost(b->unbound);
		event_drain(b->unbound);
		if (cost < base)
			base = cost;
	}
	for (i = 0; i < ROUNDS; i++) {
		msix_control(&b->d, 0);
		set_all(b, control, addr, false);
		b->s->entry[0][2] = 0x30 + i;
		TEST_ASSERT_EQ(__msix_set_state(b->d.fd, b->s), 0);
		cost = signal_cost(b->event);
		for (j = i; j && costs[j - 1] > cost; j--)
			costs[j] = costs[j - 1];
		costs[j] = cost;
	}
	*whole = costs[ROUNDS / 2];
	return *whole - base;
}

static void events(u32 nr_vcpus)
{
	struct box b;
	u64 whole, off, one;
	char what[80];

	box_create(&b, nr_vcpus, 1);
	msix_bind_one(&b.d, 0, b.event, -1);
	one = callback_cost(&b, MSI_ADDR(0), ENABLE, &whole);
	if (nr_vcpus == 1) {
		row("event, sent to one vCPU", whole, one);
		off = callback_cost(&b, MSI_ADDR(0), ENABLE | FUNCTION_MASK, &whole);
		row("event, latched", whole, off);
		point(off < one, "to latch is less than to send");
		off = callback_cost(&b, 0, ENABLE, &whole);
		row("event, dropped: no MSI address", whole, off);
	}
	off = callback_cost(&b, MSI_ADDR(0xff), ENABLE, &whole);
	snprintf(what, sizeof(what), "event, broadcast to %u vCPUs", nr_vcpus);
	row(what, whole, off);
	point(off < 5 * one, what);
	box_halt(&b, min(nr_vcpus, MAX_HALTED));
	off = callback_cost(&b, MSI_ADDR(0xff), ENABLE, &whole);
	snprintf(what, sizeof(what), "event, broadcast to %u vCPUs, %u of them halted", nr_vcpus,
		 b.nr_halted);
	row(what, whole, off);
	point(off < 5 * one, what);
	box_free(&b);
}

/* Time a call, and count timer interrupts and other threads' runs meanwhile. */
#define TIMED(call)								\
({										\
	u64 __ticks = ticks(), __runs = runs, __start = now();			\
										\
	TEST_ASSERT_EQ(call, 0);						\
	whole = now() - __start;						\
	ran = runs - __runs;							\
	came = ticks() - __ticks;						\
})

static void functions(u32 nr_vcpus)
{
	u64 whole, came, ran, none, addr = nr_vcpus > 1 ? MSI_ADDR(0xff) : MSI_ADDR(0);
	char what[120];
	struct box b;

	box_create(&b, nr_vcpus, MAX_VECTORS);
	set_all(&b, ENABLE | FUNCTION_MASK, addr, false);
	TIMED(__msix_control(b.d.fd, ENABLE));
	none = whole;
	row("CONTROL, 2048 vectors, none pending", whole, whole / MAX_VECTORS);
	set_all(&b, ENABLE | FUNCTION_MASK, addr, true);
	TIMED(__msix_control(b.d.fd, ENABLE));
	snprintf(what, sizeof(what), "CONTROL, 2048 pending, each to %u vCPUs", nr_vcpus);
	row(what, whole, whole / MAX_VECTORS);
	TEST_ASSERT(whole > none, "nothing was sent");
	/* At least half of the timer interrupts that were due must have come. */
	snprintf(what, sizeof(what), "CONTROL, 2048 pending to %u: %lu timer interrupts meanwhile",
		 nr_vcpus, came);
	point(came >= whole / TICK_NS / 2, what);
	snprintf(what, sizeof(what), "CONTROL, 2048 pending to %u: another thread ran %lu times",
		 nr_vcpus, ran);
	point(ran >= whole / TICK_NS / 2, what);

	set_all(&b, ENABLE | FUNCTION_MASK, addr, true);
	b.s->control = ENABLE;
	TIMED(__msix_set_state(b.d.fd, b.s));
	snprintf(what, sizeof(what), "SET_STATE, 2048 pending, each to %u vCPUs", nr_vcpus);
	row(what, whole, whole / MAX_VECTORS);
	snprintf(what, sizeof(what), "SET_STATE, 2048 pending to %u: %lu timer interrupts",
		 nr_vcpus, came);
	point(came >= whole / TICK_NS / 2, what);
	if (nr_vcpus == 1) {
		TIMED(__msix_get_state(b.d.fd, b.s));
		row("GET_STATE, 2048 vectors", whole, whole / MAX_VECTORS);
		TIMED(__msix_reset(b.d.fd));
		row("RESET, 2048 vectors", whole, whole / MAX_VECTORS);
		TIMED(__msix_set_addr(b.d.fd, BAR_GPA, BAR_GPA + 0x10000));
		row("SET_ADDR (no vector's lock: nothing off)", whole, 0);
		TIMED(__msix_bind_one(b.d.fd, 0, b.event, 100));
		row("BIND of an eventfd and a GSI", whole, whole);
	}
	box_free(&b);
}

/* The cost of a guest's write that changes no route, and of one that does. */
static u64 cost[2];

static void guest_routes(void)
{
	u64 start, i, v;

	guest_init();
	for (;;) {
		for (v = 0; v < 2; v++) {
			for (i = 0; i < 8; i++) {
				start = rdtsc();
				mmio_write32(BAR_GPA + v * ENTRY_SIZE + ENTRY_DATA, 0x40 + i);
				cost[v] = rdtsc() - start;
			}
		}
		GUEST_SYNC1(1);
	}
}

/* KVM updates all of a VM's irqfds when a route changes, interrupts disabled. */
static void routes_with_irqfds(struct msix_vm *m, u64 none)
{
	static const u32 numbers[] = { 300, 3000 };
	u64 changed, more;
	u32 i, nr = 0;
	char what[80];

	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		for (; nr < numbers[i]; nr++)
			vm_irqfd(m->vm, event_create(), 10, 0);
		msix_vcpu_run(m, 0);
		changed = GUEST_VAR(m, cost)[0][1];
		more = changed - none;
		snprintf(what, sizeof(what), "the same in a VM with %u irqfds of other GSIs", nr);
		row(what, changed, more);
		snprintf(what, sizeof(what), "%u irqfds: %lu for each", nr, more / nr);
		point(more < 200ull * nr, what);
	}
}

static void routes(void)
{
	struct msix_vm *m = msix_vm_create(1, guest_routes);
	struct msix_dev d = msix_create(m->vm, 2, 0);
	struct msix_state *s = msix_state_alloc(2);

	s->control = ENABLE;
	s->entry[0][0] = MSI_ADDR(0);
	s->entry[1][0] = MSI_ADDR(0);
	TEST_ASSERT_EQ(__msix_set_state(d.fd, s), 0);
	msix_set_addr(&d, BAR_GPA, BAR_GPA + 0x800);
	msix_bind_one(&d, 1, -1, 100);
	msix_vcpu_run(m, 0);
	row("guest's write of data, exit included (off: not as much)", GUEST_VAR(m, cost)[0][0],
	    GUEST_VAR(m, cost)[0][0]);
	row("the same where it changes a GSI's route (off: as above)", GUEST_VAR(m, cost)[0][1],
	    GUEST_VAR(m, cost)[0][0]);
	point(GUEST_VAR(m, cost)[0][1] > GUEST_VAR(m, cost)[0][0], "a route is work");
	routes_with_irqfds(m, GUEST_VAR(m, cost)[0][1]);
	msix_state_free(s);
	close(d.fd);
	msix_vm_free(m);
}

int main(int argc, char **argv)
{
	u64 start, n = 1000000;
	pthread_t thread;
	int i;

	kvm_msix_require();
	/* SIGUSR1 takes a vCPU out of KVM_RUN. */
	signal(SIGUSR1, nothing);
	setlinebuf(stdout);
	puts("TAP version 13");
	start = now();
	asm volatile("1: dec %0; jnz 1b" : "+r" (n));
	start = now() - start;
	point(start > 1900000 && start < 2500000, "the TSC counts instructions");
	printf("# %-58s %12s %12s\n", "instructions", "whole call", "off at most");
	events(1);
	for (i = 1; i < argc; i++)
		events(atoi(argv[i]));
	TEST_ASSERT(!pthread_create(&thread, NULL, neighbour, NULL), "pthread_create");
	functions(1);
	functions(64);
	routes();
	printf("1..%i\n", points);
	return failed != 0;
}
