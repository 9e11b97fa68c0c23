// SPDX-License-Identifier: GPL-2.0-only
/*
 * 25 of kvm_msix-semantics.rst, by death: a VMM under load is killed, again and
 * again, at a random point of its life. Its vCPUs hammer the table, two threads
 * signal events, and another thread makes all ioctls in a loop.
 *
 * The VMM counts its steps, the first of which set it up. The VMM is killed a
 * random time after a random number of steps, so that the points do not depend
 * on the speed of the machine.
 *
 * The survivor, the process that kills, shares the eventfds. In some rounds it
 * has also taken the function's fd or the VM's, or both, from the living VMM.
 * In each round check what the survivor can do with these; in the end check
 * that nothing is left.
 *
 * usage: kill_test [-n ROUNDS] [-s SEED]
 */
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kselftest.h"
#include "leak.h"
#include "kvm_msix_util.h"

#define NR		8
#define NR_VCPUS	2
#define NR_DEVICES	2
#define GSI		50
#define VMM_GSI		40
#define VEC(v)		(0x40 + (v))
#define A		BAR_GPA
#define B		(BAR_GPA + 0x4008)
#define PBA_OF(t)	((t) + 0x800)

/* Steps: VM, function, SET_ADDR, each BIND, CONTROL, each thread; then ioctls. */
#define SET_UP_STEPS	(4 + NR + NR_VCPUS + NR_DEVICES)
#define LOAD_STEPS	60

/* Memory that the VMM and the survivor share. */
struct life {
	u64 steps;
	int vm_fd;
	int dev_fd;
};

struct vmm {
	struct life *life;
	struct msix_vm *m;
	struct msix_dev d;
	int *event;
};

static u64 random_state;

static u64 random_number(void)
{
	return msix_random(&random_state);
}

/* Do all that a guest does to a table, at both places, without end. */
static void guest_hammer(void)
{
	u64 entry;
	u32 i;

	guest_init();
	for (i = 0;; i++) {
		entry = (i / NR / 4 % 2 ? A : B) + i % NR * ENTRY_SIZE;
		mmio_write32(entry + ENTRY_CTRL, MASKED);
		mmio_write32(entry + ENTRY_ADDR_LO, MSI_ADDR(i / NR % NR_VCPUS));
		mmio_write32(entry + ENTRY_DATA, VEC(i % NR));
		mmio_read64(PBA_OF(A));
		mmio_write32(entry + ENTRY_CTRL, 0);
	}
}

static void step(struct vmm *vmm)
{
	__atomic_add_fetch(&vmm->life->steps, 1, __ATOMIC_SEQ_CST);
}

struct vcpu_arg {
	int fd;
};

/* Ignore exits, which are accesses to the place where the table is not. */
static void *vcpu_main(void *data)
{
	struct vcpu_arg *arg = data;

	for (;;)
		if (ioctl(arg->fd, KVM_RUN, NULL) < 0)
			TEST_ASSERT(errno == EINTR || errno == EAGAIN, "KVM_RUN: %s",
				    strerror(errno));
	return NULL;
}

static void *device_main(void *data)
{
	struct vmm *vmm = data;
	u32 i;

	for (i = 0;; i++) {
		event_signal(vmm->event[i % NR]);
		if (i % 16 == 0)
			usleep(50);
	}
	return NULL;
}

static void set_up(struct vmm *vmm)
{
	pthread_t thread;
	struct vcpu_arg *arg;
	int i;

	vmm->m = msix_vm_create(NR_VCPUS, guest_hammer);
	WRITE_ONCE(vmm->life->vm_fd, vmm->m->vm->fd);
	step(vmm);
	vmm->d = msix_create(vmm->m->vm, NR, 0);
	WRITE_ONCE(vmm->life->dev_fd, vmm->d.fd);
	step(vmm);
	msix_set_addr(&vmm->d, A, PBA_OF(A));
	step(vmm);
	for (i = 0; i < NR; i++) {
		msix_bind_one(&vmm->d, i, vmm->event[i], i % 2 ? msix_gsi(GSI + i) : -1);
		step(vmm);
	}
	msix_control(&vmm->d, ENABLE);
	step(vmm);
	for (i = 0; i < NR_VCPUS; i++) {
		arg = malloc(sizeof(*arg));
		TEST_ASSERT(arg, "malloc");
		arg->fd = vmm->m->vcpu[i]->fd;
		TEST_ASSERT(!pthread_create(&thread, NULL, vcpu_main, arg), "pthread_create");
		step(vmm);
	}
	for (i = 0; i < NR_DEVICES; i++) {
		TEST_ASSERT(!pthread_create(&thread, NULL, device_main, vmm), "pthread_create");
		step(vmm);
	}
}

