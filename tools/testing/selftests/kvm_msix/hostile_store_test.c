// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stores to a mapped table that neither the guest nor the process itself makes:
 * by other processes, which have the mapping or may access the process's memory,
 * and by the kernel, for a system call. As in hostile_mapping_test, the kernel
 * notices a store that unmasks a pending vector, prints nothing, and leaves no
 * object behind.
 *
 * Meanwhile the tests call no ioctl of the function, which would find the
 * unmask.
 */
#include <linux/futex.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
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

/* A child inherits the mapping, or maps the fd itself. */
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

	/* The child drops what it inherited: only the parent has the mapping. */
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

/* A process that may access this one's memory, but not the function. */
TEST_F(mapping, tracer)
{
	EXPECT_NOTICED(&self->v, by_tracer);
}

/* The VM's owner dies; a child has the mapping, which keeps the function. */
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
	/* The message is sent, although no vCPU is there to take it. */
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

/* For a core dump, the kernel reads the pages while they are protected. */
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
 * The kernel writes for the process, in a system call.
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
	EXPECT_NOTICED(&self->v, by_futex);
}

/* A page that appears only after an access has waited for long. */
struct late_page {
	int uffd;
	u32 *mem;
};

static void *late_page_thread(void *arg)
{
	struct late_page *late = arg;
	struct uffdio_zeropage zero = { .range = { (uintptr_t)late->mem, PAGE } };
	struct uffd_msg msg;

	TEST_ASSERT(read(late->uffd, &msg, sizeof(msg)) == sizeof(msg), "userfaultfd");
	usleep(200000);
	TEST_ASSERT(!ioctl(late->uffd, UFFDIO_ZEROPAGE, &zero), "UFFDIO_ZEROPAGE: %s",
		    strerror(errno));
	return NULL;
}

/* process_vm_writev() pins the table's page long before the store. */
static void by_late_process_vm(struct victim *v, u32 vector)
{
	struct late_page late = {
		.uffd = syscall(SYS_userfaultfd, O_CLOEXEC),
		.mem = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
	};
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (uintptr_t)late.mem, PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct iovec from = { late.mem, 4 }, to = { victim_field(v, vector, ENTRY_CTRL), 4 };
	pthread_t thread;

	TEST_ASSERT(!ioctl(late.uffd, UFFDIO_API, &api) &&
		    !ioctl(late.uffd, UFFDIO_REGISTER, &reg), "userfaultfd: %s", strerror(errno));
	TEST_ASSERT(!pthread_create(&thread, NULL, late_page_thread, &late), "pthread_create");
	TEST_ASSERT(process_vm_writev(getpid(), &from, 1, &to, 1, 0) == 4,
		    "process_vm_writev: %s", strerror(errno));
	pthread_join(thread, NULL);
	close(late.uffd);
	munmap(late.mem, PAGE);
}

/* process_vm_writev() by this process, early and late, and by another process. */
TEST_F(mapping, process_vm)
{
	int probe = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (process_vm_readv(getpid(), NULL, 0, NULL, 0, 0))
		SKIP(return, "this kernel has no CONFIG_CROSS_MEMORY_ATTACH");
	EXPECT_NOTICED(&self->v, by_process_vm);
	EXPECT_NOTICED(&self->v, by_other);
	if (probe < 0)
		SKIP(return, "no userfaultfd: %s", strerror(errno));
	close(probe);
	EXPECT_NOTICED(&self->v, by_late_process_vm);
}

/* Direct I/O: the pages are pinned, and the disk writes to them. */
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

/* vmsplice() to a pipe pins the pages for reading, for as long as they stay. */
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

/* The device fd has no contents: file operations fail or do nothing. */
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

KVM_MSIX_TEST_MAIN
