// SPDX-License-Identifier: GPL-2.0-only
/*
 * stress_test's device: threads that signal, by the rules of each vector's kind
 * (stress.h), mostly the bound eventfd, now and then the unbound eventfd.
 */
#include "stress_vmm.h"

static void signal_vector(struct stress_thread *t, u32 v, int which)
{
	struct stress *s = t->s;

	__atomic_add_fetch(&s->signalled[v], 1, __ATOMIC_SEQ_CST);
	t->before[v] = stress_irqs_of(s->g, v);
	t->owes[v] = true;
	event_signal(s->event[v][which]);
	__atomic_add_fetch(&s->g->beats, 1, __ATOMIC_SEQ_CST);
}

static int choose(struct stress_thread *t, u32 v)
{
	int bound = READ_ONCE(t->s->bound[v]);
	u64 random = msix_random(&t->random);

	return bound < 0 || random % 16 == 0 ? random >> 32 & 1 : bound;
}

static void signal_exact(struct stress_thread *t, u32 v)
{
	struct stress_vec *vec = &t->s->g->vec[v];

	if (stress_irqs_of(t->s->g, v) + vec->credit == t->s->signalled[v])
		signal_vector(t, v, choose(t, v));
}

static void signal_burst(struct stress_thread *t, u32 v)
{
	struct stress_vec *vec = &t->s->g->vec[v];
	struct stress *s = t->s;
	u64 burst = READ_ONCE(vec->burst), n, i;
	int which;

	if (burst == vec->burst_done)
		return;
	n = msix_random(&t->random) % 4;
	pthread_mutex_lock(&s->bind_lock);
	which = choose(t, v);
	for (i = 0; i < n; i++)
		signal_vector(t, v, which);
	WRITE_ONCE(vec->burst_bound, s->bound[v] == which);
	pthread_mutex_unlock(&s->bind_lock);
	WRITE_ONCE(vec->burst_events, n);
	__sync_synchronize();
	WRITE_ONCE(vec->burst_done, burst);
}

static void signal_free(struct stress_thread *t, u32 v)
{
	u64 n = msix_random(&t->random) % 8;

	while (n--)
		signal_vector(t, v, choose(t, v));
}

static bool rest(struct stress *s)
{
	bool stop;

	pthread_mutex_lock(&s->park_lock);
	if (s->park) {
		s->parked++;
		while (s->park)
			pthread_cond_wait(&s->park_cond, &s->park_lock);
		s->parked--;
	}
	stop = s->stop;
	pthread_mutex_unlock(&s->park_lock);
	return stop;
}

static void *device_thread(void *arg)
{
	struct stress_thread *t = arg;
	u32 v;

	while (!rest(t->s)) {
		for (v = t->index; v < STRESS_NR; v += STRESS_THREADS)
			if (stress_kind(v) == EXACT)
				signal_exact(t, v);
			else if (stress_kind(v) == BURST)
				signal_burst(t, v);
		signal_free(t, msix_random(&t->random) % (STRESS_NR / 3));
		/* Leave time to the guest: each message to a running vCPU is an exit. */
		usleep(msix_random(&t->random) % 256);
	}
	return NULL;
}

void stress_device_start(struct stress *s)
{
	struct stress_thread *t;

	for (t = s->device; t < s->device + STRESS_THREADS; t++) {
		t->s = s;
		t->index = t - s->device;
		t->random = msix_random(&s->random);
		TEST_ASSERT(!pthread_create(&t->thread, NULL, device_thread, t), "pthread_create");
	}
}

/* Have the threads rest. On return, no signal is under way. */
void stress_device_park(struct stress *s)
{
	pthread_mutex_lock(&s->park_lock);
	s->park = true;
	pthread_mutex_unlock(&s->park_lock);
	stress_wait(READ_ONCE(s->parked) == STRESS_THREADS);
}

void stress_device_go(struct stress *s)
{
	pthread_mutex_lock(&s->park_lock);
	s->park = false;
	pthread_cond_broadcast(&s->park_cond);
	pthread_mutex_unlock(&s->park_lock);
	/* Else the next park could count threads that have not left the current park. */
	stress_wait(!READ_ONCE(s->parked));
}

void stress_device_stop(struct stress *s)
{
	int i;

	pthread_mutex_lock(&s->park_lock);
	s->stop = true;
	s->park = false;
	pthread_cond_broadcast(&s->park_cond);
	pthread_mutex_unlock(&s->park_lock);
	for (i = 0; i < STRESS_THREADS; i++)
		pthread_join(s->device[i].thread, NULL);
}
