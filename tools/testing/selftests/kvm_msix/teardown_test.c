// SPDX-License-Identifier: GPL-2.0-only
/*
 * 25 of kvm_msix-semantics.rst: closing fds in any order, with events and
 * accesses in flight, also by death: no leak, no crash, no late message.
 *
 * debugfs shows what has leaked: KVM has a directory there for each VM, and the
 * module for each function. The lab checks that the kernel's log is clean.
 */
#include <pthread.h>
#include <signal.h>

#include "kselftest_harness.h"
#include "kvm_msix_util.h"

#define NR		8
#define NR_VCPUS		2
#define VEC(v)		(0x40 + (v))
#define GSI		50
#define NR_DEFERRED	100
#define NR_BROADCAST	64	/* vCPUs that each message visits */

/* A child VMM, all of whose threads are busy. */
struct vmm {
	struct msix_vm *m;
	struct msix_dev d;
	int event[NR];
	int device[NR];		/* the device's own fds of the same eventfds */
	bool stop;
	pthread_t vcpu_thread[NR_VCPUS];
	pthread_t device_thread;
};

/* Do all that a guest does to a table, without end. */
static void guest_hammer(void)
{
	u64 entry;
	u32 i;

	guest_init();
	for (i = 0;; i++) {
		entry = BAR_GPA + i % NR * ENTRY_SIZE;
		mmio_write32(entry + ENTRY_CTRL, MASKED);
		mmio_write32(entry + ENTRY_ADDR_LO, MSI_ADDR(i / NR % NR_VCPUS));
		mmio_write32(entry + ENTRY_ADDR_HI, 0);
		mmio_write32(entry + ENTRY_DATA, VEC(i % NR));
		mmio_read64(BAR_GPA + 0x800);
		mmio_write32(entry + ENTRY_CTRL, 0);
	}
}

struct vcpu_arg {
	struct vmm *vmm;
	int fd;
};

static void *vcpu_main(void *data)
{
	struct vcpu_arg *arg = data;

	/* Ignore exits, mostly for accesses to a closed function. */
	while (!READ_ONCE(arg->vmm->stop))
		if (ioctl(arg->fd, KVM_RUN, NULL) < 0 && errno != EINTR && errno != EAGAIN)
			break;
	free(arg);
	return NULL;
}

static void *device_main(void *data)
{
	struct vmm *vmm = data;
	u64 one = 1;
	int i;

	for (i = 0; !READ_ONCE(vmm->stop); i++)
		if (write(vmm->device[i % NR], &one, sizeof(one)) < 0 && errno != EAGAIN)
			break;
	return NULL;
}

static void nothing(int sig)
{
}

static void vmm_start(struct vmm *vmm)
{
	struct sigaction sa = { .sa_handler = nothing };
	struct vcpu_arg *arg;
	int i;

	memset(vmm, 0, sizeof(*vmm));
	sigaction(SIGUSR1, &sa, NULL);
	vmm->m = msix_vm_create(NR_VCPUS, guest_hammer);
	vmm->d = msix_create(vmm->m->vm, NR, 0);
	msix_set_addr(&vmm->d, BAR_GPA, BAR_GPA + 0x800);
	for (i = 0; i < NR; i++) {
		vmm->event[i] = event_create();
		vmm->device[i] = dup(vmm->event[i]);
		msix_bind_one(&vmm->d, i, vmm->event[i], i % 2 ? msix_gsi(GSI + i) : -1);
	}
	msix_control(&vmm->d, ENABLE);
	for (i = 0; i < NR_VCPUS; i++) {
		arg = malloc(sizeof(*arg));
		*arg = (struct vcpu_arg) { vmm, vmm->m->vcpu[i]->fd };
		TEST_ASSERT(!pthread_create(&vmm->vcpu_thread[i], NULL, vcpu_main, arg),
			    "pthread_create");
	}
	TEST_ASSERT(!pthread_create(&vmm->device_thread, NULL, device_main, vmm),
		    "pthread_create");
}

static void vmm_stop(struct vmm *vmm)
{
	int i;

	WRITE_ONCE(vmm->stop, true);
	for (i = 0; i < NR_VCPUS; i++)
		while (pthread_tryjoin_np(vmm->vcpu_thread[i], NULL)) {
			pthread_kill(vmm->vcpu_thread[i], SIGUSR1);
			usleep(100);
		}
	pthread_join(vmm->device_thread, NULL);
}

/* Release the rest: the vCPUs' mappings hold the VM as well. */
static void vmm_unmap(struct vmm *vmm)
{
	int i;

	for (i = 0; i < NR_VCPUS; i++)
		munmap(vmm->m->vcpu[i]->run, ioctl(vmm->m->vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0));
	for (i = 0; i < NR; i++)
		close(vmm->device[i]);
}

