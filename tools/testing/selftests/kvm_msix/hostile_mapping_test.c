// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a process can do to the mapping of a table, and which unmask_eventfd a
 * process can choose. Whatever the process does, the kernel notices a store that
 * unmasks a pending vector (victim_unnoticed()); hostile_store_test has other ways
 * to store. The kernel prints nothing, and no object is left behind.
 *
 * Meanwhile the tests call no ioctl of the function, which would find the
 * unmask.
 */
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "kvm_msix_util.h"
#include "hostile.h"
#include "hostile_mapping.h"

FIXTURE(mapping) {
	struct victim v;
};

FIXTURE_SETUP(mapping)
{
	if (!msix_can_map())
		SKIP(return, "this kernel has no KVM_MSIX_CAP_MMAP");
	victim_setup(&self->v);
}

FIXTURE_TEARDOWN(mapping)
{
	victim_teardown(&self->v);
}

/* The process moves the pages: the slot's addresses are a hole then. */
static u8 *moved;

static void by_moved(struct victim *v, u32 vector)
{
	WRITE_ONCE(*(u32 *)(moved + vector * ENTRY_SIZE + ENTRY_CTRL), 0);
}

/* All kinds of mremap() of protected pages; each new mapping is watched, too. */
TEST_F(mapping, moves)
{
	struct victim *v = &self->v;
	void *there = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int i;

	/* An old size of 0 maps the same pages once more. */
	moved = mremap(v->mem, 0, SIZE, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, (void *)moved);
	EXPECT_NOTICED(v, by_moved);
	EXPECT_NOTICED(v, by_guest);
	munmap(moved, SIZE);

	/* Move away and back, with a vector pending. */
	for (i = 0; i < 3; i++) {
		event_signal(v->event[0]);
		ASSERT_EQ(there, mremap(v->mem, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, there));
		by_process(&(struct victim) { .mem = there }, vectors[0]);
		ASSERT_EQ(v->mem, mremap(there, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
					 v->mem));
		EXPECT_NOTICED(v, by_process);
		there = mmap(there, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
			     0);
		ASSERT_NE(MAP_FAILED, there);
	}

	/* The page tables' entries move, the mapping stays. */
	moved = mremap(v->mem, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, there);
	if (moved != MAP_FAILED)
		EXPECT_NOTICED(v, by_moved);
	EXPECT_NOTICED(v, by_process);
	munmap(there, SIZE);
}

/* Map only the second page, and another order: each page is watched by itself. */
TEST_F(mapping, part)
{
	struct victim *v = &self->v;
	u8 *part = victim_map(v->d.fd, PAGE, PAGE);

	munmap(v->mem, PAGE);
	moved = part - PAGE;
	EXPECT_RIGHT(victim_unnoticed_one(v, 1, by_moved), "the page that is left");
	ASSERT_EQ(v->mem, mmap(v->mem, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			       v->d.fd, 0));
	EXPECT_NOTICED(v, by_guest);

	/* Remap the second page to the first one. */
	ASSERT_EQ(0, remap_file_pages(part, PAGE, 0, 0, 0));
	EXPECT_EQ(0, memcmp(part, v->mem, PAGE));
	munmap(part, PAGE);
}

