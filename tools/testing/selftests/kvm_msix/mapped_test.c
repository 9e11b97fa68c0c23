// SPDX-License-Identifier: GPL-2.0-only
/*
 * A table that is guest memory: stores that are not trapped, which must take effect at
 * any time, whether guest or VMM stores.
 */
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "mapped.h"

FIXTURE(mapped) {
	struct mapped s;
};

FIXTURE_VARIANT(mapped) {
	u32 nr;
	u32 offset;
	u32 flags;
	u32 pba;
};

FIXTURE_VARIANT_ADD(mapped, page_with_pba) {
	.nr = NR, .offset = 0, .flags = MMAP_PBA, .pba = MAPPED_PBA,
};

FIXTURE_VARIANT_ADD(mapped, pba_trapped) {
	.nr = 512, .offset = PAGE - ENTRY_SIZE, .flags = MMAP,
};

FIXTURE_VARIANT_ADD(mapped, pba_on_its_page) {
	.nr = 512, .offset = PAGE - ENTRY_SIZE, .flags = MMAP_PBA, .pba = 3 * PAGE + 0x100,
};

/* Entry 0 on the first page, 1 on the second, in all variants but the first. */
FIXTURE_SETUP(mapped)
{
	int i;

	if (!msix_can_map())
		SKIP(return, NO_MMAP);
	setup(&self->s, variant->nr, variant->offset, variant->flags, variant->pba, 0);
	memory_on(&self->s);
	for (i = 0; i < NR; i++) {
		msix_bind_one(&self->s.d, i, self->s.event[i], -1);
		entry_program(self->s.m, &self->s.d, i, MSI_ADDR(0), VEC(i));
	}
	msix_control(&self->s.d, ENABLE);
}

FIXTURE_TEARDOWN(mapped)
{
	EXPECT_NOTHING_ELSE(self->s.m, self->s.irqs);
	teardown(&self->s);
}

static u64 trapped_accesses(void)
{
	return kvm_msix_counter("reads") + kvm_msix_counter("writes");
}

/* The guest's stores are not trapped, and take effect at the next event. */
TEST_F(mapped, no_exit)
{
	struct mapped *s = &self->s;
	u32 v;

	for (v = 0; v < 2; v++) {
		entry_unmask(s->m, &s->d, v);
		EXPECT_EQ(0, entry_read(s->m, &s->d, v, ENTRY_CTRL));
		event_signal(s->event[v]);
		EXPECT_SENT(s, VEC(v), 1);
		entry_write(s->m, &s->d, v, ENTRY_DATA, VEC(8 + v));
		event_signal(s->event[v]);
		EXPECT_SENT(s, VEC(8 + v), 1);
	}
	if (!kvm_msix_has_counters())
		SKIP(return, NO_COUNTERS);
	EXPECT_EQ(0, trapped_accesses());
	EXPECT_EQ(0, kvm_msix_counter("protected"));
	EXPECT_EQ(0, kvm_msix_counter("faults"));
	EXPECT_EQ(4, kvm_msix_counter("delivered"));
}

/* Wait until the table's pages have been protected @times times. */
static bool protected(u64 times)
{
	int i;

	for (i = 0; i < PATIENCE_MS; i++) {
		if (kvm_msix_counter("protected") >= times)
			return true;
		usleep(1000);
	}
	return false;
}

/* The kernel awaits no store: stores do not lead to another protection. */
static bool at_rest(struct mapped *s)
{
	u64 before;
	int i;

	/* Wait for the timer's last look, and for the work. */
	msix_wait_ms(100);
	before = kvm_msix_counter("protected");
	for (i = 0; i < 20; i++) {
		entry_write(s->m, &s->d, 0, ENTRY_ADDR_HI, 0);
		entry_write(s->m, &s->d, 1, ENTRY_ADDR_HI, 0);
		usleep(10000);
	}
	return kvm_msix_counter("protected") == before;
}