enum { CLOSE_VM, CLOSE_VCPUS, CLOSE_DEVICE, CLOSE_EVENTS, NR_CLOSES };

static void vmm_close(struct vmm *vmm, int what)
{
	int i;

	switch (what) {
	case CLOSE_VM:
		close(vmm->m->vm->fd);
		break;
	case CLOSE_VCPUS:
		for (i = 0; i < NR_VCPUS; i++)
			close(vmm->m->vcpu[i]->fd);
		break;
	case CLOSE_DEVICE:
		close(vmm->d.fd);
		break;
	case CLOSE_EVENTS:
		for (i = 0; i < NR; i++)
			close(vmm->event[i]);
		break;
	}
}

/* The n-th of the 24 orders. */
static void permutation(int n, int order[NR_CLOSES])
{
	int left[NR_CLOSES] = { 0, 1, 2, 3 }, i, j, k;

	for (i = 0; i < NR_CLOSES; i++) {
		k = n % (NR_CLOSES - i);
		n /= NR_CLOSES - i;
		order[i] = left[k];
		for (j = k; j < NR_CLOSES - 1; j++)
			left[j] = left[j + 1];
	}
}

/* How many VMs and functions of @pid are left, after some time. */
static int leaked(pid_t pid)
{
	int n = 0, i;

	for (i = 0; i < 1000; i++) {
		n = debugfs_entries("kvm", pid) + debugfs_entries("kvm_msix", pid);
		if (!n)
			break;
		usleep(10000);
	}
	return n;
}

FIXTURE(teardown) {
};

FIXTURE_SETUP(teardown)
{
}

FIXTURE_TEARDOWN(teardown)
{
}

/* Close in each order twice: with all threads running, and with them stopped. */
TEST_F_TIMEOUT(teardown, every_order, 300)
{
	bool outside = kvm_msix_has_counters();
	int n, i, status, order[NR_CLOSES];
	struct vmm vmm;
	pid_t pid;

	for (n = 0; n < 48; n++) {
		permutation(n % 24, order);
		pid = fork();
		ASSERT_GE(pid, 0);
		if (!pid) {
			vmm_start(&vmm);
			if (outside && debugfs_entries("kvm_msix", getpid()) != 1)
				_exit(2);
			usleep(2000 + n * 100);
			if (n >= 24) {
				vmm_stop(&vmm);
				for (i = 0; i < NR; i++)
					close(vmm.device[i]);
			}
			for (i = 0; i < NR_CLOSES; i++) {
				vmm_close(&vmm, order[i]);
				usleep(300);
			}
			if (n < 24)
				vmm_stop(&vmm);
			vmm_unmap(&vmm);
			/* Nothing is left, although this process lives. */
			_exit(outside && leaked(getpid()) ? 3 : 0);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_EQ(0, status) {
			TH_LOG("round %i, order %i %i %i %i", n, order[0], order[1], order[2],
			       order[3]);
		}
		if (outside)
			ASSERT_EQ(0, leaked(pid));
	}
}

/* A VMM that is killed, with everything open and running. */
TEST_F_TIMEOUT(teardown, killed, 300)
{
	bool outside = kvm_msix_has_counters();
	int n, status, ready[2];
	struct vmm vmm;
	pid_t pid;
	char c;

	for (n = 0; n < 20; n++) {
		ASSERT_EQ(0, pipe(ready));
		pid = fork();
		ASSERT_GE(pid, 0);
		if (!pid) {
			vmm_start(&vmm);
			if (write(ready[1], "", 1) == 1)
				pause();
			_exit(1);
		}
		close(ready[1]);
		ASSERT_EQ(1, read(ready[0], &c, 1));
		close(ready[0]);
		if (outside)
			ASSERT_EQ(1, debugfs_entries("kvm_msix", pid));
		usleep(n * 500);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		if (outside)
			ASSERT_EQ(0, leaked(pid));
	}
}

/* The last process to close the fds is a child, which inherited all fds. */
TEST_F(teardown, closed_by_another)
{
	bool outside = kvm_msix_has_counters();
	int n, status, died[2];
	struct vmm vmm;
	pid_t pid;
	char c;

	for (n = 0; n < 5; n++) {
		ASSERT_EQ(0, pipe(died));
		pid = fork();
		ASSERT_GE(pid, 0);
		if (!pid) {
			vmm_start(&vmm);
			if (!fork()) {
				/* Wait for the parent's death, signal, close. */
				close(died[1]);
				while (getppid() != 1 && !kill(getppid(), 0) && n++ < 200)
					usleep(1000);
				for (n = 0; n < NR; n++)
					event_signal(vmm.device[n]);
				_exit(0);
			}
			usleep(2000);
			_exit(0);
		}
		close(died[1]);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, status);
		/* End of file: the grandchild is gone too. */
		EXPECT_EQ(0, read(died[0], &c, 1));
		close(died[0]);
		if (outside)
			ASSERT_EQ(0, leaked(pid));
	}
}

