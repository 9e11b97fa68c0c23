// SPDX-License-Identifier: GPL-2.0-only
/*
 * A table that is the guest's memory: the mapping of the device fd, where it may
 * be located, and that nothing is lost while the guest writes there unseen.
 */
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

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

static int __create(int vm_fd, u32 nr, u32 flags, u32 table_offset, u32 pba_offset)
{
	struct kvm_msix_create args = {
		.size = sizeof(args),
		.flags = flags,
		.vm_fd = vm_fd,
		.nr_vectors = nr,
		.table_offset = table_offset,
		.pba_offset = pba_offset,
	};
	int dev = msix_open(), fd;

	fd = ioctl(dev, KVM_MSIX_CREATE, &args);
	if (fd < 0)
		fd = -errno;
	close(dev);
	return fd;
}

#define MMAP	KVM_MSIX_CREATE_MMAP
#define MMAP_PBA (KVM_MSIX_CREATE_MMAP | KVM_MSIX_CREATE_MMAP_PBA)

static int __locate(int fd, u32 flags, u64 table, u64 pba)
{
	struct kvm_msix_locate args = {
		.size = sizeof(args),
		.flags = flags,
		.table_gpa = table,
		.pba_gpa = pba,
	};

	return __msix_ioctl(fd, KVM_MSIX_LOCATE, &args);
}

#define BOTH	(KVM_MSIX_LOCATE_TABLE | KVM_MSIX_LOCATE_PBA)
#define MAPPED	KVM_MSIX_LOCATE_MAPPED
#undef MASKED
#define MASKED	PCI_MSIX_ENTRY_CTRL_MASKBIT

static void *map(int fd, u32 size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	TEST_ASSERT(mem != MAP_FAILED, "mmap: %s", strerror(errno));
	return mem;
}

#define NO_MMAP	"this kernel has no KVM_MSIX_CAP_MMAP"

/* A function with its table at @offset of its first page, in guest memory. */
static void setup(struct mapped *s, u32 nr, u32 offset, u32 flags)
{
	u32 pba = flags & KVM_MSIX_CREATE_MMAP_PBA ? MAPPED_PBA : 0;
	int i;

	s->m = msix_vm_create(1, NULL);
	s->d.nr = nr;
	s->d.fd = __create(s->m->vm->fd, nr, flags, offset, pba);
	TEST_ASSERT(s->d.fd >= 0, "KVM_MSIX_CREATE: %s", strerror(-s->d.fd));
	s->size = (offset + nr * ENTRY_SIZE + PAGE - 1) / PAGE * PAGE;
	s->mem = map(s->d.fd, s->size);
	s->d.table = BAR_GPA + offset;
	s->d.pba = pba ? BAR_GPA + pba : BAR_GPA + s->size;
	for (i = 0; i < NR; i++)
		s->event[i] = event_create();
}

static void memory_on(struct mapped *s)
{
	msix_set_memory(s->m->vm, SLOT, BAR_GPA, s->size, s->mem);
	TEST_ASSERT_EQ(__locate(s->d.fd, BOTH | MAPPED, s->d.table, s->d.pba), 0);
}

