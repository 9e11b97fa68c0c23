// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process that means harm by a vector's eventfd: other functions and KVM claim the
 * eventfd, other tasks watch and fill the eventfd, and other parts of the kernel signal
 * the eventfd: asynchronous I/O, io_uring, and KVM itself.
 */
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "hostile_process.h"

#define DOORBELL (BAR_GPA + 0x1000)

/* Eight functions bind one eventfd to each of their vectors: one vector gets it. */
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

TEST_F(process, one_owner)
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
 * Other watchers of a bound eventfd see nothing and take nothing. After an
 * unbind, they get the next signals.
 */
TEST_F(process, observers)
{
	struct pollfd pfd = { .events = POLLIN };
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET }, got;
	u64 irqs = msix_irqs(self->v.m, 0, VEC, 0);
	int ep = epoll_create1(EPOLL_CLOEXEC), ep2 = epoll_create1(EPOLL_CLOEXEC), i;
	pthread_t reader;
	void *count;

	/* A reader of the eventfd waits. */
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
 * A full counter: a writer waits. BIND makes room: the full counter becomes one
 * event, and the writer's signal another.
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
	/* The guest may get both events as one interrupt. */
	EXPECT_LE(1, msix_irqs(self->v.m, 0, VEC + 1, 2));
	if (kvm_msix_has_counters())
		EXPECT_EQ(events + 2, kvm_msix_counter("events"));
	close(event);

	/* The largest possible signal, again and again. */
	for (i = 0; i < 10; i++)
		ASSERT_EQ(sizeof(full), write(self->v.event, &full, sizeof(full)));
	EXPECT_EQ(0, event_drain(self->v.event));
}

/* EFD_SEMAPHORE: each signal takes 1 from the counter; an unbind leaves the rest. */
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

/* The kernel itself signals, at the end of asynchronous I/O. */
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

/* io_uring signals, with its own flag in the wake's key, and also polls. */
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

	/* One request polls the eventfd; the completion of the other request signals it. */
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
	/* Some time after close(), the ring cancels the poll, and signals the end of the poll. */
	EXPECT_EQ(0, syscall(SYS_io_uring_register, ring, IORING_UNREGISTER_EVENTFD, NULL, 0));
	munmap(sq, size);
	munmap(sqe, p.sq_entries * sizeof(*sqe));
	close(ring);
}

/* The guest's write signals an ioeventfd, which is an event, and an interrupt. */
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

KVM_MSIX_TEST_MAIN