TEST_F(mapped, pending_is_protected)
{
	struct mapped *s = &self->s;
	u64 before, faults, again;
	int v;

	if (!kvm_msix_has_counters())
		SKIP(return, NO_COUNTERS);
	for (v = 0; v < 2; v++) {
		before = kvm_msix_counter("protected");
		event_signal(s->event[v]);
		EXPECT_TRUE(pba_read(s->m, &s->d, v));
		EXPECT_TRUE(msix_pending(&s->d, v));
		EXPECT_TRUE(protected(before + 1));
		/* Any store to the page faults, once. */
		faults = kvm_msix_counter("faults");
		entry_write(s->m, &s->d, v, ENTRY_ADDR_HI, 0);
		faults = kvm_msix_counter("faults") - faults;
		/* A late vCPU faults once more for each further protection. */
		again = kvm_msix_counter("protected") - before - 1;
		EXPECT_LE(1, faults);
		EXPECT_GE(1 + again, faults);
		EXPECT_SENT(s, VEC(v), 0);
		/* After the store, the pages are protected again. */
		EXPECT_TRUE(protected(before + 2));
		entry_unmask(s->m, &s->d, v);
		EXPECT_SENT(s, VEC(v), 1);
		EXPECT_FALSE(pba_read(s->m, &s->d, v));
		EXPECT_TRUE(at_rest(s));
	}
	EXPECT_EQ(2, kvm_msix_counter("delivered"));
	EXPECT_EQ(0, kvm_msix_counter("writes"));
}

static u64 now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

/*
 * A guest rewrites an entry at full speed while another vector is pending: the
 * pages are protected again 32 ms after the first store, not before.
 */
TEST_F(mapped, faults_are_few)
{
	struct mapped *s = &self->s;
	u64 start, end, before, faults;

	if (!kvm_msix_has_counters())
		SKIP(return, NO_COUNTERS);
	event_signal(s->event[0]);
	EXPECT_TRUE(protected(1));
	before = kvm_msix_counter("faults");
	start = now_ms();
	do {
		end = now_ms() + 1000;
		while (now_ms() < end)
			entry_write(s->m, &s->d, 1, ENTRY_DATA, VEC(1));
		faults = kvm_msix_counter("faults") - before;
		/* Repeat if the host held up the machine for most of the second. */
	} while (faults < 2 && end < start + PATIENCE_MS);
	TH_LOG("%lu faults", faults);
	EXPECT_LE(2, faults);
	EXPECT_GE((now_ms() - start) / 32 + 2, faults);
	entry_unmask(s->m, &s->d, 0);
	EXPECT_SENT(s, VEC(0), 1);
}

/* A guest that unmasks at once: the pages are seldom protected before the unmask. */
TEST_F(mapped, unmask_at_once)
{
	struct mapped *s = &self->s;
	int i;

	for (i = 0; i < 100; i++) {
		entry_mask(s->m, &s->d, i % 2);
		event_signal(s->event[i % 2]);
		entry_unmask(s->m, &s->d, i % 2);
		EXPECT_SENT(s, VEC(i % 2), 1);
		/* Begin the next round in different states. */
		if (i % 10 == 0)
			usleep(100000);
	}
}

/*
 * The unmasking store comes at any time after the event: before a look, between
 * two looks, during or after the protection of the pages.
 */
TEST_F(mapped, unmask_meanwhile)
{
	struct mapped *s = &self->s;
	int i, j;

	for (i = 0; i < 60; i++) {
		entry_mask(s->m, &s->d, i % 2);
		event_signal(s->event[i % 2]);
		for (j = 0; j < i; j++)
			sched_yield();
		entry_unmask(s->m, &s->d, i % 2);
		EXPECT_SENT(s, VEC(i % 2), 1);
		if (i % 8 == 0)
			usleep(50000);
	}
}

