// SPDX-License-Identifier: GPL-2.0-only
/*
 * One or two processes that mean harm: device fds are given away, lost, or closed
 * at the worst moment, and ioctls are held up half way, interrupted, or end with
 * their process.
 */
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "kselftest_harness.h"
#include "hostile_process.h"

/* Call every ioctl of a device fd once; returns how many worked. */
static int all_ioctls(int fd, int errs[8])
{
	struct msix_state *s = msix_state_alloc(NR);
	int i, good = 0;

	errs[0] = __msix_set_addr(fd, BAR_GPA, PBA);
	errs[1] = __msix_bind_one(fd, 1, -1, -1);
	errs[2] = __msix_control(fd, ENABLE);
	errs[3] = __msix_get_state(fd, s);
	errs[4] = errs[3] ? __msix_set_state(fd, s) : 0;
	errs[5] = errs[3] ? __msix_reset(fd) : 0;
	errs[6] = __msix_bind_one(fd, 2, -1, 100);
	errs[7] = __msix_set_gsi_routing(fd, 0, NULL);
	for (i = 0; i < 8; i++)
		good += !errs[i];
	msix_state_free(s);
	return good;
}

static void send_fd(int sock, int fd)
{
	char byte = 0, buf[CMSG_SPACE(sizeof(fd))] = {};
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = buf,
			      .msg_controllen = sizeof(buf) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	TEST_ASSERT(sendmsg(sock, &msg, 0) == 1, "sendmsg: %s", strerror(errno));
}

static int receive_fd(int sock)
{
	char byte, buf[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = buf,
			      .msg_controllen = sizeof(buf) };
	int fd;

	TEST_ASSERT(recvmsg(sock, &msg, 0) == 1, "recvmsg: %s", strerror(errno));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

static int refused(int fd)
{
	int errs[8], i;

	all_ioctls(fd, errs);
	for (i = 0; i < 8; i++)
		if (errs[i] != EIO)
			return 1 + i;
	return 0;
}

static int with_inherited(struct victim *v, void *arg)
{
	int mine, ret = refused(v->d.fd);
	struct kvm_vm *vm;

	if (ret)
		return ret;
	if (__msix_create(v->m->vm->fd, 1, 0, &mine) != EIO)
		return 20;
	/* The child's own VM works, by the same fd of /dev/kvm_msix. */
	vm = msix_bare_vm();
	if (__msix_create(vm->fd, 1, 0, &mine))
		return 21;
	return 0;
}

static int with_received(struct victim *v, void *arg)
{
	close(v->d.fd);
	return refused(receive_fd(*(int *)arg));
}

static int with_exec(struct victim *v, void *arg)
{
	execl("/bin/sh", "sh", "-c", "! ls -l /proc/self/fd | grep -q kvm-msix", NULL);
	return 127;
}

/* A device fd takes ioctls from the VM's address space only; exec() closes it. */
TEST_F(process, given_away)
{
	int sock[2];

	EXPECT_EQ(0, in_child(with_inherited, &self->v, NULL));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	send_fd(sock[0], self->v.d.fd);
	EXPECT_EQ(0, in_child(with_received, &self->v, &sock[1]));
	EXPECT_EQ(0, in_child(with_exec, &self->v, NULL));
	close(sock[0]);
	close(sock[1]);
}

/* The only reference is in flight in a socket that is itself in flight there. */
TEST_F(process, lost_in_a_socket)
{
	struct msix_dev d = msix_create(self->v.m->vm, NR, 0);
	bool outside = kvm_msix_has_counters();
	int sock[2], event = event_create(), left, i;

	msix_set_addr(&d, BAR_GPA + 0x4000, BAR_GPA + 0x5000);
	msix_bind_one(&d, 0, event, 90);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	send_fd(sock[0], d.fd);
	send_fd(sock[0], sock[0]);
	send_fd(sock[0], sock[1]);
	close(d.fd);
	close(sock[0]);
	close(sock[1]);
	/* The kernel's collector of such files runs when the next socket is closed. */
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	send_fd(sock[0], sock[1]);
	close(sock[0]);
	close(sock[1]);
	for (i = left = 0; i < 1000 && !left; i++) {
		usleep(10000);
		event_signal(event);
		left = event_drain(event);
	}
	EXPECT_EQ(1, left);
	if (outside)
		EXPECT_EQ(1, debugfs_entries("kvm_msix", getpid()));
	close(event);
}

/* The fd has no mmap(). Newer kernels first refuse PROT_EXEC of anonymous files. */
static bool refused_to_map(int fd, int prot, int flags)
{
	if (mmap(NULL, 4096, prot, flags, fd, 0) != MAP_FAILED)
		return false;
	return errno == ENODEV || (prot & PROT_EXEC && errno == EPERM);
}

/* File operations that a device fd does not have. */
TEST_F(process, file_operations)
{
	struct pollfd pfd = { .fd = self->v.d.fd, .events = POLLIN | POLLOUT };
	int fd = self->v.d.fd, prot[] = { PROT_READ, PROT_READ | PROT_WRITE, PROT_EXEC }, i;
	char buf[64] = {};

	for (i = 0; i < ARRAY_SIZE(prot); i++) {
		EXPECT_TRUE(refused_to_map(fd, prot[i], MAP_SHARED));
		EXPECT_TRUE(refused_to_map(fd, prot[i], MAP_PRIVATE));
	}
	EXPECT_EQ(-1, read(fd, buf, sizeof(buf)));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(fd, buf, sizeof(buf)));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, ftruncate(fd, 0));
	EXPECT_EQ(0, lseek(fd, 100, SEEK_SET));
	EXPECT_LE(0, poll(&pfd, 1, 0));
	EXPECT_TRUE(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	EXPECT_EQ(ENOTTY, __msix_ioctl(fd, KVM_RUN, NULL));
	EXPECT_EQ(ENOTTY, __msix_ioctl(fd, KVM_MSIX_CREATE, buf));
}

