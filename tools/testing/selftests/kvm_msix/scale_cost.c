// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a change costs with many vectors, devices and routes: lines of "scale
 * WHAT DEVICES VECTORS MEDIAN", in TSC ticks, where VECTORS is the number for
 * each device. See cost.c for what a tick is, and tools/testing/bench.
 *
 *   message   the guest changes a message of a vector that has a GSI
 *   set_addr  KVM_MSIX_SET_ADDR moves one device
 *   bind      KVM_MSIX_BIND binds one vector to another eventfd
 *   bind_all  KVM_MSIX_BIND binds all vectors of one device to eventfds
 *   create    KVM_MSIX_CREATE and close(2), with nothing bound
 *   enable    KVM_MSIX_CONTROL sets Enable, of a lazy device in guest memory
 *             with no vector bound, and the device's pages are protected
 *   routing   KVM_SET_GSI_ROUTING with as many routes, without kvm_msix
 *
 * Each vector has a GSI and a route, as long as KVM has GSIs. Also lines of
 * "memory VECTORS BYTES" and "mapped VECTORS BYTES": the memory that is charged
 * to a cgroup for a device with nothing bound, and for a mapped device.
 */
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "kvm_msix_util.h"

#define LOOPS		5
#define MAX_DEVICES	64
#define MAX_VECTORS	2048
#define MAX_GSIS	4096
#define FIRST_GSI	24	/* behind the I/O APIC's pins */
#define VECTOR		0x40

/* Room for a table, and for a PBA behind it. */
#define STRIDE		0x10000ull
#define PBA		0x8000ull
/* Where a device moves to and back. */
#define ELSEWHERE	(BAR_GPA + (MAX_DEVICES + 1) * STRIDE)

static const u32 devices[] = { 1, 16, 64 };
static const u32 vectors[] = { 1, 64, 512, 2048 };

static u64 guest_ticks;

static inline u64 now(void)
{
	u32 lo, hi;

	asm volatile("rdtsc" : "=a" (lo), "=d" (hi) : : "memory");
	return (u64)hi << 32 | lo;
}

static void guest_code(void)
{
	u64 start;
	u32 i;

	guest_init();
	for (i = 0;; i++) {
		start = now();
		mmio_write32(BAR_GPA + ENTRY_DATA, VECTOR + i % 2);
		guest_ticks = now() - start;
		GUEST_SYNC1(0);
	}
}

