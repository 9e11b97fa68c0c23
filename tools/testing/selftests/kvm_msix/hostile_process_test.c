// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process that means harm, or two: device fds and eventfds given away, shared,
 * watched, filled, closed at the worst moment, ioctls that are held up half way.
 *
 * Whatever it was, in the end an event is an interrupt, and the books are right
 * (still_good()).
 */
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "kselftest_harness.h"
#include "kvm_msix_util.h"
#include "hostile.h"

#define NR	4
#define VEC	0x60
#define PBA	(BAR_GPA + 0x800)
#define DOORBELL (BAR_GPA + 0x1000)

struct victim {
	struct msix_vm *m;
	struct msix_dev d;
	int event;
	int log;
};

FIXTURE(process) {
	struct victim v;
};

static void entry_ready(struct victim *v, u32 i)
{
	entry_program(v->m, &v->d, i, MSI_ADDR(0), VEC + i);
	entry_unmask(v->m, &v->d, i);
}

FIXTURE_SETUP(process)
{
	struct victim *v = &self->v;

	v->log = log_open();
	v->m = msix_vm_create(1, NULL);
	v->d = msix_create(v->m->vm, NR, 0);
	v->event = event_create();
	msix_locate(&v->d, BAR_GPA, PBA);
	msix_bind_one(&v->d, 0, v->event, -1);
	msix_control(&v->d, ENABLE);
	entry_ready(v, 0);
	log_mark(v->log);
}

/* Vector 0 works, masked and unmasked, and nothing is missing. */
static const char *still_good(struct victim *v)
{
	u64 before = msix_irqs(v->m, 0, VEC, 0);

	event_signal(v->event);
	if (msix_irqs(v->m, 0, VEC, before + 1) != before + 1)
		return "an event is no interrupt";
	entry_mask(v->m, &v->d, 0);
	event_signal(v->event);
	event_signal(v->event);
	if (!pba_read(v->m, &v->d, 0) || msix_irqs(v->m, 0, VEC, 0) != before + 1)
		return "an event is not latched";
	entry_unmask(v->m, &v->d, 0);
	if (msix_irqs(v->m, 0, VEC, before + 2) != before + 2)
		return "a pending message is not sent";
	if (v->m->nr_exits)
		return "an access has gone to the VMM";
	if (kvm_msix_has_counters() &&
	    kvm_msix_counter("events") - kvm_msix_counter("latched") -
	    kvm_msix_counter("coalesced") + kvm_msix_counter("kicks") !=
	    kvm_msix_counter("delivered") + kvm_msix_counter("dropped"))
		return "the books are wrong";
	if (log_lines(v->log))
		return "it has printed";
	return NULL;
}

FIXTURE_TEARDOWN(process)
{
	const char *wrong = still_good(&self->v);

	EXPECT_EQ(NULL, wrong) {
		TH_LOG("afterwards: %s", wrong);
	}
	close(self->v.d.fd);
	close(self->v.event);
	close(self->v.log);
	msix_vm_free(self->v.m);
}

/* Every ioctl of a device fd once; those that worked are counted. */
static int all_ioctls(int fd, int errs[8])
{
	struct msix_state *s = msix_state_alloc(NR);
	int i, good = 0;

	errs[0] = __msix_locate(fd, BAR_GPA, PBA);
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
	/* And what is my own works, by the same /dev/kvm_msix. */
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

/* It takes ioctls from the VM's address space only, and is gone with exec(). */
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

/* Its only reference is in flight to itself: the kernel's collector closes it. */
TEST_F(process, lost_in_a_socket)
{
	struct msix_dev d = msix_create(self->v.m->vm, NR, 0);
	bool outside = kvm_msix_has_counters();
	int sock[2], event = event_create(), left, i;

	msix_locate(&d, BAR_GPA + 0x4000, BAR_GPA + 0x5000);
	msix_bind_one(&d, 0, event, 90);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	send_fd(sock[0], d.fd);
	send_fd(sock[0], sock[0]);
	send_fd(sock[0], sock[1]);
	close(d.fd);
	close(sock[0]);
	close(sock[1]);
	/* The collector runs when the next one is closed. */
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

/* What a device fd is not. */
TEST_F(process, file_operations)
{
	struct pollfd pfd = { .fd = self->v.d.fd, .events = POLLIN | POLLOUT };
	int fd = self->v.d.fd, prot[] = { PROT_READ, PROT_READ | PROT_WRITE, PROT_EXEC }, i;
	char buf[64] = {};

	for (i = 0; i < ARRAY_SIZE(prot); i++) {
		EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, prot[i], MAP_SHARED, fd, 0));
		EXPECT_EQ(ENODEV, errno);
		EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, prot[i], MAP_PRIVATE, fd, 0));
		EXPECT_EQ(ENODEV, errno);
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

