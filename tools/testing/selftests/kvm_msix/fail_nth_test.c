// SPDX-License-Identifier: GPL-2.0-only
/*
 * Make every allocation and every copy of each call fail once: the call returns
 * ENOMEM or EFAULT, and nothing has changed. /proc/thread-self/fail-nth makes
 * the nth of a task's allocations and copies fail; n is counted up until the
 * call makes fewer than n. Needs a kernel with fault injection ("debug" in the
 * lab).
 *
 * A call may also make up for a failure (by a second attempt, or without a
 * debugfs directory), and succeed.
 *
 * The module cannot hide one failure. KVM allocates memory to take a device off
 * its MMIO bus. If the allocation fails, KVM gives up the bus for good: from
 * then on nothing in the VM answers MMIO in the kernel. A call that removes the
 * table or the PBA from the bus can have that result. The test recognizes it,
 * and starts with a new VM.
 */
#include "kselftest.h"
#include "kvm_msix_util.h"

#define NR		80
#define BIG		2048
#define VEC		0x50
#define GSI		50
#define OTHER_GSI	60	/* the VMM's */
#define SPARE_GSI	70
#define FAR_GSI		4000	/* beyond KVM's table */
#define RANGE		64	/* vectors FREE to FREE + RANGE - 1 */
#define FREE		3
#define MAX_NTH		5000

#define TABLE2		(BAR_GPA + 0x8000)
#define PBA2		(BAR_GPA + 0x9000)

static const char * const knobs[][2] = {
	{ "failslab/ignore-gfp-wait", "N" },
	{ "failslab/verbose", "0" },
	{ "fail_page_alloc/ignore-gfp-wait", "N" },
	{ "fail_page_alloc/ignore-gfp-highmem", "N" },
	{ "fail_page_alloc/min-order", "0" },
	{ "fail_page_alloc/verbose", "0" },
	{ "fail_usercopy/verbose", "0" },
};

/*
 * Vector 0 has an eventfd and may send, vector 1 has a GSI and may send, vector
 * 2 is masked and pending. The rest is masked and free.
 */
struct world {
	struct msix_vm *m;
	struct msix_dev d;
	struct msix_dev b;	/* a second function, made for a single call */
	int stats_fd;		/* likewise, or -1 */
	struct msix_state *before;
	struct msix_state *state;
	int node;
	int event;
	int spare[RANGE];
	struct kvm_msix_binding range[RANGE];
	u64 seen[256];		/* interrupts */
};

static const struct kvm_irq_routing_entry vmm_routes[] = {
	{ .gsi = OTHER_GSI, .type = KVM_IRQ_ROUTING_MSI,
	  .u.msi = { .address_lo = MSI_ADDR(0), .data = VEC + 8 } },
	{ .gsi = OTHER_GSI + 1, .type = KVM_IRQ_ROUTING_MSI,
	  .u.msi = { .address_lo = MSI_ADDR(0), .data = VEC + 9 } },
};

static void build(struct world *w)
{
	int i;

	memset(w->seen, 0, sizeof(w->seen));
	w->m = msix_vm_create(1, NULL);
	w->d = msix_create(w->m->vm, NR, 0);
	w->before = msix_state_alloc(NR);
	for (i = 0; i < NR; i++) {
		w->before->entry[i][0] = MSI_ADDR(0);
		w->before->entry[i][2] = VEC + i % 64;
		w->before->entry[i][3] = i < 2 ? 0 : MASKED;
	}
	w->before->pba[0] = 1 << 2;
	w->before->control = ENABLE;
	TEST_ASSERT_EQ(__msix_set_state(w->d.fd, w->before), 0);
	msix_set_addr(&w->d, BAR_GPA, BAR_GPA + 0x1000);
	msix_bind_one(&w->d, 0, w->event, -1);
	msix_bind_one(&w->d, 1, -1, GSI);
	TEST_ASSERT_EQ(__msix_set_gsi_routing(w->d.fd, 1, vmm_routes), 0);
}

static void demolish(struct world *w)
{
	close(w->d.fd);
	msix_vm_free(w->m);
	msix_state_free(w->before);
}

static bool arrives(struct world *w, u8 vector)
{
	guest_nop(w->m);
	return READ_ONCE(w->m->cpu[0]->irqs[vector]) == ++w->seen[vector];
}