static void bind_all(struct vmm *vmm, bool on)
{
	struct kvm_msix_binding to[NR];
	int i;

	for (i = 0; i < NR; i++)
		to[i] = (struct kvm_msix_binding) {
			on ? vmm->event[i] : -1, on && i % 2 ? msix_gsi(GSI + i) : -1,
		};
	TEST_ASSERT_EQ(__msix_bind(vmm->d.fd, 0, NR, to), 0);
}

static void any_ioctl(struct vmm *vmm)
{
	struct kvm_irq_routing_entry route = msi_route(VMM_GSI, MSI_ADDR(0), VEC(NR));
	struct msix_state *state;

	switch (random_number() % 8) {
	case 0:
		msix_set_addr(&vmm->d, vmm->d.table == A ? B : A, PBA_OF(vmm->d.table));
		break;
	case 1:
		TEST_ASSERT_EQ(__msix_set_addr(vmm->d.fd, NOWHERE, NOWHERE), 0);
		msix_set_addr(&vmm->d, A, PBA_OF(A));
		break;
	case 2:
		bind_all(vmm, false);
		break;
	case 3:
		bind_all(vmm, true);
		break;
	case 4:
		TEST_ASSERT_EQ(__msix_set_gsi_routing(vmm->d.fd, 1, &route), 0);
		break;
	case 5:
		msix_control(&vmm->d, ENABLE | FUNCTION_MASK);
		msix_control(&vmm->d, ENABLE);
		break;
	case 6:
		state = msix_get_state(vmm->d.fd, NR);
		TEST_ASSERT_EQ(__msix_set_state(vmm->d.fd, state), 0);
		msix_state_free(state);
		break;
	case 7:
		msix_reset(&vmm->d);
		msix_control(&vmm->d, ENABLE);
		break;
	}
}

static void live(struct life *life, int event[NR])
{
	struct vmm vmm = { .life = life, .event = event };

	set_up(&vmm);
	for (;;) {
		any_ioctl(&vmm);
		step(&vmm);
	}
}

/*
 * The survivor.
 */

struct survivor {
	struct life *life;
	struct kvm_vm *vm;
	struct msix_dev d;
	int event[NR];
	bool outside;
	u64 in_set_up;
	u64 held_devs;
	u64 held_vms;
};

static int take(pid_t pid, int fd)
{
	int pidfd, taken;

	if (fd < 0)
		return -1;
	pidfd = syscall(SYS_pidfd_open, pid, 0);
	TEST_ASSERT(pidfd >= 0, "pidfd_open: %s", strerror(errno));
	taken = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	TEST_ASSERT(taken >= 0, "pidfd_getfd: %s", strerror(errno));
	close(pidfd);
	return taken;
}

/* The VM's process is dead: every ioctl fails with EIO, and changes nothing. */
static void check_held_dev(struct survivor *sv, int fd)
{
	struct kvm_msix_binding none = { -1, -1 };
	struct msix_state *state = msix_state_alloc(NR);
	int i;

	TEST_ASSERT_EQ(__msix_set_addr(fd, A, PBA_OF(A)), EIO);
	TEST_ASSERT_EQ(__msix_bind(fd, 0, 1, &none), EIO);
	TEST_ASSERT_EQ(__msix_control(fd, ENABLE), EIO);
	TEST_ASSERT_EQ(__msix_reset(fd), EIO);
	TEST_ASSERT_EQ(__msix_get_state(fd, state), EIO);
	TEST_ASSERT_EQ(__msix_set_state(fd, state), EIO);
	TEST_ASSERT_EQ(__msix_set_gsi_routing(fd, 0, NULL), EIO);
	msix_state_free(state);
	/* The messages go to vCPUs that no longer run, or become pending bits. */
	for (i = 0; i < NR; i++)
		event_signal(sv->event[i]);
	close(fd);
}

static void check_held_vm(int fd)
{
	int dev;

	TEST_ASSERT_EQ(__msix_create(fd, NR, 0, &dev), EIO);
	close(fd);
}

/* How many functions and VMs of a dead process are left, after some time. */
static int left_of(pid_t pid, int want)
{
	int n = 0, i;

	for (i = 0; i < 5000; i++) {
		n = debugfs_entries("kvm", pid) + debugfs_entries("kvm_msix", pid);
		if (n <= want)
			break;
		usleep(2000);
	}
	return n;
}

