// SPDX-License-Identifier: GPL-2.0-only
/*
 * 13 of kvm_msix-semantics.rst: posted messages against everything that stops, moves or
 * changes messages, with exact books:
 *
 *	device  sends each vector's next message as soon as the last has arrived
 *	guest   on two vCPUs: masks, moves a vector to the other vCPU, changes the
 *		message of an unmasked vector, halts
 *	VMM     unbinds a vector and binds it again, unregisters the producer of an
 *		interrupt and registers it again, moves vCPUs to other CPUs
 *
 * Each vector has one message in flight at a time, so that a number identifies each
 * message: a lost message is awaited in vain, a doubled message arrives before the next
 * is sent, and a late message was sent after the guest had read its mask back and
 * arrives before the unmask. The device is tools/testing/lab/fakepost, which
 * tools/testing/posted loads; with --storm, tools/testing/posted runs this test for long.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "fakepost.h"
#include "kvm_msix_util.h"

#define CPUS	2
#define NR	64
/* Each vector changes between two interrupt numbers of the guest. */
#define NUMBERS	0x30
#define NUMBER(v, which) (NUMBERS + 2 * (v) + (which))
/* Wakes a vCPU that has halted. */
#define TICK	0xf0
#define TABLE	BAR_GPA
#define PBA	(BAR_GPA + MAPPED_PBA)
#define MASK_US	200
/* A vector is posted 10 ms after its last change: rest long enough for some to be. */
#define REST_US	8000
/* In guest memory a store to the page remaps all vectors: store in bursts. */
#define MAPPED_REST_US	500000
#define MAPPED_BURST	8
#define PATIENCE_S	60

static struct book {
	u64 sent;	/* messages, each counted before it is sent */
	u64 arrived;	/* interrupts */
	u64 mask;	/* number of the mask that is in effect, or 0 */
	u64 sent_in;	/* @mask when the last message was sent */
} books[NR];

/* Counts of what each vCPU has done and seen. */
static struct deeds {
	u64 masks;
	u64 moves;
	u64 changes;
	u64 halts;
	u64 late;
	u64 doubled;
} deeds[CPUS];

static u64 guest_is_mapped;
static u64 guest_seed;
static u64 ready;	/* number of vCPUs whose APIC takes messages */
static u64 stop, quit;

static u64 random_below(u64 *seed, u64 n)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return (*seed >> 33) % n;
}

/*
 * The guest.
 */

static void take_message(struct ex_regs *regs)
{
	struct book *book = &books[(regs->vector - NUMBERS) / 2];
	struct deeds *mine = &deeds[guest_this_cpu()->index];
	/* Once @arrived has counted the message, the device writes the next message's. */
	u64 sent = READ_ONCE(book->sent), sent_in = READ_ONCE(book->sent_in);
	u64 mask = READ_ONCE(book->mask);

	if (__atomic_add_fetch(&book->arrived, 1, __ATOMIC_SEQ_CST) > sent)
		mine->doubled++;
	else if (mask && mask == sent_in)
		mine->late++;
	wrmsr(APIC_BASE_MSR + (APIC_EOI >> 4), 0);
}

static void take_tick(struct ex_regs *regs)
{
	wrmsr(APIC_BASE_MSR + (APIC_EOI >> 4), 0);
}

static void rest(u64 us, bool halt)
{
	u64 end = rdtsc() + us * guest_tsc_khz / 1000;

	while (rdtsc() < end) {
		if (halt)
			asm volatile("hlt");
		else
			asm volatile("pause");
	}
}

static void mask(u64 *seed, struct deeds *mine, u64 v, bool move)
{
	static u64 nr[NR];
	u64 entry = TABLE + v * ENTRY_SIZE;

	mmio_write32(entry + ENTRY_CTRL, MASKED);
	GUEST_ASSERT_EQ(MASKED, mmio_read32(entry + ENTRY_CTRL));
	WRITE_ONCE(books[v].mask, ++nr[v]);
	rest(random_below(seed, MASK_US), false);
	if (move) {
		mmio_write32(entry + ENTRY_ADDR_LO, MSI_ADDR(random_below(seed, CPUS)));
		mmio_write32(entry + ENTRY_DATA, NUMBER(v, random_below(seed, 2)));
		mine->moves++;
	}
	WRITE_ONCE(books[v].mask, 0);
	mmio_write32(entry + ENTRY_CTRL, 0);
	mine->masks++;
}

static void disturb(u64 *seed, struct deeds *mine)
{
	u64 v = random_below(seed, NR / CPUS) * CPUS + guest_this_cpu()->index;

	switch (random_below(seed, 4)) {
	case 0:
		mmio_write32(TABLE + v * ENTRY_SIZE + ENTRY_DATA,
			     NUMBER(v, random_below(seed, 2)));
		mine->changes++;
		break;
	case 1:
		mask(seed, mine, v, true);
		break;
	default:
		mask(seed, mine, v, false);
	}
}

