// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations by many threads at once on shared objects, without a model: the
 * kernel's own checks judge (KASAN, lockdep, its log). At the end the counters
 * must add up, a new function must work, and no function may be left.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "fuzz.h"

#define DEVS	4
#define EVENTS	8
#define NR	66	/* vectors of each function */
#define OTHERS	4	/* threads that run no vCPU */
#define STRIDE	(BAR_SIZE / DEVS)
#define FIRST_SLOT	2000

static struct {
	struct msix_vm *m;
	int node;
	int dev[DEVS];
	int event[EVENTS];
	u8 *area[DEVS];	/* a page of a function, or a hole */
	bool can_map;
	int zero;
	bool stop;
	u64 ops;
} shared;

struct thread {
	pthread_t id;
	struct rng r;
	int cpu;	/* index of the thread's vCPU, or -1 */
	int own;	/* a function that no other thread uses */
	u64 ops;
};

static int any_dev(struct thread *t)
{
	return READ_ONCE(shared.dev[pick(&t->r, DEVS)]);
}

static int any_event(struct thread *t)
{
	return READ_ONCE(shared.event[pick(&t->r, EVENTS)]);
}

static u32 any_gsi(struct thread *t)
{
	return 24 + pick(&t->r, 8) * (one_in(&t->r, 8) ? 500 : 1);
}

static u64 any_address(struct thread *t)
{
	return one_in(&t->r, 8) ? fuzz_tame_data(rnd(&t->r)) :
				  MSI_ADDR(one_in(&t->r, 8) ? pick(&t->r, 256) : pick(&t->r, 2));
}

static void replace(int *slot, int fd)
{
	int old = __atomic_exchange_n(slot, fd, __ATOMIC_SEQ_CST);

	if (old >= 0)
		close(old);
}

static int create(struct rng *r)
{
	struct kvm_msix_create args = {
		.flags = pick(r, 2),
		.vm_fd = shared.m->vm->fd,
		.nr_vectors = NR,
	};
	int fd;

	if (shared.can_map && one_in(r, 2)) {
		args.flags |= KVM_MSIX_CREATE_MMAP | KVM_MSIX_CREATE_MMAP_PBA;
		args.pba_offset = MAPPED_PBA;
		/* If a vector is bound to the eventfd, signals to the VMM are its events. */
		if (args.flags & KVM_MSIX_CREATE_LAZY)
			args.unmask_eventfd = READ_ONCE(shared.event[pick(r, EVENTS)]);
	}
	return fuzz_ioctl(r, shared.node, KVM_MSIX_CREATE, &args, sizeof(args), &fd) ? -1 : fd;
}

static void do_create(struct thread *t)
{
	int fd = create(&t->r);

	if (fd >= 0)
		replace(&shared.dev[pick(&t->r, DEVS)], fd);
}

/*
 * Guest memory: areas are remapped, moved and protected, and slots deleted,
 * while the guest accesses them.
 */

static void make_hole(u32 i)
{
	shared.area[i] = mmap(shared.area[i], FUZZ_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
			      (shared.area[i] ? MAP_FIXED : 0), -1, 0);
	TEST_ASSERT(shared.area[i] != MAP_FAILED, "mmap: %s", strerror(errno));
}

/* Replace the hole by mremap(), so that the address is never free. */
static void map(u32 i, int dev)
{
	void *mem = mmap(NULL, FUZZ_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, dev, 0);

	if (mem != MAP_FAILED && mremap(mem, FUZZ_PAGE, FUZZ_PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
					shared.area[i]) == MAP_FAILED)
		munmap(mem, FUZZ_PAGE);
}

static void do_map(struct thread *t)
{
	u32 i = pick(&t->r, DEVS);

	if (one_in(&t->r, 4))
		make_hole(i);
	else
		map(i, any_dev(t));
}

/* Map an area's mapping in another area as well, and keep the pages or move them. */
static void do_remap(struct thread *t)
{
	u32 from = pick(&t->r, DEVS), to = (from + 1 + pick(&t->r, DEVS - 1)) % DEVS;
	bool move = one_in(&t->r, 2);

	mremap(shared.area[from], move ? FUZZ_PAGE : 0, FUZZ_PAGE,
	       MREMAP_MAYMOVE | MREMAP_FIXED | (move ? MREMAP_DONTUNMAP : 0), shared.area[to]);
}

static void do_protect(struct thread *t)
{
	void *area = shared.area[pick(&t->r, DEVS)];

	mprotect(area, FUZZ_PAGE, PROT_READ);
	mprotect(area, FUZZ_PAGE, PROT_READ | PROT_WRITE);
}