static void memory_off(struct mapped *s)
{
	msix_set_memory(s->m->vm, SLOT, NOWHERE, 0, s->mem);
	TEST_ASSERT_EQ(__locate(s->d.fd, BOTH, s->d.table, s->d.pba), 0);
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
	int fd;

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
	EXPECT_EQ(-EINVAL, __create(vm->fd, 65, MMAP_PBA, 0, PAGE - 8));
	EXPECT_EQ(-EINVAL, __create(vm->fd, 1, MMAP_PBA, 0, PAGE));
	EXPECT_EQ(-EINVAL, __create(vm->fd, 1, MMAP_PBA, 0, 0xfffffff8));

	fd = __create(vm->fd, 2, MMAP_PBA, 0x100, 0xf8);
	EXPECT_LE(0, fd);
	close(fd);
	fd = __create(vm->fd, 2, MMAP_PBA, 0x100, 0x120);
	EXPECT_LE(0, fd);
	close(fd);
	fd = __create(vm->fd, 2032, MMAP_PBA, PAGE - 16, 9 * PAGE - 256);
	EXPECT_LE(0, fd);
	close(fd);
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

TEST(locate)
{
	struct mapped s = {}, other = {};
	void *memory;
	int fd;

	if (!msix_can_map())
		SKIP(return, NO_MMAP);
	setup(&s, NR, 0x100, MMAP_PBA);
	/* No memory, memory of another kind, of another function, not writable. */
	EXPECT_EQ(EINVAL, __locate(s.d.fd, BOTH | MAPPED, s.d.table, s.d.pba));
	memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	msix_set_memory(s.m->vm, SLOT, BAR_GPA, PAGE, memory);
	EXPECT_EQ(EINVAL, __locate(s.d.fd, BOTH | MAPPED, s.d.table, s.d.pba));
	msix_set_memory(s.m->vm, SLOT, NOWHERE, 0, memory);
	munmap(memory, PAGE);
	setup(&other, NR, 0x100, MMAP_PBA);
	msix_set_memory(s.m->vm, SLOT, BAR_GPA, PAGE, other.mem);
	EXPECT_EQ(EINVAL, __locate(s.d.fd, BOTH | MAPPED, s.d.table, s.d.pba));
	msix_set_memory(s.m->vm, SLOT, NOWHERE, 0, other.mem);
	teardown(&other);
	vm_userspace_mem_region_add(s.m->vm, VM_MEM_SRC_ANONYMOUS, BAR_GPA + 0x10000, SLOT + 1, 1,
				    KVM_MEM_READONLY);
	EXPECT_EQ(EINVAL, __locate(s.d.fd, BOTH | MAPPED, BAR_GPA + 0x10100, BAR_GPA + 0x10800));

	memory = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, s.d.fd, 0);
	ASSERT_NE(MAP_FAILED, memory);
	msix_set_memory(s.m->vm, SLOT, BAR_GPA, PAGE, memory);
	EXPECT_EQ(EINVAL, __locate(s.d.fd, BOTH | MAPPED, s.d.table, s.d.pba));
	msix_set_memory(s.m->vm, SLOT, NOWHERE, 0, memory);
	munmap(memory, PAGE);

	/* Of the right kind, but not where it was said to be. */
	msix_set_memory(s.m->vm, SLOT, BAR_GPA, PAGE, s.mem);
	EXPECT_EQ(EINVAL, __locate(s.d.fd, BOTH | MAPPED, s.d.table + 16, s.d.pba));
	EXPECT_EQ(EINVAL, __locate(s.d.fd, BOTH | MAPPED, s.d.table, s.d.pba + 8));
	EXPECT_EQ(EINVAL, __locate(s.d.fd, BOTH | MAPPED, s.d.table + PAGE, s.d.pba + PAGE));
	EXPECT_EQ(EINVAL, __locate(s.d.fd, KVM_MSIX_LOCATE_PBA | MAPPED, 0, s.d.pba));
	EXPECT_EQ(EINVAL, __locate(s.d.fd, MAPPED, 0, 0));

	/* Of a function that cannot be mapped. */
	fd = __create(s.m->vm->fd, NR, 0, 0, 0);
	EXPECT_EQ(EINVAL, __locate(fd, BOTH | MAPPED, BAR_GPA, BAR_GPA + 0x800));
	close(fd);

	EXPECT_EQ(0, __locate(s.d.fd, BOTH | MAPPED, s.d.table, s.d.pba));
	EXPECT_EQ(0, __locate(s.d.fd, BOTH | MAPPED, s.d.table, s.d.pba));
	EXPECT_EQ(0, __locate(s.d.fd, 0, 0, 0));
	teardown(&s);
}

/* A second page of a mapping in place of the first. */
TEST(locate_pages)
{
	struct mapped s = {};

	if (!msix_can_map())
		SKIP(return, NO_MMAP);
	setup(&s, 512, 0, MMAP);
	msix_set_memory(s.m->vm, SLOT, BAR_GPA, PAGE, s.mem);
	EXPECT_EQ(EINVAL, __locate(s.d.fd, BOTH | MAPPED, s.d.table, s.d.pba));
	msix_set_memory(s.m->vm, SLOT + 1, BAR_GPA + PAGE, PAGE, s.mem);
	EXPECT_EQ(EINVAL, __locate(s.d.fd, BOTH | MAPPED, s.d.table, s.d.pba));
	msix_set_memory(s.m->vm, SLOT + 1, NOWHERE, 0, s.mem);
	msix_set_memory(s.m->vm, SLOT + 1, BAR_GPA + PAGE, PAGE, s.mem + PAGE);
	EXPECT_EQ(0, __locate(s.d.fd, BOTH | MAPPED, s.d.table, s.d.pba));
	teardown(&s);
}