/*
 * A fault without a store, as if the vCPU were preempted in between: the fault
 * makes the page writable, and no store follows. The store comes later without a
 * fault, at any time: while the timer looks, at the last look, or when the page
 * is protected again.
 */
TEST_F(mapped, late_store)
{
	static const int late_ms[] = { 0, 1, 3, 7, 15, 25, 30, 33, 40, 60, 1000 };
	struct mapped *s = &self->s;
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(late_ms); i++) {
		entry_mask(s->m, &s->d, 0);
		event_signal(s->event[0]);
		usleep(50000);
		ASSERT_EQ(0, madvise(s->mem, PAGE, MADV_POPULATE_WRITE));
		usleep(1000 * late_ms[i]);
		EXPECT_TRUE(msix_pending(&s->d, 0));
		entry_unmask(s->m, &s->d, 0);
		EXPECT_SENT(s, VEC(0), 1);
	}
}

/* The VMM stores, by the mapping that is guest memory or by another mapping. */
TEST_F(mapped, vmm_stores)
{
	struct mapped *s = &self->s;
	u32 *mem = (u32 *)s->mem + variant->offset / 4;
	u32 *other = (u32 *)msix_map(s->d.fd, s->size) + variant->offset / 4;
	int i;

	for (i = 0; i < 20; i++) {
		entry_mask(s->m, &s->d, i % 2);
		event_signal(s->event[i % 2]);
		if (i & 4)
			usleep(50000);
		WRITE_ONCE((i & 2 ? mem : other)[i % 2 * 4 + ENTRY_CTRL / 4], 0);
		EXPECT_SENT(s, VEC(i % 2), 1);
	}
	munmap(other - variant->offset / 4, s->size);
}

/* The guest stores to the table at an address that SET_ADDR does not name. */
TEST_F(mapped, guest_stores_elsewhere)
{
	struct mapped *s = &self->s;
	u64 elsewhere = BAR_GPA + 0x10000;
	int i;

	msix_set_memory(s->m->vm, SLOT + 1, elsewhere, s->size, s->mem);
	for (i = 0; i < 20; i++) {
		entry_mask(s->m, &s->d, i % 2);
		event_signal(s->event[i % 2]);
		if (i & 4)
			usleep(50000);
		guest_write(s->m, elsewhere + variant->offset + i % 2 * ENTRY_SIZE + ENTRY_CTRL, 4,
			    0);
		EXPECT_SENT(s, VEC(i % 2), 1);
	}
	msix_set_memory(s->m->vm, SLOT + 1, NOWHERE, 0, s->mem);
}

/* More pending vectors than the timer looks at; the work looks at all. */
TEST(many_pending)
{
	struct mapped s = {};
	struct kvm_msix_binding *v;
	u32 i;

	if (!msix_can_map())
		SKIP(return, NO_MMAP);
	setup(&s, 512, 0, MMAP, 0, 0);
	memory_on(&s);
	msix_control(&s.d, ENABLE);
	v = calloc(s.d.nr, sizeof(*v));
	for (i = 0; i < s.d.nr; i++)
		v[i] = (struct kvm_msix_binding) { .eventfd = event_create(), .gsi = -1 };
	ASSERT_EQ(0, __msix_bind(s.d.fd, 0, s.d.nr, v));
	for (i = 0; i < s.d.nr; i++) {
		((u32 *)s.mem)[4 * i + ENTRY_ADDR_LO / 4] = MSI_ADDR(0);
		((u32 *)s.mem)[4 * i + ENTRY_DATA / 4] = VEC(0) + i / 64;
		event_signal(v[i].eventfd);
	}
	usleep(50000);
	/* Unmask the last vectors first. */
	for (i = s.d.nr; i-- > 0;) {
		entry_unmask(s.m, &s.d, i);
		if (i % 64 == 0)
			EXPECT_LE(1, msix_irqs(s.m, 0, VEC(0) + i / 64, 1));
	}
	for (i = 0; i < s.d.nr; i++) {
		EXPECT_FALSE(msix_pending(&s.d, i));
		close(v[i].eventfd);
	}
	free(v);
	teardown(&s);
}