/* The eventfds are unbound: they keep signals, and another function can bind. */
static void check_events(struct survivor *sv)
{
	struct kvm_msix_binding to[NR], none[NR];
	struct msix_state *state;
	int i;

	for (i = 0; i < NR; i++) {
		event_drain(sv->event[i]);
		event_signal(sv->event[i]);
		TEST_ASSERT_EQ(event_drain(sv->event[i]), 1);
		event_signal(sv->event[i]);
		to[i] = (struct kvm_msix_binding) { sv->event[i], -1 };
		none[i] = (struct kvm_msix_binding) { -1, -1 };
	}
	TEST_ASSERT_EQ(__msix_bind(sv->d.fd, 0, NR, to), 0);
	state = msix_get_state(sv->d.fd, NR);
	TEST_ASSERT_EQ(state->pba[0], BIT(NR) - 1);
	msix_state_free(state);
	msix_reset(&sv->d);
	TEST_ASSERT_EQ(__msix_bind(sv->d.fd, 0, NR, none), 0);
}

static void wait_for_steps(struct survivor *sv, pid_t pid, u64 steps)
{
	int status;

	while (READ_ONCE(sv->life->steps) < steps) {
		TEST_ASSERT(!waitpid(pid, &status, WNOHANG), "a VMM ended by itself");
		sched_yield();
	}
}

/* Wait after the last step: for a moment in set-up, or longer under load. */
static void wait_a_while(u64 steps)
{
	u64 end = rdtsc() + random_number() % 100 * guest_tsc_khz / 1000;

	if (!steps)
		usleep(random_number() % 100000);
	else if (steps < SET_UP_STEPS)
		while (rdtsc() < end)
			;
	else
		usleep(random_number() % 1000);
}

static void kill_one(struct survivor *sv, u32 round)
{
	u64 steps = random_number() % (SET_UP_STEPS + LOAD_STEPS);
	int dev = -1, vm = -1, status, held = 0;
	pid_t pid;

	*sv->life = (struct life) { .vm_fd = -1, .dev_fd = -1 };
	pid = fork();
	TEST_ASSERT(pid >= 0, "fork: %s", strerror(errno));
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		random_state += round;
		live(sv->life, sv->event);
	}
	wait_for_steps(sv, pid, steps);
	if (round % 4 & 1)
		dev = take(pid, READ_ONCE(sv->life->dev_fd));
	if (round % 4 & 2)
		vm = take(pid, READ_ONCE(sv->life->vm_fd));
	wait_a_while(steps);
	kill(pid, SIGKILL);
	TEST_ASSERT_EQ(waitpid(pid, &status, 0), pid);
	TEST_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
		    "a VMM ended by itself: 0x%x", status);
	sv->in_set_up += READ_ONCE(sv->life->steps) < SET_UP_STEPS;

	/* A function holds its VM. */
	if (dev >= 0)
		held = 2;
	else if (vm >= 0)
		held = 1;
	if (sv->outside)
		TEST_ASSERT_EQ(left_of(pid, held), held);
	if (vm >= 0) {
		check_held_vm(vm);
		sv->held_vms++;
	}
	if (dev >= 0) {
		check_held_dev(sv, dev);
		sv->held_devs++;
	}
	if (sv->outside)
		TEST_ASSERT_EQ(left_of(pid, 0), 0);
	check_events(sv);
}

static void kill_all(u32 rounds)
{
	struct survivor sv = { .outside = kvm_msix_has_counters() };
	long taint = leak_number("/proc/sys/kernel/tainted", "");
	u32 i;

	sv.life = mmap(NULL, sizeof(*sv.life), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	TEST_ASSERT(sv.life != MAP_FAILED, "mmap: %s", strerror(errno));
	sv.vm = msix_bare_vm();
	sv.d = msix_create(sv.vm, NR, 0);
	for (i = 0; i < NR; i++)
		sv.event[i] = event_create();

	for (i = 0; i < rounds; i++)
		kill_one(&sv, i);

	ksft_print_msg("%u killed, %lu of them in set-up; survived by %lu functions, %lu VMs\n",
		       rounds, sv.in_set_up, sv.held_devs, sv.held_vms);
	close(sv.d.fd);
	kvm_vm_free(sv.vm);
	leak_check_all();
	TEST_ASSERT_EQ(leak_number("/proc/sys/kernel/tainted", ""), taint);
	ksft_test_result_pass("%u killed\n", rounds);
}

int main(int argc, char **argv)
{
	u64 seed = time(NULL);
	u32 rounds = seed_option(argc, argv, "ROUNDS", 25, &seed);

	kvm_msix_require();
	ksft_print_header();
	ksft_set_plan(1);
	ksft_print_msg("seed %lu\n", seed);
	random_state = seed;
	kill_all(rounds);
	ksft_finished();
}