/* Check that everything is as build() left it. */
static void check(struct world *w)
{
	struct msix_state *now = msix_get_state(w->d.fd, NR);
	int i;

	TEST_ASSERT(msix_state_equal(now, w->before), "the state has changed");
	msix_state_free(now);

	msix_vm_forget_exits(w->m);
	TEST_ASSERT_EQ(entry_read(w->m, &w->d, 3, ENTRY_DATA), VEC + 3);
	TEST_ASSERT(pba_read(w->m, &w->d, 2), "the PBA has changed");
	TEST_ASSERT(!w->m->nr_exits, "table or PBA is not where it was");
	guest_read(w->m, TABLE2, 4);
	guest_read(w->m, PBA2, 4);
	TEST_ASSERT(w->m->nr_exits == 2, "something answers where nothing is");

	event_signal(w->event);
	TEST_ASSERT(!event_drain(w->event) && arrives(w, VEC), "vector 0 has lost its eventfd");
	kvm_irq_pulse(w->m->vm, GSI);
	TEST_ASSERT(arrives(w, VEC + 1), "vector 1 has lost its GSI");
	kvm_irq_pulse(w->m->vm, OTHER_GSI);
	TEST_ASSERT(arrives(w, VEC + 8), "the VMM's route has changed");

	for (i = 0; i < RANGE; i++) {
		event_signal(w->spare[i]);
		TEST_ASSERT(event_drain(w->spare[i]) == 1, "a free eventfd is bound");
	}
	if (kvm_msix_has_counters())
		TEST_ASSERT_EQ(debugfs_entries("kvm_msix", getpid()), 1);
}

/* Check that the GSIs which calls bind are free. */
static void check_gsis(struct world *w)
{
	struct msix_dev b = msix_create(w->m->vm, RANGE, 0);

	/* Not FAR_GSI, for which KVM's table would grow: call_rebind() checks it. */
	msix_bind_one(&b, 0, -1, SPARE_GSI);
	msix_bind_one(&b, 1, -1, SPARE_GSI + RANGE - 1);
	close(b.fd);
}

static bool bus_lost(struct world *w)
{
	int err = __kvm_ioeventfd(w->m->vm, w->spare[0], TABLE2, 4, 0);

	if (err == ENOMEM)
		return true;
	TEST_ASSERT(!err || err == EEXIST, "KVM_IOEVENTFD: %s", strerror(err));
	if (!err)
		TEST_ASSERT_EQ(__kvm_ioeventfd(w->m->vm, w->spare[0], TABLE2, 4,
					       KVM_IOEVENTFD_FLAG_DEASSIGN), 0);
	return false;
}

/*
 * The calls: each is a single system call, and returns an errno.
 */

static int call_open(struct world *w)
{
	w->b.fd = open("/dev/kvm_msix", O_RDWR | O_CLOEXEC);
	return w->b.fd < 0 ? errno : 0;
}

static void close_b(struct world *w)
{
	close(w->b.fd);
}

static int call_info(struct world *w)
{
	struct kvm_msix_info info = { .size = sizeof(info) };

	return __msix_ioctl(w->node, KVM_MSIX_INFO, &info);
}

static int create(struct world *w, struct kvm_msix_create *args)
{
	args->size = sizeof(*args);
	args->vm_fd = w->m->vm->fd;
	w->b.fd = ioctl(w->node, KVM_MSIX_CREATE, args);
	return w->b.fd < 0 ? errno : 0;
}

static int call_create_one(struct world *w)
{
	struct kvm_msix_create args = { .nr_vectors = 1 };

	return create(w, &args);
}

static int call_create_big(struct world *w)
{
	struct kvm_msix_create args = { .nr_vectors = BIG };

	return create(w, &args);
}

static int call_create_mapped(struct world *w)
{
	struct kvm_msix_create args = {
		.flags = KVM_MSIX_CREATE_LAZY | KVM_MSIX_CREATE_MMAP | KVM_MSIX_CREATE_MMAP_PBA,
		.nr_vectors = NR,
		.pba_offset = MAPPED_PBA,
		.unmask_eventfd = w->event,
	};

	return create(w, &args);
}

static int call_set_addr(struct world *w)
{
	return __msix_set_addr(w->d.fd, TABLE2, PBA2);
}

static int call_clear_addr(struct world *w)
{
	return __msix_set_addr(w->d.fd, NOWHERE, NOWHERE);
}