static int compare(const void *a, const void *b)
{
	const u64 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void report(const char *what, u32 nr_devices, u32 nr_vectors, u64 ticks[LOOPS])
{
	qsort(ticks, LOOPS, sizeof(*ticks), compare);
	printf("scale %s %u %u %lu\n", what, nr_devices, nr_vectors, ticks[LOOPS / 2]);
}

struct scene {
	struct msix_vm *m;
	u32 nr_devices;
	u32 nr_vectors;
	u32 nr_routes;
	struct msix_dev dev[MAX_DEVICES];
};

/* Enable a device, with all vectors unmasked, and bound to the GSIs left. */
static void add_device(struct scene *s, u32 i, struct msix_state *state)
{
	static struct kvm_msix_binding bind[MAX_VECTORS];
	struct msix_dev *d = &s->dev[i];
	u32 v, n = 0;

	*d = msix_create(s->m->vm, s->nr_vectors, 0);
	msix_set_addr(d, BAR_GPA + i * STRIDE, BAR_GPA + i * STRIDE + PBA);
	TEST_ASSERT(!__msix_set_state(d->fd, state), "set state");
	for (v = 0; v < s->nr_vectors && FIRST_GSI + s->nr_routes < MAX_GSIS; v++)
		bind[n++] = (struct kvm_msix_binding) {
			.eventfd = -1,
			.gsi = FIRST_GSI + s->nr_routes++,
		};
	TEST_ASSERT(!n || !__msix_bind(d->fd, 0, n, bind), "bind");
}

static void set_up(struct scene *s, u32 nr_devices, u32 nr_vectors)
{
	struct msix_state *state = msix_state_alloc(nr_vectors);
	u32 i;

	*s = (struct scene) {
		.m = msix_vm_create(1, guest_code),
		.nr_devices = nr_devices,
		.nr_vectors = nr_vectors,
	};
	state->control = ENABLE;
	for (i = 0; i < nr_vectors; i++) {
		state->entry[i][0] = MSI_ADDR(0);
		state->entry[i][2] = VECTOR;
	}
	for (i = 0; i < nr_devices; i++)
		add_device(s, i, state);
	msix_state_free(state);
}

static void tear_down(struct scene *s)
{
	u32 i;

	for (i = 0; i < s->nr_devices; i++)
		close(s->dev[i].fd);
	msix_vm_free(s->m);
}

static void measure_message(struct scene *s)
{
	u64 ticks[LOOPS];
	u32 i;

	msix_vcpu_run(s->m, 0);
	for (i = 0; i < LOOPS; i++) {
		msix_vcpu_run(s->m, 0);
		ticks[i] = READ_ONCE(*GUEST_VAR(s->m, guest_ticks));
	}
	report("message", s->nr_devices, s->nr_vectors, ticks);
}

static void measure_set_addr(struct scene *s)
{
	struct msix_dev *d = &s->dev[s->nr_devices - 1];
	u64 home = d->table, to, ticks[LOOPS];
	u32 i;

	for (i = 0; i < LOOPS; i++) {
		to = i % 2 ? home : ELSEWHERE;
		ticks[i] = now();
		msix_set_addr(d, to, to + PBA);
		ticks[i] = now() - ticks[i];
	}
	report("set_addr", s->nr_devices, s->nr_vectors, ticks);
}

static void measure_bind(struct scene *s)
{
	struct msix_dev *d = &s->dev[s->nr_devices - 1];
	int event[2] = { event_create(), event_create() };
	u64 ticks[LOOPS];
	u32 i;

	for (i = 0; i < LOOPS; i++) {
		ticks[i] = now();
		msix_bind_one(d, s->nr_vectors - 1, event[i % 2], -1);
		ticks[i] = now() - ticks[i];
	}
	report("bind", s->nr_devices, s->nr_vectors, ticks);
	msix_bind_one(d, s->nr_vectors - 1, -1, -1);
	close(event[0]);
	close(event[1]);
}

static void measure_bind_all(struct scene *s)
{
	static struct kvm_msix_binding nothing[MAX_VECTORS], bind[MAX_VECTORS];
	struct msix_dev *d = &s->dev[s->nr_devices - 1];
	u64 ticks[LOOPS];
	u32 i, v;

	for (v = 0; v < s->nr_vectors; v++) {
		nothing[v] = (struct kvm_msix_binding) { .eventfd = -1, .gsi = -1 };
		bind[v] = (struct kvm_msix_binding) { .eventfd = event_create(), .gsi = -1 };
	}
	for (i = 0; i < LOOPS; i++) {
		TEST_ASSERT(!__msix_bind(d->fd, 0, s->nr_vectors, nothing), "unbind");
		ticks[i] = now();
		TEST_ASSERT(!__msix_bind(d->fd, 0, s->nr_vectors, bind), "bind");
		ticks[i] = now() - ticks[i];
	}
	report("bind_all", s->nr_devices, s->nr_vectors, ticks);
	for (v = 0; v < s->nr_vectors; v++)
		close(bind[v].eventfd);
}

static void measure_create(struct scene *s)
{
	u64 ticks[LOOPS];
	struct msix_dev d;
	u32 i;

	for (i = 0; i < LOOPS; i++) {
		ticks[i] = now();
		d = msix_create(s->m->vm, s->nr_vectors, 0);
		close(d.fd);
		ticks[i] = now() - ticks[i];
	}
	report("create", s->nr_devices, s->nr_vectors, ticks);
}

/* A lazy device whose table is mapped, and may be guest memory. */
struct mapped {
	int fd;
	void *mem;
	size_t size;
};

static struct mapped mapped_create(struct kvm_vm *vm, u32 nr_vectors, int eventfd)
{
	struct kvm_msix_create args = {
		.flags = KVM_MSIX_CREATE_LAZY | KVM_MSIX_CREATE_MMAP,
		.vm_fd = vm->fd,
		.nr_vectors = nr_vectors,
		.unmask_eventfd = eventfd,
	};
	struct mapped d = { .size = (nr_vectors * ENTRY_SIZE + 0xfff) & ~0xfffu };

	d.fd = msix_create_args(&args);
	d.mem = msix_map(d.fd, d.size);
	return d;
}

static void mapped_free(struct mapped *d)
{
	munmap(d->mem, d->size);
	close(d->fd);
}

/* Enable all devices; then disable and enable the last one, in a loop. */
static void measure_enable(u32 nr_devices, u32 nr_vectors)
{
	struct kvm_msix_control on = { .size = sizeof(on), .control = ENABLE }, off = on;
	struct kvm_vm *vm = msix_bare_vm();
	struct mapped d[MAX_DEVICES];
	int event = event_create();
	u64 ticks[LOOPS];
	u32 i;

	off.control = 0;
	for (i = 0; i < nr_devices; i++) {
		d[i] = mapped_create(vm, nr_vectors, event);
		msix_set_memory(vm, 100 + i, BAR_GPA + i * STRIDE, d[i].size, d[i].mem);
		msix_ioctl(d[i].fd, KVM_MSIX_CONTROL, &on);
	}
	for (i = 0; i < LOOPS; i++) {
		msix_ioctl(d[nr_devices - 1].fd, KVM_MSIX_CONTROL, &off);
		/* Store as a guest that sets up its vectors; let the timer stop. */
		memset(d[nr_devices - 1].mem, 0xff, d[nr_devices - 1].size);
		usleep(50000);
		ticks[i] = now();
		msix_ioctl(d[nr_devices - 1].fd, KVM_MSIX_CONTROL, &on);
		/* The work has a higher priority, so it runs before this returns. */
		sched_yield();
		ticks[i] = now() - ticks[i];
	}
	report("enable", nr_devices, nr_vectors, ticks);
	for (i = 0; i < nr_devices; i++)
		mapped_free(&d[i]);
	kvm_vm_free(vm);
	close(event);
}

static void measure_routing(u32 nr_devices, u32 nr_vectors, u32 nr_routes)
{
	struct kvm_irq_routing_entry *entries = calloc(nr_routes, sizeof(*entries));
	struct kvm_vm *vm = msix_bare_vm();
	u64 ticks[LOOPS];
	u32 i;

	TEST_ASSERT(entries, "calloc");
	for (i = 0; i < nr_routes; i++)
		entries[i] = msi_route(FIRST_GSI + i, MSI_ADDR(0), VECTOR);
	for (i = 0; i < LOOPS; i++) {
		entries[0].u.msi.data = VECTOR + i;
		ticks[i] = now();
		TEST_ASSERT(!__kvm_set_gsi_routing(vm, nr_routes, entries), "routing");
		ticks[i] = now() - ticks[i];
	}
	report("routing", nr_devices, nr_vectors, ticks);
	kvm_vm_free(vm);
	free(entries);
}

/*
 * Memory, as the kernel charges it to a cgroup of this test.
 */

#define CGROUP	"/sys/fs/cgroup"
#define OURS	CGROUP "/kvm_msix"

static bool write_file(const char *path, const char *what)
{
	FILE *f = fopen(path, "w");

	if (!f)
		return false;
	fputs(what, f);
	return !fclose(f);
}

static u64 charged(void)
{
	FILE *f = fopen(OURS "/memory.current", "r");
	u64 n;

	TEST_ASSERT(f && fscanf(f, "%lu", &n) == 1, OURS "/memory.current");
	fclose(f);
	return n;
}

static bool have_cgroup(void)
{
	mount("cgroup2", CGROUP, "cgroup2", 0, NULL);
	write_file(CGROUP "/cgroup.subtree_control", "+memory");
	mkdir(OURS, 0755);
	return write_file(OURS "/cgroup.procs", "0") && !access(OURS "/memory.current", R_OK);
}

/* Subtract half from all: both have what is charged ahead, or only once. */
static void measure_memory(u32 nr_vectors)
{
	struct kvm_vm *vm = msix_bare_vm();
	int fd[2 * MAX_DEVICES];
	u64 half, all;
	u32 i;

	for (i = 0; i < MAX_DEVICES; i++)
		fd[i] = msix_create(vm, nr_vectors, 0).fd;
	half = charged();
	for (; i < 2 * MAX_DEVICES; i++)
		fd[i] = msix_create(vm, nr_vectors, 0).fd;
	all = charged();
	printf("memory %u %lu\n", nr_vectors, (all - half) / MAX_DEVICES);
	for (i = 0; i < 2 * MAX_DEVICES; i++)
		close(fd[i]);
	kvm_vm_free(vm);
}

static void measure_mapped_memory(u32 nr_vectors)
{
	struct kvm_vm *vm = msix_bare_vm();
	struct mapped d[2 * MAX_DEVICES];
	int event = event_create();
	u64 half = 0, all;
	u32 i;

	for (i = 0; i < 2 * MAX_DEVICES; i++) {
		d[i] = mapped_create(vm, nr_vectors, event);
		memset(d[i].mem, 0xff, d[i].size);
		if (i == MAX_DEVICES - 1)
			half = charged();
	}
	all = charged();
	printf("mapped %u %lu\n", nr_vectors, (all - half) / MAX_DEVICES);
	for (i = 0; i < 2 * MAX_DEVICES; i++)
		mapped_free(&d[i]);
	kvm_vm_free(vm);
	close(event);
}

int main(void)
{
	struct scene s;
	u32 i, j;

	kvm_msix_require();
	for (i = 0; i < ARRAY_SIZE(devices); i++) {
		for (j = 0; j < ARRAY_SIZE(vectors); j++) {
			set_up(&s, devices[i], vectors[j]);
			measure_message(&s);
			measure_set_addr(&s);
			measure_create(&s);
			measure_routing(devices[i], vectors[j], s.nr_routes);
			measure_bind(&s);
			measure_bind_all(&s);
			tear_down(&s);
			measure_enable(devices[i], vectors[j]);
		}
	}
	if (!have_cgroup()) {
		printf("# memory: no cgroup with a memory controller here\n");
		return 0;
	}
	for (j = 0; j < ARRAY_SIZE(vectors); j++)
		measure_memory(vectors[j]);
	for (j = 0; j < ARRAY_SIZE(vectors); j++)
		measure_mapped_memory(vectors[j]);
	return 0;
}
