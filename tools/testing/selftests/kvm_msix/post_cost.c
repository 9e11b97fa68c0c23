// SPDX-License-Identifier: GPL-2.0-only
/*
 * What masks cost where interrupts are posted: lines of "cost NAME MINIMUM MEDIAN",
 * as of cost.c. The device and the IOMMU are tools/testing/lab/fakepost, where a switch
 * of the IOMMU's entry is a few stores: the time of a real IOMMU comes on top of each
 * switch.
 *
 *	post_mask_alone		a mask; the eventfd has no producer
 *	post_mask_linked	a mask; the eventfd has a producer, the vector is not posted
 *	post_mask_posted	a mask of a posted vector: one switch
 *	post_free_mask_posted	the same with the table in guest memory
 *	post_first		the run of the work that posts a vector
 *	post_irqfd_deassign	what a VMM does for a mask, with KVM's own irqfd,
 *	post_irqfd_assign	and for an unmask; the exit to the VMM comes on top
 */
#include <fcntl.h>

#include "fakepost.h"
#include "kvm_msix_util.h"

#define LOOPS		401
#define SAMPLES		21
#define NR		1
#define VECTOR		0x40
#define GSI		40
/* How long to leave a posted vector alone, so that the module soon posts it again. */
#define LIFE_US		60000
#define PATIENCE_MS	5000
#define TRACING		"/sys/kernel/tracing"

enum order {
	MASK,		/* LOOPS times */
	MASK_ONCE,	/* and leave it masked */
	UNMASK,
};

static u64 order;
static u64 ticks[LOOPS];

static u64 timed_mask(void)
{
	u64 start = rdtsc();

	mmio_write32(BAR_GPA + ENTRY_CTRL, MASKED);
	return rdtsc() - start;
}

static void unmask(void)
{
	mmio_write32(BAR_GPA + ENTRY_CTRL, 0);
}

static void guest_code(void)
{
	int i;

	guest_init();
	for (;;) {
		GUEST_SYNC1(0);
		switch (order) {
		case MASK:
			for (i = 0; i < LOOPS; i++) {
				unmask();
				ticks[i] = timed_mask();
			}
			break;
		case MASK_ONCE:
			ticks[0] = timed_mask();
			break;
		case UNMASK:
			unmask();
		}
	}
}

static struct msix_vm *m;
static int device, event;

static void device_ioctl(unsigned long cmd)
{
	TEST_ASSERT(!ioctl(device, cmd, (long)event), "/dev/fakepost: %lx: %s", cmd,
		    strerror(errno));
}

static bool is_posted(void)
{
	return ioctl(device, FAKEPOST_IS_POSTED, (long)event);
}

static void wait_posted(void)
{
	int ms;

	for (ms = 0; ms < PATIENCE_MS && !is_posted(); ms++)
		usleep(1000);
	TEST_ASSERT(is_posted(), "not posted");
}

static u64 run(enum order what)
{
	WRITE_ONCE(*GUEST_VAR(m, order), what);
	msix_vcpu_run(m, 0);
	return READ_ONCE(*GUEST_VAR(m, ticks[0]));
}

static int compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

static void print_cost(const char *name, u64 *t, int n)
{
	qsort(t, n, sizeof(*t), compare);
	printf("cost %s %lu %lu\n", name, t[0], t[n / 2]);
}

static struct msix_dev start(bool mapped)
{
	struct msix_state *state = msix_state_alloc(NR);
	struct msix_dev d;

	d = mapped ? msix_create_mapped(m->vm, NR, 0) : msix_create(m->vm, NR, 0);
	state->control = ENABLE;
	state->entry[0][ENTRY_ADDR_LO / 4] = MSI_ADDR(0);
	state->entry[0][ENTRY_DATA / 4] = VECTOR;
	TEST_ASSERT(!__msix_set_state(d.fd, state), "KVM_MSIX_SET_STATE");
	msix_state_free(state);
	msix_set_addr(&d, BAR_GPA, BAR_GPA + MAPPED_PBA);
	msix_bind_one(&d, 0, event, -1);
	return d;
}

static void measure_not_posted(const char *name)
{
	run(MASK);
	print_cost(name, GUEST_VAR(m, ticks[0]), LOOPS);
}

static void get_posted(void)
{
	run(UNMASK);
	device_ioctl(FAKEPOST_FIRE);
	wait_posted();
}