/*
 * An ioctl is stuck in the middle of a copy, on a page that this process does
 * not provide. The ioctl may hold up nothing but its caller.
 */
enum stuck { STUCK_HEADER, STUCK_BIND, STUCK_GET, STUCK_SET, STUCK_ROUTING, NR_STUCK };

struct stuck_call {
	int fd;
	enum stuck what;
	void *page;
	int err;
};

static void *stuck_thread(void *arg)
{
	struct stuck_call *c = arg;
	struct msix_state *s = msix_state_alloc(NR);
	struct msix_state there = *s;

	there.entry = c->page;
	switch (c->what) {
	case STUCK_HEADER:
		c->err = __msix_ioctl(c->fd, KVM_MSIX_CONTROL, c->page);
		break;
	case STUCK_BIND:
		c->err = __msix_bind(c->fd, 1, 1, c->page);
		break;
	case STUCK_GET:
		c->err = __msix_get_state(c->fd, &there);
		break;
	case STUCK_SET:
		c->err = __msix_set_state(c->fd, &there);
		break;
	case STUCK_ROUTING:
		c->err = __msix_set_gsi_routing(c->fd, 1, c->page);
		break;
	default:
		break;
	}
	msix_state_free(s);
	return NULL;
}

/* What the ioctls return once the page is there, all zeroes. */
static const int stuck_errs[NR_STUCK] = {
	[STUCK_HEADER] = EINVAL,	/* size 0 */
	[STUCK_BIND] = EINVAL,		/* fd 0 is no eventfd */
	[STUCK_ROUTING] = EINVAL,	/* type 0 */
};

TEST_F(process, stuck_in_a_copy)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_zeropage zero = {};
	struct stuck_call call;
	struct msix_dev other;
	struct uffd_msg msg;
	pthread_t thread;
	int uffd, errs[8];
	void *page;

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api))
		SKIP(return, "no userfaultfd: %s", strerror(errno));
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.range.start = (uintptr_t)page;
	reg.range.len = 4096;
	zero.range = reg.range;
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_REGISTER, &reg));

	for (call.what = 0; call.what < NR_STUCK; call.what++) {
		call.fd = dup(self->v.d.fd);
		call.page = page;
		call.err = -1;
		ASSERT_EQ(0, madvise(page, 4096, MADV_DONTNEED));
		ASSERT_EQ(0, pthread_create(&thread, NULL, stuck_thread, &call));
		/* Now the ioctl is in the copy. */
		ASSERT_EQ(sizeof(msg), read(uffd, &msg, sizeof(msg)));
		ASSERT_EQ(UFFD_EVENT_PAGEFAULT, msg.event);

		/* Everything else works: this function, another, the guest. */
		EXPECT_EQ(8, all_ioctls(self->v.d.fd, errs));
		other = msix_create(self->v.m->vm, 1, 0);
		EXPECT_EQ(0, __msix_bind_one(other.fd, 0, -1, 101));
		close(other.fd);
		EXPECT_RIGHT(still_good(&self->v), "during the call");
		/* The call has its own reference: the function outlives the close. */
		EXPECT_EQ(0, close(call.fd));
		EXPECT_EQ(-1, call.err);

		ASSERT_EQ(0, ioctl(uffd, UFFDIO_ZEROPAGE, &zero));
		pthread_join(thread, NULL);
		EXPECT_EQ(stuck_errs[call.what], call.err) {
			TH_LOG("ioctl %i", call.what);
		}
		/* SET_STATE has set zeroes. */
		msix_reset(&self->v.d);
		msix_control(&self->v.d, ENABLE);
		entry_ready(&self->v, 0);
	}
	munmap(page, 4096);
	close(uffd);
}

