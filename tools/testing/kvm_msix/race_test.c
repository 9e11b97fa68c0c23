// SPDX-License-Identifier: GPL-2.0-only
/*
 * core.c with a caller of many threads: one spinlock per vector, as in the module,
 * and books that must balance. Built with the thread sanitizer.
 *
 * Two threads raise events on all vectors, two mask and unmask, each half of the
 * vectors, one writes Message Control, and one reads table and PBA without a lock.
 * Each thread works until all threads have done their share, so that the load of
 * the machine changes the duration but not the coverage.
 */
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "core.h"
#include "tap.h"

#define NR		6
#define NR_EVENTERS	2
#define NR_MASKERS	2
#define NR_THREADS	(NR_EVENTERS + NR_MASKERS + 2)

/* The least number of rounds of each thread, and of each outcome. */
#define MIN_ROUNDS	5000
#define MIN_OUTCOMES	500
#define TIMEOUT_SECONDS	120

#define ENABLE		PCI_MSIX_FLAGS_ENABLE
#define MASKALL		PCI_MSIX_FLAGS_MASKALL

/**
 * struct vector - The caller's books on a vector
 * @lock: the vector's lock, which the core requires
 * @address: the guest's last write; under @lock
 * @data: likewise
 * @owed: an event was latched and not yet sent; under @lock
 * @direct: events that were sent at once; under @lock
 * @latched: events that were latched; under @lock
 * @coalesced: events that found the bit set; under @lock
 * @released: latched events that were sent; under @lock
 * @events: events raised
 * @closed: the mask write has returned, the unmask has not begun. Set and cleared
 *	by the masker without @lock.
 */
struct vector {
	pthread_spinlock_t lock;
	u64 address;
	u32 data;
	bool owed;
	u64 direct, latched, coalesced, released;
	u64 events;
	bool closed;
};

/* Counts of faults. */
static struct {
	u64 sent_masked;
	u64 sent_twice;
	u64 lost;
	u64 sent_function_masked;
	u64 torn;
	u64 wrong_message;
	u64 stray_bits;
} wrong;

static struct kvm_msix_core core;
static struct kvm_msix_entry table[NR];
static unsigned long pba[1], pending[1];
static struct vector vectors[NR];
static pthread_barrier_t start;

/* Function Mask is set or Enable clear, and all vectors have been visited. */
static bool function_closed;

static u64 rounds[NR_THREADS];
static u64 nr_direct, nr_latched, nr_coalesced, nr_released;
static u64 nr_wrong;

#define count(x)	__atomic_fetch_add(&(x), 1, __ATOMIC_RELAXED)
#define load(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define get(x)		__atomic_load_n(&(x), __ATOMIC_SEQ_CST)
#define set(x, val)	__atomic_store_n(&(x), (val), __ATOMIC_SEQ_CST)
#define fault(which)	(count(wrong.which), count(nr_wrong))

const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "halt_on_error=1";
}

