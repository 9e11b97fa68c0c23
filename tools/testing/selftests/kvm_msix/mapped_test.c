// SPDX-License-Identifier: GPL-2.0-only
/*
 * A table that is the guest's memory: the mapping of the device fd, and that a
 * store which nobody traps takes effect, whoever makes it and whenever.
 */
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "kvm_msix_util.h"

#define NR	4
#define VEC(v)	(0x40 + (v))
#define SLOT	100
#define PAGE	0x1000u
#define PATIENCE_MS	20000

struct mapped {
	struct msix_vm *m;
	struct msix_dev d;
	int event[NR];
	u8 *mem;
	u32 size;
	u64 irqs[256];	/* expected by now */
};

static int __create_lazy(int vm_fd, u32 nr, u32 flags, u32 table_offset, u32 pba_offset,
			 int unmask_eventfd)
{
	struct kvm_msix_create args = {
		.size = sizeof(args),
		.flags = flags,
		.vm_fd = vm_fd,
		.nr_vectors = nr,
		.table_offset = table_offset,
		.pba_offset = pba_offset,
		.unmask_eventfd = unmask_eventfd,
	};
	int dev = msix_open(), fd;

	fd = ioctl(dev, KVM_MSIX_CREATE, &args);
	if (fd < 0)
		fd = -errno;
	close(dev);
	return fd;
}

static int __create(int vm_fd, u32 nr, u32 flags, u32 table_offset, u32 pba_offset)
{
	return __create_lazy(vm_fd, nr, flags, table_offset, pba_offset, 0);
}

#define MMAP	KVM_MSIX_CREATE_MMAP
#define MMAP_PBA (KVM_MSIX_CREATE_MMAP | KVM_MSIX_CREATE_MMAP_PBA)
#define LAZY	KVM_MSIX_CREATE_LAZY
#undef MASKED
#define MASKED	PCI_MSIX_ENTRY_CTRL_MASKBIT

static void *map(int fd, u32 size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	TEST_ASSERT(mem != MAP_FAILED, "mmap: %s", strerror(errno));
	return mem;
}

#define NO_MMAP	"this machine has no KVM_MSIX_CAP_MMAP"

static u32 pages_of(u64 end)
{
	return (end + PAGE - 1) / PAGE;
}

/* A function with its table at @offset of its first page, in guest memory. */
static void setup(struct mapped *s, u32 nr, u32 offset, u32 flags, u32 pba_offset,
		  int unmask_eventfd)
{
	int i;

	s->m = msix_vm_create(1, NULL);
	s->d.nr = nr;
	s->d.fd = __create_lazy(s->m->vm->fd, nr, flags, offset, pba_offset, unmask_eventfd);
	TEST_ASSERT(s->d.fd >= 0, "KVM_MSIX_CREATE: %s", strerror(-s->d.fd));
	s->size = PAGE * pages_of(offset + nr * ENTRY_SIZE);
	if (flags & KVM_MSIX_CREATE_MMAP_PBA)
		s->size = max(s->size, PAGE * pages_of(pba_offset + msix_pba_size(nr)));
	s->mem = map(s->d.fd, s->size);
	s->d.table = BAR_GPA + offset;
	s->d.pba = flags & KVM_MSIX_CREATE_MMAP_PBA ? BAR_GPA + pba_offset : BAR_GPA + s->size;
	for (i = 0; i < NR; i++)
		s->event[i] = event_create();
	TEST_ASSERT_EQ(__msix_locate(s->d.fd, s->d.table, s->d.pba), 0);
}

static void memory_on(struct mapped *s)
{
	msix_set_memory(s->m->vm, SLOT, BAR_GPA, s->size, s->mem);
}

static void memory_off(struct mapped *s)
{
	msix_set_memory(s->m->vm, SLOT, NOWHERE, 0, s->mem);
}

static void teardown(struct mapped *s)
{
	munmap(s->mem, s->size);
	close(s->d.fd);
	msix_vm_free(s->m);
}

/* One message more on @vector, and no second. */
#define EXPECT_SENT(s, vector, n)						\
do {										\
	struct mapped *_s = (s);						\
	u8 _vector = (vector);							\
										\
	_s->irqs[_vector] += (n);						\
	EXPECT_EQ(_s->irqs[_vector],						\
		  msix_irqs(_s->m, 0, _vector, _s->irqs[_vector]));		\
} while (0)