static int killed_while_stuck(struct victim *v, void *arg)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct msix_dev d = msix_create(msix_bare_vm(), NR, 0);
	struct stuck_call call = { .fd = d.fd };
	struct uffd_msg msg;
	pthread_t thread;
	int uffd;

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api))
		return 0;
	call.page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.range.start = (uintptr_t)call.page;
	reg.range.len = 4096;
	ioctl(uffd, UFFDIO_REGISTER, &reg);
	call.what = *(enum stuck *)arg;
	pthread_create(&thread, NULL, stuck_thread, &call);
	if (read(uffd, &msg, sizeof(msg)) != sizeof(msg))
		return 1;
	/* The whole process ends, with that thread in the copy. */
	return 0;
}

static int gone(pid_t pid)
{
	int i;

	for (i = 0; i < 1000 && debugfs_entries("kvm_msix", pid); i++)
		usleep(10000);
	return debugfs_entries("kvm_msix", pid);
}

TEST_F(process, dies_while_stuck)
{
	enum stuck what;

	for (what = 0; what < NR_STUCK; what++)
		EXPECT_EQ(0, in_child(killed_while_stuck, &self->v, &what));
}

/* Threads are in all ioctls while the VM, and then the function, is closed. */
struct busy {
	struct msix_dev d;
	int stop;
	int bad;
	u64 calls;
};

static void *busy_thread(void *arg)
{
	struct busy *b = arg;
	int errs[8], i;

	while (!READ_ONCE(b->stop)) {
		all_ioctls(b->d.fd, errs);
		for (i = 0; i < 8; i++)
			/* By now the fd's number may be another file's, or unused. */
			if (errs[i] && errs[i] != EBADF && errs[i] != EBUSY && errs[i] != ENOTTY)
				WRITE_ONCE(b->bad, errs[i]);
		__sync_fetch_and_add(&b->calls, 8);
	}
	return NULL;
}

static int dies_busy(struct victim *v, void *arg)
{
	struct kvm_vm *vm = msix_bare_vm();
	struct busy b = { msix_create(vm, NR, 0) };
	int how = *(int *)arg, i;
	pthread_t thread[4];

	for (i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, busy_thread, &b);
	while (READ_ONCE(b.calls) < 100)
		usleep(100);
	if (how & 1)
		close(vm->fd);
	if (how & 2)
		close(b.d.fd);
	usleep(2000);
	if (how & 4)
		kill(getpid(), SIGABRT);	/* and leaves a core, if it may */
	if (how & 8)
		return b.bad;
	WRITE_ONCE(b.stop, 1);
	for (i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	return b.bad;
}

TEST_F(process, dies_busy)
{
	struct rlimit core = { 1 << 20, 1 << 20 };
	char dir[] = "/tmp/kvm_msix.XXXXXX";
	pid_t pid;
	int how, status;

	ASSERT_NE(NULL, mkdtemp(dir));
	ASSERT_EQ(0, chdir(dir));
	setrlimit(RLIMIT_CORE, &core);
	for (how = 0; how < 12; how++) {
		pid = fork();
		ASSERT_GE(pid, 0);
		if (!pid)
			_exit(dies_busy(&self->v, &how));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(how & 4 ? SIGABRT : 0, status & 0x7f);
		EXPECT_EQ(0, WEXITSTATUS(status));
		if (kvm_msix_has_counters())
			EXPECT_EQ(0, gone(pid));
	}
	unlink("core");
	EXPECT_EQ(0, chdir("/"));
	rmdir(dir);
}

/* Many threads open and close functions, far more in all than may be open. */
static void *open_close(void *arg)
{
	struct kvm_vm *vm = arg;
	int event = event_create(), i, err, fd;
	u64 bad = 0;

	for (i = 0; i < 250; i++) {
		err = __msix_create(vm->fd, 1 + i % 64, 0, &fd);
		if (err) {
			bad++;
			continue;
		}
		bad += __msix_bind_one(fd, 0, event, -1) != 0;
		event_signal(event);
		close(fd);
	}
	close(event);
	return (void *)bad;
}

TEST_F(process, open_close)
{
	pthread_t thread[8];
	void *bad;
	int i;

	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, open_close, self->v.m->vm));
	for (i = 0; i < 8; i++) {
		pthread_join(thread[i], &bad);
		EXPECT_EQ(NULL, bad);
	}
	if (kvm_msix_has_counters())
		EXPECT_EQ(1, debugfs_entries("kvm_msix", getpid()));
}