static u32 next_random(u32 *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

/* Now and then, interrupt the core in the middle. */
void core_user_preempt(void)
{
	static __thread u32 random;

	if (next_random(&random) % 128 == 0)
		sched_yield();
}

/* After a fault, the threads may never do their shares: stop. */
static bool done(void)
{
	unsigned int i;

	if (load(nr_wrong))
		return true;
	for (i = 0; i < NR_THREADS; i++)
		if (load(rounds[i]) < MIN_ROUNDS)
			return false;
	return load(nr_direct) >= MIN_OUTCOMES &&
	       load(nr_latched) >= MIN_OUTCOMES &&
	       load(nr_coalesced) >= MIN_OUTCOMES &&
	       load(nr_released) >= MIN_OUTCOMES;
}

/* An address whose halves show whether both come from one write. */
static u64 address_of(u32 low)
{
	return (u64)~low << 32 | low;
}

static bool whole(u64 address)
{
	return !address || address_of(address) == address;
}

/* The holder may have yielded in core_user_preempt(): yield, too. */
static void lock(struct vector *vec)
{
	while (pthread_spin_trylock(&vec->lock))
		sched_yield();
}

/* Called with the vector's lock held. */
static void send(u32 v, const struct kvm_msix_entry *entry)
{
	if (get(vectors[v].closed))
		fault(sent_masked);
	if (get(function_closed))
		fault(sent_function_masked);
	if (entry->address != vectors[v].address ||
	    entry->data != vectors[v].data)
		fault(wrong_message);
}

/* Called with the vector's lock held. */
static void take_effects(u32 v, unsigned int effects,
			 const struct kvm_msix_entry *entry)
{
	struct vector *vec = &vectors[v];

	if (!(effects & KVM_MSIX_SEND))
		return;
	if (!vec->owed)
		fault(sent_twice);
	vec->owed = false;
	vec->released++;
	count(nr_released);
	send(v, entry);
}

static void event(u32 v)
{
	struct vector *vec = &vectors[v];
	struct kvm_msix_entry entry;

	count(vec->events);
	lock(vec);
	entry = kvm_msix_get_entry(&core, v);
	switch (kvm_msix_decide_event(&core, v, &entry)) {
	case KVM_MSIX_EVENT_SEND:
		vec->direct++;
		count(nr_direct);
		send(v, &entry);
		break;
	case KVM_MSIX_EVENT_LATCHED:
		if (vec->owed)
			fault(lost);
		vec->owed = true;
		vec->latched++;
		count(nr_latched);
		break;
	case KVM_MSIX_EVENT_COALESCED:
		if (!vec->owed)
			fault(lost);
		vec->coalesced++;
		count(nr_coalesced);
		break;
	}
	pthread_spin_unlock(&vec->lock);
}

static void guest_write(u32 v, u32 field, unsigned int len, u64 val)
{
	struct vector *vec = &vectors[v];
	struct kvm_msix_entry entry;
	unsigned int effects;

	lock(vec);
	if (field == PCI_MSIX_ENTRY_LOWER_ADDR)
		vec->address = val;
	if (field == PCI_MSIX_ENTRY_DATA)
		vec->data = val;
	effects = kvm_msix_table_write(&core, v * PCI_MSIX_ENTRY_SIZE + field,
				       len, val, &entry);
	take_effects(v, effects, &entry);
	pthread_spin_unlock(&vec->lock);
}

static void visit(u32 v)
{
	struct kvm_msix_entry entry;

	lock(&vectors[v]);
	entry = kvm_msix_get_entry(&core, v);
	take_effects(v, kvm_msix_release_pending(&core, v, &entry), &entry);
	pthread_spin_unlock(&vectors[v].lock);
}

static void guest_control(u16 control)
{
	u32 v;

	kvm_msix_set_control(&core, control);
	for (v = 0; v < NR; v++)
		visit(v);
}

/* Raises events on random vectors. */
static void *eventer(void *arg)
{
	u64 *round = arg;
	u32 random = round - rounds + 1;

	pthread_barrier_wait(&start);
	while (!done()) {
		event(next_random(&random) % NR);
		if (count(*round) % 64 == 0)
			sched_yield();
	}
	return NULL;
}

/* Masks, changes the address, unmasks, alone or in one write with new data. */
static void *masker(void *arg)
{
	u64 *round = arg;
	u32 first = round - rounds - NR_EVENTERS;
	u32 random = first + 100, v, data;

	pthread_barrier_wait(&start);
	while (!done()) {
		v = next_random(&random) % (NR / NR_MASKERS) * NR_MASKERS +
		    first;
		guest_write(v, PCI_MSIX_ENTRY_VECTOR_CTRL, 4, 1);
		set(vectors[v].closed, true);
		if (count(*round) % 16 == 0)
			sched_yield();
		guest_write(v, PCI_MSIX_ENTRY_LOWER_ADDR, 8,
			    address_of(next_random(&random)));
		data = next_random(&random);
		set(vectors[v].closed, false);
		if (data & 1)
			guest_write(v, PCI_MSIX_ENTRY_DATA, 8, data);
		else
			guest_write(v, PCI_MSIX_ENTRY_VECTOR_CTRL, 4, 0);
		if (data & 2)
			guest_write(v, PCI_MSIX_ENTRY_LOWER_ADDR, 8,
				    address_of(data));
		if (data & 4)
			sched_yield();
	}
	return NULL;
}

/* Sets and clears Function Mask and Enable. */
static void *controller(void *arg)
{
	static const u16 closed[] = { 0, MASKALL, ENABLE | MASKALL };
	u64 *round = arg, i;

	pthread_barrier_wait(&start);
	while (!done()) {
		i = count(*round);
		guest_control(closed[i % ARRAY_SIZE(closed)]);
		set(function_closed, true);
		if (i % 16 == 0)
			sched_yield();
		set(function_closed, false);
		guest_control(ENABLE);
		sched_yield();
	}
	return NULL;
}

/* Reads all that a guest can read, without a lock. */
static void *reader(void *arg)
{
	u64 *round = arg;
	u32 v;

	pthread_barrier_wait(&start);
	while (!done()) {
		v = count(*round) % NR;
		if (!whole(kvm_msix_table_read(&core, v * PCI_MSIX_ENTRY_SIZE,
					       8)))
			fault(torn);
		if (!whole(kvm_msix_get_entry(&core, v).address))
			fault(torn);
		if (kvm_msix_pba_read(&core, 0, 8) >> NR)
			fault(stray_bits);
		if (v == 0)
			sched_yield();
	}
	return NULL;
}

static void run_threads(void)
{
	pthread_t threads[NR_THREADS];
	void *(*run)(void *arg);
	unsigned int i;

	for (i = 0; i < NR_THREADS; i++) {
		if (i < NR_EVENTERS)
			run = eventer;
		else if (i < NR_EVENTERS + NR_MASKERS)
			run = masker;
		else
			run = i == NR_THREADS - 1 ? reader : controller;
		if (pthread_create(&threads[i], NULL, run, &rounds[i]))
			abort();
	}
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
}

/* When all vectors may send, each pending event is sent once. */
static void close_books(void)
{
	struct vector *vec;
	u64 pending;
	u32 v;

	guest_control(0);
	for (v = 0; v < NR; v++) {
		vec = &vectors[v];
		pending = kvm_msix_pending(&core, v);
		tap_check(vec->owed, pending, "pending bit of %u", v);
		tap_check(vec->events, vec->direct + vec->released +
			  vec->coalesced + pending,
			  "events of %u: sent + coalesced + pending", v);
		tap_check(vec->latched, vec->released + pending,
			  "latched events of %u: sent + pending", v);
	}
	for (v = 0; v < NR; v++)
		guest_write(v, PCI_MSIX_ENTRY_VECTOR_CTRL, 4, 0);
	guest_control(ENABLE);
	for (v = 0; v < NR; v++) {
		vec = &vectors[v];
		tap_check(false, kvm_msix_pending(&core, v),
			  "pending bit of %u at the end", v);
		tap_check(vec->events, vec->direct + vec->released +
			  vec->coalesced, "events of %u at the end", v);
	}
	tap_check(0, wrong.lost, "latched or coalesced by the wrong bit");
}

/* A table that is guest memory: the guest writes without a lock. */
static struct kvm_msix_entry memory;
static bool guest_done;

#define MEMORY_ROUNDS	100000

/* Data that show whether address and data belong together. */
static u32 data_for(u64 address)
{
	return (u32)address * 0x9e3779b1;
}

/* As Linux: mask, change, unmask. */
static void *memory_guest(void *unused)
{
	u32 random = 1;
	u64 address;
	int i;

	(void)unused;
	for (i = 0; i < MEMORY_ROUNDS; i++) {
		address = address_of(next_random(&random));
		WRITE_ONCE(memory.control, 1);
		WRITE_ONCE(memory.address, address);
		WRITE_ONCE(memory.data, data_for(address));
		WRITE_ONCE(memory.control, 0);
	}
	set(guest_done, true);
	return NULL;
}

static void run_memory_guest(void)
{
	unsigned long bits[2] = {};
	struct kvm_msix_core shared = {
		.nr = 1, .shared = true, .table = &memory,
		.pba = &bits[0], .pending = &bits[1],
	};
	u64 sent = 0, latched = 0;
	struct kvm_msix_entry entry;
	pthread_t guest;

	kvm_msix_core_init(&shared);
	kvm_msix_set_control(&shared, ENABLE);
	if (pthread_create(&guest, NULL, memory_guest, NULL))
		abort();
	while (!get(guest_done)) {
		entry = kvm_msix_get_entry(&shared, 0);
		if (kvm_msix_decide_event(&shared, 0, &entry) != KVM_MSIX_EVENT_SEND) {
			latched++;
			entry = kvm_msix_get_entry(&shared, 0);
			if (!kvm_msix_release_pending(&shared, 0, &entry))
				continue;
		}
		sent++;
		if (entry.data != data_for(entry.address))
			fault(torn);
	}
	pthread_join(guest, NULL);
	tap_check(true, sent && latched, "sent as well as latched");
	printf("# guest memory: %llu sent, %llu latched\n", sent, latched);
}

int main(void)
{
	u32 v;

	tap_plan(7);
	alarm(TIMEOUT_SECONDS);
	core = (struct kvm_msix_core) {
		.nr = NR, .table = table, .pba = pba, .pending = pending,
	};
	kvm_msix_core_init(&core);
	for (v = 0; v < NR; v++)
		pthread_spin_init(&vectors[v].lock, PTHREAD_PROCESS_PRIVATE);
	pthread_barrier_init(&start, NULL, NR_THREADS);

	run_threads();

	tap_check(0, wrong.sent_masked, "messages after the mask write");
	tap_point("13", "threads: no message after the mask write");
	tap_check(0, wrong.sent_twice, "messages without an event");
	tap_point("13", "threads: no event is sent twice");
	close_books();
	tap_point("13", "threads: no event is lost");
	tap_check(0, wrong.sent_function_masked,
		  "messages after Function Mask or Enable 0");
	tap_point("14", "threads: no message after Function Mask");
	tap_check(0, wrong.torn, "halves of an address");
	tap_check(0, wrong.wrong_message, "messages that are not the last");
	tap_point("7", "threads: an 8-byte write is one step");
	tap_check(0, wrong.stray_bits, "reads of bits past the last vector");
	tap_point("2", "threads: bits past the last vector are 0");
	wrong.torn = 0;
	run_memory_guest();
	tap_check(0, wrong.torn, "messages of two states of an entry");
	tap_point("7", "threads: a message in guest memory is seen whole");
	printf("# %llu sent at once, %llu latched, %llu coalesced\n",
	       nr_direct, nr_latched, nr_coalesced);
	return tap_exit();
}