/* Mappings that are refused, and accesses beyond the end. */
TEST_F(mapping, refused)
{
	static const struct { u64 size, offset; int flags, err; } bad[] = {
		{ PAGE, 0, MAP_PRIVATE, EINVAL },
		{ SIZE, 0, MAP_PRIVATE, EINVAL },
		{ SIZE + PAGE, 0, MAP_SHARED, EINVAL },
		{ PAGE, SIZE, MAP_SHARED, EINVAL },
		{ PAGE, -PAGE, MAP_SHARED, EOVERFLOW },
		{ PAGE, 0x7ffffffffffff000, MAP_SHARED, EINVAL },
		{ 2 * PAGE, 2 * PAGE, MAP_SHARED, EINVAL },
		{ PAGE, 0, MAP_SHARED_VALIDATE | MAP_SYNC, EOPNOTSUPP },
	};
	struct victim *v = &self->v;
	u8 *mem, *longer;
	int pipes[2];
	u32 i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		mem = mmap(NULL, bad[i].size, PROT_READ | PROT_WRITE, bad[i].flags, v->d.fd,
			   bad[i].offset);
		EXPECT_EQ(MAP_FAILED, (void *)mem) {
			TH_LOG("mapping %u", i);
		}
		if (mem == MAP_FAILED)
			EXPECT_EQ(bad[i].err, errno) {
				TH_LOG("mapping %u: %s", i, strerror(errno));
			}
	}
	/* A mapping can grow, but has no pages beyond the function's. */
	mem = victim_map(v->d.fd, SIZE, 0);
	longer = mremap(mem, SIZE, 2 * SIZE, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, (void *)longer);
	ASSERT_EQ(0, pipe(pipes));
	EXPECT_EQ(1, write(pipes[1], longer + SIZE - 1, 1));
	EXPECT_EQ(-1, write(pipes[1], longer + SIZE, 1));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, read(pipes[0], longer + SIZE, 1));
	EXPECT_EQ(EFAULT, errno);
	close(pipes[0]);
	close(pipes[1]);
	munmap(longer, 2 * SIZE);
	/* A mapping that grew still counts as one. */
	EXPECT_EQ(EBUSY, __msix_bind_one(v->d.fd, 1, -1, 50));
}

/* A function can have a GSI only when its last mapping is gone, and vice versa. */
TEST_F(mapping, or_gsi)
{
	struct victim *v = &self->v;
	struct msix_dev d = { .fd = victim_function(v->m->vm->fd, NR, 0, PBA, 0) };
	u8 *mem;
	int i;

	mem = victim_map(d.fd, SIZE, 0);
	/* One mapping becomes three: split by munmap() and by mprotect(). */
	munmap(mem + PAGE, PAGE);
	mprotect(mem, PAGE, PROT_READ);
	EXPECT_EQ(EBUSY, __msix_bind_one(d.fd, 1, -1, 50));
	munmap(mem, PAGE);
	EXPECT_EQ(EBUSY, __msix_bind_one(d.fd, 1, -1, 50));
	munmap(mem + 2 * PAGE, PAGE);
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(0, __msix_bind_one(d.fd, 1, -1, 50));
		EXPECT_EQ(0, __msix_bind_one(d.fd, 1, -1, 51));
		EXPECT_EQ(0, __msix_bind_one(d.fd, 2, -1, 50));
		EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, d.fd, 0));
		EXPECT_EQ(EBUSY, errno);
		/* A BIND that fails does not keep the function from being mapped. */
		EXPECT_EQ(EBUSY, __msix_bind_one(d.fd, 3, v->event[0], 52));
		EXPECT_EQ(0, __msix_bind_one(d.fd, 1, -1, -1));
		EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, d.fd, 0));
		EXPECT_EQ(0, __msix_bind_one(d.fd, 2, -1, -1));
		mem = victim_map(d.fd, SIZE, 0);
		EXPECT_EQ(EBUSY, __msix_bind_one(d.fd, 1, -1, 50));
		munmap(mem, SIZE);
	}
	close(d.fd);
}

/* Make a mapping writable and read-only in turn. */
TEST_F(mapping, mprotect)
{
	struct victim *v = &self->v;
	int i;

	moved = victim_map(v->d.fd, SIZE, 0);
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, mprotect(moved, SIZE, i & 1 ? PROT_NONE : PROT_READ));
		event_signal(v->event[0]);
		usleep(i * 1000);
		ASSERT_EQ(0, mprotect(moved, SIZE, PROT_READ | PROT_WRITE));
		EXPECT_NOTICED(v, by_moved);
	}
	munmap(moved, SIZE);
}

static const int advice[] = {
	MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED, MADV_FREE,
	MADV_REMOVE, MADV_COLD, MADV_PAGEOUT, MADV_HUGEPAGE, MADV_NOHUGEPAGE, 25 /* COLLAPSE */,
	MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_DONTDUMP,
	MADV_DODUMP, MADV_DONTFORK, MADV_DOFORK, MADV_WIPEONFORK, MADV_KEEPONFORK,
};