static void on_alarm(int sig)
{
}

/* Thousands of signals, and a tracer that stops the process: no call fails. */
TEST_F(process, interrupted)
{
	struct itimerval often = { { .tv_usec = 500 }, { .tv_usec = 500 } }, never = {};
	struct sigaction sa = { .sa_handler = on_alarm };
	int i, errs[8], good = 0, status;
	pid_t tracer, me = getpid();

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	tracer = fork();
	ASSERT_GE(tracer, 0);
	if (!tracer) {
		for (i = 0; i < 50; i++) {
			if (ptrace(PTRACE_SEIZE, me, NULL, NULL))
				_exit(1);
			ptrace(PTRACE_INTERRUPT, me, NULL, NULL);
			waitpid(me, &status, __WALL);
			ptrace(PTRACE_DETACH, me, NULL, NULL);
			usleep(200);
		}
		_exit(0);
	}
	for (i = 0; i < 50; i++)
		good += all_ioctls(self->v.d.fd, errs);
	setitimer(ITIMER_REAL, &never, NULL);
	EXPECT_EQ(50 * 8, good);
	while (waitpid(tracer, &status, 0) < 0 && errno == EINTR)
		;
	EXPECT_EQ(0, status);
}

/*
 * The kernel charges what a process makes it allocate to the process's cgroup.
 */
static long cgroup_number(const char *dir, const char *file)
{
	char path[256];
	long val = -1;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	f = fopen(path, "r");
	if (f && fscanf(f, "%ld", &val) != 1)
		val = -1;
	if (f)
		fclose(f);
	return val;
}

static int cgroup_write(const char *dir, const char *file, const char *text)
{
	char path[256];
	int fd, ret;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return -1;
	ret = write(fd, text, strlen(text)) == strlen(text) ? 0 : -1;
	close(fd);
	return ret;
}

#define CHARGED	64
#define VECTORS	2048

static int charged(struct victim *v, void *arg)
{
	const char *dir = arg;
	long before, after;
	struct kvm_vm *vm;
	int i, fd;

	if (cgroup_write(dir, "cgroup.procs", "0"))
		return 1;
	vm = msix_bare_vm();
	before = cgroup_number(dir, "memory.current");
	for (i = 0; i < CHARGED; i++)
		if (__msix_create(vm->fd, VECTORS, 0, &fd))
			return 2;
	after = cgroup_number(dir, "memory.current");
	/* Table and PBA, and at least two words for each vector. */
	if (after - before < CHARGED * VECTORS * (ENTRY_SIZE + 16l))
		return 3;
	return 0;
}

TEST_F(process, memory_cgroup)
{
	char mnt[] = "/tmp/kvm_msix.XXXXXX", dir[64];
	int status;

	ASSERT_NE(NULL, mkdtemp(mnt));
	if (mount("none", mnt, "cgroup2", 0, NULL)) {
		rmdir(mnt);
		SKIP(return, "no cgroup2: %s", strerror(errno));
	}
	snprintf(dir, sizeof(dir), "%s/kvm_msix", mnt);
	cgroup_write(mnt, "cgroup.subtree_control", "+memory");
	mkdir(dir, 0700);
	if (cgroup_number(dir, "memory.current") < 0) {
		rmdir(dir);
		umount(mnt);
		rmdir(mnt);
		SKIP(return, "no memory controller in cgroup2");
	}
	status = in_child(charged, &self->v, dir);
	EXPECT_EQ(0, status);
	while (rmdir(dir) && errno == EBUSY)
		usleep(10000);
	umount(mnt);
	rmdir(mnt);
}

KVM_MSIX_TEST_MAIN