static void measure_posted(const char *name)
{
	u64 t[SAMPLES];
	int i;

	for (i = 0; i < SAMPLES; i++) {
		get_posted();
		usleep(LIFE_US);
		t[i] = run(MASK_ONCE);
		TEST_ASSERT(!is_posted(), "posted, and masked");
	}
	print_cost(name, t, SAMPLES);
}

static void trace_write(const char *file, const char *text)
{
	char path[128];
	int fd, n;

	snprintf(path, sizeof(path), TRACING "/%s", file);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	TEST_ASSERT(fd >= 0, "%s: %s", path, strerror(errno));
	n = strlen(text);
	TEST_ASSERT(write(fd, text, n) == n, "%s: %s", path, strerror(errno));
	close(fd);
}

static void trace(bool on)
{
	trace_write("trace_clock", on ? "x86-tsc" : "local");
	trace_write("events/workqueue/workqueue_execute_start/enable", on ? "1" : "0");
	trace_write("events/workqueue/workqueue_execute_end/enable", on ? "1" : "0");
}

/* Return: the longest run of post.c's work since the trace was cleared. */
static u64 longest_work(void)
{
	u64 longest = 0, start = 0, when;
	FILE *f = fopen(TRACING "/trace", "r");
	char line[512], *at;

	TEST_ASSERT(f, TRACING "/trace: %s", strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		at = strstr(line, ": workqueue_execute_");
		if (!at || !strstr(line, " post_work"))
			continue;
		*at = 0;
		when = strtoull(strrchr(line, ' '), NULL, 10);
		if (!strncmp(at + 1, " workqueue_execute_start", 24))
			start = when;
		else if (start && when - start > longest)
			longest = when - start;
	}
	fclose(f);
	TEST_ASSERT(longest, "no run of the work in the trace");
	return longest;
}

static void measure_first(void)
{
	u64 t[SAMPLES];
	int i;

	trace(true);
	for (i = 0; i < SAMPLES; i++) {
		run(MASK_ONCE);
		trace_write("trace", "");
		get_posted();
		t[i] = longest_work();
		usleep(LIFE_US);
	}
	trace(false);
	print_cost("post_first", t, SAMPLES);
}

/* Do as a VMM with the table in userspace: no irqfd while the vector is masked. */
static void measure_irqfd(void)
{
	struct kvm_irq_routing_entry route = msi_route(GSI, MSI_ADDR(0), VECTOR);
	u64 off[SAMPLES], on[SAMPLES], start;
	int i;

	TEST_ASSERT(!__kvm_set_gsi_routing(m->vm, 1, &route), "routing");
	vm_irqfd(m->vm, event, GSI, 0);
	for (i = 0; i < SAMPLES; i++) {
		TEST_ASSERT(is_posted(), "KVM's irqfd is not posted");
		start = rdtsc();
		vm_irqfd(m->vm, event, GSI, KVM_IRQFD_FLAG_DEASSIGN);
		off[i] = rdtsc() - start;
		start = rdtsc();
		vm_irqfd(m->vm, event, GSI, 0);
		on[i] = rdtsc() - start;
	}
	print_cost("post_irqfd_deassign", off, SAMPLES);
	print_cost("post_irqfd_assign", on, SAMPLES);
	/* KVM up to 6.16 ends the posting only if the GSI still has its route. */
	vm_irqfd(m->vm, event, GSI, KVM_IRQFD_FLAG_DEASSIGN);
}

int main(void)
{
	struct msix_dev d;

	kvm_msix_require();
	device = open("/dev/fakepost", O_RDWR | O_CLOEXEC);
	if (device < 0)
		ksft_exit_skip("/dev/fakepost: %s\n", strerror(errno));
	m = msix_vm_create(1, guest_code);
	/* Run the guest until the guest waits for its first order. */
	msix_vcpu_run(m, 0);
	event = event_create();
	msix_set_post_events(1);

	d = start(false);
	measure_not_posted("post_mask_alone");
	device_ioctl(FAKEPOST_ATTACH);
	measure_not_posted("post_mask_linked");
	measure_first();
	measure_posted("post_mask_posted");
	close(d.fd);
	if (msix_can_map()) {
		d = start(true);
		measure_posted("post_free_mask_posted");
		close(d.fd);
	}
	measure_irqfd();
	TEST_ASSERT(!m->nr_exits, "%u accesses left the kernel", m->nr_exits);
	return 0;
}