/* No late message; the eventfd keeps signals; accesses exit to the VMM. */
TEST_F(teardown, nothing_after_close)
{
	struct msix_vm *m = msix_vm_create(1, NULL);
	struct msix_dev d = msix_create(m->vm, NR, 0);
	int event = event_create();

	msix_set_addr(&d, BAR_GPA, BAR_GPA + 0x800);
	msix_bind_one(&d, 0, event, msix_gsi(GSI));
	msix_control(&d, ENABLE);
	entry_program(m, &d, 0, MSI_ADDR(0), VEC(0));
	entry_unmask(m, &d, 0);
	event_signal(event);
	EXPECT_EQ(1, msix_irqs(m, 0, VEC(0), 1));
	EXPECT_EQ(0, m->nr_exits);

	close(d.fd);
	event_signal(event);
	kvm_irq_pulse(m->vm, GSI);
	EXPECT_EQ(1, msix_irqs(m, 0, VEC(0), 1));
	EXPECT_EQ(1, event_drain(event));
	guest_read(m, BAR_GPA, 4);
	guest_read(m, BAR_GPA + 0x800, 8);
	EXPECT_EQ(2, m->nr_exits);
	close(event);
	msix_vm_free(m);
}

/* The function holds the VM: all its ioctls work with only its fd left. */
TEST_F(teardown, function_alone)
{
	struct msix_vm *m = msix_vm_create(1, NULL);
	struct msix_dev d = msix_create(m->vm, NR, 0);
	bool outside = kvm_msix_has_counters();
	int event = event_create();
	struct msix_state *s;

	close(m->vcpu[0]->fd);
	munmap(m->vcpu[0]->run, ioctl(m->vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0));
	close(m->vm->fd);
	if (outside)
		EXPECT_EQ(1, debugfs_entries("kvm", getpid()));

	msix_set_addr(&d, BAR_GPA, BAR_GPA + 0x800);
	msix_bind_one(&d, 0, event, msix_gsi(GSI));
	s = msix_get_state(d.fd, NR);
	s->control = ENABLE;
	s->entry[0][0] = MSI_ADDR(0);
	s->entry[0][2] = VEC(0);
	s->entry[0][3] = 0;
	EXPECT_EQ(0, __msix_set_state(d.fd, s));
	event_signal(event);
	EXPECT_EQ(0, event_drain(event));
	EXPECT_FALSE(msix_pending(&d, 0));
	EXPECT_EQ(0, __msix_set_gsi_routing(d.fd, 0, NULL));
	msix_reset(&d);
	close(d.fd);
	if (outside)
		EXPECT_EQ(0, leaked(getpid()));
	event_signal(event);
	EXPECT_EQ(1, event_drain(event));
}

/*
 * The function is closed while the work has broadcasts to send, some of them of
 * vectors that were masked meanwhile, in guest memory. Debug kernels report a
 * timer that such a vector starts too late.
 */
TEST_F(teardown, deferred)
{
	struct msix_state *s = msix_state_alloc(NR_DEFERRED);
	struct kvm_vm *vm = vm_create_barebones();
	int event[NR_DEFERRED], round, i;
	struct msix_dev d;
	u32 *table;

	if (!msix_can_map())
		SKIP(return, "functions cannot be mapped here");
	vm_create_irqchip(vm);
	for (i = 0; i < NR_BROADCAST; i++)
		__vm_vcpu_add(vm, i);
	s->control = ENABLE;
	for (i = 0; i < NR_DEFERRED; i++) {
		event[i] = event_create();
		s->entry[i][0] = MSI_ADDR(0xff);
		s->entry[i][2] = VEC(0);
	}
	for (round = 0; round < 50; round++) {
		d = msix_create_mapped(vm, NR_DEFERRED, 0);
		table = msix_map(d.fd, getpagesize());
		ASSERT_EQ(0, __msix_set_state(d.fd, s));
		for (i = 0; i < NR_DEFERRED; i++)
			msix_bind_one(&d, i, event[i], -1);
		for (i = 0; i < NR_DEFERRED; i++)
			event_signal(event[i]);
		for (i = round; i < NR_DEFERRED; i++)
			WRITE_ONCE(table[i * 4 + 3], MASKED);
		munmap(table, getpagesize());
		close(d.fd);
		for (i = 0; i < NR_DEFERRED; i++)
			ASSERT_EQ(0, event_drain(event[i]));
	}
	for (i = 0; i < NR_DEFERRED; i++)
		close(event[i]);
	msix_state_free(s);
	kvm_vm_free(vm);
}

KVM_MSIX_TEST_MAIN
