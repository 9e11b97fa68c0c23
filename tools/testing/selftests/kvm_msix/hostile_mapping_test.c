// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a process and its children can do to the mapping of a table. Whatever it
 * was, a store that unmasks a pending vector is noticed, by whomever and however
 * it is made (victim_unnoticed()), nothing is printed and nothing is left.
 *
 * Nobody helps: no ioctl of the function, which would find what is overdue.
 */
#include <linux/futex.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>

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

/* Runs in a child; its exit status is the number of what went wrong. */
static int in_child(int (*fn)(struct victim *v, void *arg), struct victim *v, void *arg)
{
	pid_t pid = fork();
	int status;

	TEST_ASSERT(pid >= 0, "fork");
	if (!pid)
		_exit(fn(v, arg));
	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/*
 * Mappings.
 */

/* Where the pages are is the process's business. The slot's addresses are a hole. */
static u8 *moved;

static void by_moved(struct victim *v, u32 vector)
{
	WRITE_ONCE(*(u32 *)(moved + vector * ENTRY_SIZE + ENTRY_CTRL), 0);
}

/* mremap() of what is protected, in all its ways; each mapping counts as one. */
TEST_F(mapping, moves)
{
	struct victim *v = &self->v;
	void *there = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int i;

	/* An old size of 0: the same pages once more. */
	moved = mremap(v->mem, 0, SIZE, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, (void *)moved);
	EXPECT_NOTICED(v, by_moved);
	EXPECT_NOTICED(v, by_guest);
	munmap(moved, SIZE);

	/* Away and back, with a vector pending. */
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

/* Only the second page, and in another order: each page is watched by itself. */
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

	/* Both at the place of the first. */
	ASSERT_EQ(0, remap_file_pages(part, PAGE, 0, 0, 0));
	EXPECT_EQ(0, memcmp(part, v->mem, PAGE));
	munmap(part, PAGE);
}

/* What is refused, and what is beyond the end. */
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
	/* A mapping can grow, its contents do not. */
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
	/* It counted as one as it grew. */
	EXPECT_EQ(EBUSY, __msix_bind_one(v->d.fd, 1, -1, 50));
}