static void guest_storm(void)
{
	u64 cpu = guest_this_cpu()->index, seed = guest_seed + cpu, i;
	u64 burst = guest_is_mapped ? MAPPED_BURST : 1;
	u64 longest = guest_is_mapped ? MAPPED_REST_US : REST_US;
	struct deeds *mine = &deeds[cpu];
	bool halt;

	guest_init();
	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	while (!READ_ONCE(stop)) {
		for (i = 0; i < burst; i++)
			disturb(&seed, mine);
		halt = random_below(&seed, 2);
		mine->halts += halt;
		rest(random_below(&seed, longest), halt);
	}
	while (!READ_ONCE(quit))
		asm volatile("pause");
	GUEST_DONE();
}

/*
 * The VMM, and the device.
 */

struct storm {
	struct msix_vm *m;
	struct msix_dev d;
	int device;	/* /dev/fakepost */
	int event[NR];
	pthread_t vcpu[CPUS];
	pthread_t vmm;
	u64 seed;
	u64 binds, producers, migrations;
	bool end;
};

static void device_ioctl(struct storm *s, unsigned long cmd, int event)
{
	TEST_ASSERT(!ioctl(s->device, cmd, (long)event), "/dev/fakepost: %lx: %s", cmd,
		    strerror(errno));
}

static void migrate(struct storm *s, pthread_t vcpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(random_below(&s->seed, sysconf(_SC_NPROCESSORS_ONLN)), &cpus);
	TEST_ASSERT(!pthread_setaffinity_np(vcpu, sizeof(cpus), &cpus), "affinity");
	s->migrations++;
}

static void disturb_vector(struct storm *s, u64 v)
{
	switch (random_below(&s->seed, 32)) {
	case 0:
		msix_bind_one(&s->d, v, -1, -1);
		usleep(random_below(&s->seed, 500));
		msix_bind_one(&s->d, v, s->event[v], -1);
		s->binds++;
		break;
	case 1:
		device_ioctl(s, FAKEPOST_DETACH, s->event[v]);
		usleep(random_below(&s->seed, 500));
		device_ioctl(s, FAKEPOST_ATTACH, s->event[v]);
		s->producers++;
		break;
	case 2:
		migrate(s, s->vcpu[v % CPUS]);
		break;
	}
}

/* Disturb the device until the guest stops; wake halted vCPUs until the end. */
static void *vmm_thread(void *arg)
{
	struct storm *s = arg;
	struct kvm_msi tick = { .data = TICK };
	u64 *stopped = GUEST_VAR(s->m, stop);
	u32 cpu;

	while (!READ_ONCE(s->end)) {
		for (cpu = 0; cpu < CPUS; cpu++) {
			tick.address_lo = MSI_ADDR(cpu);
			__vm_ioctl(s->m->vm, KVM_SIGNAL_MSI, &tick);
		}
		if (!READ_ONCE(*stopped))
			disturb_vector(s, random_below(&s->seed, NR));
		usleep(1000);
	}
	return NULL;
}

static time_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static bool has_arrived(struct book *book)
{
	return READ_ONCE(book->arrived) >= book->sent;
}

/* Return: false if the vector's interrupt is detached at the moment. */
static bool send_next(struct storm *s, struct book *book, u64 v)
{
	WRITE_ONCE(book->sent_in, READ_ONCE(book->mask));
	WRITE_ONCE(book->sent, book->sent + 1);
	if (!ioctl(s->device, FAKEPOST_FIRE, (long)s->event[v]))
		return true;
	TEST_ASSERT(errno == ENOENT, "FAKEPOST_FIRE: %s", strerror(errno));
	WRITE_ONCE(book->sent, book->sent - 1);
	return false;
}

/* Return: the number of messages sent, fewer than @messages if a message was lost. */
static u64 send_all(struct storm *s, struct book *book, u64 messages)
{
	time_t sent_at[NR] = {};
	u64 sent = 0, before, v;

	while (sent < messages) {
		before = sent;
		for (v = 0; v < NR && sent < messages; v++) {
			if (has_arrived(&book[v])) {
				sent += send_next(s, &book[v], v);
				sent_at[v] = now();
			} else if (now() - sent_at[v] > PATIENCE_S) {
				ksft_print_msg("vector %lu: message %lu is lost; %spending\n", v,
					       book[v].sent, msix_pending(&s->d, v) ? "" : "not ");
				return sent;
			}
		}
		if (sent == before)
			sched_yield();
	}
	return sent;
}

/* Then wait for interrupts that are too many. */
static void wait_for_last(struct book *book)
{
	time_t start = now();
	u32 v;

	for (v = 0; v < NR; v++)
		while (!has_arrived(&book[v]) && now() - start < PATIENCE_S)
			usleep(1000);
	usleep(100000);
}

