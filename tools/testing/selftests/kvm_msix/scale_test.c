// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many functions with many vectors in one VM, up to KVM's limit and beyond it;
 * and thousands of functions, created and closed, without memory lost.
 *
 * usage: scale_test [-n ROUNDS]
 * Creates and closes ROUNDS functions with 2048 bound vectors, and SMALL times
 * as many functions with one vector, but FEWEST at least.
 */
#include <getopt.h>
#include <sys/resource.h>

#include "kselftest.h"
#include "leak.h"
#include "kvm_msix_util.h"

/* The functions fill the BAR: each has a table and, behind the table, its PBA. */
#define DEVICES		256
#define NR		16
#define BOUND		4	/* bound vectors of each function */
#define STRIDE		(BAR_SIZE / DEVICES)
#define TABLE(d)	(BAR_GPA + (d) * STRIDE)
#define PBA(d)		(TABLE(d) + NR * ENTRY_SIZE)
#define SAMPLE		256
#define PATIENCE_S	20

/* An interrupt for each vector; neighbours and those NR functions on differ. */
#define IRQ(d, v)	(0x30 + ((d) * 5 + (v)) % 190)

#define BIG		2048
#define SMALL		50
#define FEWEST		1000	/* of fewer, a leak does not stand out: see struct memory */

struct scale {
	struct msix_vm *m;
	struct msix_dev d[DEVICES];
	int event[DEVICES][BOUND];
};

static u64 all_irqs(struct msix_vm *m)
{
	u64 sum = 0;
	u32 x;

	for (x = 0; x < 256; x++)
		sum += READ_ONCE(m->cpu[0]->irqs[x]);
	return sum;
}

static void create_many(struct scale *s)
{
	struct msix_state *state = msix_state_alloc(NR);
	struct kvm_msix_binding to[BOUND];
	u32 d, v;

	for (d = 0; d < DEVICES; d++) {
		s->d[d] = msix_create(s->m->vm, NR, 0);
		msix_set_addr(&s->d[d], TABLE(d), PBA(d));
		for (v = 0; v < BOUND; v++) {
			s->event[d][v] = event_create();
			to[v] = (struct kvm_msix_binding) { s->event[d][v], -1 };
		}
		TEST_ASSERT_EQ(__msix_bind(s->d[d].fd, 0, BOUND, to), 0);
		for (v = 0; v < NR; v++) {
			state->entry[v][ENTRY_ADDR_LO / 4] = MSI_ADDR(0);
			state->entry[v][ENTRY_DATA / 4] = IRQ(d, v);
			state->entry[v][ENTRY_CTRL / 4] = MASKED;
		}
		state->control = ENABLE;
		TEST_ASSERT_EQ(__msix_set_state(s->d[d].fd, state), 0);
	}
	msix_state_free(state);
}

/* Check an event that the guest's unmask sends, and an event that is sent at once. */
static void fire(struct scale *s, u32 d, u32 v)
{
	u64 *irqs = &s->m->cpu[0]->irqs[IRQ(d, v)], before = all_irqs(s->m), count = *irqs;
	struct msix_dev *dev = &s->d[d];

	TEST_ASSERT_EQ(entry_read(s->m, dev, v, ENTRY_DATA), IRQ(d, v));
	event_signal(s->event[d][v]);
	TEST_ASSERT_EQ(guest_read(s->m, dev->pba, 8), BIT(v));
	TEST_ASSERT_EQ(all_irqs(s->m), before);
	entry_unmask(s->m, dev, v);
	event_signal(s->event[d][v]);
	TEST_ASSERT_EQ(msix_irqs(s->m, 0, IRQ(d, v), count + 2), count + 2);
	TEST_ASSERT_EQ(guest_read(s->m, dev->pba, 8), 0);
	entry_mask(s->m, dev, v);
	TEST_ASSERT_EQ(all_irqs(s->m), before + 2);
}