static void do_advise(struct thread *t)
{
	static const int advice[] = { MADV_DONTNEED, MADV_PAGEOUT, MADV_POPULATE_WRITE };

	madvise(shared.area[pick(&t->r, DEVS)], FUZZ_PAGE,
		advice[pick(&t->r, ARRAY_SIZE(advice))]);
}

static void set_slot(u32 i, u64 gpa, u32 size, u32 flags)
{
	struct kvm_userspace_memory_region region = {
		.slot = FIRST_SLOT + i,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)shared.area[i],
	};

	__msix_ioctl(shared.m->vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

static void do_slot(struct thread *t)
{
	set_slot(pick(&t->r, DEVS), BAR_GPA + pick(&t->r, DEVS) * STRIDE,
		 one_in(&t->r, 2) ? 0 : FUZZ_PAGE,
		 pick(&t->r, 2) * KVM_MEM_LOG_DIRTY_PAGES);
}

static void do_dirty_log(struct thread *t)
{
	u64 bits;
	struct kvm_dirty_log log = {
		.slot = FIRST_SLOT + pick(&t->r, DEVS),
		.dirty_bitmap = &bits,
	};

	__msix_ioctl(shared.m->vm->fd, KVM_GET_DIRTY_LOG, &log);
}

static void no_slots(void)
{
	u32 i;

	for (i = 0; i < DEVS; i++)
		set_slot(i, 0, 0, 0);
}

static void do_make_memory(struct thread *t)
{
	u32 i = pick(&t->r, DEVS);
	u64 gpa = BAR_GPA + i * STRIDE;
	int dev = any_dev(t);

	map(i, dev);
	set_slot(i, gpa, FUZZ_PAGE, 0);
	if (one_in(&t->r, 2))
		__msix_set_addr(dev, gpa, gpa + MAPPED_PBA);
}

/* The VMM stores zeroes, which unmask, unless the area is a hole. */
static void do_poke(struct thread *t)
{
	u8 *at = shared.area[pick(&t->r, DEVS)] + pick(&t->r, 4) * 16 + pick(&t->r, 4) * 4;

	if (read(shared.zero, at, 4) < 0 && errno != EFAULT)
		fuzz_fail("read: %s", strerror(errno));
}

static void do_set_addr(struct thread *t)
{
	u64 base = BAR_GPA + pick(&t->r, DEVS) * STRIDE;

	__msix_set_addr(any_dev(t), one_in(&t->r, 6) ? NOWHERE : base + pick(&t->r, 4) * 8,
			one_in(&t->r, 6) ? NOWHERE : base + 0x800 + pick(&t->r, 4) * 8);
}

static void do_bind(struct thread *t)
{
	static const u32 flags[] = { 0, KVM_MSIX_BIND_ADD, KVM_MSIX_BIND_REMOVE };
	u32 i, n = 1 + pick(&t->r, 8), how = flags[pick(&t->r, ARRAY_SIZE(flags))];
	struct kvm_msix_binding v[8];

	for (i = 0; i < n; i++) {
		v[i].eventfd = one_in(&t->r, 3) ? -1 : any_event(t);
		v[i].gsi = how || one_in(&t->r, 2) ? -1 : any_gsi(t);
	}
	__msix_bind_flags(any_dev(t), how, pick(&t->r, 4), n, v);
}

static void do_unbind(struct thread *t)
{
	struct kvm_msix_binding v[NR];

	memset(v, 0xff, sizeof(v));
	__msix_bind(any_dev(t), 0, NR, v);
}

static void do_control(struct thread *t)
{
	__msix_control(any_dev(t), one_in(&t->r, 3) ? pick(&t->r, 4) << 14 : ENABLE);
}

static void do_reset(struct thread *t)
{
	__msix_reset(any_dev(t));
}

static void do_state(struct thread *t)
{
	struct msix_state *s = msix_state_alloc(NR);
	u32 v;

	__msix_get_state(any_dev(t), s);
	for (v = 0; v < NR; v++) {
		s->entry[v][0] = any_address(t);
		s->entry[v][2] = fuzz_tame_data(pick(&t->r, 256));
		s->entry[v][3] = pick(&t->r, 2);
	}
	s->pba[0] ^= 1 << pick(&t->r, 4);
	__msix_set_state(any_dev(t), s);
	msix_state_free(s);
}

static void do_routing(struct thread *t)
{
	struct kvm_irq_routing_entry e[4];
	u32 i, n = pick(&t->r, 5);

	for (i = 0; i < n; i++)
		e[i] = msi_route(any_gsi(t), MSI_ADDR(pick(&t->r, 2)),
				 fuzz_tame_data(pick(&t->r, 256)));
	if (one_in(&t->r, 2))
		__kvm_set_gsi_routing(shared.m->vm, n, e);
	else
		__msix_set_gsi_routing(any_dev(t), n, e);
}

static void do_irqfd(struct thread *t)
{
	__vm_irqfd(shared.m->vm, any_event(t), any_gsi(t),
		   one_in(&t->r, 2) ? KVM_IRQFD_FLAG_DEASSIGN : 0);
}

/* No irqchip's pin is routed to these GSIs. */
static void do_inject(struct thread *t)
{
	kvm_irq_pulse(shared.m->vm, any_gsi(t));
}

static void do_signal(struct thread *t)
{
	u64 n = pick(&t->r, 3);
	u32 i;

	for (i = pick(&t->r, 8); i < 8; i++)
		if (write(any_event(t), &n, sizeof(n)) < 0)
			break;
}

static void do_new_event(struct thread *t)
{
	replace(&shared.event[pick(&t->r, EVENTS)], event_create());
}

static void do_bad(struct thread *t)
{
	fuzz_bad_ioctl(&t->r, shared.node, t->own);
}

static void read_file(const char *dir, int id, const char *name)
{
	char path[80], text[512];
	int fd;

	snprintf(path, sizeof(path), "%s%i-%i/%s", dir, getpid(), id, name);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return;
	while (read(fd, text, sizeof(text)) > 0)
		;
	close(fd);
}

static void do_debugfs(struct thread *t)
{
	static const char * const names[] = { "stats", "table", "vectors" };

	read_file("/sys/kernel/debug/kvm_msix/", pick(&t->r, 12),
		  names[pick(&t->r, ARRAY_SIZE(names))]);
}

/* The stats fd may outlive the function. */
static void do_stats(struct thread *t)
{
	char part[512];
	int fd;

	if (__msix_stats_fd(any_dev(t), &fd))
		return;
	while (read(fd, part, 1 + pick(&t->r, sizeof(part))) > 0)
		;
	close(fd);
}

static void (*const kinds[])(struct thread *t) = {
	do_create, do_set_addr, do_set_addr, do_bind, do_bind, do_bind, do_unbind, do_control,
	do_control, do_control, do_reset, do_state, do_state, do_routing, do_irqfd, do_inject,
	do_signal, do_signal, do_signal, do_signal, do_new_event, do_bad, do_debugfs, do_map,
	do_remap, do_protect, do_advise, do_slot, do_dirty_log, do_make_memory, do_make_memory,
	do_make_memory, do_poke, do_stats,
};

/*
 * KVM emulates a locked instruction if the page is not in a memory slot. If a slot
 * with a hole at the page is set before the emulator writes, KVM gives up. Without
 * KVM_CAP_EXIT_ON_EMULATION_FAILURE, KVM would also queue #UD.
 */
static bool locked_into_hole(const struct kvm_run *run, u32 insn)
{
	return run->exit_reason == KVM_EXIT_INTERNAL_ERROR &&
	       run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION &&
	       (insn == INSN_LOCK_OR || insn == INSN_XCHG);
}

/* Run until there is an exit. If guest memory has a hole, delete all slots. */
static void run_until_exit(struct kvm_vcpu *vcpu, u32 insn)
{
	u32 tries;

	for (tries = 0; tries < 100000; tries++) {
		if (!__vcpu_run(vcpu)) {
			if (!locked_into_hole(vcpu->run, insn))
				return;
		} else if (errno != EFAULT) {
			break;
		}
		no_slots();
	}
	fuzz_fail("KVM_RUN: %s, after %u holes", strerror(errno), tries);
}

/* Make one access on a vCPU. On an MMIO exit, bind vectors now and then. */
static void run_vcpu(struct thread *t)
{
	struct kvm_vcpu *vcpu = shared.m->vcpu[t->cpu];
	struct guest_cpu *c = shared.m->cpu[t->cpu];
	struct access a;
	struct ucall uc;
	u64 table;

	table = BAR_GPA + pick(&t->r, DEVS) * STRIDE + pick(&t->r, 4) * 8;
	fuzz_draw_access(&t->r, &a, table, one_in(&t->r, 4) ? 0x840 : 64);
	fuzz_tame_access(&a, NOWHERE, 0);
	if (one_in(&t->r, 2)) {
		a = (struct access) { .insn = INSN_WRITE, .width = 4, .count = 1 };
		a.gpa = table + pick(&t->r, 4) * 16 + ENTRY_CTRL;
		a.val[0] = pick(&t->r, 2);
	}
	c->op = a.insn;
	c->gva = a.gpa;
	c->width = a.width;
	c->count = a.count;
	memcpy(c->val, a.val, sizeof(c->val));
	memcpy(c->buf, a.buf, sizeof(c->buf));
	for (;;) {
		run_until_exit(vcpu, a.insn);
		if (vcpu->run->exit_reason != KVM_EXIT_MMIO)
			break;
		if (vcpu->run->mmio.is_write && one_in(&t->r, 2))
			do_bind(t);
	}
	if (get_ucall(vcpu, &uc) != UCALL_SYNC)
		fuzz_fail("a vCPU has stopped in instruction %u: exit reason %u (%s), %u",
			  a.insn, vcpu->run->exit_reason,
			  exit_reason_str(vcpu->run->exit_reason), vcpu->run->internal.suberror);
}

static void *run_thread(void *arg)
{
	struct thread *t = arg;

	fuzz_ioctl_init();
	fuzz_kcov_thread();
	TEST_ASSERT(!__msix_create(shared.m->vm->fd, 1, 0, &t->own), "CREATE");
	while (!READ_ONCE(shared.stop)) {
		if (t->cpu >= 0)
			run_vcpu(t);
		else
			kinds[pick(&t->r, ARRAY_SIZE(kinds))](t);
		t->ops++;
		fuzz_kcov_collect();
	}
	close(t->own);
	return NULL;
}

/* Whatever happened before, a new function must work. */
static void check_alive(void)
{
	struct msix_dev d = msix_create(shared.m->vm, 1, 0);
	struct msix_state *s = msix_state_alloc(1);
	int event = event_create();
	u64 before, tries;

	s->control = ENABLE;
	s->entry[0][0] = MSI_ADDR(1);
	s->entry[0][2] = 0x66;
	EXPECT_SAME("SET_STATE", 0, __msix_set_state(d.fd, s));
	msix_set_addr(&d, BAR_GPA, BAR_GPA + 0x800);
	msix_bind_one(&d, 0, event, -1);
	shared.m->current_cpu = 1;
	guest_nop(shared.m);
	before = shared.m->cpu[1]->irqs[0x66];
	event_signal(event);
	for (tries = 0; tries < 100 && shared.m->cpu[1]->irqs[0x66] == before; tries++)
		guest_nop(shared.m);
	EXPECT_SAME("an interrupt afterwards", before + 1, shared.m->cpu[1]->irqs[0x66]);
	close(d.fd);
	close(event);
	msix_state_free(s);
}

/* While a table is watched, messages may still be sent: wait. */
static void check_books(void)
{
	u32 tries;

	for (tries = 0; tries < 1000 && kvm_msix_lost_events(); tries++)
		usleep(10000);
	EXPECT_SAME("events without a message", 0, kvm_msix_lost_events());
}

u64 fuzz_threads(u64 seed, u32 seconds)
{
	struct thread t[2 + OTHERS] = {};
	struct rng r = { .state = seed };
	u64 ops = 0;
	u32 i;

	shared.m = msix_vm_create(0, NULL);
	vm_enable_cap(shared.m->vm, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1);
	vm_install_exception_handler(shared.m->vm, 0, guest_irq_handler);
	msix_vm_add_cpu(shared.m, 0, fuzz_guest_code);
	msix_vm_add_cpu(shared.m, 1, fuzz_guest_code);
	msix_vcpu_run(shared.m, 0);
	msix_vcpu_run(shared.m, 1);
	shared.node = msix_open();
	shared.zero = open("/dev/zero", O_RDONLY);
	shared.can_map = msix_can_map();
	for (i = 0; i < EVENTS; i++)
		shared.event[i] = event_create();
	for (i = 0; i < DEVS; i++) {
		make_hole(i);
		shared.dev[i] = create(&r);
		TEST_ASSERT(shared.dev[i] >= 0, "CREATE");
	}

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		t[i].r.state = seed + i;
		t[i].cpu = i < 2 ? i : -1;
		TEST_ASSERT(!pthread_create(&t[i].id, NULL, run_thread, &t[i]), "pthread_create");
	}
	sleep(seconds);
	WRITE_ONCE(shared.stop, true);
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		pthread_join(t[i].id, NULL);
		ops += t[i].ops;
	}

	no_slots();
	check_books();
	for (i = 0; i < DEVS; i++) {
		replace(&shared.dev[i], -1);
		munmap(shared.area[i], FUZZ_PAGE);
	}
	for (i = 0; i < EVENTS; i++)
		replace(&shared.event[i], -1);
	check_alive();
	EXPECT_SAME("functions left in debugfs", 0, debugfs_entries("kvm_msix", getpid()));
	close(shared.zero);
	close(shared.node);
	msix_vm_free(shared.m);
	return ops;
}