static void set_addr_back(struct world *w)
{
	msix_set_addr(&w->d, BAR_GPA, BAR_GPA + 0x1000);
}

static int call_bind_eventfd(struct world *w)
{
	return __msix_bind_one(w->d.fd, FREE, w->spare[0], -1);
}

static int call_bind_gsi(struct world *w)
{
	return __msix_bind_one(w->d.fd, FREE, -1, SPARE_GSI);
}

/* Vector 0 has an eventfd, and with its new GSI gets a route at once. */
static int call_rebind(struct world *w)
{
	return __msix_bind_one(w->d.fd, 0, w->spare[0], FAR_GSI);
}

static int call_bind_range(struct world *w)
{
	return __msix_bind(w->d.fd, FREE, RANGE, w->range);
}

/* A second eventfd for vector 0. */
static int call_add(struct world *w)
{
	return __msix_add(w->d.fd, 0, w->spare[0]);
}

static int call_unbind(struct world *w)
{
	static const struct kvm_msix_binding none[] = { { -1, -1 }, { -1, -1 } };

	return __msix_bind(w->d.fd, 0, 2, none);
}

static void bind_back(struct world *w)
{
	struct kvm_msix_binding v[FREE + RANGE];

	memset(v, 0xff, sizeof(v));
	v[0].eventfd = w->event;
	v[1].gsi = GSI;
	TEST_ASSERT_EQ(__msix_bind(w->d.fd, 0, FREE + RANGE, v), 0);
}

static int call_control(struct world *w)
{
	return __msix_control(w->d.fd, ENABLE | FUNCTION_MASK);
}

static int call_get_state(struct world *w)
{
	return __msix_get_state(w->d.fd, w->state);
}

static int call_set_state(struct world *w)
{
	return __msix_set_state(w->d.fd, w->state);
}

static int call_reset(struct world *w)
{
	return __msix_reset(w->d.fd);
}

static void set_back(struct world *w)
{
	TEST_ASSERT_EQ(__msix_set_state(w->d.fd, w->before), 0);
}

static int call_set_routing(struct world *w)
{
	return __msix_set_gsi_routing(w->d.fd, 2, vmm_routes);
}

static void route_back(struct world *w)
{
	TEST_ASSERT_EQ(__msix_set_gsi_routing(w->d.fd, 1, vmm_routes), 0);
}

/* Make a function with everything that a function can have. */
static void make_b(struct world *w)
{
	w->b = msix_create(w->m->vm, RANGE, 0);
	TEST_ASSERT_EQ(__msix_bind(w->b.fd, 0, RANGE, w->range), 0);
	msix_set_addr(&w->b, TABLE2, PBA2);
}

static int call_close(struct world *w)
{
	return close(w->b.fd) ? errno : 0;
}

static int call_get_stats_fd(struct world *w)
{
	return __msix_stats_fd(w->d.fd, &w->stats_fd);
}

static void open_stats(struct world *w)
{
	if (w->stats_fd < 0)
		w->stats_fd = msix_stats_fd(&w->d);
}

static int call_read_stats(struct world *w)
{
	static u8 image[PAGE_SIZE];

	/* What can be read before a failure is. */
	return pread(w->stats_fd, image, sizeof(image), 0) < 0 ? errno : 0;
}

static void close_stats(struct world *w)
{
	close(w->stats_fd);
	w->stats_fd = -1;
}

static void nothing(struct world *w)
{
}

struct call {
	const char *name;
	int (*make)(struct world *w);
	void (*undo)(struct world *w);		/* after it has succeeded */
	void (*prepare)(struct world *w);
	bool leaves_bus;
	bool cannot_fail;
};

static int fail_nth;

static void arm(u32 nth)
{
	char text[12];
	int len = snprintf(text, sizeof(text), "%u", nth);

	TEST_ASSERT(pwrite(fail_nth, text, len, 0) == len, "fail-nth: %s", strerror(errno));
}

/*
 * End fault injection. Returns whether the call had a failure: then the count
 * that is left is 0. The read and the write here are copies, too, and count: if
 * one of them fails, the call did not.
 */
static bool disarm(void)
{
	char text[12] = "";
	bool failed;
	int i;

	failed = pread(fail_nth, text, sizeof(text) - 1, 0) > 0 && !atoi(text);
	for (i = 0; pwrite(fail_nth, "0", 1, 0) != 1; i++)
		TEST_ASSERT(errno == EFAULT && i < 2, "fail-nth: %s", strerror(errno));
	return failed;
}