static void advise_all(struct victim *v)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(advice); i++)
		madvise(v->mem, SIZE, advice[i]);
}

static void advised_by_guest(struct victim *v, u32 vector)
{
	advise_all(v);
	by_guest(v, vector);
	advise_all(v);
}

static void advised_by_process(struct victim *v, u32 vector)
{
	advise_all(v);
	by_process(v, vector);
	advise_all(v);
}

/* Give all kinds of advice, before and after the store. */
TEST_F(mapping, madvise)
{
	struct victim *v = &self->v;
	u32 i;

	EXPECT_NOTICED(v, advised_by_guest);
	EXPECT_NOTICED(v, advised_by_process);
	for (i = 0; i < ARRAY_SIZE(advice); i++) {
		event_signal(v->event[0]);
		madvise(v->mem, SIZE, advice[i]);
		EXPECT_NOTICED(v, by_process);
	}
}

/* No page of the mapping is on a list of the kernel's memory management. */
static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		ksft_print_msg("%s: %s\n", path, strerror(errno));
	close(fd);
}

static void managed(struct victim *v, u32 vector)
{
	void *pages[] = { v->mem, v->mem + PAGE, v->mem + 2 * PAGE };
	int nodes[] = { 0, 0, 0 }, status[3];

	/* Soft-dirty bits are write protection, too. */
	write_file("/proc/self/clear_refs", "4");
	write_file("/proc/self/clear_refs", "1");
	write_file("/proc/sys/vm/compact_memory", "1");
	write_file("/proc/sys/vm/drop_caches", "3");
	syscall(SYS_move_pages, 0, 3, pages, nodes, status, 2 /* MPOL_MF_MOVE */);
	by_process(v, vector);
}

TEST_F(mapping, managed)
{
	EXPECT_NOTICED(&self->v, managed);
}

static int locked(struct victim *v, void *arg)
{
	u8 *mem = victim_map(v->d.fd, SIZE, 0);

	/* The child dies with its locked pages. */
	if (mlock(mem, SIZE) || mlock2(v->mem, SIZE, MLOCK_ONFAULT) || mlockall(MCL_CURRENT))
		return 1;
	by_process(v, vectors[0]);
	mem[0] = 0;
	return 0;
}

TEST_F(mapping, mlock)
{
	struct victim *v = &self->v;
	int i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, mlock2(v->mem, SIZE, i & 1 ? MLOCK_ONFAULT : 0));
		EXPECT_NOTICED(v, by_guest);
		EXPECT_NOTICED(v, by_process);
		EXPECT_EQ(0, in_child(locked, v, NULL));
		ASSERT_EQ(0, munlock(v->mem, SIZE));
		EXPECT_NOTICED(v, by_process);
	}
}

/* userfaultfd's own write protection, which resolves itself, beside ours. */
static int uffd;

static void uffd_protected(struct victim *v, u32 vector)
{
	struct uffdio_writeprotect wp = {
		.range = { (uintptr_t)v->mem, SIZE },
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};

	TEST_ASSERT(!ioctl(uffd, UFFDIO_WRITEPROTECT, &wp), "UFFDIO_WRITEPROTECT: %s",
		    strerror(errno));
	if (vector == vectors[0])
		by_guest(v, vector);
	else
		by_process(v, vector);
}

TEST_F(mapping, userfaultfd)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .range = { (uintptr_t)self->v.mem, SIZE } };
	static const u32 modes[] = {
		UFFDIO_REGISTER_MODE_MISSING, UFFDIO_REGISTER_MODE_MINOR, UFFDIO_REGISTER_MODE_WP,
	};
	u32 i;

	/* The modes in which userspace must resolve a fault are refused. */
	uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api))
		SKIP(return, "no userfaultfd: %s", strerror(errno));
	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		reg.mode = modes[i];
		EXPECT_EQ(-1, ioctl(uffd, UFFDIO_REGISTER, &reg));
		EXPECT_EQ(EINVAL, errno);
	}
	close(uffd);

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	api = (struct uffdio_api) {
		.api = UFFD_API,
		.features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED,
	};
	if (ioctl(uffd, UFFDIO_API, &api))
		SKIP(close(uffd); return, "no UFFD_FEATURE_WP_ASYNC: %s", strerror(errno));
	reg.mode = UFFDIO_REGISTER_MODE_WP;
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_REGISTER, &reg));
	EXPECT_NOTICED(&self->v, uffd_protected);
	close(uffd);
}