#define NO_COUNTERS "no debugfs, so no counters"

static u64 trapped_accesses(void)
{
	return kvm_msix_counter("reads") + kvm_msix_counter("writes");
}

TEST(create)
{
	struct kvm_vm *vm = msix_bare_vm();
	int event = event_create(), fd;

	if (!msix_can_map())
		SKIP(return, NO_MMAP);
	/* The table. */
	EXPECT_EQ(-EINVAL, __create(vm->fd, 1, 0, 16, 0));
	EXPECT_EQ(-EINVAL, __create(vm->fd, 1, MMAP, 8, 0));
	EXPECT_EQ(-EINVAL, __create(vm->fd, 1, MMAP, PAGE, 0));
	EXPECT_EQ(-EINVAL, __create(vm->fd, 1, MMAP, 0xfffffff0, 0));
	/* The PBA: flag, alignment, overlap at both ends, within the pages. */
	EXPECT_EQ(-EINVAL, __create(vm->fd, 1, MMAP, 0, 0x800));
	EXPECT_EQ(-EINVAL, __create(vm->fd, 1, KVM_MSIX_CREATE_MMAP_PBA, 0, 0));
	EXPECT_EQ(-EINVAL, __create(vm->fd, 1, MMAP_PBA, 0, 0x804));
	EXPECT_EQ(-EINVAL, __create(vm->fd, 2, MMAP_PBA, 0x100, 0x118));
	EXPECT_EQ(-EINVAL, __create(vm->fd, 65, MMAP_PBA, 0x100, 0xf8));
	EXPECT_EQ(-EINVAL, __create(vm->fd, 1, MMAP_PBA, 0, 2 * PAGE));
	EXPECT_EQ(-EINVAL, __create(vm->fd, 256, MMAP_PBA, 16, 3 * PAGE));
	EXPECT_EQ(-EINVAL, __create(vm->fd, 1, MMAP_PBA, 0, 0xfffffff8));
	/* The eventfd: where it has a use, and nowhere else. */
	EXPECT_EQ(-EINVAL, __create_lazy(vm->fd, 1, 0, 0, 0, event));
	EXPECT_EQ(-EINVAL, __create_lazy(vm->fd, 1, LAZY, 0, 0, event));
	EXPECT_EQ(-EINVAL, __create_lazy(vm->fd, 1, MMAP, 0, 0, event));
	EXPECT_EQ(-EBADF, __create_lazy(vm->fd, 1, LAZY | MMAP, 0, 0, -1));
	EXPECT_EQ(-EINVAL, __create_lazy(vm->fd, 1, LAZY | MMAP, 0, 0, vm->fd));

	fd = __create(vm->fd, 2, MMAP_PBA, 0x100, 0xf8);
	EXPECT_LE(0, fd);
	close(fd);
	fd = __create(vm->fd, 2, MMAP_PBA, 0x100, 0x120);
	EXPECT_LE(0, fd);
	close(fd);
	fd = __create(vm->fd, 2032, MMAP_PBA, PAGE - 16, 9 * PAGE - 256);
	EXPECT_LE(0, fd);
	close(fd);
	/* The PBA begins on the table's last page and ends on the next; is on that. */
	fd = __create(vm->fd, 65, MMAP_PBA, 0, PAGE - 8);
	EXPECT_LE(0, fd);
	close(fd);
	fd = __create(vm->fd, 65, MMAP_PBA, 0, 2 * PAGE - 8);
	EXPECT_LE(0, fd);
	close(fd);
	fd = __create_lazy(vm->fd, 1, LAZY | MMAP, 0, 0, event);
	EXPECT_LE(0, fd);
	close(fd);
	close(event);
	kvm_vm_free(vm);
}

