// SPDX-License-Identifier: GPL-2.0-only
/*
 * 11 of kvm_msix-semantics.rst, for a table in guest memory: an event of vector
 * A, an event of vector B, and the store that unmasks A, all at once, while the
 * pages of a mapped table are in any state. A's message must be sent. No
 * further event or store helps: if the kernel misses the store here, the
 * message stays away.
 *
 * The events come from processes that do not map the table, as a device's
 * events come from no process. To protect pages, the kernel interrupts all CPUs
 * that run a process which maps them, and on such a CPU would wait for the
 * event to end.
 *
 * tools/testing/slow holds each party at every instruction of its path.
 *
 * usage: watch_race_test [-n ROUNDS] [-s SEED]
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "kselftest.h"
#include "kvm_msix_util.h"

#define PAGE		4096ul
#define NR		(PAGE / ENTRY_SIZE + 1)
#define PBA		(2 * PAGE)
#define SIZE		(3 * PAGE)
#define PATIENCE_MS	5000

/* Vectors with entries on different pages. */
#define A		0
#define B		(NR - 1)

/* The parties of a round beside the main thread. */
enum actor {
	SIGNAL_A,	/* a process */
	SIGNAL_B,	/* a process */
	BIND_A,		/* a thread: only the VM's process may call BIND */
	NR_ACTORS
};

#define NR_SIGNALS	BIND_A

enum before {
	QUIET,		/* nothing has been pending for long */
	LEFT_PROTECTED,	/* nor here, but the pages are still protected */
	AWAITED,	/* A is pending, the pages are protected */
	WRITTEN,	/* A is pending, a store came a moment ago */
	NR_BEFORE
};

/**
 * struct race - The function; there is no guest, so its messages are dropped
 * @fd: the device fd
 * @mem: the mapped pages
 * @event: the eventfds of A and B
 * @round: number of the round that has begun
 * @done: how many actors have acted in the round
 * @bind: A's event comes by BIND, which takes another path than a signal
 * @spin: how long each party waits before it acts, the main thread last
 */
static struct race {
	int fd;
	u8 *mem;
	int event[NR_SIGNALS];
	u32 round;
	u32 done;
	bool bind;
	u32 spin[NR_ACTORS + 1];
} *race;

static u64 seed;

static u64 rnd(void)
{
	return msix_random(&seed);
}

static u32 *control(u32 v)
{
	return (u32 *)(race->mem + v * ENTRY_SIZE + ENTRY_CTRL);
}

static bool pending(u32 v)
{
	return READ_ONCE(race->mem[PBA + v / 8]) >> v % 8 & 1;
}

static void spin(u32 turns)
{
	while (turns--)
		asm volatile("pause");
}

static void act(enum actor actor)
{
	switch (actor) {
	case BIND_A:
		if (READ_ONCE(race->bind))
			TEST_ASSERT_EQ(__msix_bind_one(race->fd, A, race->event[0], -1), 0);
		break;
	case SIGNAL_A:
		if (!READ_ONCE(race->bind))
			event_signal(race->event[0]);
		break;
	default:
		event_signal(race->event[1]);
	}
}