static void prepare(struct storm *s)
{
	struct msix_state *state = msix_state_alloc(NR);
	u32 v;

	s->m = msix_vm_create(CPUS, guest_storm);
	for (v = NUMBER(0, 0); v <= NUMBER(NR - 1, 1); v++)
		vm_install_exception_handler(s->m->vm, v, take_message);
	vm_install_exception_handler(s->m->vm, TICK, take_tick);
	*GUEST_VAR(s->m, guest_is_mapped) = msix_mapped();
	*GUEST_VAR(s->m, guest_seed) = s->seed;

	s->d = msix_create(s->m->vm, NR, 0);
	msix_set_addr(&s->d, TABLE, PBA);
	for (v = 0; v < NR; v++) {
		s->event[v] = event_create();
		device_ioctl(s, FAKEPOST_ATTACH, s->event[v]);
		msix_bind_one(&s->d, v, s->event[v], -1);
		state->entry[v][ENTRY_ADDR_LO / 4] = MSI_ADDR(v % CPUS);
		state->entry[v][ENTRY_DATA / 4] = NUMBER(v, 0);
	}
	state->control = ENABLE;
	TEST_ASSERT(!__msix_set_state(s->d.fd, state), "KVM_MSIX_SET_STATE");
	msix_state_free(state);
	/* Post after the first event, so that much happens during the switch. */
	msix_set_post_events(1);
}

static void start(struct storm *s)
{
	u32 cpu;

	for (cpu = 0; cpu < CPUS; cpu++)
		pthread_create(&s->vcpu[cpu], NULL, msix_vcpu_thread, s->m->vcpu[cpu]);
	while (READ_ONCE(*GUEST_VAR(s->m, ready)) < CPUS)
		usleep(1000);
	pthread_create(&s->vmm, NULL, vmm_thread, s);
}

/* Return: the sums over all vCPUs. */
static struct deeds end(struct storm *s)
{
	struct deeds sum = {}, *deed;
	u32 cpu;

	WRITE_ONCE(*GUEST_VAR(s->m, quit), 1);
	for (cpu = 0; cpu < CPUS; cpu++) {
		pthread_join(s->vcpu[cpu], NULL);
		deed = &GUEST_VAR(s->m, deeds[0])[cpu];
		sum.masks += deed->masks;
		sum.moves += deed->moves;
		sum.changes += deed->changes;
		sum.halts += deed->halts;
		sum.late += deed->late;
		sum.doubled += deed->doubled;
	}
	WRITE_ONCE(s->end, true);
	pthread_join(s->vmm, NULL);
	return sum;
}

static void report(struct storm *s, const struct deeds *sum, u64 sent, u64 arrived)
{
	struct fakepost_stats stats;

	TEST_ASSERT(!ioctl(s->device, FAKEPOST_STATS, &stats), "FAKEPOST_STATS");
	ksft_print_msg("%lu messages, %llu posted; %llu switches\n", sent, stats.posted,
		       stats.to_posted + stats.to_remapped);
	ksft_print_msg("guest: %lu masks, %lu of them to move, %lu changes, %lu halts\n",
		       sum->masks, sum->moves, sum->changes, sum->halts);
	ksft_print_msg("VMM: %lu binds, %lu producers, %lu migrations\n", s->binds,
		       s->producers, s->migrations);
	ksft_print_msg("%lu late, %lu doubled, %ld lost\n", sum->late, sum->doubled,
		       (long)(sent - arrived));

	ksft_test_result(sent == arrived, "each arrived\n");
	ksft_test_result(!sum->late, "none was late\n");
	ksft_test_result(!sum->doubled, "none was doubled\n");
	ksft_test_result(stats.posted + stats.remapped == sent, "the device sent each once\n");
	ksft_test_result(stats.to_posted > NR && stats.posted > NR,
			 "vectors were posted again and again\n");
	ksft_test_result(sum->masks && sum->moves && sum->changes && sum->halts && s->binds &&
			 s->producers && s->migrations && !s->m->nr_exits,
			 "all had their part in it\n");
}

int main(int argc, char **argv)
{
	struct storm s = { .seed = time(NULL) };
	u64 messages, sent, arrived = 0;
	struct deeds sum;
	struct book *book;
	u32 v;

	messages = seed_option(argc, argv, "MESSAGES", 20000, &s.seed);
	ksft_print_header();
	kvm_msix_require();
	s.device = open("/dev/fakepost", O_RDWR | O_CLOEXEC);
	if (s.device < 0)
		ksft_exit_skip("no /dev/fakepost: tools/testing/posted has it\n");
	ksft_set_plan(6);
	ksft_print_msg("seed %lu\n", s.seed);

	prepare(&s);
	book = GUEST_VAR(s.m, books[0]);
	start(&s);
	sent = send_all(&s, book, messages);
	WRITE_ONCE(*GUEST_VAR(s.m, stop), 1);
	wait_for_last(book);
	sum = end(&s);
	for (v = 0; v < NR; v++)
		arrived += book[v].arrived;
	report(&s, &sum, sent, arrived);
	close(s.d.fd);
	close(s.device);
	msix_vm_free(s.m);
	ksft_finished();
}