/* A thousand mappings. */
TEST_F(mapping, many)
{
	u8 *mem[1000];
	u32 i;

	for (i = 0; i < ARRAY_SIZE(mem); i++) {
		mem[i] = victim_map(self->v.d.fd, SIZE, 0);
		mem[i][SIZE - 1] = i;
	}
	moved = mem[ARRAY_SIZE(mem) / 2];
	EXPECT_NOTICED(&self->v, by_moved);
	EXPECT_NOTICED(&self->v, by_guest);
	for (i = 0; i < ARRAY_SIZE(mem); i++)
		munmap(mem[i], SIZE);
}

/*
 * unmask_eventfd can be any eventfd.
 */

#define PATIENCE_MS	20000

static bool is_told(int event)
{
	struct pollfd p = { .fd = event, .events = POLLIN };

	return poll(&p, 1, PATIENCE_MS) == 1;
}

/* unmask_eventfd is bound to a vector of the same function: a signal is an interrupt. */
TEST_F(mapping, told_by_own_vector)
{
	u64 irqs = msix_irqs(self->v.m, 0, VEC + 2, 0), i;
	int event = event_create();
	struct msix_dev d = {
		.fd = victim_function(self->v.m->vm->fd, 2, KVM_MSIX_CREATE_LAZY, 0x800, event),
	};
	u32 *mem = victim_map(d.fd, PAGE, 0);

	msix_bind_one(&d, 1, event, -1);
	close(event);
	mem[4] = MSI_ADDR(0);
	mem[6] = VEC + 2;
	mem[7] = 0;
	msix_control(&d, ENABLE);
	for (i = 1; i <= 3; i++) {
		WRITE_ONCE(mem[3], 0);
		ASSERT_EQ(irqs + i, msix_irqs(self->v.m, 0, VEC + 2, irqs + i));
		WRITE_ONCE(mem[3], MASKED);
		/* Wait until the kernel has seen the mask. */
		msix_wait_ms(100);
	}
	munmap(mem, PAGE);
	close(d.fd);
}

/* unmask_eventfd's counter is full, and a thread waits to write to the eventfd. */
TEST_F(mapping, told_by_full_counter)
{
	u64 full = ~0ull - 1;
	int event = event_create();
	struct msix_dev d = {
		.fd = victim_function(self->v.m->vm->fd, 2, KVM_MSIX_CREATE_LAZY, 0x800, event),
	};
	u32 *mem = victim_map(d.fd, PAGE, 0);

	ASSERT_EQ(8, write(event, &full, 8));
	msix_control(&d, ENABLE);
	WRITE_ONCE(mem[3], 0);
	usleep(100000);
	EXPECT_LE(full, event_drain(event));
	WRITE_ONCE(mem[7], 0);
	EXPECT_TRUE(is_told(event));
	munmap(mem, PAGE);
	close(d.fd);
	close(event);
}

/* Many functions have the same unmask_eventfd, and its fd is closed. */
TEST_F(mapping, told_by_nobody)
{
	int event = event_create(), i, round;
	struct msix_dev d[20];
	u32 *mem[20];

	for (i = 0; i < 20; i++) {
		d[i].fd = victim_function(self->v.m->vm->fd, 2, KVM_MSIX_CREATE_LAZY, 0x800, event);
		mem[i] = victim_map(d[i].fd, PAGE, 0);
		msix_control(&d[i], ENABLE);
	}
	WRITE_ONCE(mem[0][3], 0);
	EXPECT_TRUE(is_told(event));
	close(event);
	for (round = 0; round < 50; round++)
		for (i = 0; i < 20; i++)
			WRITE_ONCE(mem[i][3 + 4 * (round & 1)], round & 2 ? MASKED : 0);
	for (i = 0; i < 20; i++) {
		munmap(mem[i], PAGE);
		close(d[i].fd);
	}
}

KVM_MSIX_TEST_MAIN