/* Eight functions want one eventfd for each of their vectors: one gets it. */
struct wanting {
	struct msix_dev d;
	pthread_barrier_t *barrier;
	int event;
	int got;
	int wrong;
};

static void *want(void *arg)
{
	struct wanting *w = arg;
	int i, err;

	pthread_barrier_wait(w->barrier);
	for (i = 0; i < NR; i++) {
		err = __msix_bind_one(w->d.fd, i, w->event, -1);
		w->got += !err;
		w->wrong += err && err != EBUSY;
	}
	return NULL;
}

TEST_F_TIMEOUT(process, one_owner, 120)
{
	int round, i, got, wrong, event;
	struct wanting w[8] = {};
	pthread_barrier_t barrier;
	pthread_t thread[8];

	pthread_barrier_init(&barrier, NULL, 8);
	for (round = 0; round < 20; round++) {
		event = event_create();
		for (i = 0; i < 8; i++) {
			w[i] = (struct wanting) { msix_create(self->v.m->vm, NR, 0), &barrier,
						  event };
			ASSERT_EQ(0, pthread_create(&thread[i], NULL, want, &w[i]));
		}
		for (i = got = wrong = 0; i < 8; i++) {
			pthread_join(thread[i], NULL);
			got += w[i].got;
			wrong += w[i].wrong;
		}
		EXPECT_EQ(1, got);
		EXPECT_EQ(0, wrong);
		event_signal(event);
		EXPECT_EQ(0, event_drain(event));
		for (i = got = 0; i < 8; i++)
			got += msix_pending(&w[i].d, 0) || msix_pending(&w[i].d, 1) ||
			       msix_pending(&w[i].d, 2) || msix_pending(&w[i].d, 3);
		EXPECT_EQ(1, got);
		for (i = 0; i < 8; i++)
			close(w[i].d.fd);
		close(event);
	}
}

static void *blocking_read(void *arg)
{
	u64 count = 0;

	return (void *)(read(*(int *)arg, &count, sizeof(count)) == sizeof(count) ? count : 0);
}

/*
 * Others who watch a bound eventfd see nothing and take nothing. When it is
 * bound no more they get what comes then.
 */
TEST_F(process, observers)
{
	struct pollfd pfd = { .events = POLLIN };
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET }, got;
	u64 irqs = msix_irqs(self->v.m, 0, VEC, 0);
	int ep = epoll_create1(EPOLL_CLOEXEC), ep2 = epoll_create1(EPOLL_CLOEXEC), i;
	pthread_t reader;
	void *count;

	/* One that reads would wait. */
	fcntl(self->v.event, F_SETFL, 0);
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->v.event, &ev));
	ASSERT_EQ(0, epoll_ctl(ep2, EPOLL_CTL_ADD, ep, &ev));
	ASSERT_EQ(0, pthread_create(&reader, NULL, blocking_read, &self->v.event));
	usleep(20000);
	for (i = 1; i <= 100; i++)
		event_signal(self->v.event);
	EXPECT_LT(irqs, msix_irqs(self->v.m, 0, VEC, irqs + 1));
	pfd.fd = self->v.event;
	EXPECT_EQ(0, poll(&pfd, 1, 0));
	EXPECT_EQ(0, epoll_wait(ep, &got, 1, 0));
	EXPECT_EQ(0, epoll_wait(ep2, &got, 1, 0));
	EXPECT_EQ(EBUSY, pthread_tryjoin_np(reader, &count));

	msix_bind_one(&self->v.d, 0, -1, -1);
	event_signal(self->v.event);
	pthread_join(reader, &count);
	EXPECT_EQ(1, (u64)count);
	close(ep);
	close(ep2);
	fcntl(self->v.event, F_SETFL, O_NONBLOCK);
	msix_bind_one(&self->v.d, 0, self->v.event, -1);
}

static void *blocking_write(void *arg)
{
	u64 one = 1;

	return (void *)write(*(int *)arg, &one, sizeof(one));
}

/*
 * A full counter: who wants to signal waits. BIND makes room: what was counted
 * is an event, and what waited is another.
 */