TEST_F(mapped, pba_is_a_picture)
{
	struct mapped *s = &self->s;

	if (!(variant->flags & KVM_MSIX_CREATE_MMAP_PBA))
		SKIP(return, "the PBA is not guest memory");
	guest_write(s->m, s->d.pba, 8, 0xf);
	EXPECT_FALSE(msix_pending(&s->d, 1));
	entry_unmask(s->m, &s->d, 1);
	EXPECT_SENT(s, VEC(1), 0);
	event_signal(s->event[0]);
	guest_write(s->m, s->d.pba, 8, 0);
	EXPECT_TRUE(msix_pending(&s->d, 0));
	entry_unmask(s->m, &s->d, 0);
	EXPECT_SENT(s, VEC(0), 1);

	/* A reset clears all bits, even those of no vector. */
	guest_write(s->m, s->d.pba, 8, -1);
	msix_reset(&s->d);
	EXPECT_EQ(0, guest_read(s->m, s->d.pba, 8));
}

/* The memory slot is deleted while a vector is pending, and set again or not. */
TEST_F(mapped, memory_goes)
{
	struct mapped *s = &self->s;
	int i;

	for (i = 0; i < 4; i++) {
		entry_mask(s->m, &s->d, 0);
		event_signal(s->event[0]);
		EXPECT_TRUE(msix_pending(&s->d, 0));
		if (i & 1)
			usleep(50000);
		memory_off(s);
		/* The kernel answers at the addresses of the deleted slot. */
		EXPECT_EQ(MASKED, entry_read(s->m, &s->d, 0, ENTRY_CTRL));
		if (i & 2) {
			entry_unmask(s->m, &s->d, 0);
			EXPECT_SENT(s, VEC(0), 1);
			memory_on(s);
		} else {
			memory_on(s);
			EXPECT_EQ(MASKED, entry_read(s->m, &s->d, 0, ENTRY_CTRL));
			entry_unmask(s->m, &s->d, 0);
			EXPECT_SENT(s, VEC(0), 1);
		}
	}
	entry_mask(s->m, &s->d, 0);
	event_signal(s->event[0]);
	memory_off(s);
	EXPECT_TRUE(pba_read(s->m, &s->d, 0));
}

/* Of two pages with a pending vector each, one ceases to be guest memory. */
TEST(half_goes)
{
	struct mapped s = {};
	u32 v;

	if (!msix_can_map())
		SKIP(return, NO_MMAP);
	/* Entry 0 on the first page, 1 on the second. */
	setup(&s, 256, PAGE - ENTRY_SIZE, MMAP, 0, 0);
	msix_set_memory(s.m->vm, SLOT, BAR_GPA, PAGE, s.mem);
	msix_set_memory(s.m->vm, SLOT + 1, BAR_GPA + PAGE, s.size - PAGE, s.mem + PAGE);
	msix_control(&s.d, ENABLE);
	for (v = 0; v < 2; v++) {
		msix_bind_one(&s.d, v, s.event[v], -1);
		entry_program(s.m, &s.d, v, MSI_ADDR(0), VEC(v));
		event_signal(s.event[v]);
	}
	usleep(50000);

	msix_set_memory(s.m->vm, SLOT, NOWHERE, 0, s.mem);
	for (v = 0; v < 2; v++) {
		entry_unmask(s.m, &s.d, v);
		EXPECT_SENT(&s, VEC(v), 1);
	}
	teardown(&s);
}

/* The first access to new guest memory, at an address that was MMIO, unmasks. */
TEST_F(mapped, unmask_first)
{
	struct mapped *s = &self->s;
	int i;

	for (i = 0; i < 4; i++) {
		memory_off(s);
		entry_mask(s->m, &s->d, i % 2);
		event_signal(s->event[i % 2]);
		if (i & 2)
			usleep(50000);
		memory_on(s);
		entry_unmask(s->m, &s->d, i % 2);
		EXPECT_SENT(s, VEC(i % 2), 1);
	}
}