/* Act once in each round, until killed. */
static void *actor_thread(void *arg)
{
	enum actor actor = (long)arg;
	u32 round = 0;

	for (;;) {
		while (READ_ONCE(race->round) == round)
			sched_yield();
		round++;
		spin(READ_ONCE(race->spin[actor]));
		act(actor);
		__atomic_add_fetch(&race->done, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static pid_t actor_process(enum actor actor)
{
	pid_t pid = fork();

	TEST_ASSERT(pid >= 0, "fork: %s", strerror(errno));
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		actor_thread((void *)(long)actor);
	}
	return pid;
}

/* Mask A and B by SET_STATE: the kernel writes, so no store faults. */
static void set_state(u64 a_pending)
{
	struct msix_state *s = msix_state_alloc(NR);

	s->control = ENABLE;
	s->entry[A][ENTRY_CTRL / 4] = MASKED;
	s->entry[B][ENTRY_CTRL / 4] = MASKED;
	s->pba[0] = a_pending << A;
	TEST_ASSERT_EQ(__msix_set_state(race->fd, s), 0);
	msix_state_free(s);
}

static void make(enum before before)
{
	set_state(before != QUIET);
	usleep(before == QUIET ? 0 : 2000);
	switch (before) {
	case QUIET:
		/* The store opens the pages, if they were still protected. */
		WRITE_ONCE(*control(A), MASKED);
		WRITE_ONCE(*control(B), MASKED);
		usleep(rnd() % 2000);
		break;
	case LEFT_PROTECTED:
		set_state(0);
		break;
	case WRITTEN:
		WRITE_ONCE(*control(A), MASKED);
		usleep(rnd() % 40000);
		break;
	default:
		break;
	}
}

static void expect_sent(u32 v, enum before before, u32 round)
{
	u32 ms;

	for (ms = 0; pending(v); ms++) {
		TEST_ASSERT(ms < PATIENCE_MS,
			    "round %u, %u before: vector %u may send, and does not", round,
			    before, v);
		usleep(1000);
	}
}

static void await_actors(u32 round)
{
	u32 ms;

	for (ms = 0; READ_ONCE(race->done) < NR_ACTORS; ms++) {
		TEST_ASSERT(ms < PATIENCE_MS, "round %u: an actor does not act", round);
		usleep(1000);
	}
}

static void run_round(u32 round)
{
	enum before before = rnd() % NR_BEFORE;
	u32 i;

	make(before);
	race->bind = before == QUIET && rnd() % 4;
	if (race->bind) {
		TEST_ASSERT_EQ(__msix_bind_one(race->fd, A, -1, -1), 0);
		event_signal(race->event[0]);
	}
	for (i = 0; i < ARRAY_SIZE(race->spin); i++)
		WRITE_ONCE(race->spin[i], rnd() % 4 ? rnd() % 2000 : 0);
	race->done = 0;
	WRITE_ONCE(race->round, round);
	spin(race->spin[NR_ACTORS]);
	/* A store that changes nothing, but may open the page. */
	if (rnd() % 2) {
		WRITE_ONCE(*control(B), MASKED);
		usleep(rnd() % 5000);
	}
	WRITE_ONCE(*control(B), 0);
	await_actors(round);
	expect_sent(B, before, round);
	TEST_ASSERT(pending(A), "round %u: vector %u is masked and has sent", round, A);
	WRITE_ONCE(*control(A), 0);
	expect_sent(A, before, round);
}

int main(int argc, char **argv)
{
	u32 rounds, round;
	struct kvm_msix_create args = {
		.flags = KVM_MSIX_CREATE_MMAP | KVM_MSIX_CREATE_MMAP_PBA,
		.nr_vectors = NR,
		.pba_offset = PBA,
	};
	pid_t process[NR_SIGNALS];
	pthread_t binder;
	struct kvm_vm *vm;
	int i;

	seed = time(NULL);
	rounds = seed_option(argc, argv, "ROUNDS", 400, &seed);
	ksft_print_header();
	kvm_msix_require();
	if (!msix_can_map())
		ksft_exit_skip("this kernel has no KVM_MSIX_CAP_MMAP\n");
	ksft_set_plan(1);
	ksft_print_msg("seed %lu\n", seed);

	vm = msix_bare_vm();
	args.vm_fd = vm->fd;
	race = mmap(NULL, sizeof(*race), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(race != MAP_FAILED, "mmap: %s", strerror(errno));
	race->fd = msix_create_args(&args);
	for (i = 0; i < NR_SIGNALS; i++) {
		race->event[i] = event_create();
		TEST_ASSERT_EQ(__msix_bind_one(race->fd, i ? B : A, race->event[i], -1), 0);
		process[i] = actor_process(i);
	}
	TEST_ASSERT(!pthread_create(&binder, NULL, actor_thread, (void *)BIND_A), "pthread_create");
	race->mem = msix_map(race->fd, SIZE);
	for (round = 1; round <= rounds; round++)
		run_round(round);
	for (i = 0; i < NR_SIGNALS; i++) {
		kill(process[i], SIGKILL);
		waitpid(process[i], NULL, 0);
	}
	close(race->fd);
	munmap(race->mem, SIZE);
	kvm_vm_free(vm);
	ksft_test_result_pass("%u rounds\n", rounds);
	ksft_finished();
}
