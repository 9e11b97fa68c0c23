/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the parts of stress_test outside of the guest; see stress.h.
 */
#ifndef SELFTEST_KVM_MSIX_STRESS_VMM_H
#define SELFTEST_KVM_MSIX_STRESS_VMM_H

#include <pthread.h>

#include "stress.h"

#define STRESS_THREADS	3
#define STRESS_VMM_GSI	40	/* the VMM's own route */
#define STRESS_COUNTERS	8

/**
 * struct stress_thread - One of the device's threads
 * @s: the test
 * @random: the thread's PRNG
 * @index: the thread alone signals EXACT and BURST vectors v with
 *	v % STRESS_THREADS == @index
 * @thread: the thread
 * @owes: the thread has signalled vector v since the last audit of the signal
 * @before: if @owes, interrupts of vector v before the thread's last signal
 */
struct stress_thread {
	struct stress *s;
	u64 random;
	u32 index;
	pthread_t thread;
	bool owes[STRESS_NR];
	u64 before[STRESS_NR];
};

/**
 * struct stress_sums - What was known of a vector at some moment
 * @signalled: signals
 * @taken: interrupts
 * @credit: see struct stress_vec
 */
struct stress_sums {
	u64 signalled;
	u64 taken;
	u64 credit;
};

/**
 * struct stress - The test
 * @m: the VM
 * @g: the state that the VMM shares with the guest
 * @d: the function; a new one after each takeover
 * @nr_cpus: number of vCPUs
 * @random: the VMM's PRNG
 * @event: two eventfds for each vector, of which at most one is bound
 * @bound: index of the bound eventfd, or -1; protected by @bind_lock
 * @gsis: bound vectors have their GSIs, too; used by the VMM only
 * @bind_lock: held while vectors are bound, and for a burst: else events of a
 *	burst could go through two eventfds, and be two interrupts
 * @control: Message Control; protected by @control_lock, as the ioctl is
 * @signalled: events by vector
 * @gsi_sent: interrupts that the VMM sent by vectors' GSIs
 * @vmm_sent: interrupts that the VMM sent by its own route
 * @park, @stop: the device's threads must rest, must end
 * @parked: number of resting threads; all three protected by @park_lock
 * @laps: number of laps done
 * @retired: debugfs's counters of functions that were closed
 * @born: when the function was created, for a failed audit
 * @audited: at the last audit, likewise
 */
struct stress {
	struct msix_vm *m;
	struct stress_guest *g;
	struct msix_dev d;
	u32 nr_cpus;
	u64 random;
	int event[STRESS_NR][2];
	int bound[STRESS_NR];
	bool gsis;
	pthread_mutex_t bind_lock;
	u32 control;
	pthread_mutex_t control_lock;
	u64 signalled[STRESS_NR];
	u64 gsi_sent;
	u64 vmm_sent;
	bool park;
	bool stop;
	u32 parked;
	pthread_mutex_t park_lock;
	pthread_cond_t park_cond;
	struct stress_thread device[STRESS_THREADS];
	pthread_t vcpu_thread[GUEST_MAX_CPUS];
	u32 laps;
	u64 retired[STRESS_COUNTERS];
	struct stress_sums born[STRESS_NR];
	struct stress_sums audited[STRESS_NR];
};

#define STRESS_NO_GSI	(-1)

/* The GSI of a vector that may have one. */
static inline int stress_gsi(u32 v)
{
	return v % 3 == 1 ? 64 + v : STRESS_NO_GSI;
}

/*
 * Wait for another party, which may be slow, but must not take forever.
 */
#define STRESS_PATIENCE_S	120
#define stress_wait(cond)						\
do {									\
	time_t __end = time(NULL) + STRESS_PATIENCE_S;			\
									\
	while (!(cond)) {						\
		TEST_ASSERT(time(NULL) < __end, "no " #cond);		\
		usleep(50);						\
	}								\
} while (0)

/* stress_device.c */
void stress_device_start(struct stress *s);
void stress_device_park(struct stress *s);
void stress_device_go(struct stress *s);
void stress_device_stop(struct stress *s);

/* stress_books.c: call these while guest and device rest */
void stress_flush(struct stress *s);
void stress_rest(struct stress *s);
void stress_audit(struct stress *s);
u64 stress_discard(struct stress *s);
void stress_pulse(struct stress *s);
void stress_retire(struct stress *s);
void stress_report(struct stress *s);

#endif /* SELFTEST_KVM_MSIX_STRESS_VMM_H */