TEST(mapping)
{
	struct kvm_vm *vm = msix_bare_vm();
	struct msix_state *state;
	struct msix_dev plain;
	int fd, pages;
	u32 *mem, v;

	if (!msix_can_map())
		SKIP(return, NO_MMAP);
	plain.fd = __create(vm->fd, 1, 0, 0, 0);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, plain.fd, 0));
	EXPECT_EQ(ENODEV, errno);
	close(plain.fd);

	/* 256 vectors from 16 on: an entry of the second page. */
	fd = __create(vm->fd, 256, MMAP, 16, 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 3 * PAGE, PROT_READ, MAP_SHARED, fd, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 2 * PAGE));
	EXPECT_EQ(EINVAL, errno);
	mem = map(fd, 2 * PAGE);
	EXPECT_EQ(0, mem[0]);
	for (v = 0; v < 256; v++)
		EXPECT_EQ(MASKED, mem[4 + 4 * v + ENTRY_CTRL / 4]);
	for (v = 4 + 4 * 256; v < 2 * PAGE / 4; v++)
		EXPECT_EQ(0, mem[v]);

	/* It is the table, not a copy. */
	mem[4 + 4 * 255] = 0x12345678;
	state = msix_get_state(fd, 256);
	EXPECT_EQ(0x12345678, state->entry[255][0]);
	msix_state_free(state);

	/* It is also as good as the fd. */
	pages = debugfs_entries("kvm_msix", getpid());
	close(fd);
	EXPECT_EQ(pages, debugfs_entries("kvm_msix", getpid()));
	EXPECT_EQ(0x12345678, mem[4 + 4 * 255]);
	munmap(mem, 2 * PAGE);
	EXPECT_EQ(pages ? pages - 1 : 0, debugfs_entries("kvm_msix", getpid()));
	kvm_vm_free(vm);
}

/* The PBA on a page of its own, the last of the mapping. */
TEST(mapping_of_pba)
{
	struct kvm_vm *vm = msix_bare_vm();
	struct kvm_msix_vector vector = { .eventfd = event_create(), .gsi = -1 };
	u64 *mem;
	int fd;

	if (!msix_can_map())
		SKIP(return, NO_MMAP);
	fd = __create(vm->fd, 65, MMAP_PBA, 0, 2 * PAGE - 8);
	ASSERT_LE(0, fd);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, fd, 0));
	mem = map(fd, 3 * PAGE);
	ASSERT_EQ(0, __msix_bind(fd, 64, 1, &vector));
	event_signal(vector.eventfd);
	EXPECT_EQ(1, mem[2 * PAGE / 8]);
	EXPECT_EQ(0, mem[2 * PAGE / 8 - 1]);
	munmap(mem, 3 * PAGE);
	close(fd);
	kvm_vm_free(vm);
}

/* A function with a GSI cannot be mapped, nor a mapped one have a GSI. */
TEST(gsi_or_mapping)
{
	struct kvm_vm *vm = msix_bare_vm();
	int fd, pid, status;
	void *mem;

	if (!msix_can_map())
		SKIP(return, NO_MMAP);
	fd = __create(vm->fd, NR, MMAP, 0, 0);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, __msix_bind_one(fd, 0, -1, 64));
	ASSERT_EQ(0, __msix_bind_one(fd, 1, -1, 65));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0));
	EXPECT_EQ(EBUSY, errno);
	/* A bind that fails takes none and leaves none. */
	EXPECT_EQ(EBUSY, __msix_bind_one(fd, 2, -1, 65));
	ASSERT_EQ(0, __msix_bind_one(fd, 0, -1, 66));
	ASSERT_EQ(0, __msix_bind_one(fd, 0, -1, -1));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0));
	ASSERT_EQ(0, __msix_bind_one(fd, 1, -1, -1));

	mem = map(fd, PAGE);
	EXPECT_EQ(EBUSY, __msix_bind_one(fd, 0, -1, 64));
	/* A child has the mapping as well, and keeps it. */
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		pause();
		_exit(0);
	}
	munmap(mem, PAGE);
	EXPECT_EQ(EBUSY, __msix_bind_one(fd, 0, -1, 64));
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, __msix_bind_one(fd, 0, -1, 64));
	close(fd);
	kvm_vm_free(vm);
}

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
	int i;

	msix_irqs(self->s.m, 0, 0, 0);
	for (i = 0; i < 256; i++)
		EXPECT_EQ(self->s.irqs[i], self->s.m->cpu[0]->irqs[i]);
	EXPECT_EQ(0, self->s.m->nr_exits);
	teardown(&self->s);
}

/* Nobody traps what the guest does, and it takes effect at the next event. */
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

/* Wait until the table's pages have been protected so often. */
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