/* A function is mapped or has a GSI, and every mapping counts: the last one goes. */
TEST_F(mapping, or_gsi)
{
	struct victim *v = &self->v;
	struct msix_dev d = { .fd = victim_function(v->m->vm->fd, NR, 0, PBA, 0) };
	u8 *mem;
	int i;

	mem = victim_map(d.fd, SIZE, 0);
	/* Three of one, in two pieces of two protections. */
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
		/* What fails keeps nothing from being mapped. */
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

/* Writable, and not, and so on. */
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

/* All advice that there is, before and after the store. */
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

/* No page of it is on a list of the kernel's memory management. */
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

TEST_F_TIMEOUT(mapping, managed, 120)
{
	EXPECT_NOTICED(&self->v, managed);
}

static int locked(struct victim *v, void *arg)
{
	u8 *mem = victim_map(v->d.fd, SIZE, 0);

	/* And dies so. */
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

/* Write protection of userfaultfd's own, which resolves itself, beside ours. */
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

	/* One that would have to be answered cannot be had. */
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

/* A thousand of them. */
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
 * Other processes.
 */

static int child_unmasks(struct victim *v, void *arg)
{
	by_process(v, *(u32 *)arg);
	return 0;
}

static void by_child(struct victim *v, u32 vector)
{
	TEST_ASSERT_EQ(in_child(child_unmasks, v, &vector), 0);
}

static int child_maps(struct victim *v, void *arg)
{
	munmap(v->mem, SIZE);
	v->mem = victim_map(v->d.fd, SIZE, 0);
	close(v->d.fd);
	by_process(v, *(u32 *)arg);
	return 0;
}

static void by_mapping_child(struct victim *v, u32 vector)
{
	TEST_ASSERT_EQ(in_child(child_maps, v, &vector), 0);
}

/* It inherits the mapping, or makes its own of the fd. */
TEST_F(mapping, children)
{
	EXPECT_NOTICED(&self->v, by_child);
	EXPECT_NOTICED(&self->v, by_mapping_child);
}

static void by_other(struct victim *v, u32 vector)
{
	u32 zero = 0;
	struct iovec from = { &zero, 4 }, to = { victim_field(v, vector, ENTRY_CTRL), 4 };
	pid_t me = getpid(), pid = fork();
	int status;

	/* What it has inherited is gone: only this process has the mapping. */
	if (!pid) {
		munmap(v->mem, SIZE);
		_exit(process_vm_writev(me, &from, 1, &to, 1, 0) != 4);
	}
	TEST_ASSERT(waitpid(pid, &status, 0) == pid && !status, "process_vm_writev");
}

static void by_tracer(struct victim *v, u32 vector)
{
	u32 *to = victim_field(v, vector, ENTRY_DATA);
	long word = READ_ONCE(*to);
	pid_t me = getpid(), pid = fork();
	int status;

	if (!pid) {
		munmap(v->mem, SIZE);
		status = ptrace(PTRACE_SEIZE, me, NULL, NULL) ||
			 ptrace(PTRACE_INTERRUPT, me, NULL, NULL) ||
			 waitpid(me, NULL, __WALL) != me ||
			 ptrace(PTRACE_POKEDATA, me, to, word) ||
			 ptrace(PTRACE_DETACH, me, NULL, NULL);
		_exit(status);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	TEST_ASSERT(!status, "ptrace");
}

/* Strangers, with a right to this process's memory but none to the function. */
TEST_F(mapping, strangers)
{
	EXPECT_NOTICED(&self->v, by_other);
	EXPECT_NOTICED(&self->v, by_tracer);
}

/* The VM's owner dies; a child has the mapping, and so the function lives on. */
static int dies_mapped(struct victim *v, void *arg)
{
	int *said = arg, event = event_create();
	struct kvm_vm *vm = msix_bare_vm();
	int fd = victim_function(vm->fd, NR, 0, PBA, 0);
	pid_t parent = getpid();
	u32 *mem = victim_map(fd, SIZE, 0);

	if (__msix_bind_one(fd, 0, event, -1) || __msix_control(fd, ENABLE))
		return 1;
	event_signal(event);
	if (fork())
		return 0;
	close(fd);
	while (getppid() == parent)
		usleep(1000);
	/* Nobody is there to take the message; it is sent all the same. */
	usleep(3000);
	WRITE_ONCE(mem[ENTRY_CTRL / 4], 0);
	for (parent = 0; parent < 5000 && READ_ONCE(mem[PBA / 4]); parent++)
		usleep(1000);
	event_signal(event);
	if (write(said[1], READ_ONCE(mem[PBA / 4]) ? "pending" : "sent", 8) < 0)
		return 2;
	return 0;
}

TEST_F(mapping, orphaned)
{
	char answer[8] = "";
	int said[2];
	pid_t pid;

	ASSERT_EQ(0, pipe(said));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		_exit(dies_mapped(&self->v, said));
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	close(said[1]);
	EXPECT_LT(0, read(said[0], answer, sizeof(answer)));
	EXPECT_STREQ("sent", answer);
	close(said[0]);
	EXPECT_EQ(0, victim_left(pid));
}

static int dumps_core(struct victim *v, void *arg)
{
	madvise(v->mem, SIZE, MADV_DODUMP);
	event_signal(v->event[0]);
	abort();
}

/* The kernel reads the pages itself, when they are protected. */
TEST_F(mapping, core)
{
	struct rlimit core = { 1 << 22, 1 << 22 };
	char dir[] = "/tmp/kvm_msix.XXXXXX";

	ASSERT_NE(NULL, mkdtemp(dir));
	ASSERT_EQ(0, chdir(dir));
	setrlimit(RLIMIT_CORE, &core);
	EXPECT_EQ(128 + SIGABRT, in_child(dumps_core, &self->v, NULL));
	unlink("core");
	EXPECT_EQ(0, chdir("/"));
	rmdir(dir);
}

/*
 * The kernel writes, at the behest of the process.
 */

static void by_read(struct victim *v, u32 vector)
{
	int fd = open("/dev/zero", O_RDONLY);

	TEST_ASSERT(read(fd, victim_field(v, vector, ENTRY_CTRL), 4) == 4, "read: %s",
		    strerror(errno));
	close(fd);
}

static void by_proc_mem(struct victim *v, u32 vector)
{
	int fd = open("/proc/self/mem", O_RDWR);
	u32 zero = 0;

	TEST_ASSERT(pwrite(fd, &zero, 4, (uintptr_t)victim_field(v, vector, ENTRY_CTRL)) == 4,
		    "/proc/self/mem: %s", strerror(errno));
	close(fd);
}

static void by_process_vm(struct victim *v, u32 vector)
{
	u32 zero = 0;
	struct iovec from = { &zero, 4 }, to = { victim_field(v, vector, ENTRY_CTRL), 4 };

	TEST_ASSERT(process_vm_writev(getpid(), &from, 1, &to, 1, 0) == 4,
		    "process_vm_writev: %s", strerror(errno));
}

static void by_futex(struct victim *v, u32 vector)
{
	u32 dummy = 0;

	TEST_ASSERT(syscall(SYS_futex, &dummy, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, NULL,
			    victim_field(v, vector, ENTRY_CTRL),
			    FUTEX_OP(FUTEX_OP_SET, 0, FUTEX_OP_CMP_EQ, 0)) >= 0,
		    "futex: %s", strerror(errno));
}

TEST_F(mapping, system_calls)
{
	EXPECT_NOTICED(&self->v, by_read);
	EXPECT_NOTICED(&self->v, by_proc_mem);
	EXPECT_NOTICED(&self->v, by_process_vm);
	EXPECT_NOTICED(&self->v, by_futex);
}

/* Without a page cache in between: the pages are pinned, and the disk writes there. */
static int disk;

static void by_disk(struct victim *v, u32 vector)
{
	u8 *page = v->mem + vector * ENTRY_SIZE / PAGE * PAGE;

	TEST_ASSERT(pread(disk, page, PAGE, 0) == PAGE, "read: %s", strerror(errno));
}

/* The file is the whole page, with the vector unmasked. */
TEST_F(mapping, direct_io)
{
	u8 *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char path[] = "/var/tmp/kvm_msix.XXXXXX";
	u32 i, entry[] = { MSI_ADDR(0), 0, 0, 0 };

	disk = mkostemp(path, O_DIRECT);
	unlink(path);
	if (disk < 0)
		SKIP(return, "no O_DIRECT in /var/tmp: %s", strerror(errno));
	for (i = 0; i < ARRAY_SIZE(vectors); i++) {
		entry[ENTRY_DATA / 4] = VEC + i;
		memcpy(page + vectors[i] * ENTRY_SIZE % PAGE, entry, sizeof(entry));
		ASSERT_EQ(PAGE, pwrite(disk, page, PAGE, 0));
		EXPECT_RIGHT(victim_unnoticed_one(&self->v, i, by_disk), "by disk");
	}
	close(disk);
	munmap(page, PAGE);
}

/* Pins that stay, for reading: a pipe has the page itself. */
TEST_F(mapping, vmsplice)
{
	struct victim *v = &self->v;
	struct iovec iov = { v->mem, 2 * PAGE };
	int pipes[2], i;
	u8 *buf = malloc(2 * PAGE);

	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, pipe(pipes));
		ASSERT_EQ(2 * PAGE, vmsplice(pipes[1], &iov, 1, i ? SPLICE_F_GIFT : 0));
		EXPECT_NOTICED(v, by_guest);
		EXPECT_NOTICED(v, by_process);
		ASSERT_EQ(2 * PAGE, read(pipes[0], buf, 2 * PAGE));
		EXPECT_EQ(0, memcmp(buf, v->mem, 2 * PAGE));
		close(pipes[0]);
		close(pipes[1]);
	}
	free(buf);
}

/* The file is none that has contents; what is done to it is done to nothing. */
TEST_F(mapping, file)
{
	struct victim *v = &self->v;
	int fd = v->d.fd, zero = open("/dev/zero", O_RDONLY), pipes[2];
	char path[64];
	loff_t off = 0;
	u32 i;

	ASSERT_EQ(0, pipe(pipes));
	for (i = 0; i < 8; i++)
		EXPECT_NE(0, fallocate(fd, i, 0, PAGE));
	EXPECT_NE(0, ftruncate(fd, 0));
	EXPECT_NE(0, ftruncate(fd, SIZE));
	EXPECT_NE(0, fsync(fd));
	EXPECT_GT(0, pwrite(fd, "", 1, 0));
	EXPECT_GT(0, pread(fd, path, 1, 0));
	EXPECT_GT(0, splice(fd, NULL, pipes[1], NULL, PAGE, 0));
	EXPECT_EQ(1, write(pipes[1], "", 1));
	EXPECT_GT(0, splice(pipes[0], NULL, fd, &off, 1, 0));
	EXPECT_GT(0, copy_file_range(zero, NULL, fd, NULL, PAGE, 0));
	EXPECT_NE(0, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	snprintf(path, sizeof(path), "/proc/self/fd/%i", fd);
	EXPECT_GT(0, open(path, O_RDWR));
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (long)v->mem,
		 (long)v->mem + SIZE);
	EXPECT_GT(0, open(path, O_RDWR | O_TRUNC));

	/* Harmless, with or without an error. */
	for (i = 0; i < 6; i++)
		posix_fadvise(fd, 0, SIZE, i);
	readahead(fd, 0, SIZE);
	sync_file_range(fd, 0, SIZE, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE);
	msync(v->mem, SIZE, MS_SYNC);
	msync(v->mem, SIZE, MS_INVALIDATE);
	sync();
	close(pipes[0]);
	close(pipes[1]);
	close(zero);
}

/*
 * unmask_eventfd: an eventfd as others are.
 */

#define PATIENCE_MS	20000

static bool is_told(int event)
{
	struct pollfd p = { .fd = event, .events = POLLIN };

	return poll(&p, 1, PATIENCE_MS) == 1;
}

/* It is a vector's, of the same function: to be told is an interrupt. */
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
		/* Until that was seen. */
		usleep(100000);
	}
	munmap(mem, PAGE);
	close(d.fd);
}

/* It is full, and somebody waits to write to it. */
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

/* Many functions by one, of which nobody has the fd any more. */
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