TEST_F(mapped, function_mask_and_reset)
{
	struct mapped *s = &self->s;

	msix_control(&s->d, ENABLE | FUNCTION_MASK);
	entry_unmask(s->m, &s->d, 0);
	event_signal(s->event[0]);
	EXPECT_SENT(s, VEC(0), 0);
	EXPECT_TRUE(pba_read(s->m, &s->d, 0));
	msix_control(&s->d, ENABLE);
	EXPECT_SENT(s, VEC(0), 1);

	event_signal(s->event[1]);
	msix_reset(&s->d);
	EXPECT_EQ(MASKED, entry_read(s->m, &s->d, 0, ENTRY_CTRL));
	EXPECT_EQ(0, entry_read(s->m, &s->d, 1, ENTRY_DATA));
	EXPECT_FALSE(pba_read(s->m, &s->d, 1));
	if (kvm_msix_has_counters())
		EXPECT_TRUE(at_rest(s));
}

/*
 * The memory slot is deleted and set all the time, while the guest masks and
 * unmasks and the device signals. In the end, each event must have been sent, or
 * have coalesced with an event that was sent.
 */
#define MOVES	400

static u64 cycles, stop;

static void guest_cycles(void)
{
	guest_init();
	while (!READ_ONCE(stop)) {
		mmio_write32(BAR_GPA + ENTRY_CTRL, MASKED);
		GUEST_ASSERT_EQ(mmio_read32(BAR_GPA + ENTRY_CTRL), MASKED);
		mmio_write32(BAR_GPA + ENTRY_CTRL, 0);
		GUEST_ASSERT_EQ(mmio_read32(BAR_GPA + ENTRY_CTRL), 0);
		WRITE_ONCE(cycles, cycles + 1);
	}
	GUEST_DONE();
}

TEST_F_TIMEOUT(mapped, memory_races, 300)
{
	struct mapped s = {};
	u64 signalled = 0, latched, coalesced;
	pthread_t thread;
	int i, moved;

	if (variant->offset)
		SKIP(return, "once is enough");
	s.m = msix_vm_create(0, guest_cycles);
	s.d = (struct msix_dev) { .nr = NR, .table = BAR_GPA, .pba = BAR_GPA + MAPPED_PBA };
	s.d.fd = __create(s.m->vm->fd, NR, MMAP_PBA, 0, MAPPED_PBA);
	s.size = PAGE;
	s.mem = msix_map(s.d.fd, s.size);
	s.event[0] = event_create();
	TEST_ASSERT_EQ(__msix_set_addr(s.d.fd, s.d.table, s.d.pba), 0);
	memory_on(&s);
	msix_bind_one(&s.d, 0, s.event[0], -1);
	((u32 *)s.mem)[ENTRY_ADDR_LO / 4] = MSI_ADDR(0);
	((u32 *)s.mem)[ENTRY_DATA / 4] = VEC(0);
	msix_control(&s.d, ENABLE);
	msix_vm_add_cpu(s.m, 0, guest_cycles);
	TEST_ASSERT(!pthread_create(&thread, NULL, msix_vcpu_thread, s.m->vcpu[0]),
		    "pthread_create");

	for (moved = 0; moved < MOVES || READ_ONCE(*GUEST_VAR(s.m, cycles)) < MOVES; moved++) {
		for (i = 0; i < 4; i++, signalled++)
			event_signal(s.event[0]);
		memory_off(&s);
		for (i = 0; i < 4; i++, signalled++)
			event_signal(s.event[0]);
		memory_on(&s);
		usleep(50);
	}
	WRITE_ONCE(*GUEST_VAR(s.m, stop), 1);
	pthread_join(thread, NULL);
	/* The guest has left the vector unmasked. */
	for (i = 0; i < PATIENCE_MS && msix_pending(&s.d, 0); i++)
		usleep(1000);
	EXPECT_FALSE(msix_pending(&s.d, 0));
	EXPECT_EQ(0, s.m->nr_exits);

	if (kvm_msix_has_counters()) {
		/* The fixture's own function has had no event. */
		latched = kvm_msix_counter("latched");
		coalesced = kvm_msix_counter("coalesced");
		TH_LOG("%lu events in %lu cycles: %lu latched, %lu coalesced, %lu protected",
		       signalled, *GUEST_VAR(s.m, cycles), latched, coalesced,
		       kvm_msix_counter("protected"));
		EXPECT_EQ(signalled, kvm_msix_counter("events"));
		EXPECT_EQ(latched, kvm_msix_counter("released"));
		EXPECT_EQ(signalled - coalesced, kvm_msix_counter("delivered"));
	}
	teardown(&s);
}