TEST_F(process, full_counter)
{
	u64 events = kvm_msix_has_counters() ? kvm_msix_counter("events") : 0;
	u64 full = ~0ull - 1;
	int event = eventfd(0, EFD_CLOEXEC), i;
	pthread_t writer;
	void *ret = NULL;

	entry_ready(&self->v, 1);
	ASSERT_EQ(sizeof(full), write(event, &full, sizeof(full)));
	ASSERT_EQ(0, pthread_create(&writer, NULL, blocking_write, &event));
	usleep(20000);
	ASSERT_EQ(EBUSY, pthread_tryjoin_np(writer, &ret));

	msix_bind_one(&self->v.d, 1, event, -1);
	for (i = 0; i < 500 && pthread_tryjoin_np(writer, &ret); i++)
		usleep(10000);
	ASSERT_EQ((void *)sizeof(u64), ret);
	/* The guest may get both as one. */
	EXPECT_LE(1, msix_irqs(self->v.m, 0, VEC + 1, 2));
	if (kvm_msix_has_counters())
		EXPECT_EQ(events + 2, kvm_msix_counter("events"));
	close(event);

	/* As much at once as there can be, again and again. */
	for (i = 0; i < 10; i++)
		ASSERT_EQ(sizeof(full), write(self->v.event, &full, sizeof(full)));
	EXPECT_EQ(0, event_drain(self->v.event));
}

/* Of a semaphore a signal takes one; the rest is nobody's, until it is unbound. */
TEST_F(process, semaphore)
{
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
	u64 three = 3;
	int i, left;

	entry_ready(&self->v, 1);
	msix_bind_one(&self->v.d, 1, event, -1);
	ASSERT_EQ(sizeof(three), write(event, &three, sizeof(three)));
	EXPECT_EQ(1, msix_irqs(self->v.m, 0, VEC + 1, 1));
	event_signal(event);
	EXPECT_EQ(2, msix_irqs(self->v.m, 0, VEC + 1, 2));
	msix_bind_one(&self->v.d, 1, -1, -1);
	for (i = left = 0; i < 10; i++)
		left += event_drain(event);
	EXPECT_EQ(2, left);
	close(event);
}

/* Signalled by the kernel itself, at the end of asynchronous I/O. */
TEST_F(process, signalled_by_aio)
{
	int zero = open("/proc/self/exe", O_RDONLY);
	char buf[512];
	struct iocb cb = {
		.aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = zero, .aio_buf = (uintptr_t)buf,
		.aio_nbytes = sizeof(buf), .aio_flags = IOCB_FLAG_RESFD,
		.aio_resfd = self->v.event,
	}, *list[] = { &cb };
	u64 irqs = msix_irqs(self->v.m, 0, VEC, 0);
	aio_context_t ctx = 0;

	if (syscall(SYS_io_setup, 1, &ctx))
		SKIP(return, "no AIO here: %s", strerror(errno));
	ASSERT_EQ(1, syscall(SYS_io_submit, ctx, 1, list));
	EXPECT_EQ(irqs + 1, msix_irqs(self->v.m, 0, VEC, irqs + 1));
	syscall(SYS_io_destroy, ctx);
	close(zero);
}

/* Likewise, with its own flag in the wake's key; and as one more observer. */
TEST_F(process, signalled_by_io_uring)
{
	struct io_uring_params p = {};
	u64 irqs = msix_irqs(self->v.m, 0, VEC, 0);
	struct io_uring_sqe *sqe;
	u32 *tail, *array, i;
	size_t size;
	void *sq;
	int ring;

	ring = syscall(SYS_io_uring_setup, 8, &p);
	if (ring < 0)
		SKIP(return, "no io_uring here: %s", strerror(errno));
	size = p.sq_off.array + p.sq_entries * sizeof(u32);
	sq = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	sqe = mmap(NULL, p.sq_entries * sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED, ring,
		   IORING_OFF_SQES);
	ASSERT_NE(MAP_FAILED, sq);
	ASSERT_NE(MAP_FAILED, (void *)sqe);
	ASSERT_EQ(0, syscall(SYS_io_uring_register, ring, IORING_REGISTER_EVENTFD,
			     &self->v.event, 1));

	/* To poll the eventfd, which the end of the other one signals. */
	memset(sqe, 0, 2 * sizeof(*sqe));
	sqe[0].opcode = IORING_OP_POLL_ADD;
	sqe[0].fd = self->v.event;
	sqe[0].poll32_events = POLLIN;
	sqe[1].opcode = IORING_OP_NOP;
	tail = sq + p.sq_off.tail;
	array = sq + p.sq_off.array;
	for (i = 0; i < 2; i++)
		array[i] = i;
	__atomic_store_n(tail, 2, __ATOMIC_RELEASE);
	ASSERT_EQ(2, syscall(SYS_io_uring_enter, ring, 2, 0, 0, NULL, 0));
	EXPECT_EQ(irqs + 1, msix_irqs(self->v.m, 0, VEC, irqs + 1));
	EXPECT_EQ(0, event_drain(self->v.event));
	munmap(sq, size);
	munmap(sqe, p.sq_entries * sizeof(*sqe));
	close(ring);
}

