// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keep a function busy until SIGTERM, while something else is tested, then
 * check the function's books. A vCPU masks, moves and unmasks, halts, and takes
 * the interrupts; there are at most two hundred events a second. Every other
 * vector also has a GSI.
 */
#include <pthread.h>
#include <signal.h>

#include "kvm_msix_util.h"

#define NR	8
#define VEC(v)	(0x40 + (v))
#define GSI	64

static u64 rounds;

static void guest_code(void)
{
	u64 entry, i;

	guest_init();
	for (i = 0;; i++) {
		entry = BAR_GPA + i % NR * ENTRY_SIZE;
		mmio_write32(entry + ENTRY_CTRL, MASKED);
		mmio_write32(entry + ENTRY_ADDR_LO, MSI_ADDR(0));
		mmio_write32(entry + ENTRY_DATA, VEC(i % NR));
		mmio_read64(BAR_GPA + 0x800);
		mmio_write32(entry + ENTRY_CTRL, 0);
		WRITE_ONCE(rounds, i + 1);
		/* The next event ends the HLT. */
		if (i > NR)
			asm volatile("hlt");
	}
}

static bool stop;

static void on_signal(int sig)
{
	WRITE_ONCE(stop, true);
}

static void *vcpu_main(void *arg)
{
	struct kvm_vcpu *vcpu = arg;

	while (!READ_ONCE(stop))
		if (__vcpu_run(vcpu) && errno != EINTR)
			break;
	return NULL;
}

int main(void)
{
	struct sigaction sa = { .sa_handler = on_signal };
	u64 signalled = 0, irqs = 0, events, latched, coalesced, released, delivered, done;
	pthread_t thread;
	int event[NR], i;
	struct msix_vm *m;
	struct msix_dev d;

	kvm_msix_require();
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	m = msix_vm_create(1, guest_code);
	d = msix_create(m->vm, NR, 0);
	msix_set_addr(&d, BAR_GPA, BAR_GPA + 0x800);
	for (i = 0; i < NR; i++) {
		event[i] = event_create();
		msix_bind_one(&d, i, event[i], i % 2 ? GSI + i : -1);
	}
	msix_control(&d, ENABLE);
	TEST_ASSERT(!pthread_create(&thread, NULL, vcpu_main, m->vcpu[0]), "pthread_create");
	puts("holding");
	fflush(stdout);

	while (!READ_ONCE(stop)) {
		event_signal(event[signalled++ % NR]);
		usleep(5000);
	}
	while (pthread_tryjoin_np(thread, NULL)) {
		pthread_kill(thread, SIGUSR1);
		usleep(1000);
	}
	TEST_ASSERT_EQ(m->vcpu[0]->run->exit_reason, KVM_EXIT_INTR);

	events = kvm_msix_counter("events");
	latched = kvm_msix_counter("latched");
	coalesced = kvm_msix_counter("coalesced");
	released = kvm_msix_counter("released");
	delivered = kvm_msix_counter("delivered");
	for (i = 0; i < NR; i++)
		irqs += m->cpu[0]->irqs[VEC(i)];
	done = *GUEST_VAR(m, rounds);
	printf("%lu events, %lu delivered, %lu interrupts, %lu rounds of the guest\n", events,
	       delivered, irqs, done);
	TEST_ASSERT_EQ(events, signalled);
	TEST_ASSERT_EQ(delivered, events - latched - coalesced + released);
	TEST_ASSERT_EQ(kvm_msix_counter("dropped"), 0);
	TEST_ASSERT(irqs && irqs <= delivered, "%lu interrupts", irqs);
	TEST_ASSERT(done > NR, "%lu rounds", done);
	return 0;
}