/* No store is awaited any more: however many are made, none is protected against. */
static bool at_rest(struct mapped *s)
{
	u64 before;
	int i;

	/* The last look has come by then, and what the work had begun is done. */
	usleep(100000);
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
	u64 before, faults;
	int v;

	if (!kvm_msix_has_counters())
		SKIP(return, NO_COUNTERS);
	for (v = 0; v < 2; v++) {
		before = kvm_msix_counter("protected");
		event_signal(s->event[v]);
		EXPECT_TRUE(pba_read(s->m, &s->d, v));
		EXPECT_TRUE(msix_pending(&s->d, v));
		EXPECT_TRUE(protected(before + 1));
		/* Whatever is stored on the page, and once. */
		faults = kvm_msix_counter("faults");
		entry_write(s->m, &s->d, v, ENTRY_ADDR_HI, 0);
		EXPECT_EQ(faults + 1, kvm_msix_counter("faults"));
		EXPECT_SENT(s, VEC(v), 0);
		/* That took long enough: the pages are protected again. */
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
 * A guest that rewrites an entry at full speed while another is pending: its pages
 * are protected again 32 ms after it first stored there, not before.
 */
TEST_F(mapped, faults_are_few)
{
	struct mapped *s = &self->s;
	u64 start, faults;

	if (!kvm_msix_has_counters())
		SKIP(return, NO_COUNTERS);
	event_signal(s->event[0]);
	EXPECT_TRUE(protected(1));
	faults = kvm_msix_counter("faults");
	start = now_ms();
	while (now_ms() < start + 1000)
		entry_write(s->m, &s->d, 1, ENTRY_DATA, VEC(1));
	faults = kvm_msix_counter("faults") - faults;
	TH_LOG("%lu faults", faults);
	EXPECT_LE(2, faults);
	EXPECT_GE((now_ms() - start) / 32 + 2, faults);
	entry_unmask(s->m, &s->d, 0);
	EXPECT_SENT(s, VEC(0), 1);
}

/* A guest that unmasks at once seldom has its pages protected. */
TEST_F(mapped, unmask_at_once)
{
	struct mapped *s = &self->s;
	int i;

	for (i = 0; i < 100; i++) {
		entry_mask(s->m, &s->d, i % 2);
		event_signal(s->event[i % 2]);
		entry_unmask(s->m, &s->d, i % 2);
		EXPECT_SENT(s, VEC(i % 2), 1);
		/* From each state that the last one left. */
		if (i % 10 == 0)
			usleep(100000);
	}
}

/*
 * The store that unmasks comes at any time after the event: before a look, between
 * two, while the pages are being protected, after that.
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
 * A fault whose store does not come, as when the vCPU is preempted in between: the
 * page is made writable, and nothing is written. The store comes unannounced, at
 * any time: while the timer looks, at its last look, when the page is protected
 * again.
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

/* By the VMM, through the mapping or another one. */
TEST_F(mapped, vmm_stores)
{
	struct mapped *s = &self->s;
	u32 *mem = (u32 *)s->mem + variant->offset / 4;
	u32 *other = (u32 *)map(s->d.fd, s->size) + variant->offset / 4;
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

/* At another guest physical address than the table is located at. */
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

/* Of several that are pending, more than the timer looks at itself. */
TEST(many_pending)
{
	struct mapped s = {};
	struct kvm_msix_vector *v;
	u32 i;

	if (!msix_can_map())
		SKIP(return, NO_MMAP);
	setup(&s, 512, 0, MMAP, 0, 0);
	memory_on(&s);
	msix_control(&s.d, ENABLE);
	v = calloc(s.d.nr, sizeof(*v));
	for (i = 0; i < s.d.nr; i++)
		v[i] = (struct kvm_msix_vector) { .eventfd = event_create(), .gsi = -1 };
	ASSERT_EQ(0, __msix_bind(s.d.fd, 0, s.d.nr, v));
	for (i = 0; i < s.d.nr; i++) {
		((u32 *)s.mem)[4 * i + ENTRY_ADDR_LO / 4] = MSI_ADDR(0);
		((u32 *)s.mem)[4 * i + ENTRY_DATA / 4] = VEC(0) + i / 64;
		event_signal(v[i].eventfd);
	}
	usleep(50000);
	/* The last ones first. */
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

	/* A reset draws it anew, bits that are no vector's included. */
	guest_write(s->m, s->d.pba, 8, -1);
	msix_reset(&s->d);
	EXPECT_EQ(0, guest_read(s->m, s->d.pba, 8));
}

/* Memory goes with something pending, and comes back; and goes for good. */
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
		/* The kernel answers beneath. */
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

/* Of two pages one goes, with the vector that is pending or with another. */
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

/* The first access of what was MMIO and is memory now is the one that unmasks. */
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
 * Memory comes and goes all the time, under a guest that masks and unmasks and a
 * device that never stops. At the end all that was signalled has been sent, or
 * coalesced into what was.
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

static void *vcpu_thread(void *arg)
{
	struct msix_vm *m = arg;
	struct ucall uc;

	vcpu_run(m->vcpu[0]);
	if (get_ucall(m->vcpu[0], &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT_EQ(uc.cmd, UCALL_DONE);
	return NULL;
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
	s.mem = map(s.d.fd, s.size);
	s.event[0] = event_create();
	TEST_ASSERT_EQ(__msix_locate(s.d.fd, s.d.table, s.d.pba), 0);
	memory_on(&s);
	msix_bind_one(&s.d, 0, s.event[0], -1);
	((u32 *)s.mem)[ENTRY_ADDR_LO / 4] = MSI_ADDR(0);
	((u32 *)s.mem)[ENTRY_DATA / 4] = VEC(0);
	msix_control(&s.d, ENABLE);
	msix_vm_add_cpu(s.m, 0, guest_cycles);
	TEST_ASSERT(!pthread_create(&thread, NULL, vcpu_thread, s.m), "pthread_create");

	for (moved = 0; moved < MOVES; moved++) {
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
	/* It ended unmasked. */
	for (i = 0; i < PATIENCE_MS && msix_pending(&s.d, 0); i++)
		usleep(1000);
	EXPECT_FALSE(msix_pending(&s.d, 0));
	EXPECT_EQ(0, s.m->nr_exits);
	EXPECT_LE(MOVES, *GUEST_VAR(s.m, cycles));

	if (kvm_msix_has_counters()) {
		/* The fixture's own function has had no event. */
		latched = kvm_msix_counter("latched");
		coalesced = kvm_msix_counter("coalesced");
		TH_LOG("%lu events in %lu cycles: %lu latched, %lu coalesced, %lu protected",
		       signalled, *GUEST_VAR(s.m, cycles), latched, coalesced,
		       kvm_msix_counter("protected"));
		EXPECT_EQ(signalled, kvm_msix_counter("events"));
		EXPECT_EQ(latched, kvm_msix_counter("kicks"));
		EXPECT_EQ(signalled - coalesced, kvm_msix_counter("delivered"));
	}
	teardown(&s);
}

/*
 * A VM whose slots_lock is held for as long as its VMM likes: by a change of its
 * slots, which waits for a vCPU, which waits for memory that does not come. What
 * is pending is sent all the same.
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

static void *run_second_vcpu(void *arg)
{
	struct msix_vm *m = arg;
	struct ucall uc;

	vcpu_run(m->vcpu[1]);
	TEST_ASSERT_EQ(get_ucall(m->vcpu[1], &uc), UCALL_DONE);
	return NULL;
}

TEST_F_TIMEOUT(mapped, slots_are_held, 120)
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
	TEST_ASSERT(!pthread_create(&vcpu, NULL, run_second_vcpu, s->m), "pthread_create");
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

/*
 * KVM_MSIX_CREATE_LAZY: the VMM is told by an eventfd that the guest has unmasked
 * an unbound vector.
 */
FIXTURE(lazy) {
	struct mapped s;
	int told;
};

FIXTURE_VARIANT(lazy) {
	u32 nr;
	u32 offset;
};

FIXTURE_VARIANT_ADD(lazy, one_page) {
	.nr = NR, .offset = 0,
};

FIXTURE_VARIANT_ADD(lazy, pages) {
	.nr = 512, .offset = PAGE - ENTRY_SIZE,
};

FIXTURE_SETUP(lazy)
{
	if (!msix_can_map())
		SKIP(return, NO_MMAP);
	self->told = event_create();
	setup(&self->s, variant->nr, variant->offset, LAZY | MMAP, 0, self->told);
	memory_on(&self->s);
}

FIXTURE_TEARDOWN(lazy)
{
	EXPECT_EQ(0, self->s.m->nr_exits);
	close(self->told);
	teardown(&self->s);
}

static u64 wait_told(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, PATIENCE_MS) == 1 ? event_drain(fd) : 0;
}

/* Not told: until the last look has come, and then some. */
static u64 not_told(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 200) == 1 ? event_drain(fd) : 0;
}

TEST_F(lazy, unmask)
{
	struct mapped *s = &self->s;
	u32 v;

	msix_control(&s->d, ENABLE);
	for (v = 0; v < 2; v++) {
		entry_program(s->m, &s->d, v, MSI_ADDR(0), VEC(v));
		entry_mask(s->m, &s->d, v);
		EXPECT_EQ(0, not_told(self->told));
		entry_unmask(s->m, &s->d, v);
		EXPECT_EQ(1, wait_told(self->told));
		/* Once, however often the table is looked at. */
		entry_write(s->m, &s->d, v, ENTRY_ADDR_HI, 0);
		EXPECT_EQ(0, not_told(self->told));
		/* The device had an event by the time that the VMM binds. */
		event_signal(s->event[v]);
		msix_bind_one(&s->d, v, s->event[v], -1);
		EXPECT_SENT(s, VEC(v), 1);
		entry_mask(s->m, &s->d, v);
		entry_unmask(s->m, &s->d, v);
		EXPECT_EQ(0, not_told(self->told));
	}
	/* Masked, unbound, and unmasked again. */
	entry_mask(s->m, &s->d, 0);
	msix_bind_one(&s->d, 0, -1, -1);
	EXPECT_EQ(0, not_told(self->told));
	entry_unmask(s->m, &s->d, 0);
	EXPECT_EQ(1, wait_told(self->told));
	/* Not bound; the guest tries again. */
	entry_mask(s->m, &s->d, 0);
	EXPECT_EQ(0, not_told(self->told));
	entry_unmask(s->m, &s->d, 0);
	EXPECT_EQ(1, wait_told(self->told));
}

/* While MSI-X is disabled nobody is told; then of all that are unmasked. */
TEST_F(lazy, enable)
{
	struct mapped *s = &self->s;

	entry_unmask(s->m, &s->d, 0);
	entry_unmask(s->m, &s->d, 1);
	EXPECT_EQ(0, not_told(self->told));
	msix_control(&s->d, ENABLE | FUNCTION_MASK);
	EXPECT_EQ(1, wait_told(self->told));
	EXPECT_EQ(0, not_told(self->told));
	/* A reset masks and disables. */
	msix_reset(&s->d);
	EXPECT_EQ(0, not_told(self->told));
	msix_control(&s->d, ENABLE);
	EXPECT_EQ(0, not_told(self->told));
	entry_unmask(s->m, &s->d, 0);
	EXPECT_EQ(1, wait_told(self->told));
}

/* A store at any time after the fault that announced it, as in late_store. */
TEST_F(lazy, late_store)
{
	static const int late_ms[] = { 0, 1, 5, 15, 18, 30 };
	struct mapped *s = &self->s;
	int i;

	msix_control(&s->d, ENABLE);
	for (i = 0; i < (int)ARRAY_SIZE(late_ms); i++) {
		EXPECT_EQ(0, not_told(self->told));
		ASSERT_EQ(0, madvise(s->mem, PAGE, MADV_POPULATE_WRITE));
		usleep(1000 * late_ms[i]);
		entry_unmask(s->m, &s->d, 0);
		EXPECT_EQ(1, wait_told(self->told));
		entry_mask(s->m, &s->d, 0);
	}
}

/* What is bound is not told of, and when all is bound no store is awaited. */
TEST_F(lazy, all_bound)
{
	struct mapped *s = &self->s;
	struct kvm_msix_vector *v = calloc(s->d.nr, sizeof(*v));
	u32 i;

	if (!kvm_msix_has_counters())
		SKIP(return, NO_COUNTERS);
	for (i = 0; i < s->d.nr; i++)
		v[i] = (struct kvm_msix_vector) { .eventfd = event_create(), .gsi = -1 };
	ASSERT_EQ(0, __msix_bind(s->d.fd, 0, s->d.nr, v));
	msix_control(&s->d, ENABLE);
	entry_unmask(s->m, &s->d, 0);
	EXPECT_EQ(0, not_told(self->told));
	EXPECT_EQ(0, kvm_msix_counter("protected"));
	EXPECT_EQ(0, kvm_msix_counter("told"));
	for (i = 0; i < s->d.nr; i++)
		close(v[i].eventfd);
	free(v);
}

KVM_MSIX_TEST_MAIN