/* A guest's write is an ioeventfd is a vector's event is the guest's interrupt. */
TEST_F(process, signalled_by_ioeventfd)
{
	u64 irqs = msix_irqs(self->v.m, 0, VEC, 0);
	int i;

	ASSERT_EQ(0, __kvm_ioeventfd(self->v.m->vm, self->v.event, DOORBELL, 4, 0));
	for (i = 1; i <= 20; i++) {
		guest_write(self->v.m, DOORBELL, 4, i);
		ASSERT_EQ(irqs + i, msix_irqs(self->v.m, 0, VEC, irqs + i));
	}
	ASSERT_EQ(0, __kvm_ioeventfd(self->v.m->vm, self->v.event, DOORBELL, 4,
				     KVM_IOEVENTFD_FLAG_DEASSIGN));
}

/*
 * A chain within KVM: an irqfd raises a pin, the guest's EOI signals the pin's
 * resamplefd, which is a vector's eventfd, from within KVM's readers.
 */
TEST_F(process, signalled_by_resample)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };
	struct kvm_irqfd args = {
		.fd = event_create(), .gsi = 20, .flags = KVM_IRQFD_FLAG_RESAMPLE,
		.resamplefd = self->v.event,
	};
	u64 irqs = msix_irqs(self->v.m, 0, VEC, 0);
	int i;

	vm_ioctl(self->v.m->vm, KVM_GET_IRQCHIP, &chip);
	chip.chip.ioapic.redirtbl[20].bits = 0x80a0;	/* level, to APIC 0 */
	vm_ioctl(self->v.m->vm, KVM_SET_IRQCHIP, &chip);
	vm_ioctl(self->v.m->vm, KVM_IRQFD, &args);
	for (i = 1; i <= 10; i++) {
		event_signal(args.fd);
		ASSERT_EQ(i, msix_irqs(self->v.m, 0, 0xa0, i));
		ASSERT_EQ(irqs + i, msix_irqs(self->v.m, 0, VEC, irqs + i));
	}
	args.flags |= KVM_IRQFD_FLAG_DEASSIGN;
	vm_ioctl(self->v.m->vm, KVM_IRQFD, &args);
	close(args.fd);
}

/*
 * An ioctl that is stuck in the middle of a copy, on a page that this process
 * does not bring. It may hold up nobody but its caller.
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

/* What they return once the page is there, all zeroes. */
static const int stuck_errs[NR_STUCK] = {
	[STUCK_HEADER] = EINVAL,	/* size 0 */
	[STUCK_BIND] = EINVAL,		/* fd 0 is no eventfd */
	[STUCK_ROUTING] = EINVAL,	/* type 0 */
};

TEST_F_TIMEOUT(process, stuck_in_a_copy, 60)
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
		/* It is in the copy. */
		ASSERT_EQ(sizeof(msg), read(uffd, &msg, sizeof(msg)));
		ASSERT_EQ(UFFD_EVENT_PAGEFAULT, msg.event);

		/* Everything else goes on: this function, another, the guest. */
		EXPECT_EQ(8, all_ioctls(self->v.d.fd, errs));
		other = msix_create(self->v.m->vm, 1, 0);
		EXPECT_EQ(0, __msix_bind_one(other.fd, 0, -1, 101));
		close(other.fd);
		EXPECT_EQ(NULL, still_good(&self->v));
		/* It has its own reference: the function outlives this. */
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
	/* The whole process goes, with that thread in the copy. */
	return 0;
}

static int gone(pid_t pid)
{
	int i;

	for (i = 0; i < 1000 && debugfs_entries("kvm_msix", pid); i++)
		usleep(10000);
	return debugfs_entries("kvm_msix", pid);
}

TEST_F_TIMEOUT(process, dies_while_stuck, 60)
{
	enum stuck what;

	for (what = 0; what < NR_STUCK; what++)
		EXPECT_EQ(0, in_child(killed_while_stuck, &self->v, &what));
}

/* Threads in every ioctl while the VM, and then the function, is closed. */
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
			/* The fd's number may be another file's by now, or none's. */
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

TEST_F_TIMEOUT(process, dies_busy, 120)
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

/* Opened and closed by many at once, far more than there may be at a time. */
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

TEST_F_TIMEOUT(process, open_close, 120)
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

/* Signals by the thousand, and a tracer that stops it: no call notices. */
TEST_F_TIMEOUT(process, interrupted, 60)
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
 * What a process makes the kernel allocate is charged to its memory cgroup.
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

TEST_F_TIMEOUT(process, memory_cgroup, 60)
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