FIXTURE(mapped) {
	struct mapped s;
};

FIXTURE_VARIANT(mapped) {
	u32 nr;
	u32 offset;
	u32 flags;
};

FIXTURE_VARIANT_ADD(mapped, page_with_pba) {
	.nr = NR, .offset = 0, .flags = MMAP_PBA,
};

FIXTURE_VARIANT_ADD(mapped, pba_elsewhere) {
	.nr = 512, .offset = PAGE - ENTRY_SIZE, .flags = MMAP,
};

/* Entry 0 on the first page, 1 on the second, in the second variant. */
FIXTURE_SETUP(mapped)
{
	int i;

	if (!msix_can_map())
		SKIP(return, NO_MMAP);
	setup(&self->s, variant->nr, variant->offset, variant->flags);
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
	EXPECT_EQ(0, kvm_msix_counter("watches"));
	EXPECT_EQ(4, kvm_msix_counter("delivered"));
}

/* Wait until the watch is off again: a write is not counted any more. */
static bool unwatched(struct mapped *s)
{
	u64 before;
	int i;

	for (i = 0; i < PATIENCE_MS / 10; i++) {
		before = kvm_msix_counter("writes");
		entry_write(s->m, &s->d, 1, ENTRY_ADDR_HI, 0);
		if (kvm_msix_counter("writes") == before)
			return true;
		usleep(10000);
	}
	return false;
}

/* Wait until it is on. */
static bool watched(u64 times)
{
	int i;

	for (i = 0; i < PATIENCE_MS / 10; i++) {
		if (kvm_msix_counter("watches") >= times)
			return true;
		usleep(10000);
	}
	return false;
}

TEST_F(mapped, pending_is_watched)
{
	struct mapped *s = &self->s;
	u64 writes;
	int v;

	if (!kvm_msix_has_counters())
		SKIP(return, NO_COUNTERS);
	for (v = 0; v < 2; v++) {
		event_signal(s->event[v]);
		EXPECT_TRUE(pba_read(s->m, &s->d, v));
		EXPECT_TRUE(msix_pending(&s->d, v));
		EXPECT_TRUE(watched(v + 1));
		writes = kvm_msix_counter("writes");
		entry_write(s->m, &s->d, 1, ENTRY_ADDR_HI, 0);
		EXPECT_EQ(writes + 1, kvm_msix_counter("writes"));
		EXPECT_SENT(s, VEC(v), 0);
		entry_unmask(s->m, &s->d, v);
		EXPECT_EQ(writes + 2, kvm_msix_counter("writes"));
		EXPECT_SENT(s, VEC(v), 1);
		EXPECT_FALSE(pba_read(s->m, &s->d, v));
		EXPECT_TRUE(unwatched(s));
		EXPECT_EQ(v + 1, kvm_msix_counter("watches"));
	}
}

