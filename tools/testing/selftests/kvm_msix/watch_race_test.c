// SPDX-License-Identifier: GPL-2.0-only
/*
 * An event, another vector's event, and the store that unmasks the first one's
 * vector, all at once, while the pages of a mapped table are in any state. The
 * message is sent, and neither another event nor another store helps: one that
 * is missed here stays missed.
 *
 * tools/testing/slow holds each of them at every instruction of its way.
 *
 * usage: watch_race_test [-n ROUNDS] [-s SEED]
 */
#include <pthread.h>
#include <sys/mman.h>

#include "kselftest.h"
#include "kvm_msix_util.h"

#define PAGE		4096ul
#define NR		(PAGE / ENTRY_SIZE + 1)
#define PBA		(2 * PAGE)
#define SIZE		(3 * PAGE)
#define PATIENCE_MS	5000

/* On one page, and on the other. */
#define A		0
#define B		(NR - 1)

enum before {
	QUIET,		/* nothing is pending, for long */
	LEFT_PROTECTED,	/* likewise, but no store came since the pages were protected */
	AWAITED,	/* A is pending, the pages are protected */
	WRITTEN,	/* A is pending, a store has come a moment ago */
	NR_BEFORE
};

/**
 * struct race - The function, without a guest: what is sent is taken by nobody
 * @fd: of the function
 * @mem: its pages
 * @event: of A and B
 * @round: has begun if it has this number
 * @done: threads that are through with it
 * @bind: A's event comes by BIND, which takes another way than a signal
 * @spin: how long each waits before it acts
 */
static struct race {
	int fd;
	u8 *mem;
	int event[2];
	u32 round;
	u32 done;
	bool bind;
	u32 spin[3];
	bool stop;
} race;

static u64 seed;

/* splitmix64 */
static u64 rnd(void)
{
	u64 z = seed += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static u32 *control(u32 v)
{
	return (u32 *)(race.mem + v * ENTRY_SIZE + ENTRY_CTRL);
}

static bool pending(u32 v)
{
	return READ_ONCE(race.mem[PBA + v / 8]) >> v % 8 & 1;
}

static void spin(u32 turns)
{
	while (turns--)
		asm volatile("pause");
}

/* An event of one of the two each round. */
static void *signal_thread(void *arg)
{
	u32 i = (long)arg, round = 0;

	for (;;) {
		while (READ_ONCE(race.round) == round && !READ_ONCE(race.stop))
			sched_yield();
		if (READ_ONCE(race.stop))
			return NULL;
		round++;
		spin(READ_ONCE(race.spin[i]));
		if (READ_ONCE(race.bind) && !i)
			TEST_ASSERT_EQ(__msix_bind_one(race.fd, A, race.event[0], -1), 0);
		else
			event_signal(race.event[i]);
		__atomic_add_fetch(&race.done, 1, __ATOMIC_SEQ_CST);
	}
}

/* Both masked; the kernel writes that itself, and no store is made. */
static void set_state(u64 a_pending)
{
	struct msix_state *s = msix_state_alloc(NR);

	s->control = ENABLE;
	s->entry[A][ENTRY_CTRL / 4] = MASKED;
	s->entry[B][ENTRY_CTRL / 4] = MASKED;
	s->pba[0] = a_pending << A;
	TEST_ASSERT_EQ(__msix_set_state(race.fd, s), 0);
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

static void run_round(u32 round)
{
	enum before before = rnd() % NR_BEFORE;
	u32 i;

	make(before);
	race.bind = before == QUIET && rnd() % 4;
	if (race.bind) {
		TEST_ASSERT_EQ(__msix_bind_one(race.fd, A, -1, -1), 0);
		event_signal(race.event[0]);
	}
	for (i = 0; i < ARRAY_SIZE(race.spin); i++)
		WRITE_ONCE(race.spin[i], rnd() % 4 ? rnd() % 2000 : 0);
	race.done = 0;
	WRITE_ONCE(race.round, round);
	spin(race.spin[2]);
	/* One that opens the page, maybe, and changes nothing. */
	if (rnd() % 2) {
		WRITE_ONCE(*control(B), MASKED);
		usleep(rnd() % 5000);
	}
	WRITE_ONCE(*control(B), 0);
	while (READ_ONCE(race.done) < 2)
		sched_yield();

	expect_sent(B, before, round);
	TEST_ASSERT(pending(A), "round %u: vector %u is masked and has sent", round, A);
	WRITE_ONCE(*control(A), 0);
	expect_sent(A, before, round);
}

int main(int argc, char **argv)
{
	u32 rounds = 400, round;
	struct kvm_msix_create args = {
		.size = sizeof(args),
		.flags = KVM_MSIX_CREATE_MMAP | KVM_MSIX_CREATE_MMAP_PBA,
		.nr_vectors = NR,
		.pba_offset = PBA,
	};
	struct kvm_vm *vm;
	pthread_t thread[2];
	int opt, dev, i;

	seed = time(NULL);
	while ((opt = getopt(argc, argv, "n:s:")) != -1) {
		switch (opt) {
		case 'n':
			rounds = atoi_positive("rounds", optarg);
			break;
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		default:
			fprintf(stderr, "usage: %s [-n ROUNDS] [-s SEED]\n", argv[0]);
			return 2;
		}
	}
	ksft_print_header();
	kvm_msix_require();
	if (!msix_can_map())
		ksft_exit_skip("this kernel has no KVM_MSIX_CAP_MMAP\n");
	ksft_set_plan(1);
	ksft_print_msg("seed %lu\n", seed);

	vm = msix_bare_vm();
	args.vm_fd = vm->fd;
	dev = msix_open();
	race.fd = ioctl(dev, KVM_MSIX_CREATE, &args);
	TEST_ASSERT(race.fd >= 0, "KVM_MSIX_CREATE: %s", strerror(errno));
	close(dev);
	race.mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, race.fd, 0);
	TEST_ASSERT(race.mem != MAP_FAILED, "mmap: %s", strerror(errno));
	for (i = 0; i < 2; i++) {
		race.event[i] = event_create();
		TEST_ASSERT_EQ(__msix_bind_one(race.fd, i ? B : A, race.event[i], -1), 0);
		TEST_ASSERT(!pthread_create(&thread[i], NULL, signal_thread, (void *)(long)i),
			    "pthread_create");
	}
	for (round = 1; round <= rounds; round++)
		run_round(round);
	WRITE_ONCE(race.stop, true);
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	close(race.fd);
	munmap(race.mem, SIZE);
	kvm_vm_free(vm);
	ksft_test_result_pass("%u rounds\n", rounds);
	ksft_finished();
}