/*
 * The VMM can hold the VM's slots_lock for any time: a change of memory slots
 * waits for a vCPU, which waits for memory that the VMM does not provide. Pending
 * messages must be sent all the same.
 */
#define HOLE_GPA	(BAR_GPA + 0x18000)

static void guest_falls_in(void)
{
	READ_ONCE(*(u64 *)HOLE_GPA);
	GUEST_DONE();
}

static void *anonymous_page(void)
{
	void *mem = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	TEST_ASSERT(mem != MAP_FAILED, "mmap: %s", strerror(errno));
	return mem;
}

struct held {
	struct msix_vm *m;
	void *page;
};

static void *change_slots(void *arg)
{
	struct held *h = arg;

	msix_set_memory(h->m->vm, SLOT + 2, HOLE_GPA + PAGE, PAGE, h->page);
	return NULL;
}

TEST_F(mapped, slots_are_held)
{
	struct mapped *s = &self->s;
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct held h = { .m = s->m, .page = anonymous_page() };
	struct uffdio_zeropage zero = {};
	void *hole = anonymous_page();
	pthread_t vcpu, slots;
	struct pollfd fallen = {
		.fd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK),
		.events = POLLIN,
	};
	int i;

	if (fallen.fd < 0)
		SKIP(return, "no userfaultfd");
	msix_set_memory(s->m->vm, SLOT + 1, HOLE_GPA, PAGE, hole);
	msix_vm_add_cpu(s->m, 1, guest_falls_in);
	ASSERT_EQ(0, ioctl(fallen.fd, UFFDIO_API, &api));
	reg.range.start = (uintptr_t)hole;
	reg.range.len = PAGE;
	ASSERT_EQ(0, ioctl(fallen.fd, UFFDIO_REGISTER, &reg));
	TEST_ASSERT(!pthread_create(&vcpu, NULL, msix_vcpu_thread, s->m->vcpu[1]),
		    "pthread_create");
	ASSERT_EQ(1, poll(&fallen, 1, PATIENCE_MS));
	TEST_ASSERT(!pthread_create(&slots, NULL, change_slots, &h), "pthread_create");
	usleep(200000);

	for (i = 0; i < 4; i++) {
		entry_mask(s->m, &s->d, i % 2);
		event_signal(s->event[i % 2]);
		usleep(50000);
		entry_unmask(s->m, &s->d, i % 2);
		EXPECT_SENT(s, VEC(i % 2), 1);
	}

	zero.range = reg.range;
	ASSERT_EQ(0, ioctl(fallen.fd, UFFDIO_ZEROPAGE, &zero));
	pthread_join(vcpu, NULL);
	pthread_join(slots, NULL);
	close(fallen.fd);
	msix_set_memory(s->m->vm, SLOT + 1, NOWHERE, 0, hole);
	msix_set_memory(s->m->vm, SLOT + 2, NOWHERE, 0, h.page);
	munmap(hole, PAGE);
	munmap(h.page, PAGE);
}

KVM_MSIX_TEST_MAIN