static void sweep(struct world *w, const struct call *call)
{
	u32 nth, failed = 0, made_up = 0, lost_buses = 0;
	bool injected = true;
	int err;

	for (nth = 1; injected; nth++) {
		TEST_ASSERT(nth < MAX_NTH, "%s has no end", call->name);
		if (call->prepare)
			call->prepare(w);
		arm(nth);
		err = call->make(w);
		injected = disarm();

		if (err) {
			TEST_ASSERT(injected, "%s: %s, and nothing had failed", call->name,
				    strerror(err));
			TEST_ASSERT(!call->cannot_fail, "%s: %s", call->name, strerror(err));
			TEST_ASSERT(err == ENOMEM || err == EFAULT, "%s, attempt %u: %s",
				    call->name, nth, strerror(err));
			failed++;
		} else if (injected) {
			made_up++;
		}
		if (call->leaves_bus && injected && bus_lost(w)) {
			TEST_ASSERT(!err, "%s: %s, with the bus lost", call->name, strerror(err));
			lost_buses++;
			demolish(w);
			build(w);
		} else if (!err) {
			call->undo(w);
		}
		check(w);
		check_gsis(w);
	}
	ksft_test_result(call->cannot_fail ? made_up : failed,
			 "%s: %u failed, %u made up for, KVM's bus lost in %u\n", call->name,
			 failed, made_up, lost_buses);
}

static const struct call calls[] = {
	{ "open", call_open, close_b },
	{ "INFO", call_info, nothing },
	{ "CREATE with one vector", call_create_one, close_b },
	{ "CREATE with 2048", call_create_big, close_b },
	{ "CREATE of a table that can be mapped", call_create_mapped, close_b },
	{ "SET_ADDR elsewhere", call_set_addr, set_addr_back, .leaves_bus = true },
	{ "SET_ADDR nowhere", call_clear_addr, set_addr_back, .leaves_bus = true },
	{ "BIND an eventfd", call_bind_eventfd, bind_back },
	{ "BIND a GSI", call_bind_gsi, bind_back },
	{ "BIND both in place of another", call_rebind, bind_back },
	{ "BIND 64 of both", call_bind_range, bind_back },
	{ "BIND one more eventfd", call_add, bind_back },
	{ "BIND nothing", call_unbind, bind_back },
	{ "CONTROL", call_control, set_back },
	{ "GET_STATE", call_get_state, nothing },
	{ "SET_STATE", call_set_state, set_back },
	{ "RESET", call_reset, set_back },
	{ "SET_GSI_ROUTING", call_set_routing, route_back },
	{ "GET_STATS_FD", call_get_stats_fd, close_stats },
	{ "read of a stats fd", call_read_stats, close_stats, .prepare = open_stats },
	{ "close", call_close, nothing, .prepare = make_b, .leaves_bus = true,
	  .cannot_fail = true },
};

static void set_up(struct world *w)
{
	int i;

	fail_nth = open("/proc/thread-self/fail-nth", O_RDWR);
	TEST_ASSERT(fail_nth >= 0, "fail-nth: %s", strerror(errno));
	w->node = msix_open();
	w->event = event_create();
	w->stats_fd = -1;
	w->state = msix_state_alloc(NR);
	for (i = 0; i < RANGE; i++) {
		w->spare[i] = event_create();
		w->range[i].eventfd = w->spare[i];
		w->range[i].gsi = SPARE_GSI + i;
	}
	build(w);
	check(w);
}

static void set_knob(const char *name, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s", name);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		ksft_exit_skip("%s: %s\n", path, strerror(errno));
	close(fd);
}

int main(void)
{
	static struct world w;
	int i;

	kvm_msix_require();
	if (access("/proc/thread-self/fail-nth", W_OK))
		ksft_exit_skip("this kernel has no fault injection: no fail-nth in /proc: %s\n",
			       strerror(errno));
	for (i = 0; i < ARRAY_SIZE(knobs); i++)
		set_knob(knobs[i][0], knobs[i][1]);

	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(calls));
	set_up(&w);
	for (i = 0; i < ARRAY_SIZE(calls); i++)
		sweep(&w, &calls[i]);
	ksft_finished();
}