static void many(void)
{
	struct scale *s = calloc(1, sizeof(*s));
	u32 d, v, i;

	TEST_ASSERT(s, "calloc");
	s->m = msix_vm_create(1, NULL);
	create_many(s);
	for (d = 0; d < DEVICES; d++)
		fire(s, d, d % BOUND);
	for (i = 0; i < SAMPLE; i++) {
		d = i * 151 % DEVICES;
		fire(s, d, (d + 1 + i % (BOUND - 1)) % BOUND);
	}
	/* No access has left the kernel. */
	TEST_ASSERT_EQ(s->m->nr_exits, 0);

	/* Close every second function; the others still answer. */
	for (d = 0; d < DEVICES; d += 2)
		close(s->d[d].fd);
	for (d = 1; d < DEVICES; d += 16)
		fire(s, d, 0);
	TEST_ASSERT_EQ(s->m->nr_exits, 0);
	entry_read(s->m, &s->d[0], 0, ENTRY_DATA);
	TEST_ASSERT_EQ(s->m->nr_exits, 1);
	for (d = 1; d < DEVICES; d += 2)
		close(s->d[d].fd);
	for (d = 0; d < DEVICES; d++)
		for (v = 0; v < BOUND; v++)
			close(s->event[d][v]);
	msix_vm_free(s->m);
	free(s);
	ksft_test_result_pass("%u functions, %u vectors, %lu interrupts\n", DEVICES,
			      DEVICES * NR, 2ul * (DEVICES + SAMPLE + DEVICES / 16));
}

/*
 * KVM's MMIO bus takes 1000 devices (NR_IOBUS_DEVS), some of which are KVM's
 * own. Beyond that, SET_ADDR returns ENOSPC, and nothing has changed.
 */
#define MAX_DEVICES	501

static u64 limit_table(u32 d)
{
	return BAR_GPA + d * 0x100;
}

static u64 limit_pba(u32 d)
{
	return limit_table(d) + 0x80;
}

/* EEXIST, which the module finds without KVM, shows that a place is taken. */
static void expect_answering(struct msix_dev *d, u32 nr, int asker)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		TEST_ASSERT_EQ(__msix_set_addr(asker, limit_table(i), NOWHERE), EEXIST);
		TEST_ASSERT_EQ(__msix_set_addr(asker, NOWHERE, limit_pba(i)), EEXIST);
	}
}

static void limit_bus(void)
{
	struct msix_vm *m = msix_vm_create(1, NULL);
	struct msix_dev d[MAX_DEVICES];
	struct msix_state *before, *after;
	u32 nr, i;
	int err;

	for (nr = 0; ; nr++) {
		TEST_ASSERT(nr < MAX_DEVICES, "no limit at %u functions", nr);
		d[nr] = msix_create(m->vm, 1, 0);
		d[nr].table = limit_table(nr);
		d[nr].pba = limit_pba(nr);
		err = __msix_set_addr(d[nr].fd, limit_table(nr), limit_pba(nr));
		if (err)
			break;
	}
	TEST_ASSERT_EQ(err, ENOSPC);
	TEST_ASSERT(nr > 400, "only %u functions", nr);

	/* d[nr] is nowhere, whether there was room for its table or not. */
	expect_answering(d, nr, d[nr].fd);
	err = __msix_set_addr(d[nr].fd, limit_table(nr), NOWHERE);
	TEST_ASSERT(!err || err == ENOSPC, "SET_ADDR of a table: %i", err);
	TEST_ASSERT_EQ(__msix_set_addr(d[nr].fd, NOWHERE, NOWHERE), 0);

	/* No room to move: d[0] keeps its address, its entries and its eventfds. */
	before = msix_get_state(d[0].fd, 1);
	TEST_ASSERT_EQ(__msix_set_addr(d[0].fd, limit_table(nr), limit_pba(nr)), ENOSPC);
	expect_answering(d, nr, d[nr].fd);
	after = msix_get_state(d[0].fd, 1);
	TEST_ASSERT(msix_state_equal(before, after), "the state has changed");
	msix_state_free(before);
	msix_state_free(after);
	TEST_ASSERT_EQ(entry_read(m, &d[0], 0, ENTRY_CTRL), MASKED);
	TEST_ASSERT_EQ(guest_read(m, d[0].pba, 8), 0);
	TEST_ASSERT_EQ(m->nr_exits, 0);

	/* If the bus had room for a table only, the failed SET_ADDR gave it back. */
	if (!err) {
		msix_set_addr(&d[nr], limit_table(nr), NOWHERE);
		TEST_ASSERT_EQ(__msix_set_addr(d[nr].fd, limit_table(nr), limit_pba(nr)), ENOSPC);
		TEST_ASSERT_EQ(__msix_set_addr(d[1].fd, limit_table(nr), NOWHERE), EEXIST);
		TEST_ASSERT_EQ(__msix_set_addr(d[nr].fd, NOWHERE, NOWHERE), 0);
	}
	/* Closing a function makes room. */
	close(d[0].fd);
	msix_set_addr(&d[nr], limit_table(nr), limit_pba(nr));
	for (i = 1; i <= nr; i++)
		close(d[i].fd);
	TEST_ASSERT(!kvm_msix_has_counters() || !debugfs_entries("kvm_msix", getpid()),
		    "functions are left");
	msix_vm_free(m);
	ksft_test_result_pass("ENOSPC after %u functions%s\n", nr, err ? "" : " and a table");
}