/* A guest that is interrupted while it masks does not put it on each time. */
TEST_F(mapped, no_flapping)
{
	struct mapped *s = &self->s;
	struct timespec start, end;
	u64 tenths;
	int i;

	if (!kvm_msix_has_counters())
		SKIP(return, NO_COUNTERS);
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (i = 0; i < 100; i++) {
		entry_mask(s->m, &s->d, 0);
		event_signal(s->event[0]);
		entry_unmask(s->m, &s->d, 0);
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	tenths = ((end.tv_sec - start.tv_sec) * 1000000000ull + end.tv_nsec - start.tv_nsec) /
		 100000000;
	EXPECT_LE(kvm_msix_counter("watches"), 1 + tenths);
	/* An unmask that nobody has noticed yet: the next event is one with it. */
	EXPECT_TRUE(unwatched(s));
	EXPECT_EQ(100, kvm_msix_counter("latched") + kvm_msix_counter("coalesced"));
	EXPECT_EQ(kvm_msix_counter("latched"), kvm_msix_counter("delivered"));
	s->irqs[VEC(0)] = msix_irqs(s->m, 0, VEC(0), 1);
	EXPECT_LE(s->irqs[VEC(0)], 100);
}

/* The guest unmasks before anybody watches. */
TEST_F(mapped, unmask_at_once)
{
	struct mapped *s = &self->s;
	int i;

	for (i = 0; i < 100; i++) {
		entry_mask(s->m, &s->d, i % 2);
		event_signal(s->event[i % 2]);
		entry_unmask(s->m, &s->d, i % 2);
		EXPECT_SENT(s, VEC(i % 2), 1);
		/* With and without the watch that the last one left. */
		if (i % 10 == 0)
			usleep(200000);
	}
}

/*
 * The write that unmasks comes while the watch is being put on. It goes off all
 * the same. To come in between, it is later each time.
 */
TEST_F(mapped, unmask_meanwhile)
{
	struct mapped *s = &self->s;
	int i, j;

	if (!kvm_msix_has_counters())
		SKIP(return, NO_COUNTERS);
	for (i = 0; i < 20; i++) {
		entry_mask(s->m, &s->d, 0);
		event_signal(s->event[0]);
		for (j = 0; j < i; j++)
			sched_yield();
		entry_unmask(s->m, &s->d, 0);
		EXPECT_SENT(s, VEC(0), 1);
		ASSERT_TRUE(unwatched(s));
	}
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

	for (i = 0; i < 5; i++) {
		entry_mask(s->m, &s->d, 0);
		event_signal(s->event[0]);
		EXPECT_TRUE(msix_pending(&s->d, 0));
		if (i & 1)
			memory_off(s);
		else
			msix_set_memory(s->m->vm, SLOT, NOWHERE, 0, s->mem);
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
	msix_set_memory(s->m->vm, SLOT, NOWHERE, 0, s->mem);
	EXPECT_TRUE(pba_read(s->m, &s->d, 0));
}

/* A page that goes takes the watch with it, also from the pages that stay. */
TEST(half_goes)
{
	struct mapped s = {};

	if (!msix_can_map())
		SKIP(return, NO_MMAP);
	if (!kvm_msix_has_counters())
		SKIP(return, NO_COUNTERS);
	/* Entry 0 on the first page, 1 on the second. */
	setup(&s, 512, PAGE - ENTRY_SIZE, MMAP);
	msix_set_memory(s.m->vm, SLOT, BAR_GPA, PAGE, s.mem);
	msix_set_memory(s.m->vm, SLOT + 1, BAR_GPA + PAGE, s.size - PAGE, s.mem + PAGE);
	ASSERT_EQ(0, __locate(s.d.fd, BOTH | MAPPED, s.d.table, s.d.pba));
	msix_bind_one(&s.d, 0, s.event[0], -1);
	entry_program(s.m, &s.d, 0, MSI_ADDR(0), VEC(0));
	entry_mask(s.m, &s.d, 0);
	msix_control(&s.d, ENABLE);
	event_signal(s.event[0]);
	EXPECT_TRUE(watched(1));

	msix_set_memory(s.m->vm, SLOT, NOWHERE, 0, s.mem);
	entry_unmask(s.m, &s.d, 0);
	EXPECT_SENT(&s, VEC(0), 1);
	msix_set_memory(s.m->vm, SLOT, BAR_GPA, PAGE, s.mem);
	EXPECT_EQ(0, __locate(s.d.fd, BOTH | MAPPED, s.d.table, s.d.pba));
	EXPECT_TRUE(unwatched(&s));
	teardown(&s);
}

/* The memory that only vCPUs in SMM see comes and goes: the watch is not on that. */
TEST_F(mapped, smm_memory_goes)
{
	struct mapped *s = &self->s;
	u32 slot = 1 << 16 | SLOT;

	if (!kvm_msix_has_counters())
		SKIP(return, NO_COUNTERS);
	if (vm_check_cap(s->m->vm, KVM_CAP_MULTI_ADDRESS_SPACE) < 2)
		SKIP(return, "this KVM has no address space for SMM");
	event_signal(s->event[0]);
	EXPECT_TRUE(watched(1));
	msix_set_memory(s->m->vm, slot, BAR_GPA, s->size, s->mem);
	msix_set_memory(s->m->vm, slot, NOWHERE, 0, s->mem);
	entry_unmask(s->m, &s->d, 0);
	EXPECT_SENT(s, VEC(0), 1);
	EXPECT_TRUE(unwatched(s));
	EXPECT_EQ(1, kvm_msix_counter("watches"));
}

/*
 * The first access of what was MMIO and is memory now is the one that unmasks:
 * KVM must not take its old idea of the page for leave to write unseen.
 */
TEST_F(mapped, unmask_first)
{
	struct mapped *s = &self->s;
	int i;

	for (i = 0; i < 4; i++) {
		memory_off(s);
		entry_mask(s->m, &s->d, i % 2);
		event_signal(s->event[i % 2]);
		memory_on(s);
		entry_unmask(s->m, &s->d, i % 2);
		EXPECT_SENT(s, VEC(i % 2), 1);
	}
}

/* Unmasked before LOCATE says that the memory is there. */
TEST_F(mapped, unmask_before_locate)
{
	struct mapped *s = &self->s;

	memory_off(s);
	event_signal(s->event[0]);
	msix_set_memory(s->m->vm, SLOT, BAR_GPA, s->size, s->mem);
	entry_unmask(s->m, &s->d, 0);
	EXPECT_TRUE(msix_pending(&s->d, 0));
	EXPECT_EQ(0, __locate(s->d.fd, BOTH | MAPPED, s->d.table, s->d.pba));
	EXPECT_SENT(s, VEC(0), 1);
}

/* A GSI's route follows each change at once, without an event. */
TEST_F(mapped, gsi)
{
	struct mapped *s = &self->s;
	int irq = event_create();

	msix_bind_one(&s->d, 0, -1, 64);
	kvm_irqfd(s->m->vm, irq, 64, 0);
	event_signal(irq);
	EXPECT_SENT(s, VEC(0), 0);
	entry_unmask(s->m, &s->d, 0);
	EXPECT_SENT(s, VEC(0), 0);
	event_signal(irq);
	EXPECT_SENT(s, VEC(0), 1);
	entry_write(s->m, &s->d, 0, ENTRY_DATA, VEC(8));
	event_signal(irq);
	EXPECT_SENT(s, VEC(8), 1);
	entry_mask(s->m, &s->d, 0);
	event_signal(irq);
	EXPECT_SENT(s, VEC(8), 0);

	/* Without GSI, nobody watches. */
	msix_bind_one(&s->d, 0, s->event[0], -1);
	if (kvm_msix_has_counters())
		EXPECT_TRUE(unwatched(s));
	kvm_irqfd(s->m->vm, irq, 64, KVM_IRQFD_FLAG_DEASSIGN);
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
		EXPECT_TRUE(unwatched(s));
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
	setup(&s, NR, 0, MMAP_PBA);
	msix_vm_free(s.m);
	close(s.d.fd);
	munmap(s.mem, s.size);

	s.m = msix_vm_create(0, guest_cycles);
	s.d.fd = __create(s.m->vm->fd, NR, MMAP_PBA, 0, MAPPED_PBA);
	s.mem = map(s.d.fd, s.size);
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
		if (moved & 1)
			memory_off(&s);
		else
			msix_set_memory(s.m->vm, SLOT, NOWHERE, 0, s.mem);
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
		TH_LOG("%lu events in %lu cycles: %lu latched, %lu coalesced, %lu watches",
		       signalled, *GUEST_VAR(s.m, cycles), latched, coalesced,
		       kvm_msix_counter("watches"));
		EXPECT_EQ(signalled, kvm_msix_counter("events"));
		EXPECT_EQ(latched, kvm_msix_counter("kicks"));
		EXPECT_EQ(signalled - coalesced, kvm_msix_counter("delivered"));
	}
	teardown(&s);
}

/*
 * A VM whose slots_lock is held for as long as its VMM likes: by a change of its
 * slots, which waits for a vCPU, which waits for memory that does not come. It has
 * as many functions as a work queue of the kernel's takes at once from one CPU, all
 * of which want to be watched. Another VM's watch goes on all the same.
 */
#define CROWD		256
#define CROWD_GPA	0x200000000ull

struct crowd {
	struct msix_vm *m;
	struct msix_dev d[CROWD];
	u8 *mem[CROWD];
	int event[CROWD];
	u8 *hole;
	u8 *page;
};

static void guest_falls_in(void)
{
	READ_ONCE(*(u64 *)BAR_GPA);
	GUEST_DONE();
}

static void *change_slots(void *arg)
{
	struct crowd *c = arg;

	msix_set_memory(c->m->vm, SLOT + 1, BAR_GPA + PAGE, PAGE, c->page);
	return NULL;
}

static void *anonymous_page(void)
{
	void *mem = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	TEST_ASSERT(mem != MAP_FAILED, "mmap: %s", strerror(errno));
	return mem;
}

static void crowd_setup(struct crowd *c)
{
	u64 gpa;
	int i;

	c->m = msix_vm_create(0, NULL);
	msix_vm_add_cpu(c->m, 0, guest_falls_in);
	c->hole = anonymous_page();
	c->page = anonymous_page();
	msix_set_memory(c->m->vm, SLOT, BAR_GPA, PAGE, c->hole);
	for (i = 0; i < CROWD; i++) {
		gpa = CROWD_GPA + i * PAGE;
		c->d[i].nr = 1;
		c->d[i].fd = __create(c->m->vm->fd, 1, MMAP_PBA, 0, MAPPED_PBA);
		TEST_ASSERT(c->d[i].fd >= 0, "KVM_MSIX_CREATE: %s", strerror(-c->d[i].fd));
		c->mem[i] = map(c->d[i].fd, PAGE);
		msix_set_memory(c->m->vm, SLOT + 2 + i, gpa, PAGE, c->mem[i]);
		TEST_ASSERT_EQ(__locate(c->d[i].fd, BOTH | MAPPED, gpa, gpa + MAPPED_PBA), 0);
		c->event[i] = event_create();
		msix_bind_one(&c->d[i], 0, c->event[i], -1);
	}
}

/* Reading all counters takes long. */
static bool crowd_watched(u64 times)
{
	int i;

	for (i = 0; i < 30; i++) {
		if (kvm_msix_counter("watches") == times)
			return true;
		usleep(100000);
	}
	return false;
}

static void crowd_free(struct crowd *c)
{
	int i;

	for (i = 0; i < CROWD; i++) {
		munmap(c->mem[i], PAGE);
		close(c->d[i].fd);
		close(c->event[i]);
	}
	munmap(c->hole, PAGE);
	munmap(c->page, PAGE);
	msix_vm_free(c->m);
}

TEST_F_TIMEOUT(mapped, crowd, 120)
{
	struct mapped *s = &self->s;
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_zeropage zero = {};
	pthread_t vcpu, slots;
	struct pollfd fallen;
	struct crowd c = {};
	cpu_set_t cpu;
	int i;

	if (variant->offset)
		SKIP(return, "once is enough");
	if (!kvm_msix_has_counters())
		SKIP(return, NO_COUNTERS);
	fallen = (struct pollfd) {
		.fd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK),
		.events = POLLIN,
	};
	if (fallen.fd < 0)
		SKIP(return, "no userfaultfd");
	crowd_setup(&c);
	ASSERT_EQ(0, ioctl(fallen.fd, UFFDIO_API, &api));
	reg.range.start = (uintptr_t)c.hole;
	reg.range.len = PAGE;
	ASSERT_EQ(0, ioctl(fallen.fd, UFFDIO_REGISTER, &reg));

	TEST_ASSERT(!pthread_create(&vcpu, NULL, vcpu_thread, c.m), "pthread_create");
	ASSERT_EQ(1, poll(&fallen, 1, PATIENCE_MS));
	TEST_ASSERT(!pthread_create(&slots, NULL, change_slots, &c), "pthread_create");
	usleep(200000);

	CPU_ZERO(&cpu);
	CPU_SET(0, &cpu);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(cpu), &cpu));
	for (i = 0; i < CROWD; i++)
		event_signal(c.event[i]);
	usleep(200000);
	EXPECT_EQ(0, kvm_msix_counter("watches"));
	event_signal(s->event[0]);
	EXPECT_TRUE(crowd_watched(1));
	entry_unmask(s->m, &s->d, 0);
	EXPECT_SENT(s, VEC(0), 1);

	zero.range = reg.range;
	ASSERT_EQ(0, ioctl(fallen.fd, UFFDIO_ZEROPAGE, &zero));
	pthread_join(vcpu, NULL);
	pthread_join(slots, NULL);
	EXPECT_TRUE(crowd_watched(1 + CROWD));
	close(fallen.fd);
	crowd_free(&c);
}

KVM_MSIX_TEST_MAIN