/* No more file descriptors: EMFILE, and no function. */
static void limit_files(void)
{
	struct kvm_vm *vm = msix_bare_vm();
	struct rlimit limit, low;
	int fds[64], n, err;

	TEST_ASSERT(!getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
	low = limit;
	low.rlim_cur = 40;
	TEST_ASSERT(!setrlimit(RLIMIT_NOFILE, &low), "setrlimit");
	/* Leave one fd, for opening /dev/kvm_msix. */
	for (n = 0; n < ARRAY_SIZE(fds); n++) {
		fds[n] = dup(vm->fd);
		if (fds[n] < 0)
			break;
	}
	TEST_ASSERT(n > 0 && n < ARRAY_SIZE(fds), "%i file descriptors", n);
	close(fds[--n]);
	TEST_ASSERT_EQ(__msix_create(vm->fd, BIG, 0, &err), EMFILE);
	TEST_ASSERT(!kvm_msix_has_counters() || !debugfs_entries("kvm_msix", getpid()),
		    "a function is left");
	while (n--)
		close(fds[n]);
	TEST_ASSERT(!setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
	kvm_vm_free(vm);
	ksft_test_result_pass("EMFILE\n");
}

/*
 * Memory. Count the objects in the caches that the module allocates from, after
 * each CPU has given back the slabs that it keeps (shrink). A function has at
 * least one object of each kind, but only every second function has a region.
 * The rest of the machine idles, and changes a count by less than such a leak:
 * by up to 205 objects of kmalloc-96, five slabs that a CPU keeps.
 */
struct cache {
	char name[64];
	long objects;
};

struct memory {
	struct cache cache[128];
	u32 nr;
	long available_kb;
	long percpu_kb;
};

static bool is_ours(const char *name)
{
	return !strncmp(name, "kmalloc-", 8) || !strcmp(name, "filp") ||
	       !strcmp(name, "radix_tree_node");
}

static void read_caches(struct memory *mem)
{
	char line[512];
	struct cache *c;
	FILE *f;

	mem->nr = 0;
	f = fopen("/proc/slabinfo", "r");
	while (f && fgets(line, sizeof(line), f)) {
		c = &mem->cache[mem->nr];
		if (sscanf(line, "%63s %ld", c->name, &c->objects) != 2 || !is_ours(c->name))
			continue;
		if (++mem->nr == ARRAY_SIZE(mem->cache))
			break;
	}
	if (f)
		fclose(f);
}

/*
 * Free objects in the slabs that a CPU keeps count as used. Give these slabs
 * back with few allocations meanwhile: open all files before writing the first.
 * sysfs copies what is written, so write as much as possible: a slab has 8 such
 * copies, but 512 copies of "1".
 */
static void flush_caches(const struct memory *mem)
{
	static const char shrink[4095] = "1";
	int fd[ARRAY_SIZE(mem->cache)];
	char path[128];
	u32 i;

	for (i = 0; i < mem->nr; i++) {
		snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink", mem->cache[i].name);
		fd[i] = open(path, O_WRONLY);
	}
	for (i = 0; i < mem->nr; i++)
		TEST_ASSERT(fd[i] < 0 || write(fd[i], shrink, sizeof(shrink)) == sizeof(shrink),
			    "shrink %s: %s", mem->cache[i].name, strerror(errno));
	for (i = 0; i < mem->nr; i++)
		if (fd[i] >= 0)
			close(fd[i]);
}

/*
 * Wait until RCU, works and the last users of files have freed their objects.
 * An allocation during a count makes a cache seem fuller, never emptier: take
 * the lowest of several counts.
 */
static void measure(struct memory *mem)
{
	struct memory again;
	u32 i, n;

	sleep(1);
	read_caches(mem);
	for (n = 0; n < 4; n++) {
		flush_caches(mem);
		read_caches(&again);
		for (i = 0; i < mem->nr; i++)
			mem->cache[i].objects = min(mem->cache[i].objects, again.cache[i].objects);
	}
	mem->available_kb = leak_number("/proc/meminfo", "MemAvailable");
	mem->percpu_kb = leak_number("/proc/meminfo", "Percpu");
}

/* What has grown too much, by how much? NULL: nothing. */
static const char *growth(const struct memory *before, const struct memory *after, u32 functions,
			  u32 big, long *grown)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	u32 i;

	for (i = 0; i < before->nr; i++) {
		TEST_ASSERT(!strcmp(before->cache[i].name, after->cache[i].name), "/proc/slabinfo");
		*grown = after->cache[i].objects - before->cache[i].objects;
		if (*grown >= functions * 2 / 5)
			return before->cache[i].name;
	}
	/* The counters of a function are 80 bytes for each CPU; pages count. */
	*grown = after->percpu_kb - before->percpu_kb;
	if (*grown > functions * 80 * cpus / 2 / 1024)
		return "Percpu, in kB";
	/*
	 * The smallest part of a big function's memory is table and PBA, 36 kB.
	 * On an idle machine, other programs' memory may change by some MB.
	 */
	*grown = before->available_kb - after->available_kb;
	return *grown < 8192 + big * 36 / 2 ? NULL : "less of MemAvailable, in kB";
}

/* RCU may be slow to free on a busy machine; what has leaked stays. */
static void expect_no_growth(const struct memory *before, u32 functions, u32 big)
{
	struct memory after;
	const char *what;
	long grown;
	u32 tries;

	if (!before->nr)
		ksft_print_msg("/proc/slabinfo: not readable\n");
	for (tries = 0; tries < PATIENCE_S; tries++) {
		measure(&after);
		what = growth(before, &after, functions, big, &grown);
		if (!what)
			break;
	}
	TEST_ASSERT(!what, "%u functions: %ld more in %s", functions, grown, what);
	ksft_print_msg("MemAvailable %+ld kB, Percpu %+ld kB, at look %u\n",
		       after.available_kb - before->available_kb,
		       after.percpu_kb - before->percpu_kb, tries + 1);
}

/* Create and close a function of the largest size, with events in each state. */
static void big_life(struct kvm_vm *vm, int *event)
{
	static struct kvm_msix_binding to[BIG];
	struct msix_dev d = msix_create(vm, BIG, 0);
	u32 v;

	msix_set_addr(&d, BAR_GPA, BAR_GPA + BIG * ENTRY_SIZE);
	for (v = 0; v < BIG; v++)
		to[v] = (struct kvm_msix_binding) { event[v], v % 8 ? -1 : 64 + v };
	TEST_ASSERT_EQ(__msix_bind(d.fd, 0, BIG, to), 0);
	event_signal(event[BIG - 1]);
	close(d.fd);
	event_signal(event[BIG - 1]);
}

static void small_life(struct kvm_vm *vm, int event, bool with_addr)
{
	struct msix_state *state = msix_state_alloc(1);
	struct msix_dev d = msix_create(vm, 1, 0);

	if (with_addr)
		msix_set_addr(&d, BAR_GPA, BAR_GPA + ENTRY_SIZE);
	msix_bind_one(&d, 0, event, 64);
	/* Add the GSI's route, and remove it twice. */
	state->control = ENABLE;
	state->entry[0][ENTRY_ADDR_LO / 4] = MSI_ADDR(0);
	state->entry[0][ENTRY_DATA / 4] = 0x40;
	TEST_ASSERT_EQ(__msix_set_state(d.fd, state), 0);
	msix_control(&d, 0);
	msix_control(&d, ENABLE);
	event_signal(event);
	close(d.fd);
	msix_state_free(state);
}

static void lives(struct kvm_vm *vm, u32 big, u32 small)
{
	int event[BIG];
	u32 i;

	for (i = 0; i < BIG; i++)
		event[i] = event_create();
	for (i = 0; i < big; i++)
		big_life(vm, event);
	for (i = 0; i < small; i++)
		small_life(vm, event[i % BIG], i % 2);
	for (i = 0; i < BIG; i++)
		close(event[i]);
}

static void come_and_go(u32 rounds)
{
	struct kvm_vm *vm = msix_bare_vm();
	struct msix_dev stays = msix_create(vm, 1, 0);
	u32 small = max(rounds * SMALL, (u32)FEWEST);
	struct memory before;

	/* First allocate what is allocated only once, or kept for the next time. */
	lives(vm, 3, 100);
	measure(&before);
	lives(vm, rounds, small);
	expect_no_growth(&before, small, rounds);
	close(stays.fd);
	kvm_vm_free(vm);
	leak_check_all();
	ksft_test_result_pass("%u functions with %u bound vectors, %u with one\n", rounds, BIG,
			      small);
}

int main(int argc, char **argv)
{
	u32 rounds = rounds_option(argc, argv, 20);

	kvm_msix_require();
	ksft_print_header();
	ksft_set_plan(4);
	many();
	limit_bus();
	limit_files();
	come_and_go(rounds);
	ksft_finished();
}
